/* The clauses of JSON functions: as letters for the kernels (expr/functions_json.c), as CASE for DEFAULT; and the JSON
 * aggregates, which are LISTAGG of JSON texts. */
#include "sql/bind_internal.h"

#include <strings.h>

static struct arena *arena_of(const struct expr_scope *in) { return &in->binder->plans->arena; }

static const char *name_of(const struct sql_expr *expr) {
    return expr->call.name.items[expr->call.name.count - 1].text;
}

static sabot_status text_literal(const struct expr_scope *in, const char *text, struct source_span span,
                                 struct expr **out, struct sabot_error *err) {
    const struct string_view view = string_view_of(text, (uint32_t)strlen(text));
    struct type type = type_not_null(type_of(TYPE_STRING));
    return expr_literal(arena_of(in), type, &view, span, out, err);
}

static sabot_status call_of(const struct expr_scope *in, const char *name, struct expr *const *args, int32_t n,
                            struct source_span span, struct expr **out, struct sabot_error *err) {
    struct expr *call = NULL; /* *out may be one of the arguments */
    SABOT_TRY(expr_call(arena_of(in), name, args, n, span, &call, err));
    *out = call;
    return SABOT_OK;
}

/* ---- JSON_VALUE, JSON_QUERY, JSON_EXISTS ------------------------------------------------------------------------- */

/* The letter of a behaviour, 0 for none; false: the function does not take it. */
static bool letter_of(char function, enum sql_json_behaviour behaviour, bool on_error, char *out) {
    *out = 0;
    switch (behaviour) {
    case SQL_JSON_UNSET: return true;
    case SQL_JSON_NULL: return function != 'E';
    case SQL_JSON_ERROR: *out = on_error ? 'x' : 'e'; return function != 'E' || on_error;
    case SQL_JSON_DEFAULT: return function == 'V';
    case SQL_JSON_EMPTY_ARRAY: *out = on_error ? 'A' : 'a'; return function == 'Q';
    case SQL_JSON_EMPTY_OBJECT: *out = on_error ? 'O' : 'o'; return function == 'Q';
    case SQL_JSON_TRUE: *out = 't'; return function == 'E' && on_error;
    case SQL_JSON_FALSE: return function == 'E' && on_error;
    case SQL_JSON_UNKNOWN: *out = 'u'; return function == 'E' && on_error;
    }
    return false;
}

static sabot_status clauses_of(const struct sql_expr *expr, char *out, struct sabot_error *err) {
    static const struct sql_json none;
    const struct sql_json *json = expr->call.json ? expr->call.json : &none;
    const char function = name_of(expr)[5] & ~0x20;
    char empty = 0, error = 0;
    size_t n = 0;
    const bool fits = letter_of(function, json->on_empty, false, &empty) &&
                      letter_of(function, json->on_error, true, &error) && json->nulls == SQL_JSON_NULLS_UNSET &&
                      (function == 'Q' || json->wrapper == SQL_JSON_WRAPPER_UNSET) &&
                      (function != 'E' || !json->returning);
    if (!fits) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, expr->span, "%s does not take one of these clauses (SHOW FUNCTIONS, and "
                        "`sabot functions`, say which it takes)", name_of(expr));
    }
    if (empty) { out[n++] = empty; }
    if (error) { out[n++] = error; }
    if (json->wrapper == SQL_JSON_WITH_WRAPPER) { out[n++] = 'w'; }
    if (json->wrapper == SQL_JSON_WITH_CONDITIONAL_WRAPPER) { out[n++] = 'c'; }
    out[n] = 0;
    return SABOT_OK;
}

static sabot_status bind_default(const struct expr_scope *in, const struct sql_expr *written, struct type type,
                                 struct source_span span, struct expr **out, struct sabot_error *err) {
    type.nullable = true;
    SABOT_TRY(bind_expr(in, written, out, err));
    return expr_cast(arena_of(in), *out, type, false, span, out, err);
}

/* CASE WHEN it is empty THEN one default WHEN it is an error, or no value of the type, THEN the other ELSE the value,
 * where NULL or ERROR of the other clause are seen to. */
static sabot_status with_defaults(const struct expr_scope *in, const struct sql_expr *expr, struct expr *const *args,
                                  struct expr *text, struct expr *value, struct expr **out, struct sabot_error *err) {
    const struct sql_json *json = expr->call.json;
    const struct source_span span = span_of(expr->span);
    struct expr *cases[5], *kind = NULL;
    int32_t n = 0;
    SABOT_TRY(call_of(in, "$JSON_OUTCOME", args, 2, span, &kind, err));
    for (int32_t outcome = 1; outcome >= 0; outcome--) { /* 1: empty, 0: an error */
        const struct sql_expr *written = outcome == 1 ? json->default_on_empty : json->default_on_error;
        if (!written) { continue; }
        struct expr *sides[2] = {kind, NULL}, *tests[2] = {NULL, NULL}, *both[2] = {NULL, NULL};
        SABOT_TRY(expr_literal(arena_of(in), type_not_null(type_of(TYPE_INT32)), &outcome, span, &sides[1], err));
        SABOT_TRY(call_of(in, "=", sides, 2, span, &tests[0], err));
        cases[n] = tests[0];
        if (outcome == 0 && text != value) {
            SABOT_TRY(call_of(in, "IS NOT NULL", &text, 1, span, &both[0], err));
            SABOT_TRY(call_of(in, "IS NULL", &value, 1, span, &both[1], err));
            SABOT_TRY(call_of(in, "AND", both, 2, span, &tests[1], err));
            SABOT_TRY(call_of(in, "OR", tests, 2, span, &cases[n], err));
        }
        SABOT_TRY(bind_default(in, written, value->type, span, &cases[n + 1], err));
        n += 2;
    }
    cases[n++] = value;
    return expr_case(arena_of(in), cases, n, span, out, err);
}

sabot_status bind_json_path_call(const struct expr_scope *in, const struct sql_expr *expr, struct expr **out,
                                 struct sabot_error *err) {
    static const struct sql_json none;
    const struct sql_call *of = &expr->call;
    const struct sql_json *json = of->json ? of->json : &none;
    const struct source_span span = span_of(expr->span);
    struct expr *args[3] = {NULL, NULL, NULL}, *text = NULL;
    char clauses[8];
    struct type type;
    if (of->args.count != 2) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, expr->span, "%s takes a JSON text and a path", name_of(expr));
    }
    SABOT_TRY(clauses_of(expr, clauses, err));
    for (int32_t i = 0; i < 2; i++) { SABOT_TRY(bind_expr(in, of->args.items[i], &args[i], err)); }
    SABOT_TRY(text_literal(in, clauses, span, &args[2], err));
    SABOT_TRY(call_of(in, name_of(expr), args, clauses[0] ? 3 : 2, span, &text, err));
    *out = text;
    if (json->returning) {
        SABOT_TRY(bind_type(arena_of(in), json->returning, &type, err));
        SABOT_TRY(expr_cast(arena_of(in), text, type, json->on_error != SQL_JSON_ERROR, span, out, err));
    }
    if (!json->default_on_empty && !json->default_on_error) { return SABOT_OK; }
    return with_defaults(in, expr, args, text, *out, out, err);
}

/* ---- JSON_OBJECT, JSON_ARRAY ------------------------------------------------------------------------------------- */

/* A nested call whose result is JSON. */
static bool makes_json(const struct sql_expr *expr) {
    static const char *const names[] = {"JSON_OBJECT", "JSON_ARRAY", "JSON_OBJECTAGG", "JSON_ARRAYAGG", NULL};
    return expr->kind == SQL_EXPR_CALL && is_any_of(name_of(expr), names);
}

sabot_status bind_json_entries_call(const struct expr_scope *in, const struct sql_expr *expr, struct expr **out,
                                    struct sabot_error *err) {
    const struct sql_call *of = &expr->call;
    const bool is_object = strcasecmp(name_of(expr), "JSON_OBJECT") == 0;
    const unsigned step = is_object ? 2 : 1, n = of->args.count;
    struct expr **args = arena_alloc(arena_of(in), ((size_t)n + 1) * sizeof *args);
    char *forms = arena_alloc(arena_of(in), (size_t)n + 2);
    if (!args || !forms) { return PLAN_NO_MEMORY(err); }
    if (n % step != 0) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, expr->span, "JSON_OBJECT takes pairs: KEY 'name' VALUE value, ..");
    }
    const bool absent = of->json && of->json->nulls ? of->json->nulls == SQL_JSON_ABSENT_ON_NULL : !is_object;
    forms[0] = absent ? 'a' : 'n';
    for (unsigned i = 0; i < n; i++) {
        SABOT_TRY(bind_expr(in, of->args.items[i], &args[1 + i], err));
        if (i % step == step - 1) { forms[1 + i / step] = makes_json(of->args.items[i]) ? 'j' : 'v'; }
    }
    forms[1 + n / step] = 0;
    SABOT_TRY(text_literal(in, forms, span_of(expr->span), &args[0], err));
    return call_of(in, is_object ? "JSON_OBJECT" : "JSON_ARRAY", args, (int32_t)n + 1, span_of(expr->span), out, err);
}

/* ---- JSON_OBJECTAGG, JSON_ARRAYAGG ------------------------------------------------------------------------------- */

/* The value as JSON; of NULL it is NULL where such entries are left out. */
static sabot_status entry_value(const struct expr_scope *in, const struct sql_expr *written, bool absent,
                                struct source_span span, struct expr **out, struct sabot_error *err) {
    struct expr *either[2] = {NULL, NULL};
    SABOT_TRY(bind_expr(in, written, &either[0], err));
    if (!makes_json(written)) { SABOT_TRY(call_of(in, "JSON_STRING", either, 1, span, &either[0], err)); }
    *out = either[0];
    if (absent) { return SABOT_OK; }
    SABOT_TRY(text_literal(in, "null", span, &either[1], err));
    return call_of(in, "COALESCE", either, 2, span, out, err);
}

static sabot_status in_brackets(const struct expr_scope *in, struct expr *list, struct source_span span,
                                struct expr **out, struct sabot_error *err) {
    struct expr *either[2] = {list, NULL}, *parts[3] = {NULL, NULL, NULL};
    SABOT_TRY(text_literal(in, "", span, &either[1], err));
    SABOT_TRY(text_literal(in, "[", span, &parts[0], err));
    SABOT_TRY(call_of(in, "COALESCE", either, 2, span, &parts[1], err));
    SABOT_TRY(text_literal(in, "]", span, &parts[2], err));
    return call_of(in, "CONCAT", parts, 3, span, out, err);
}

/* CASE WHEN filter THEN $JSON_MEMBER(key, value) END: of a row that is left out the key may be NULL. */
static sabot_status member(const struct expr_scope *in, const struct sql_expr *key, struct expr *value,
                           struct expr *filter, struct source_span span, struct expr **out, struct sabot_error *err) {
    struct expr *parts[2] = {NULL, value}, *cases[3] = {filter, NULL, NULL};
    SABOT_TRY(bind_expr(in, key, &parts[0], err));
    SABOT_TRY(call_of(in, "$JSON_MEMBER", parts, 2, span, out, err));
    if (!filter) { return SABOT_OK; }
    cases[1] = *out;
    SABOT_TRY(expr_literal(arena_of(in), type_of(TYPE_STRING), NULL, span, &cases[2], err));
    return expr_case(arena_of(in), cases, 3, span, out, err);
}

sabot_status bind_json_aggregate(const struct expr_scope *in, const struct sql_expr *expr, struct expr **out,
                                 struct sabot_error *err) {
    const struct sql_call *of = &expr->call;
    const struct source_span span = span_of(expr->span);
    const bool is_object = strcasecmp(name_of(expr), "JSON_OBJECTAGG") == 0;
    const struct expr_scope inner = argument_scope(in);
    struct expr *value = NULL, *list = NULL;
    struct pending_call pending = {.kind = AGGREGATE_LISTAGG, .separator = string_view_of(",", 1),
                                   .type = type_of(TYPE_STRING)};
    if (of->args.count != (is_object ? 2u : 1u) || of->distinct || of->order_by.count) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, expr->span, is_object ? "%s takes KEY key VALUE value, without DISTINCT"
                                                                   : "%s takes a value, without DISTINCT and ORDER BY",
                        name_of(expr));
    }
    const bool absent = of->json && of->json->nulls ? of->json->nulls == SQL_JSON_ABSENT_ON_NULL : !is_object;
    SABOT_TRY(entry_value(&inner, of->args.items[of->args.count - 1], absent, span, &value, err));
    if (of->filter) { SABOT_TRY(bind_condition(&inner, of->filter, &pending.filter, err)); }
    if (is_object) {
        SABOT_TRY(member(&inner, of->args.items[0], value, pending.filter, span, &value, err));
        pending.filter = NULL;
    }
    pending.argument = value;
    SABOT_TRY(bind_pending(in, pending, expr->span, &list, err));
    return is_object ? call_of(in, "$JSON_MEMBERS", &list, 1, span, out, err) : in_brackets(in, list, span, out, err);
}
