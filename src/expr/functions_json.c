/* Functions that look into JSON texts: JSON_VALUE, JSON_QUERY, JSON_EXISTS, IS JSON. Paths are compiled at bind.
 *
 * As in Flink a path is strict unless it says lax: what is missing is an error then, else empty; a JSON null is empty.
 * What becomes of either comes from the binder as a text of letters (sql/bind_json.c):
 *   e, x  ERROR ON EMPTY, ERROR ON ERROR          a, A  EMPTY ARRAY ON EMPTY, ON ERROR
 *   o, O  EMPTY OBJECT ON EMPTY, ON ERROR         w, c  WITH WRAPPER, WITH CONDITIONAL WRAPPER
 *   t, u  TRUE, UNKNOWN ON ERROR (JSON_EXISTS)    NULL, and FALSE of JSON_EXISTS, without a letter */
#include "expr/functions_json.h"

#include <stdlib.h>
#include <strings.h>

/* ---- paths ------------------------------------------------------------------------------------------------------- */

static bool starts_with_word(struct slice text, const char *word) {
    const size_t size = strlen(word);
    return text.size > size && strncasecmp(text.data, word, size) == 0 && text.data[size] == ' ';
}

/* The end of a quoted name whose quote is at `at`; 0: it is not closed. */
static size_t quote_end(struct slice text, size_t at) {
    const char *close = at + 1 < text.size ? memchr(text.data + at + 1, text.data[at], text.size - at - 1) : NULL;
    return close ? (size_t)(close - text.data) : 0;
}

static bool is_quote(char c) { return c == '\'' || c == '"'; }

/* One step at *at: .name ."name" .* ['name'] [3] [*] */
static bool step_parse(struct slice text, size_t *at, struct json_step *step) {
    const bool bracket = text.data[*at] == '[';
    size_t i = *at + 1;
    if (!bracket && text.data[*at] != '.') { return false; }
    if (!bracket && i < text.size && text.data[i] == '[') { /* $.['a b'] */
        *at = i;
        return step_parse(text, at, step);
    }
    while (bracket && i < text.size && text.data[i] == ' ') { i++; }
    if (i >= text.size) { return false; }
    *step = (struct json_step){.kind = JSON_STEP_MEMBER};
    if (text.data[i] == '*') {
        step->kind = JSON_STEP_ALL;
        i++;
    } else if (is_quote(text.data[i])) {
        const size_t end = quote_end(text, i);
        if (end == 0) { return false; }
        step->name = text.data + i + 1;
        step->name_size = end - i - 1;
        i = end + 1;
    } else if (bracket) {
        step->kind = JSON_STEP_INDEX;
        const size_t first = i;
        for (; i < text.size && text.data[i] >= '0' && text.data[i] <= '9' && i - first < 9; i++) {
            step->index = step->index * 10 + (size_t)(text.data[i] - '0');
        }
        if (i == first) { return false; }
    } else {
        step->name = text.data + i;
        while (i < text.size && !strchr(".[ ", text.data[i])) { i++; }
        step->name_size = (size_t)(text.data + i - step->name);
        if (step->name_size == 0) { return false; }
    }
    while (bracket && i < text.size && text.data[i] == ' ') { i++; }
    if (bracket && (i >= text.size || text.data[i++] != ']')) { return false; }
    *at = i;
    return true;
}

/* Names are borrowed from the text. */
static bool path_parse(struct slice text, struct json_steps *steps) {
    *steps = (struct json_steps){.n = 0};
    if (starts_with_word(text, "strict")) {
        text = (struct slice){text.data + 6, text.size - 6};
    } else if (starts_with_word(text, "lax")) {
        steps->lax = true;
        text = (struct slice){text.data + 3, text.size - 3};
    }
    while (text.size > 0 && text.data[0] == ' ') { text = (struct slice){text.data + 1, text.size - 1}; }
    while (text.size > 0 && text.data[text.size - 1] == ' ') { text.size--; }
    if (text.size == 0 || text.data[0] != '$') { return false; }
    for (size_t at = 1; at < text.size;) {
        if (steps->n == JSON_PATH_STEPS_MAX || !step_parse(text, &at, &steps->steps[steps->n])) { return false; }
        steps->n++;
    }
    return true;
}

/* ---- kernels ----------------------------------------------------------------------------------------------------- */

static void reader_free(void *scratch) { json_path_reader_free(scratch); }

sabot_status json_no_memory(struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a JSON text");
}

sabot_status json_find(struct kernel_call *call, struct slice text, const struct json_steps *steps,
                       enum json_text form, struct json_hit *hit, struct sabot_error *err) {
    if (!call->scratch) {
        call->scratch = json_path_reader_new();
        call->scratch_free = reader_free;
        if (!call->scratch) { return json_no_memory(err); }
    }
    return json_path_find(call->scratch, text.data, text.size, steps, form, hit) ? SABOT_OK : json_no_memory(err);
}

struct json_bound {
    struct json_steps *steps; /* NULL: the path is no constant */
    const char *clauses;
};

static bool has_clause(const struct kernel_call *call, char letter) {
    const struct json_bound *bound = call->expr->bound;
    return bound && strchr(bound->clauses, letter) != NULL;
}

/* *lax: of the path. */
static sabot_status find(struct kernel_call *call, int32_t row, enum json_text form, struct json_hit *hit, bool *lax,
                         struct sabot_error *err) {
    static const struct json_steps root = {.n = 0};
    struct json_steps own;
    const struct json_bound *bound = call->expr->bound;
    const struct json_steps *steps = bound && bound->steps ? bound->steps : &root;
    if (bound && !bound->steps) {
        const struct slice path = arg_string(call, 1, row);
        if (!path_parse(path, &own)) {
            return SABOT_FAIL(err, SABOT_ERR_DATA, "'%.*s' is no JSON path (write $.a.b[0])",
                              path.size > 60 ? 60 : (int)path.size, path.data);
        }
        steps = &own;
    }
    *lax = steps->lax;
    return json_find(call, arg_string(call, 0, row), steps, form, hit, err);
}

enum outcome { OUTCOME_ERROR, OUTCOME_EMPTY, OUTCOME_VALUE };

/* takes_scalars: JSON_VALUE; else objects and arrays are what is looked for. */
static enum outcome outcome_of(enum json_hit_kind kind, bool takes_scalars, bool lax) {
    if (kind == JSON_HIT_ERROR) { return OUTCOME_ERROR; }
    if (kind == JSON_HIT_EMPTY || kind == JSON_HIT_NULL) { return OUTCOME_EMPTY; }
    if ((kind == JSON_HIT_SCALAR) == takes_scalars) { return OUTCOME_VALUE; }
    return lax ? OUTCOME_EMPTY : OUTCOME_ERROR;
}

/* No value: what the clauses say. */
static sabot_status put_absent(struct kernel_call *call, int32_t row, enum outcome outcome, struct sabot_error *err) {
    const bool empty = outcome == OUTCOME_EMPTY;
    if (has_clause(call, empty ? 'e' : 'x')) {
        return SABOT_FAIL(err, SABOT_ERR_DATA, empty ? "%s finds nothing at its path, and says ERROR ON EMPTY"
                                                     : "%s finds no JSON, or not what it looks for, and says ERROR ON "
                                                       "ERROR", call->expr->function->name);
    }
    if (has_clause(call, empty ? 'a' : 'A')) { return put_string(call, row, "[]", 2, err); }
    if (has_clause(call, empty ? 'o' : 'O')) { return put_string(call, row, "{}", 2, err); }
    return put_null(call, row, err);
}

static sabot_status value_kernel(struct kernel_call *call, struct sabot_error *err) {
    FOR_ROWS(call, row, {
        struct json_hit hit;
        bool lax;
        SABOT_TRY(find(call, row, JSON_TEXT_PLAIN, &hit, &lax, err));
        const enum outcome outcome = outcome_of(hit.kind, true, lax);
        SABOT_TRY(outcome == OUTCOME_VALUE ? put_string(call, row, hit.text, hit.size, err)
                                           : put_absent(call, row, outcome, err));
    })
    return SABOT_OK;
}

static sabot_status query_kernel(struct kernel_call *call, struct sabot_error *err) {
    const bool always = has_clause(call, 'w'), wraps = always || has_clause(call, 'c');
    FOR_ROWS(call, row, {
        struct json_hit hit;
        bool lax;
        SABOT_TRY(find(call, row, JSON_TEXT_JSON, &hit, &lax, err));
        const bool is_there = hit.kind >= JSON_HIT_SCALAR;
        const enum outcome outcome = wraps && is_there ? OUTCOME_VALUE : outcome_of(hit.kind, false, lax);
        if (outcome != OUTCOME_VALUE) {
            SABOT_TRY(put_absent(call, row, outcome, err));
            continue;
        }
        const bool wrap = always || (wraps && hit.kind != JSON_HIT_ARRAY);
        char *text = NULL;
        SABOT_TRY(reserve_string(call, hit.size + 2, &text, err));
        memcpy(text + wrap, hit.text, hit.size);
        if (wrap) {
            text[0] = '[';
            text[hit.size + 1] = ']';
        }
        put_reserved(call, row, text, hit.size + (wrap ? 2 : 0));
    })
    return SABOT_OK;
}

/* A JSON null is not there, as in Flink. */
static sabot_status exists_kernel(struct kernel_call *call, struct sabot_error *err) {
    FOR_ROWS(call, row, {
        struct json_hit hit;
        bool lax;
        SABOT_TRY(find(call, row, JSON_TEXT_NONE, &hit, &lax, err));
        put_bool(call, row, hit.kind >= JSON_HIT_SCALAR || (hit.kind == JSON_HIT_ERROR && has_clause(call, 't')));
        if (hit.kind != JSON_HIT_ERROR) { continue; }
        if (has_clause(call, 'x')) {
            SABOT_TRY(put_absent(call, row, OUTCOME_ERROR, err));
        } else if (has_clause(call, 'u')) {
            SABOT_TRY(put_null(call, row, err));
        }
    })
    return SABOT_OK;
}

/* What JSON_VALUE comes to: 0 an error, 1 empty, 2 a value; for its DEFAULT clauses. */
static sabot_status outcome_kernel(struct kernel_call *call, struct sabot_error *err) {
    FOR_ROWS(call, row, {
        struct json_hit hit;
        bool lax;
        SABOT_TRY(find(call, row, JSON_TEXT_NONE, &hit, &lax, err));
        put_int(call, row, (int32_t)outcome_of(hit.kind, true, lax));
    })
    return SABOT_OK;
}

static sabot_status is_json_kernel(struct kernel_call *call, struct sabot_error *err) {
    FOR_ROWS(call, row, {
        struct json_hit hit = {.kind = JSON_HIT_ERROR};
        bool lax;
        const bool known = !column_is_null(call->args[0], row) && !column_is_null(call->args[1], row);
        if (known) { SABOT_TRY(find(call, row, JSON_TEXT_NONE, &hit, &lax, err)); }
        if (!known) {
            put_bool(call, row, false);
            continue;
        }
        const char kind = string_view_data(kernel_string(call, 1, row))[0]; /* VALUE OBJECT ARRAY SCALAR */
        put_bool(call, row, kind == 'V'   ? hit.kind != JSON_HIT_ERROR
                            : kind == 'O' ? hit.kind == JSON_HIT_OBJECT
                            : kind == 'A' ? hit.kind == JSON_HIT_ARRAY
                                          : hit.kind == JSON_HIT_SCALAR || hit.kind == JSON_HIT_NULL);
    })
    return SABOT_OK;
}

/* ---- binding ----------------------------------------------------------------------------------------------------- */

sabot_status bind_json_path(const struct function *function, struct function_binding *binding,
                            struct sabot_error *err) {
    static const struct signature signatures[] = {
        {"JSON_VALUE", "SS|S", 'S', true, value_kernel},
        {"JSON_QUERY", "SS|S", 'S', true, query_kernel},
        {"JSON_EXISTS", "SS|S", 'B', true, exists_kernel},
        {"$JSON_OUTCOME", "SS", 'I', false, outcome_kernel},
    };
    const void *value = NULL, *clauses = NULL;
    struct json_bound *bound = ARENA_NEW(binding->arena, struct json_bound);
    if (!bound) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the query is too big"); }
    *bound = (struct json_bound){.clauses = ""};
    if (binding->n_args == 3 && binding_constant(binding, 2, &clauses) && clauses) {
        const struct slice letters = slice_of(clauses);
        bound->clauses = arena_copy(binding->arena, letters.data, letters.size);
        if (!bound->clauses) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the query is too big"); }
    }
    SABOT_TRY(BIND_SIGNATURE(function, binding, signatures, err));
    binding->bound = bound;
    if (!binding_constant(binding, 1, &value) || !value) { return SABOT_OK; }
    const struct slice path = slice_of(value);
    char *text = arena_copy(binding->arena, path.data, path.size); /* the steps point into it */
    struct json_steps *steps = ARENA_NEW(binding->arena, struct json_steps);
    if (!text || !steps) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the query is too big"); }
    if (!path_parse((struct slice){text, path.size}, steps)) {
        return EXPR_FAIL(err, SABOT_ERR_PLAN, binding->args[1]->span, "'%.100s' is no JSON path (write $.a.b[0])",
            text);
    }
    bound->steps = steps;
    return SABOT_OK;
}

sabot_status bind_is_json(const struct function *function, struct function_binding *binding, struct sabot_error *err) {
    SABOT_TRY(binding_expect(function, binding, 0, type_of(TYPE_STRING), err));
    SABOT_TRY(binding_expect(function, binding, 1, type_of(TYPE_STRING), err));
    binding->result = type_not_null(type_of(TYPE_BOOL));
    binding->kernel = is_json_kernel;
    return SABOT_OK;
}
