/* Declarations of process functions: what is wrong with one is said before it can run. */
#include "sql/process_function.h"

#include <ctype.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <strings.h>

#include "sql/bind.h"

#define NAME_MAX_BYTES 48 /* states are tables with names of up to 63 bytes, and lists have two */
#define ARENA_MAX ((size_t)1 << 20)

#define REFUSE(...) SABOT_FAIL(err, SABOT_ERR_USAGE, __VA_ARGS__)

void process_function_free(struct process_function *function) {
    if (!function) { return; }
    arena_clear(&function->arena);
    free(function);
}

static sabot_status copy_text(struct arena *arena, const char *from, const char **out, struct sabot_error *err) {
    *out = from ? arena_copy(arena, from, strlen(from)) : NULL;
    return !from || *out ? SABOT_OK : REFUSE("a process function's declaration has more than %zu bytes", ARENA_MAX);
}

static sabot_status copy_list(struct arena *arena, const void *from, size_t n, size_t size, void *out,
                              struct sabot_error *err) {
    void *copy = arena_alloc(arena, n * size + 1);
    if (!copy) { return REFUSE("a process function's declaration has more than %zu bytes", ARENA_MAX); }
    if (n) { memcpy(copy, from, n * size); }
    memcpy(out, &copy, sizeof copy);
    return SABOT_OK;
}

static sabot_status count_check(int32_t n, int32_t max, const void *list, const char *what, struct sabot_error *err) {
    if (n >= 0 && n <= max && (n == 0 || list)) { return SABOT_OK; }
    return REFUSE("%d %s are declared: there can be 0 to %d", n, what, max);
}

static sabot_status word_check(const char *word, const char *what, struct sabot_error *err) {
    const size_t size = word ? strlen(word) : 0;
    bool good = size > 0 && size <= NAME_MAX_BYTES;
    for (size_t i = 0; good && i < size; i++) { good = isalnum((unsigned char)word[i]) || word[i] == '_'; }
    if (good) { return SABOT_OK; }
    return REFUSE("the name of a %s is a word of letters, digits and _, of up to %d bytes, not \"%s\"", what,
                  NAME_MAX_BYTES, word ? word : "");
}

/* --- the lists */
static sabot_status columns_copy(struct process_function *made, const struct sabot_process_column *given, int32_t n,
                                 const char *what, const struct field **out, struct sabot_error *err) {
    struct field *fields = arena_alloc(&made->arena, ((size_t)n + 1) * sizeof *fields);
    if (!fields) { return REFUSE("a process function's declaration has more than %zu bytes", ARENA_MAX); }
    for (int32_t i = 0; i < n; i++) {
        if (!given[i].name || !given[i].name[0]) { return REFUSE("%s %d has no name", what, i + 1); }
        SABOT_TRY(copy_text(&made->arena, given[i].name, &fields[i].name, err));
        SABOT_TRY(bind_type_text(&made->arena, given[i].type, &fields[i].type, err));
        fields[i].type = type_nullable(fields[i].type);
        for (int32_t j = 0; j < i; j++) {
            if (strcmp(fields[j].name, fields[i].name) == 0) {
                return REFUSE("%s \"%s\" is declared twice", what, fields[i].name);
            }
        }
    }
    *out = fields;
    return SABOT_OK;
}

static bool is_reserved(const char *name) {
    return strcasecmp(name, "input") == 0 || strcasecmp(name, "on_time") == 0 || strcasecmp(name, "uid") == 0;
}

static sabot_status arguments_copy(struct process_function *made, const struct sabot_process_function *given,
                                   struct sabot_error *err) {
    const size_t n = (size_t)given->n_arguments;
    struct process_argument *arguments = arena_alloc(&made->arena, (n + 1) * sizeof *arguments);
    if (!arguments) { return REFUSE("a process function's declaration has more than %zu bytes", ARENA_MAX); }
    for (int32_t i = 0; i < given->n_arguments; i++) {
        const struct sabot_process_argument *argument = &given->arguments[i];
        SABOT_TRY(word_check(argument->name, "scalar argument", err));
        if (is_reserved(argument->name)) { return REFUSE("no argument can be named \"%s\"", argument->name); }
        SABOT_TRY(copy_text(&made->arena, argument->name, &arguments[i].name, err));
        SABOT_TRY(copy_text(&made->arena, argument->otherwise, &arguments[i].otherwise, err));
        SABOT_TRY(bind_type_text(&made->arena, argument->type, &arguments[i].type, err));
    }
    made->arguments = arguments;
    return SABOT_OK;
}

static sabot_status state_check(const struct sabot_process_state *state, struct sabot_error *err) {
    SABOT_TRY(word_check(state->name, "state", err));
    if ((unsigned)state->kind > SABOT_COUNTER || (unsigned)state->type > SABOT_BYTES) {
        return REFUSE("state \"%s\" is of no kind or type that there is", state->name);
    }
    if (state->kind == SABOT_MAP && state->map_key != SABOT_BIGINT && state->map_key != SABOT_BYTES) {
        return REFUSE("state \"%s\": the keys of a map are BIGINT or BYTES", state->name);
    }
    if (state->kind == SABOT_COUNTER && (state->type != SABOT_BIGINT || state->ttl_ms)) {
        return REFUSE("state \"%s\": a counter is BIGINT, and has no TTL", state->name);
    }
    return state->ttl_ms < 0 ? REFUSE("state \"%s\": a TTL can't be negative", state->name) : SABOT_OK;
}

static sabot_status states_copy(struct process_function *made, struct sabot_error *err) {
    struct sabot_process_function *definition = &made->definition;
    struct sabot_process_state *states = NULL;
    struct sabot_process_timer *timers = NULL;
    SABOT_TRY(copy_list(&made->arena, definition->states, (size_t)definition->n_states, sizeof *states, &states, err));
    SABOT_TRY(copy_list(&made->arena, definition->timers, (size_t)definition->n_timers, sizeof *timers, &timers, err));
    for (int32_t i = 0; i < definition->n_states; i++) {
        SABOT_TRY(state_check(&states[i], err));
        SABOT_TRY(copy_text(&made->arena, states[i].name, &states[i].name, err));
        for (int32_t j = 0; j < i; j++) {
            if (strcmp(states[j].name, states[i].name) == 0) {
                return REFUSE("state \"%s\" is declared twice", states[i].name);
            }
        }
    }
    for (int32_t i = 0; i < definition->n_timers; i++) {
        SABOT_TRY(word_check(timers[i].name, "timer", err));
        SABOT_TRY(copy_text(&made->arena, timers[i].name, &timers[i].name, err));
        if ((unsigned)timers[i].time > SABOT_PROCESSING_TIME) {
            return REFUSE("timer \"%s\" has no time", timers[i].name);
        }
        for (int32_t j = 0; j < i; j++) {
            if (strcmp(timers[j].name, timers[i].name) == 0) {
                return REFUSE("timer \"%s\" is declared twice", timers[i].name);
            }
        }
    }
    definition->states = states;
    definition->timers = timers;
    return SABOT_OK;
}

static sabot_status fill(struct process_function *made, const char *name, struct sabot_error *err) {
    struct sabot_process_function *definition = &made->definition;
    SABOT_TRY(copy_text(&made->arena, name, &made->name, err));
    if (!definition->process) { return REFUSE("it has no process()"); }
    if (definition->n_timers > 0 && !definition->on_timer) { return REFUSE("it has timers, but no on_timer()"); }
    if (definition->n_timers > 0 && definition->pass_columns_through) {
        return REFUSE("it passes columns through, so it can't have timers: they are about a key, not about a row");
    }
    SABOT_TRY(count_check(definition->n_inputs, PROCESS_COLUMNS_MAX, definition->inputs, "input columns", err));
    SABOT_TRY(count_check(definition->n_columns, PROCESS_COLUMNS_MAX, definition->columns, "output columns", err));
    SABOT_TRY(count_check(definition->n_arguments, PROCESS_COLUMNS_MAX, definition->arguments, "arguments", err));
    SABOT_TRY(count_check(definition->n_states, PROCESS_STATES_MAX, definition->states, "states", err));
    SABOT_TRY(count_check(definition->n_timers, PROCESS_TIMERS_MAX, definition->timers, "timers", err));
    if (definition->n_columns == 0) { return REFUSE("it declares no output columns"); }
    SABOT_TRY(columns_copy(made, definition->inputs, definition->n_inputs, "input column", &made->inputs, err));
    SABOT_TRY(columns_copy(made, definition->columns, definition->n_columns, "output column", &made->columns, err));
    SABOT_TRY(arguments_copy(made, definition, err));
    return states_copy(made, err);
}

sabot_status process_function_new(const struct sabot_process_function *given, const char *name,
                                  struct process_function **out, struct sabot_error *err) {
    *out = NULL;
    if (!given || given->size < offsetof(struct sabot_process_function, user) || !name) {
        return REFUSE("a process function needs a name, and .size = sizeof(struct sabot_process_function)");
    }
    struct process_function *made = calloc(1, sizeof *made);
    if (!made) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a function"); }
    arena_init(&made->arena, ARENA_MAX);
    memcpy(&made->definition, given, given->size < sizeof *given ? given->size : sizeof *given);
    const sabot_status status = fill(made, name, err);
    if (status != SABOT_OK) {
        error_context(err, "process function %s", name);
        process_function_free(made);
        return status;
    }
    *out = made;
    return SABOT_OK;
}

sabot_status process_function_load(const char *library, const char *symbol, const char *name,
                                   struct process_function **out, struct sabot_error *err) {
    *out = NULL;
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (!handle) { return SABOT_FAIL(err, SABOT_ERR_NOT_FOUND, "can't load '%s': %s", library, dlerror()); }
    const struct sabot_process_library *found = dlsym(handle, symbol);
    if (!found) {
        return SABOT_FAIL(err, SABOT_ERR_NOT_FOUND, "'%s' has no symbol '%s': it must be made with "
                          "SABOT_PROCESS_FUNCTION(%s)", library, symbol, symbol);
    }
    if (found->abi != SABOT_PROCESS_ABI || !found->function) {
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "'%s' in '%s' is no process function of this version (%u, wanted "
                          "%d): build it with this version's sabot/process.h", symbol, library, found->abi,
                          SABOT_PROCESS_ABI);
    }
    return process_function_new(found->function, name, out, err);
}
