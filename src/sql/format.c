/* Syntax tree -> SQL. Parentheses stand where the grammar's precedence needs them, and nowhere else. */
#include "sql/format.h"

#include <string.h>
#include <strings.h>

#include "sql/lexer.h"

struct out {
    struct arena *arena;
    char *text;
    unsigned size;
    unsigned capacity;
    bool failed;
};

/* How tightly an expression binds; a child that binds less goes into parentheses. */
enum level {
    LEVEL_ANY,
    LEVEL_OR,
    LEVEL_AND,
    LEVEL_NOT,
    LEVEL_IS,
    LEVEL_COMPARE,
    LEVEL_ADD,
    LEVEL_MUL,
    LEVEL_SIGN,
    LEVEL_ZONE,
    LEVEL_ATOM,
};

static void put_expr(struct out *out, const struct sql_expr *expr, enum level level);
static void put_query(struct out *out, const struct sql_query *query);
static void put_type(struct out *out, const struct sql_type *type);
static void put_table(struct out *out, const struct sql_table *table);

static void put_bytes(struct out *out, const char *bytes, size_t size) {
    if (out->failed) { return; }
    if (size > out->arena->limit || out->size + size + 1 > out->capacity) {
        size_t capacity = out->capacity ? (size_t)out->capacity * 2 : 256;
        while (capacity < out->size + size + 1 && capacity < UINT32_MAX / 2) { capacity *= 2; }
        char *grown = capacity < UINT32_MAX / 2 ? arena_alloc(out->arena, capacity) : NULL;
        if (!grown) {
            out->failed = true;
            return;
        }
        if (out->size > 0) { memcpy(grown, out->text, out->size); }
        out->text = grown;
        out->capacity = (unsigned)capacity;
    }
    memcpy(out->text + out->size, bytes, size);
    out->size += (unsigned)size;
    out->text[out->size] = 0;
}

static void put(struct out *out, const char *text) { put_bytes(out, text, strlen(text)); }

static void put_uint(struct out *out, uint32_t value) {
    char digits[16];
    char *at = digits + sizeof digits;
    *--at = 0;
    do {
        *--at = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    put(out, at);
}

/* 'it''s' or `a``b`. */
static void put_quoted(struct out *out, const char *text, size_t size, char quote) {
    put_bytes(out, &quote, 1);
    for (size_t i = 0; i < size; i++) {
        if (text[i] == quote) { put_bytes(out, &quote, 1); }
        put_bytes(out, &text[i], 1);
    }
    put_bytes(out, &quote, 1);
}

static void put_string(struct out *out, const char *text) { put_quoted(out, text, strlen(text), '\''); }

static bool is_plain(const char *name) {
    if (!name[0] || (name[0] >= '0' && name[0] <= '9')) { return false; }
    for (const char *at = name; *at; at++) {
        const bool letter = (*at >= 'a' && *at <= 'z') || (*at >= 'A' && *at <= 'Z') || *at == '_';
        if (!letter && !(*at >= '0' && *at <= '9')) { return false; }
    }
    return true;
}

static void put_name(struct out *out, const struct sql_name *name) {
    if (is_plain(name->text) && !sql_lexer_is_keyword(name->text)) {
        put(out, name->text);
    } else {
        put_quoted(out, name->text, strlen(name->text), '`');
    }
}

/* LEFT, DATE and others are keywords, but not before a parenthesis. */
static void put_function_name(struct out *out, const struct sql_path *path) {
    for (unsigned i = 0; i < path->count; i++) {
        if (i > 0) { put(out, "."); }
        if (path->count == 1 && !path->items[0].quoted && is_plain(path->items[0].text)) {
            put(out, path->items[0].text);
        } else {
            put_name(out, &path->items[i]);
        }
    }
}

static void put_path(struct out *out, const struct sql_path *path, const char *joint) {
    for (unsigned i = 0; i < path->count; i++) {
        if (i > 0) { put(out, joint); }
        put_name(out, &path->items[i]);
    }
}

static void put_columns(struct out *out, const struct sql_path *columns) {
    put(out, "(");
    put_path(out, columns, ", ");
    put(out, ")");
}

static void put_exprs(struct out *out, const struct sql_exprs *list) {
    for (unsigned i = 0; i < list->count; i++) {
        if (i > 0) { put(out, ", "); }
        put_expr(out, list->items[i], LEVEL_ANY);
    }
}

static void put_orders(struct out *out, const struct sql_orders *list) {
    for (unsigned i = 0; i < list->count; i++) {
        const struct sql_order *order = &list->items[i];
        if (i > 0) { put(out, ", "); }
        put_expr(out, order->expr, LEVEL_ANY);
        if (order->descending) { put(out, " DESC"); }
        if (order->nulls == SQL_NULLS_FIRST) { put(out, " NULLS FIRST"); }
        if (order->nulls == SQL_NULLS_LAST) { put(out, " NULLS LAST"); }
    }
}

static void put_options(struct out *out, const struct sql_options *options, const char *before, const char *joint) {
    for (unsigned i = 0; i < options->count; i++) {
        put(out, i > 0 ? joint : before);
        put_string(out, options->items[i].key);
        if (!options->items[i].value) { continue; }
        put(out, " = ");
        put_string(out, options->items[i].value);
    }
}

/* ---- types ------------------------------------------------------------------------------------------------------ */

static void put_interval_units(struct out *out, enum sql_unit from, enum sql_unit to, const uint32_t *precision,
                               const uint32_t *scale) {
    put(out, sql_unit_name(from));
    if (precision) {
        put(out, "(");
        put_uint(out, *precision);
        if (scale && to == SQL_UNIT_NONE) {
            put(out, ", ");
            put_uint(out, *scale);
        }
        put(out, ")");
    }
    if (to == SQL_UNIT_NONE) { return; }
    put(out, " TO ");
    put(out, sql_unit_name(to));
    if (!scale) { return; }
    put(out, "(");
    put_uint(out, *scale);
    put(out, ")");
}

static void put_type_name(struct out *out, const struct sql_type *type) {
    switch (type->kind) {
    case SQL_TYPE_NAMED: put_path(out, &type->name, "."); return;
    case SQL_TYPE_TIMESTAMP_TZ: put(out, "TIMESTAMP"); return;
    default: put(out, sql_type_kind_name(type->kind)); return;
    }
}

static void put_row_fields(struct out *out, const struct sql_fields *fields) {
    for (unsigned i = 0; i < fields->count; i++) {
        if (i > 0) { put(out, ", "); }
        put_name(out, &fields->items[i].name);
        put(out, " ");
        put_type(out, fields->items[i].type);
        if (fields->items[i].comment) {
            put(out, " ");
            put_string(out, fields->items[i].comment);
        }
    }
}

static void put_type(struct out *out, const struct sql_type *type) {
    put_type_name(out, type);
    switch (type->kind) {
    case SQL_TYPE_ARRAY:
    case SQL_TYPE_MULTISET:
    case SQL_TYPE_MAP:
        put(out, "<");
        if (type->key) {
            put_type(out, type->key);
            put(out, ", ");
        }
        put_type(out, type->element);
        put(out, ">");
        break;
    case SQL_TYPE_ROW:
        put(out, "<");
        put_row_fields(out, &type->fields);
        put(out, ">");
        break;
    case SQL_TYPE_RAW:
        if (!type->raw_class) { break; }
        put(out, "(");
        put_string(out, type->raw_class);
        put(out, ", ");
        put_string(out, type->raw_serializer);
        put(out, ")");
        break;
    case SQL_TYPE_INTERVAL:
        put(out, " ");
        put_interval_units(out, type->unit_from, type->unit_to, type->has_precision ? &type->precision : NULL,
                           type->has_scale ? &type->scale : NULL);
        break;
    default:
        if (!type->has_precision) { break; }
        put(out, "(");
        put_uint(out, type->precision);
        if (type->has_scale) {
            put(out, ", ");
            put_uint(out, type->scale);
        }
        put(out, ")");
    }
    if (type->kind == SQL_TYPE_TIMESTAMP_TZ) { put(out, " WITH TIME ZONE"); }
    if (type->not_null) { put(out, " NOT NULL"); }
}

/* ---- expressions ------------------------------------------------------------------------------------------------ */

static bool call_is(const struct sql_call *call, const char *name) {
    return call->name.count == 1 && strcasecmp(call->name.items[0].text, name) == 0;
}

static enum level binary_level(enum sql_op op) {
    switch (op) {
    case SQL_OP_ADD:
    case SQL_OP_SUB: return LEVEL_ADD;
    case SQL_OP_MUL:
    case SQL_OP_DIV:
    case SQL_OP_MOD:
    case SQL_OP_CONCAT: return LEVEL_MUL;
    default: return LEVEL_COMPARE;
    }
}

static enum level expr_level(const struct sql_expr *expr) {
    switch (expr->kind) {
    case SQL_EXPR_UNARY: return expr->unary.op == SQL_OP_NOT ? LEVEL_NOT : LEVEL_SIGN;
    case SQL_EXPR_BINARY: return binary_level(expr->binary.op);
    case SQL_EXPR_LOGIC: return expr->logic.op == SQL_OP_AND ? LEVEL_AND : LEVEL_OR;
    case SQL_EXPR_IS: return LEVEL_IS;
    case SQL_EXPR_LIKE:
    case SQL_EXPR_BETWEEN:
    case SQL_EXPR_IN:
    case SQL_EXPR_QUANTIFIED: return LEVEL_COMPARE;
    case SQL_EXPR_CALL:
        return call_is(&expr->call, "AT_TIME_ZONE") || call_is(&expr->call, "AT_LOCAL") ? LEVEL_ZONE : LEVEL_ATOM;
    default: return LEVEL_ATOM;
    }
}

static void put_is(struct out *out, const struct sql_expr *expr) {
    static const char *const words[] = {
        [SQL_IS_NULL] = "NULL",
        [SQL_IS_TRUE] = "TRUE",
        [SQL_IS_FALSE] = "FALSE",
        [SQL_IS_UNKNOWN] = "UNKNOWN",
        [SQL_IS_JSON] = "JSON VALUE",
        [SQL_IS_JSON_OBJECT] = "JSON OBJECT",
        [SQL_IS_JSON_ARRAY] = "JSON ARRAY",
        [SQL_IS_JSON_SCALAR] = "JSON SCALAR",
    };
    put_expr(out, expr->is.operand, LEVEL_IS);
    put(out, expr->is.negated ? " IS NOT " : " IS ");
    put(out, words[expr->is.what]);
}

static void put_like(struct out *out, const struct sql_expr *expr) {
    put_expr(out, expr->like.operand, LEVEL_COMPARE);
    if (expr->like.negated) { put(out, " NOT"); }
    put(out, expr->like.similar ? " SIMILAR TO " : " LIKE ");
    put_expr(out, expr->like.pattern, LEVEL_ADD);
    if (!expr->like.escape) { return; }
    put(out, " ESCAPE ");
    put_expr(out, expr->like.escape, LEVEL_ADD);
}

static void put_between(struct out *out, const struct sql_expr *expr) {
    put_expr(out, expr->between.operand, LEVEL_COMPARE);
    put(out, expr->between.negated ? " NOT BETWEEN " : " BETWEEN ");
    if (expr->between.symmetric) { put(out, "SYMMETRIC "); }
    put_expr(out, expr->between.low, LEVEL_ADD);
    put(out, " AND ");
    put_expr(out, expr->between.high, LEVEL_ADD);
}

static void put_in(struct out *out, const struct sql_expr *expr) {
    put_expr(out, expr->in.operand, LEVEL_COMPARE);
    put(out, expr->in.negated ? " NOT IN (" : " IN (");
    if (expr->in.query) {
        put_query(out, expr->in.query);
    } else {
        put_exprs(out, &expr->in.list);
    }
    put(out, ")");
}

static void put_case(struct out *out, const struct sql_expr *expr) {
    put(out, "CASE");
    if (expr->cases.operand) {
        put(out, " ");
        put_expr(out, expr->cases.operand, LEVEL_ANY);
    }
    for (unsigned i = 0; i < expr->cases.whens.count; i++) {
        put(out, " WHEN ");
        put_expr(out, expr->cases.whens.items[i].condition, LEVEL_ANY);
        put(out, " THEN ");
        put_expr(out, expr->cases.whens.items[i].result, LEVEL_ANY);
    }
    if (expr->cases.otherwise) {
        put(out, " ELSE ");
        put_expr(out, expr->cases.otherwise, LEVEL_ANY);
    }
    put(out, " END");
}

static void put_bound(struct out *out, const struct sql_bound *bound) {
    switch (bound->kind) {
    case SQL_BOUND_UNBOUNDED_PRECEDING: put(out, "UNBOUNDED PRECEDING"); return;
    case SQL_BOUND_UNBOUNDED_FOLLOWING: put(out, "UNBOUNDED FOLLOWING"); return;
    case SQL_BOUND_CURRENT_ROW: put(out, "CURRENT ROW"); return;
    default:
        put_expr(out, bound->offset, LEVEL_ADD);
        put(out, bound->kind == SQL_BOUND_PRECEDING ? " PRECEDING" : " FOLLOWING");
    }
}

static void put_window(struct out *out, const struct sql_window *window) {
    const char *joint = "";
    if (window->only_name) {
        put_name(out, &window->base);
        return;
    }
    put(out, "(");
    if (window->base.text) {
        put_name(out, &window->base);
        joint = " ";
    }
    if (window->partition_by.count > 0) {
        put(out, joint);
        put(out, "PARTITION BY ");
        put_exprs(out, &window->partition_by);
        joint = " ";
    }
    if (window->order_by.count > 0) {
        put(out, joint);
        put(out, "ORDER BY ");
        put_orders(out, &window->order_by);
        joint = " ";
    }
    if (window->has_frame) {
        put(out, joint);
        put(out, window->frame_is_rows ? "ROWS BETWEEN " : "RANGE BETWEEN ");
        put_bound(out, &window->start);
        put(out, " AND ");
        put_bound(out, &window->end);
    }
    put(out, ")");
}

static void put_json_behaviour(struct out *out, enum sql_json_behaviour what, const struct sql_expr *value,
                               const char *when) {
    static const char *const words[] = {
        [SQL_JSON_NULL] = " NULL",
        [SQL_JSON_ERROR] = " ERROR",
        [SQL_JSON_DEFAULT] = " DEFAULT ",
        [SQL_JSON_EMPTY_ARRAY] = " EMPTY ARRAY",
        [SQL_JSON_EMPTY_OBJECT] = " EMPTY OBJECT",
        [SQL_JSON_TRUE] = " TRUE",
        [SQL_JSON_FALSE] = " FALSE",
        [SQL_JSON_UNKNOWN] = " UNKNOWN",
    };
    if (what == SQL_JSON_UNSET) { return; }
    put(out, words[what]);
    if (value) { put_expr(out, value, LEVEL_ANY); }
    put(out, when);
}

static void put_json(struct out *out, const struct sql_json *json) {
    if (json->returning) {
        put(out, " RETURNING ");
        put_type(out, json->returning);
    }
    if (json->wrapper == SQL_JSON_WITHOUT_WRAPPER) { put(out, " WITHOUT WRAPPER"); }
    if (json->wrapper == SQL_JSON_WITH_WRAPPER) { put(out, " WITH WRAPPER"); }
    if (json->wrapper == SQL_JSON_WITH_CONDITIONAL_WRAPPER) { put(out, " WITH CONDITIONAL WRAPPER"); }
    put_json_behaviour(out, json->on_empty, json->default_on_empty, " ON EMPTY");
    put_json_behaviour(out, json->on_error, json->default_on_error, " ON ERROR");
    if (json->nulls == SQL_JSON_NULL_ON_NULL) { put(out, " NULL ON NULL"); }
    if (json->nulls == SQL_JSON_ABSENT_ON_NULL) { put(out, " ABSENT ON NULL"); }
}

/* KEY k VALUE v, .. */
static void put_json_pairs(struct out *out, const struct sql_exprs *args) {
    for (unsigned i = 0; i + 1 < args->count; i += 2) {
        const bool simple = args->items[i]->kind == SQL_EXPR_STRING || args->items[i]->kind == SQL_EXPR_COLUMN;
        put(out, i > 0 ? ", KEY " : "KEY ");
        if (!simple) { put(out, "("); }
        put_expr(out, args->items[i], LEVEL_ANY);
        put(out, simple ? " VALUE " : ") VALUE ");
        put_expr(out, args->items[i + 1], LEVEL_ANY);
    }
}

static void put_args(struct out *out, const struct sql_call *call) {
    const struct sql_exprs *args = &call->args;
    const bool starts_symbol = args->count > 0 && args->items[0]->kind == SQL_EXPR_SYMBOL;
    if (starts_symbol && args->count == 2 && (call_is(call, "EXTRACT") || call_is(call, "TRIM"))) {
        put_expr(out, args->items[0], LEVEL_ANY);
        put(out, " FROM ");
        put_expr(out, args->items[1], LEVEL_ANY);
    } else if (starts_symbol && args->count == 3 && call_is(call, "TRIM")) {
        put_expr(out, args->items[0], LEVEL_ANY);
        put(out, " ");
        put_expr(out, args->items[1], LEVEL_ANY);
        put(out, " FROM ");
        put_expr(out, args->items[2], LEVEL_ANY);
    } else if (args->count == 2 && args->items[1]->kind == SQL_EXPR_SYMBOL) {
        put_expr(out, args->items[0], LEVEL_ANY);
        put(out, " TO ");
        put_expr(out, args->items[1], LEVEL_ANY);
    } else if (args->count == 2 && call_is(call, "POSITION")) {
        put_expr(out, args->items[0], LEVEL_ADD);
        put(out, " IN ");
        put_expr(out, args->items[1], LEVEL_ADD);
    } else if (args->count > 0 && args->count % 2 == 0 &&
               (call_is(call, "JSON_OBJECT") || call_is(call, "JSON_OBJECTAGG"))) {
        put_json_pairs(out, args);
    } else {
        put_exprs(out, args);
    }
}

static void put_call(struct out *out, const struct sql_call *call) {
    if (call_is(call, "AT_TIME_ZONE") && call->args.count == 2) {
        put_expr(out, call->args.items[0], LEVEL_ZONE);
        put(out, " AT TIME ZONE ");
        put_expr(out, call->args.items[1], LEVEL_ATOM);
        return;
    }
    if (call_is(call, "AT_LOCAL") && call->args.count == 1) {
        put_expr(out, call->args.items[0], LEVEL_ZONE);
        put(out, " AT LOCAL");
        return;
    }
    if (call->without_parens) {
        put(out, call->name.items[0].text);
    } else {
        put_function_name(out, &call->name);
        put(out, "(");
        if (call->distinct) { put(out, "DISTINCT "); }
        put_args(out, call);
        if (call->json) { put_json(out, call->json); }
        put(out, ")");
    }
    if (call->order_by.count > 0) {
        put(out, " WITHIN GROUP (ORDER BY ");
        put_orders(out, &call->order_by);
        put(out, ")");
    }
    if (call->ignore_nulls) { put(out, " IGNORE NULLS"); }
    if (call->respect_nulls) { put(out, " RESPECT NULLS"); }
    if (call->filter) {
        put(out, " FILTER (WHERE ");
        put_expr(out, call->filter, LEVEL_ANY);
        put(out, ")");
    }
    if (call->over) {
        put(out, " OVER ");
        put_window(out, call->over);
    }
}

static void put_table_arg(struct out *out, const struct sql_table_arg *arg) {
    put(out, "TABLE ");
    put_table(out, arg->table);
    if (arg->partition_by.count > 0) {
        put(out, " PARTITION BY ");
        if (arg->partition_by.count > 1) { put(out, "("); }
        put_exprs(out, &arg->partition_by);
        if (arg->partition_by.count > 1) { put(out, ")"); }
    }
    if (arg->order_by.count > 0) {
        put(out, " ORDER BY ");
        put_orders(out, &arg->order_by);
    }
}

static void put_bracketed(struct out *out, const char *before, const struct sql_exprs *list, const char *after) {
    put(out, before);
    put_exprs(out, list);
    put(out, after);
}

static void put_query_in(struct out *out, const char *before, const struct sql_query *query) {
    put(out, before);
    put(out, "(");
    put_query(out, query);
    put(out, ")");
}

static void put_literal(struct out *out, const char *word, const struct sql_expr *expr) {
    put(out, word);
    put_quoted(out, expr->text, expr->text_size, '\'');
}

/* What .field and [index] hang on: the grammar takes calls and brackets there, not literals. */
static void put_base(struct out *out, const struct sql_expr *expr, bool column_fits) {
    bool fits = false;
    switch (expr->kind) {
    case SQL_EXPR_COLUMN: fits = column_fits; break;
    case SQL_EXPR_CALL: fits = expr_level(expr) == LEVEL_ATOM && !expr->call.without_parens; break;
    case SQL_EXPR_FIELD:
    case SQL_EXPR_INDEX:
    case SQL_EXPR_ARRAY:
    case SQL_EXPR_MAP:
    case SQL_EXPR_ROW:
    case SQL_EXPR_CAST: fits = true; break;
    default: break;
    }
    if (!fits) { put(out, "("); }
    put_expr(out, expr, LEVEL_ANY);
    if (!fits) { put(out, ")"); }
}

static void put_bare_expr(struct out *out, const struct sql_expr *expr) {
    switch (expr->kind) {
    case SQL_EXPR_NULL: put(out, "NULL"); return;
    case SQL_EXPR_BOOL: put(out, expr->boolean ? "TRUE" : "FALSE"); return;
    case SQL_EXPR_INTEGER:
    case SQL_EXPR_DECIMAL:
    case SQL_EXPR_DOUBLE: put(out, expr->text); return;
    case SQL_EXPR_STRING: put_literal(out, "", expr); return;
    case SQL_EXPR_BYTES: put_literal(out, "X", expr); return;
    case SQL_EXPR_DATE: put_literal(out, "DATE ", expr); return;
    case SQL_EXPR_TIME: put_literal(out, "TIME ", expr); return;
    case SQL_EXPR_TIMESTAMP: put_literal(out, "TIMESTAMP ", expr); return;
    case SQL_EXPR_INTERVAL:
        put(out, expr->interval.negative ? "INTERVAL -" : "INTERVAL ");
        put_string(out, expr->interval.text);
        put(out, " ");
        put_interval_units(out, expr->interval.from, expr->interval.to,
                           expr->interval.has_precision ? &expr->interval.precision : NULL,
                           expr->interval.has_scale ? &expr->interval.scale : NULL);
        return;
    case SQL_EXPR_COLUMN: put_path(out, &expr->path, "."); return;
    case SQL_EXPR_STAR:
        put_path(out, &expr->path, ".");
        put(out, expr->path.count > 0 ? ".*" : "*");
        return;
    case SQL_EXPR_UNARY:
        put(out, expr->unary.op == SQL_OP_NOT ? "NOT " : sql_op_name(expr->unary.op));
        put_expr(out, expr->unary.operand, expr->unary.op == SQL_OP_NOT ? LEVEL_NOT : LEVEL_ZONE);
        return;
    case SQL_EXPR_BINARY: {
        const enum level level = binary_level(expr->binary.op);
        put_expr(out, expr->binary.left, level);
        put(out, " ");
        put(out, sql_op_name(expr->binary.op));
        put(out, " ");
        put_expr(out, expr->binary.right, level + 1);
        return;
    }
    case SQL_EXPR_LOGIC:
        for (unsigned i = 0; i < expr->logic.operands.count; i++) {
            if (i > 0) { put(out, expr->logic.op == SQL_OP_AND ? " AND " : " OR "); }
            put_expr(out, expr->logic.operands.items[i], expr_level(expr) + 1);
        }
        return;
    case SQL_EXPR_IS: put_is(out, expr); return;
    case SQL_EXPR_LIKE: put_like(out, expr); return;
    case SQL_EXPR_BETWEEN: put_between(out, expr); return;
    case SQL_EXPR_IN: put_in(out, expr); return;
    case SQL_EXPR_QUANTIFIED:
        put_expr(out, expr->quantified.operand, LEVEL_COMPARE);
        put(out, " ");
        put(out, sql_op_name(expr->quantified.op));
        put_query_in(out, expr->quantified.all ? " ALL " : " ANY ", expr->quantified.query);
        return;
    case SQL_EXPR_EXISTS: put_query_in(out, "EXISTS ", expr->query); return;
    case SQL_EXPR_SUBQUERY: put_query_in(out, "", expr->query); return;
    case SQL_EXPR_ARRAY_QUERY:
        if (expr->query->kind == SQL_QUERY_SELECT && expr->query->with.count == 0 && !expr->query->in_parens) {
            put_query_in(out, "ARRAY", expr->query);
        } else {
            put(out, "ARRAY(SELECT * FROM (");
            put_query(out, expr->query);
            put(out, "))");
        }
        return;
    case SQL_EXPR_CASE: put_case(out, expr); return;
    case SQL_EXPR_CAST:
        put(out, expr->cast.try_cast ? "TRY_CAST(" : "CAST(");
        put_expr(out, expr->cast.operand, LEVEL_ANY);
        put(out, " AS ");
        put_type(out, expr->cast.type);
        put(out, ")");
        return;
    case SQL_EXPR_CALL: put_call(out, &expr->call); return;
    case SQL_EXPR_FIELD:
        put_base(out, expr->field.operand, false);
        put(out, ".");
        put_name(out, &expr->field.name);
        return;
    case SQL_EXPR_INDEX:
        put_base(out, expr->binary.left, true);
        put(out, "[");
        put_expr(out, expr->binary.right, LEVEL_ANY);
        put(out, "]");
        return;
    case SQL_EXPR_ARRAY: put_bracketed(out, "ARRAY[", &expr->list, "]"); return;
    case SQL_EXPR_MAP: put_bracketed(out, "MAP[", &expr->list, "]"); return;
    case SQL_EXPR_ROW: put_bracketed(out, "ROW(", &expr->list, ")"); return;
    case SQL_EXPR_SYMBOL: put(out, expr->symbol.word); return;
    case SQL_EXPR_NAMED_ARG:
        put_name(out, &expr->named.name);
        put(out, " => ");
        put_expr(out, expr->named.value, LEVEL_ANY);
        return;
    case SQL_EXPR_TABLE_ARG: put_table_arg(out, &expr->table_arg); return;
    case SQL_EXPR_DESCRIPTOR:
        put(out, "DESCRIPTOR");
        put_columns(out, &expr->path);
        return;
    case SQL_EXPR_DEFAULT: put(out, "DEFAULT"); return;
    }
}

static void put_expr(struct out *out, const struct sql_expr *expr, enum level level) {
    const bool parens = expr_level(expr) < level;
    if (parens) { put(out, "("); }
    put_bare_expr(out, expr);
    if (parens) { put(out, ")"); }
}

/* ---- tables and queries ----------------------------------------------------------------------------------------- */

static void put_hints(struct out *out, const struct sql_hints *hints) {
    for (unsigned i = 0; i < hints->count; i++) {
        const struct sql_hint *hint = &hints->items[i];
        put(out, i > 0 ? ", " : " /*+ ");
        put_name(out, &hint->name);
        if (hint->args.count + hint->options.count > 0) {
            put(out, "(");
            put_path(out, &hint->args, ", ");
            put_options(out, &hint->options, hint->args.count > 0 ? ", " : "", ", ");
            put(out, ")");
        }
    }
    if (hints->count > 0) { put(out, " */"); }
}

static void put_alias(struct out *out, const struct sql_table *table) {
    if (!table->alias.text) { return; }
    put(out, " AS ");
    put_name(out, &table->alias);
    if (table->columns.count > 0) {
        put(out, " ");
        put_columns(out, &table->columns);
    }
}

static void put_pattern(struct out *out, const struct sql_pattern *pattern, bool tight) {
    const bool parens =
        tight && (pattern->kind == SQL_PATTERN_SEQUENCE || pattern->kind == SQL_PATTERN_ALTERNATION ||
                  pattern->kind == SQL_PATTERN_REPEAT);
    if (parens) { put(out, "("); }
    switch (pattern->kind) {
    case SQL_PATTERN_VARIABLE: put_name(out, &pattern->name); break;
    case SQL_PATTERN_REPEAT:
        put_pattern(out, pattern->children.items[0], true);
        put(out, "{");
        put_uint(out, pattern->min);
        put(out, ",");
        if (pattern->max != UINT32_MAX) { put_uint(out, pattern->max); }
        put(out, pattern->reluctant ? "}?" : "}");
        break;
    case SQL_PATTERN_EXCLUDE:
        put(out, "{- ");
        put_pattern(out, pattern->children.items[0], false);
        put(out, " -}");
        break;
    default:
        if (pattern->kind == SQL_PATTERN_PERMUTE) { put(out, "PERMUTE("); }
        for (unsigned i = 0; i < pattern->children.count; i++) {
            const struct sql_pattern *child = pattern->children.items[i];
            const bool nested = pattern->kind != SQL_PATTERN_PERMUTE && child->kind != SQL_PATTERN_REPEAT;
            if (i > 0) {
                put(out, pattern->kind == SQL_PATTERN_SEQUENCE      ? " "
                         : pattern->kind == SQL_PATTERN_ALTERNATION ? " | "
                                                                    : ", ");
            }
            put_pattern(out, child, nested);
        }
        if (pattern->kind == SQL_PATTERN_PERMUTE) { put(out, ")"); }
        break;
    }
    if (parens) { put(out, ")"); }
}

/* name AS expr for DEFINE, expr AS name else. */
static void put_items(struct out *out, const struct sql_items *items, bool name_first) {
    for (unsigned i = 0; i < items->count; i++) {
        const struct sql_item *item = &items->items[i];
        if (i > 0) { put(out, ", "); }
        if (name_first) {
            put_name(out, &item->alias);
            put(out, " AS ");
        }
        put_expr(out, item->expr, LEVEL_ANY);
        if (!name_first && item->alias.text) {
            put(out, " AS ");
            put_name(out, &item->alias);
        }
    }
}

static void put_match(struct out *out, const struct sql_match *match) {
    put(out, " MATCH_RECOGNIZE (");
    if (match->partition_by.count > 0) {
        put(out, "PARTITION BY ");
        put_exprs(out, &match->partition_by);
        put(out, " ");
    }
    if (match->order_by.count > 0) {
        put(out, "ORDER BY ");
        put_orders(out, &match->order_by);
        put(out, " ");
    }
    if (match->measures.count > 0) {
        put(out, "MEASURES ");
        put_items(out, &match->measures, false);
        put(out, " ");
    }
    put(out, match->all_rows ? "ALL ROWS PER MATCH " : "ONE ROW PER MATCH ");
    switch (match->skip) {
    case SQL_SKIP_DEFAULT: break;
    case SQL_SKIP_PAST_LAST_ROW: put(out, "AFTER MATCH SKIP PAST LAST ROW "); break;
    case SQL_SKIP_TO_NEXT_ROW: put(out, "AFTER MATCH SKIP TO NEXT ROW "); break;
    case SQL_SKIP_TO_FIRST:
    case SQL_SKIP_TO_LAST:
        put(out, match->skip == SQL_SKIP_TO_FIRST ? "AFTER MATCH SKIP TO FIRST " : "AFTER MATCH SKIP TO LAST ");
        put_name(out, &match->skip_to);
        put(out, " ");
        break;
    }
    put(out, "PATTERN (");
    put_pattern(out, match->pattern, false);
    put(out, ") ");
    if (match->within) {
        put(out, "WITHIN ");
        put_expr(out, match->within, LEVEL_ANY);
        put(out, " ");
    }
    put(out, "DEFINE ");
    put_items(out, &match->define, true);
    put(out, ")");
}

static void put_join(struct out *out, const struct sql_table *table) {
    static const char *const words[] = {
        [SQL_JOIN_INNER] = "JOIN ",     [SQL_JOIN_LEFT] = "LEFT JOIN ",   [SQL_JOIN_RIGHT] = "RIGHT JOIN ",
        [SQL_JOIN_FULL] = "FULL JOIN ", [SQL_JOIN_CROSS] = "CROSS JOIN ",
    };
    const struct sql_table *right = table->join.right;
    const bool right_parens = right->kind == SQL_TABLE_JOIN && !right->alias.text;
    put_table(out, table->join.left);
    put(out, table->join.comma ? ", " : table->join.natural ? " NATURAL " : " ");
    if (!table->join.comma) { put(out, words[table->join.kind]); }
    if (right_parens && !table->join.comma) { put(out, "("); }
    put_table(out, right);
    if (right_parens && !table->join.comma) { put(out, ")"); }
    if (table->join.on) {
        put(out, " ON ");
        put_expr(out, table->join.on, LEVEL_ANY);
    }
    if (table->join.columns.count > 0) {
        put(out, " USING ");
        put_columns(out, &table->join.columns);
    }
}

static void put_table(struct out *out, const struct sql_table *table) {
    if (table->lateral) { put(out, "LATERAL "); }
    switch (table->kind) {
    case SQL_TABLE_NAME:
        put_path(out, &table->name, ".");
        put_hints(out, &table->hints);
        if (table->as_of) {
            put(out, " FOR SYSTEM_TIME AS OF ");
            put_expr(out, table->as_of, LEVEL_ANY);
        }
        break;
    case SQL_TABLE_QUERY: put_query_in(out, "", table->query); break;
    case SQL_TABLE_FUNCTION:
        put(out, "TABLE(");
        put_expr(out, table->function, LEVEL_ANY);
        put(out, ")");
        if (!table->lateral) { put_hints(out, &table->hints); }
        break;
    case SQL_TABLE_UNNEST:
        put_bracketed(out, "UNNEST(", &table->unnest.exprs, ")");
        if (table->unnest.with_ordinality) { put(out, " WITH ORDINALITY"); }
        break;
    case SQL_TABLE_JOIN:
        if (table->alias.text) { put(out, "("); }
        put_join(out, table);
        if (table->alias.text) { put(out, ")"); }
        break;
    case SQL_TABLE_MATCH:
        if (table->match.input->kind == SQL_TABLE_JOIN && !table->match.input->alias.text) { put(out, "("); }
        put_table(out, table->match.input);
        if (table->match.input->kind == SQL_TABLE_JOIN && !table->match.input->alias.text) { put(out, ")"); }
        put_match(out, table->match.spec);
        break;
    }
    put_alias(out, table);
}

static void put_groups(struct out *out, const struct sql_groups *groups) {
    for (unsigned i = 0; i < groups->count; i++) {
        const struct sql_group *group = &groups->items[i];
        if (i > 0) { put(out, ", "); }
        if (group->kind == SQL_GROUP_EXPR) {
            put_expr(out, group->expr, LEVEL_ANY);
            continue;
        }
        put(out, group->kind == SQL_GROUP_SETS     ? "GROUPING SETS "
                 : group->kind == SQL_GROUP_ROLLUP ? "ROLLUP "
                 : group->kind == SQL_GROUP_CUBE   ? "CUBE "
                                                   : "");
        put(out, "(");
        put_groups(out, &group->children);
        put(out, ")");
    }
}

static void put_select(struct out *out, const struct sql_select *select) {
    put(out, "SELECT");
    put_hints(out, &select->hints);
    put(out, select->distinct ? " DISTINCT " : " ");
    put_items(out, &select->items, false);
    if (select->from) {
        put(out, " FROM ");
        put_table(out, select->from);
    }
    if (select->where) {
        put(out, " WHERE ");
        put_expr(out, select->where, LEVEL_ANY);
    }
    if (select->has_group_by) {
        put(out, " GROUP BY ");
        put_groups(out, &select->group_by);
    }
    if (select->having) {
        put(out, " HAVING ");
        put_expr(out, select->having, LEVEL_ANY);
    }
    for (unsigned i = 0; i < select->windows.count; i++) {
        put(out, i > 0 ? ", " : " WINDOW ");
        put_name(out, &select->windows.items[i].name);
        put(out, " AS ");
        put_window(out, select->windows.items[i].window);
    }
    if (select->qualify) {
        put(out, " QUALIFY ");
        put_expr(out, select->qualify, LEVEL_ANY);
    }
}

/* A part of a set operation, in parentheses where it has clauses or binds less. */
static void put_set_part(struct out *out, const struct sql_query *part, bool parens) {
    parens |= part->order_by.count > 0 || part->limit || part->offset || part->with.count > 0;
    if (parens) { put(out, "("); }
    put_query(out, part);
    if (parens) { put(out, ")"); }
}

static void put_set(struct out *out, const struct sql_query *query) {
    static const char *const words[] = {
        [SQL_SET_UNION] = " UNION ", [SQL_SET_INTERSECT] = " INTERSECT ", [SQL_SET_EXCEPT] = " EXCEPT "};
    const struct sql_query *left = query->set.left;
    const struct sql_query *right = query->set.right;
    const bool intersect = query->set.op == SQL_SET_INTERSECT;
    put_set_part(out, left, left->kind == SQL_QUERY_SET && intersect && left->set.op != SQL_SET_INTERSECT);
    put(out, words[query->set.op]);
    if (query->set.all) { put(out, "ALL "); }
    put_set_part(out, right, right->kind == SQL_QUERY_SET && (intersect || right->set.op != SQL_SET_INTERSECT));
}

static void put_query(struct out *out, const struct sql_query *query) {
    for (unsigned i = 0; i < query->with.count; i++) {
        const struct sql_cte *cte = &query->with.items[i];
        put(out, i > 0 ? ", " : query->recursive ? "WITH RECURSIVE " : "WITH ");
        put_name(out, &cte->name);
        if (cte->columns.count > 0) {
            put(out, " ");
            put_columns(out, &cte->columns);
        }
        put_query_in(out, " AS ", cte->query);
        if (i + 1 == query->with.count) { put(out, " "); }
    }
    switch (query->kind) {
    case SQL_QUERY_SELECT: put_select(out, &query->select); break;
    case SQL_QUERY_VALUES:
        put(out, "VALUES ");
        put_exprs(out, &query->rows);
        break;
    case SQL_QUERY_SET: put_set(out, query); break;
    case SQL_QUERY_TABLE:
        put(out, "TABLE ");
        put_table(out, query->table);
        break;
    case SQL_QUERY_NESTED: put_query_in(out, "", query->nested); break;
    }
    if (query->order_by.count > 0) {
        put(out, " ORDER BY ");
        put_orders(out, &query->order_by);
    }
    if (query->limit) {
        put(out, " LIMIT ");
        put_expr(out, query->limit, LEVEL_ANY);
    }
    if (query->offset) {
        put(out, " OFFSET ");
        put_expr(out, query->offset, LEVEL_ANY);
    }
}

/* ---- statements ------------------------------------------------------------------------------------------------- */

static void put_comment(struct out *out, const char *before, const char *comment) {
    if (!comment) { return; }
    put(out, before);
    put(out, "COMMENT ");
    put_string(out, comment);
}

static void put_column(struct out *out, const struct sql_column *column) {
    put_name(out, &column->name);
    if (column->type) {
        put(out, " ");
        put_type(out, column->type);
    }
    if (column->expr) {
        put(out, " AS ");
        put_expr(out, column->expr, LEVEL_ANY);
    }
    if (column->kind == SQL_COLUMN_METADATA) { put(out, " METADATA"); }
    if (column->metadata_key) {
        put(out, " FROM ");
        put_string(out, column->metadata_key);
    }
    if (column->is_virtual) { put(out, " VIRTUAL"); }
    if (column->is_primary_key) { put(out, " PRIMARY KEY NOT ENFORCED"); }
    put_comment(out, " ", column->comment);
    if (column->place == SQL_PLACE_FIRST) { put(out, " FIRST"); }
    if (column->place == SQL_PLACE_AFTER) {
        put(out, " AFTER ");
        put_name(out, &column->after);
    }
}

static void put_elements(struct out *out, const struct sql_table_elements *elements) {
    const char *joint = " (\n  ";
    for (unsigned i = 0; i < elements->columns.count; i++) {
        put(out, joint);
        put_column(out, &elements->columns.items[i]);
        joint = ",\n  ";
    }
    for (unsigned i = 0; i < elements->watermarks.count; i++) {
        put(out, joint);
        put(out, "WATERMARK FOR ");
        put_path(out, &elements->watermarks.items[i].column, ".");
        put(out, " AS ");
        put_expr(out, elements->watermarks.items[i].expr, LEVEL_ANY);
        joint = ",\n  ";
    }
    for (unsigned i = 0; i < elements->constraints.count; i++) {
        const struct sql_constraint *constraint = &elements->constraints.items[i];
        put(out, joint);
        if (constraint->name.text) {
            put(out, "CONSTRAINT ");
            put_name(out, &constraint->name);
            put(out, " ");
        }
        put(out, constraint->unique ? "UNIQUE " : "PRIMARY KEY ");
        put_columns(out, &constraint->columns);
        if (!constraint->enforced) { put(out, " NOT ENFORCED"); }
        joint = ",\n  ";
    }
    if (joint[0] == ',') { put(out, "\n)"); }
}

static void put_with(struct out *out, const struct sql_options *options) {
    if (options->count == 0) { return; }
    put_options(out, options, "\nWITH (\n  ", ",\n  ");
    put(out, "\n)");
}

static void put_like_clause(struct out *out, const struct sql_create_table *table) {
    static const char *const modes[] = {"INCLUDING ", "EXCLUDING ", "OVERWRITING "};
    static const char *const whats[] = {"ALL",      "CONSTRAINTS", "DISTRIBUTION", "GENERATED",
                                        "METADATA", "OPTIONS",     "PARTITIONS",   "WATERMARKS"};
    put(out, "\nLIKE ");
    put_path(out, &table->like, ".");
    for (unsigned i = 0; i < table->like_options.count; i++) {
        put(out, i > 0 ? " " : " (");
        put(out, modes[table->like_options.items[i].mode]);
        put(out, whats[table->like_options.items[i].what]);
    }
    if (table->like_options.count > 0) { put(out, ")"); }
}

static void put_create_table(struct out *out, const struct sql_create_table *table) {
    put(out, table->or_replace ? "CREATE OR REPLACE " : "CREATE ");
    if (table->temporary) { put(out, "TEMPORARY "); }
    put(out, table->if_not_exists ? "TABLE IF NOT EXISTS " : "TABLE ");
    put_path(out, &table->name, ".");
    put_elements(out, &table->elements);
    put_comment(out, "\n", table->comment);
    if (table->has_distribution) {
        put(out, "\nDISTRIBUTED ");
        if (table->distributed_by.count > 0) {
            put(out, "BY ");
            put(out, table->distribution_kind ? table->distribution_kind : "");
            put_columns(out, &table->distributed_by);
        }
        if (table->buckets > 0) {
            put(out, table->distributed_by.count > 0 ? " INTO " : "INTO ");
            put_uint(out, table->buckets);
            put(out, " BUCKETS");
        }
    }
    if (table->partitioned_by.count > 0) {
        put(out, "\nPARTITIONED BY ");
        put_columns(out, &table->partitioned_by);
    }
    put_with(out, &table->options);
    if (table->has_like) { put_like_clause(out, table); }
    if (table->as) {
        put(out, "\nAS ");
        put_query(out, table->as);
    }
}

static void put_create_view(struct out *out, const struct sql_create_view *view) {
    put(out, view->or_replace ? "CREATE OR REPLACE " : "CREATE ");
    if (view->temporary) { put(out, "TEMPORARY "); }
    put(out, view->if_not_exists ? "VIEW IF NOT EXISTS " : "VIEW ");
    put_path(out, &view->name, ".");
    if (view->columns.count > 0) {
        put(out, " ");
        put_columns(out, &view->columns);
    }
    put_comment(out, " ", view->comment);
    put(out, " AS ");
    put_query(out, view->query);
}

static void put_create_function(struct out *out, const struct sql_create_function *function, bool alter) {
    static const char *const languages[] = {
        [SQL_LANGUAGE_DEFAULT] = "",
        [SQL_LANGUAGE_JAVA] = " LANGUAGE JAVA",
        [SQL_LANGUAGE_SCALA] = " LANGUAGE SCALA",
        [SQL_LANGUAGE_PYTHON] = " LANGUAGE PYTHON",
        [SQL_LANGUAGE_C] = " LANGUAGE C",
    };
    put(out, alter ? "ALTER " : "CREATE ");
    if (function->temporary) { put(out, "TEMPORARY "); }
    if (function->system) { put(out, "SYSTEM "); }
    put(out, "FUNCTION ");
    if (function->if_not_exists) { put(out, alter ? "IF EXISTS " : "IF NOT EXISTS "); }
    put_path(out, &function->name, ".");
    put(out, " AS ");
    put_string(out, function->class_name);
    put(out, languages[function->language]);
    for (unsigned i = 0; i < function->resources.count; i++) {
        put(out, i > 0 ? ", " : " USING ");
        put(out, function->resources.items[i].kind);
        put(out, " ");
        put_string(out, function->resources.items[i].path);
    }
}

static void put_create_catalog(struct out *out, const struct sql_create_catalog *catalog, const char *object) {
    put(out, "CREATE ");
    put(out, object);
    put(out, catalog->if_not_exists ? " IF NOT EXISTS " : " ");
    put_path(out, &catalog->name, ".");
    put_comment(out, " ", catalog->comment);
    put_with(out, &catalog->options);
}

static const char *object_word(enum sql_object_kind object) {
    static const char *const words[] = {
        [SQL_OBJECT_TABLE] = "TABLE ",         [SQL_OBJECT_VIEW] = "VIEW ",
        [SQL_OBJECT_FUNCTION] = "FUNCTION ",   [SQL_OBJECT_CATALOG] = "CATALOG ",
        [SQL_OBJECT_DATABASE] = "DATABASE ",   [SQL_OBJECT_COLUMN] = "COLUMN ",
        [SQL_OBJECT_JOB] = "JOB ",             [SQL_OBJECT_CONNECTOR] = "CONNECTOR ",
        [SQL_OBJECT_PARTITION] = "PARTITION ", [SQL_OBJECT_MODULE] = "MODULE ",
        [SQL_OBJECT_JAR] = "JAR ",
    };
    return words[object];
}

static void put_drop(struct out *out, const struct sql_drop *drop) {
    put(out, "DROP ");
    if (drop->temporary) { put(out, "TEMPORARY "); }
    if (drop->system) { put(out, "SYSTEM "); }
    put(out, object_word(drop->object));
    if (drop->if_exists) { put(out, "IF EXISTS "); }
    put_path(out, &drop->name, ".");
    if (drop->cascade) { put(out, " CASCADE"); }
    if (drop->restrict_given) { put(out, " RESTRICT"); }
}

static void put_alter(struct out *out, const struct sql_alter *alter) {
    put(out, "ALTER ");
    put(out, object_word(alter->object));
    if (alter->if_exists) { put(out, "IF EXISTS "); }
    put_path(out, &alter->name, ".");
    switch (alter->kind) {
    case SQL_ALTER_RENAME:
        put(out, " RENAME TO ");
        put_path(out, &alter->new_name, ".");
        break;
    case SQL_ALTER_RENAME_COLUMN:
        put(out, " RENAME ");
        put_path(out, &alter->column, ".");
        put(out, " TO ");
        put_path(out, &alter->new_name, ".");
        break;
    case SQL_ALTER_SET_OPTIONS:
    case SQL_ALTER_RESET_OPTIONS:
        put_options(out, &alter->options, alter->kind == SQL_ALTER_SET_OPTIONS ? " SET (" : " RESET (", ", ");
        put(out, ")");
        break;
    case SQL_ALTER_ADD:
    case SQL_ALTER_MODIFY:
        put(out, alter->kind == SQL_ALTER_ADD ? " ADD" : " MODIFY");
        put_elements(out, &alter->elements);
        break;
    case SQL_ALTER_DROP_COLUMNS:
        put(out, " DROP ");
        put_columns(out, &alter->columns);
        break;
    case SQL_ALTER_DROP_PRIMARY_KEY: put(out, " DROP PRIMARY KEY"); break;
    case SQL_ALTER_DROP_CONSTRAINT:
        put(out, " DROP CONSTRAINT ");
        put_path(out, &alter->columns, ", ");
        break;
    case SQL_ALTER_DROP_WATERMARK: put(out, " DROP WATERMARK"); break;
    case SQL_ALTER_VIEW_AS:
        put(out, " AS ");
        put_query(out, alter->query);
        break;
    }
}

static void put_show(struct out *out, const struct sql_show *show) {
    static const char *const words[] = {
        [SQL_SHOW_TABLES] = "TABLES",
        [SQL_SHOW_VIEWS] = "VIEWS",
        [SQL_SHOW_FUNCTIONS] = "FUNCTIONS",
        [SQL_SHOW_CONNECTORS] = "CONNECTORS",
        [SQL_SHOW_CATALOGS] = "CATALOGS",
        [SQL_SHOW_DATABASES] = "DATABASES",
        [SQL_SHOW_MODULES] = "MODULES",
        [SQL_SHOW_JARS] = "JARS",
        [SQL_SHOW_JOBS] = "JOBS",
        [SQL_SHOW_COLUMNS] = "COLUMNS",
        [SQL_SHOW_PARTITIONS] = "PARTITIONS",
        [SQL_SHOW_CREATE_TABLE] = "CREATE TABLE",
        [SQL_SHOW_CREATE_VIEW] = "CREATE VIEW",
        [SQL_SHOW_CREATE_CATALOG] = "CREATE CATALOG",
        [SQL_SHOW_CURRENT_CATALOG] = "CURRENT CATALOG",
        [SQL_SHOW_CURRENT_DATABASE] = "CURRENT DATABASE",
    };
    const bool direct = show->kind >= SQL_SHOW_PARTITIONS;
    put(out, show->user ? "SHOW USER " : show->full ? "SHOW FULL " : "SHOW ");
    put(out, words[show->kind]);
    if (show->name.count > 0) {
        put(out, direct ? " " : " FROM ");
        put_path(out, &show->name, ".");
    }
    if (!show->like) { return; }
    put(out, show->negated ? " NOT" : "");
    put(out, show->ignore_case ? " ILIKE " : " LIKE ");
    put_string(out, show->like);
}

static void put_insert(struct out *out, const struct sql_insert *insert) {
    put(out, insert->overwrite ? "INSERT OVERWRITE " : "INSERT INTO ");
    put_path(out, &insert->target, ".");
    put_hints(out, &insert->hints);
    for (unsigned i = 0; i < insert->partition.count; i++) {
        const struct sql_name name = {.text = insert->partition.items[i].key};
        put(out, i > 0 ? ", " : " PARTITION (");
        put_name(out, &name);
        if (insert->partition_values.items[i]) {
            put(out, " = ");
            put_expr(out, insert->partition_values.items[i], LEVEL_ANY);
        }
        if (i + 1 == insert->partition.count) { put(out, ")"); }
    }
    if (insert->has_columns) {
        put(out, " ");
        put_columns(out, &insert->columns);
    }
    put(out, " ");
    put_query(out, insert->query);
}

static void put_describe(struct out *out, const struct sql_describe *describe) {
    put(out, describe->extended ? "DESCRIBE EXTENDED " : "DESCRIBE ");
    if (describe->job) {
        put(out, "JOB ");
        put_string(out, describe->job);
        return;
    }
    if (describe->object != SQL_OBJECT_TABLE) { put(out, object_word(describe->object)); }
    put_path(out, &describe->name, ".");
}

static void put_statement(struct out *out, const struct sql_statement *statement);

static void put_explain(struct out *out, const struct sql_explain *explain) {
    static const char *const details[] = {"ESTIMATED_COST", "CHANGELOG_MODE", "JSON_EXECUTION_PLAN", "PLAN_ADVICE"};
    const char *joint = "EXPLAIN ";
    if (explain->details == 0) { put(out, "EXPLAIN "); }
    for (unsigned i = 0; i < sizeof details / sizeof details[0]; i++) {
        if ((explain->details >> i & 1) == 0) { continue; }
        put(out, joint);
        put(out, details[i]);
        joint = ", ";
    }
    if (explain->details != 0) { put(out, " "); }
    put_statement(out, explain->statement);
}

static void put_statement(struct out *out, const struct sql_statement *statement) {
    if (statement->execute || statement->kind == SQL_STATEMENT_SET_OF_STATEMENTS) { put(out, "EXECUTE "); }
    switch (statement->kind) {
    case SQL_STATEMENT_QUERY: put_query(out, statement->query); break;
    case SQL_STATEMENT_INSERT: put_insert(out, &statement->insert); break;
    case SQL_STATEMENT_SET_OF_STATEMENTS:
        put(out, "STATEMENT SET BEGIN\n");
        for (unsigned i = 0; i < statement->statements.count; i++) {
            put(out, "  ");
            put_statement(out, statement->statements.items[i]);
            put(out, ";\n");
        }
        put(out, "END");
        break;
    case SQL_STATEMENT_CREATE_TABLE: put_create_table(out, &statement->create_table); break;
    case SQL_STATEMENT_CREATE_VIEW: put_create_view(out, &statement->create_view); break;
    case SQL_STATEMENT_CREATE_FUNCTION: put_create_function(out, &statement->create_function, false); break;
    case SQL_STATEMENT_ALTER_FUNCTION: put_create_function(out, &statement->create_function, true); break;
    case SQL_STATEMENT_CREATE_CATALOG: put_create_catalog(out, &statement->create_catalog, "CATALOG"); break;
    case SQL_STATEMENT_CREATE_DATABASE: put_create_catalog(out, &statement->create_catalog, "DATABASE"); break;
    case SQL_STATEMENT_DROP: put_drop(out, &statement->drop); break;
    case SQL_STATEMENT_ALTER: put_alter(out, &statement->alter); break;
    case SQL_STATEMENT_USE_CATALOG:
    case SQL_STATEMENT_USE_DATABASE:
        put(out, statement->kind == SQL_STATEMENT_USE_CATALOG ? "USE CATALOG " : "USE ");
        put_path(out, &statement->name, ".");
        break;
    case SQL_STATEMENT_SHOW: put_show(out, &statement->show); break;
    case SQL_STATEMENT_DESCRIBE: put_describe(out, &statement->describe); break;
    case SQL_STATEMENT_SET:
    case SQL_STATEMENT_RESET:
        put(out, statement->kind == SQL_STATEMENT_SET ? "SET" : "RESET");
        put_options(out, &statement->set, " ", ", ");
        break;
    case SQL_STATEMENT_EXPLAIN: put_explain(out, &statement->explain); break;
    case SQL_STATEMENT_EXPLAIN_STALL:
        put(out, "EXPLAIN STALL");
        if (statement->job) {
            put(out, " ");
            put_string(out, statement->job);
        }
        break;
    case SQL_STATEMENT_STOP_JOB:
        put(out, "STOP JOB ");
        put_string(out, statement->stop.job);
        if (statement->stop.with_savepoint) { put(out, " WITH SAVEPOINT"); }
        if (statement->stop.with_drain) { put(out, " WITH DRAIN"); }
        break;
    case SQL_STATEMENT_ADD_JAR:
    case SQL_STATEMENT_REMOVE_JAR:
        put(out, statement->kind == SQL_STATEMENT_ADD_JAR ? "ADD JAR " : "REMOVE JAR ");
        put_string(out, statement->text);
        break;
    }
}

/* ---- the interface ---------------------------------------------------------------------------------------------- */

static const char *finish(struct out *out) {
    put(out, "");
    return out->failed ? NULL : out->text;
}

const char *sql_format_expr(struct arena *arena, const struct sql_expr *expr) {
    struct out out = {.arena = arena};
    put_expr(&out, expr, LEVEL_ANY);
    return finish(&out);
}

const char *sql_format_type(struct arena *arena, const struct sql_type *type) {
    struct out out = {.arena = arena};
    put_type(&out, type);
    return finish(&out);
}

const char *sql_format_path(struct arena *arena, const struct sql_path *path) {
    struct out out = {.arena = arena};
    put_path(&out, path, ".");
    return finish(&out);
}

const char *sql_format_query(struct arena *arena, const struct sql_query *query) {
    struct out out = {.arena = arena};
    put_query(&out, query);
    return finish(&out);
}

const char *sql_format_statement(struct arena *arena, const struct sql_statement *statement) {
    struct out out = {.arena = arena};
    put_statement(&out, statement);
    return finish(&out);
}
