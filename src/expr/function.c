/* The table of functions, and what their binds share. */
#include "expr/function.h"

#include <stdio.h>
#include <strings.h>

#include "base/nearest.h"

static const struct function functions[] = {
#define X(name, min_args, max_args, bind, flags, category, signature, summary, example, result)                        \
    {name, min_args, max_args, bind, flags, category, signature, summary, example, result, NULL},
#include "expr/functions.def"
#undef X
};
#define FUNCTIONS (sizeof functions / sizeof functions[0])

const struct function *function_find(const char *name) {
    for (size_t i = 0; i < FUNCTIONS; i++) {
        if (strcasecmp(functions[i].name, name) == 0) { return &functions[i]; }
    }
    return NULL;
}

const struct function *function_at(size_t i) {
    return i < FUNCTIONS && !(functions[i].flags & FUNCTION_INTERNAL) ? &functions[i] : NULL;
}

sabot_status expr_fail_at(sabot_status status, struct sabot_error *err, struct source_span span) {
    if (err && err->sql_line == 0 && span.line != 0) {
        err->sql_line = span.line;
        err->sql_column = span.column;
        err->sql_length = span.length ? span.length : 1;
    }
    return status;
}

sabot_status binding_cast(struct function_binding *binding, int32_t arg, struct type to, struct sabot_error *err) {
    struct expr *from = binding->args[arg];
    to.nullable = from->type.nullable;
    if (type_same(from->type, to)) { return SABOT_OK; }
    SABOT_TRY(expr_cast(binding->arena, from, to, false, from->span, &binding->args[arg], err));
    /* a literal stays one, so that a bind can look at its value */
    if (from->kind != EXPR_LITERAL) { return SABOT_OK; }
    return expr_fold(binding->arena, binding->args[arg], &binding->args[arg], err);
}

sabot_status binding_expect(const struct function *function, struct function_binding *binding, int32_t arg,
                            struct type to, struct sabot_error *err) {
    if (type_can_cast_implicitly(binding->args[arg]->type, to)) { return binding_cast(binding, arg, to, err); }
    char have[160], want[160];
    type_print(type_nullable(binding->args[arg]->type), have, sizeof have);
    type_print(type_nullable(to), want, sizeof want);
    return EXPR_FAIL(err, SABOT_ERR_PLAN, binding->args[arg]->span,
                     "argument %d of %s is %s, it must be %s: %s; use CAST(... AS %s)", (int)arg + 1, function->name,
                     have, want, function->signature, want);
}

sabot_status binding_refuse(const struct function *function, const struct function_binding *binding,
                            struct sabot_error *err) {
    struct text types = {0};
    for (int32_t i = 0; i < binding->n_args; i++) {
        char type[160];
        type_print(type_nullable(binding->args[i]->type), type, sizeof type);
        text_format(&types, "%s%s", i ? ", " : "", type);
    }
    const sabot_status status =
        EXPR_FAIL(err, SABOT_ERR_PLAN, binding->span, "%s can't take (%.300s): it is %s", function->name,
                  text_string(&types), function->signature);
    text_clear(&types);
    return status;
}

/* --- calls */
static sabot_status unknown_function(const char *name, struct source_span span, struct sabot_error *err) {
    struct nearest nearest = {.wanted = name};
    for (size_t i = 0; i < FUNCTIONS; i++) { nearest_offer(&nearest, functions[i].name); }
    char hint[160];
    return EXPR_FAIL(err, SABOT_ERR_PLAN, span, "there is no function %.100s%s", name,
                     nearest_hint(&nearest, hint, sizeof hint));
}

sabot_status expr_call(struct arena *arena, const char *name, struct expr *const *args, int32_t n_args,
                       struct source_span span, struct expr **out, struct sabot_error *err) {
    const struct function *function = function_find(name);
    if (!function) { return unknown_function(name, span, err); }
    return expr_call_function(arena, function, args, n_args, span, out, err);
}

sabot_status expr_call_function(struct arena *arena, const struct function *function, struct expr *const *args,
                                int32_t n_args, struct source_span span, struct expr **out, struct sabot_error *err) {
    *out = NULL;
    if (n_args < function->min_args || (function->max_args >= 0 && n_args > function->max_args)) {
        return EXPR_FAIL(err, SABOT_ERR_PLAN, span, "%s is given %d argument%s: it is %s", function->name, (int)n_args,
                         n_args == 1 ? "" : "s", function->signature ? function->signature : "called otherwise");
    }
    struct function_binding binding = {
        .arena = arena,
        .args = arena_alloc(arena, (size_t)(n_args + 1) * sizeof *args),
        .n_args = n_args,
        .span = span,
        .flags = function->flags,
    };
    if (!binding.args) { return EXPR_FAIL(err, SABOT_ERR_MEMORY, span, "the query is too big"); }
    bool nullable = false;
    for (int32_t i = 0; i < n_args; i++) {
        binding.args[i] = args[i];
        nullable = nullable || args[i]->type.nullable;
    }
    binding.result = (struct type){.nullable = nullable};
    const sabot_status status = function->bind(function, &binding, err);
    if (status != SABOT_OK) { return expr_fail_at(status, err, span); }
    if (binding.replacement) {
        *out = binding.replacement;
        return SABOT_OK;
    }
    if (!(binding.flags & FUNCTION_NULL_AWARE) && nullable) { binding.result.nullable = true; }
    struct expr *expr = ARENA_NEW(arena, struct expr);
    if (!expr) { return EXPR_FAIL(err, SABOT_ERR_MEMORY, span, "the query is too big"); }
    *expr = (struct expr){
        .kind = EXPR_CALL,
        .type = binding.result,
        .span = span,
        .function = function,
        .kernel = binding.kernel,
        .flags = binding.flags,
        .bound = binding.bound,
        .n_args = binding.n_args,
        .args = binding.args,
    };
    *out = expr;
    return SABOT_OK;
}
