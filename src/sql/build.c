/* Makes the nodes of the tree for the actions of grammar.y, and keeps its limits. */
#include "sql/build.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/nearest.h"
#include "sql/grammar.h"

void build_fail(struct sql_build *b, sabot_status status, struct sql_span span, const char *format, ...) {
    char message[SABOT_ERROR_MESSAGE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof message, format, args);
    va_end(args);
    SQL_FAIL(b->err, status, span, "%s", message);
    b->status = status;
    longjmp(b->failed, 1);
}

struct sql_span build_span(const struct sql_build *b, struct sql_span first) {
    return sql_span_join(first, b->previous.span);
}

void *build_alloc(struct sql_build *b, size_t size) {
    void *memory = arena_alloc(b->arena, size);
    if (!memory) {
        build_fail(b, SABOT_ERR_MEMORY, b->current.span, "the script is too large: its tree needs more than %zu MiB",
                   b->arena->limit / (1024 * 1024));
    }
    return memory;
}

uint16_t build_height(struct sql_build *b, struct sql_span span, unsigned height) {
    if (height > SQL_DEPTH_MAX) {
        build_fail(b, SABOT_ERR_SQL, span, "nested more than %d deep: split it, for instance by views", SQL_DEPTH_MAX);
    }
    return (uint16_t)height;
}

static unsigned max2(unsigned a, unsigned b) { return a > b ? a : b; }

static unsigned expr_height(const struct sql_expr *expr) { return expr ? expr->height : 0; }

static unsigned exprs_height(const struct sql_exprs *list) {
    unsigned height = 0;
    for (unsigned i = 0; i < list->count; i++) { height = max2(height, expr_height(list->items[i])); }
    return height;
}

static unsigned orders_height(const struct sql_orders *list) {
    unsigned height = 0;
    for (unsigned i = 0; i < list->count; i++) { height = max2(height, expr_height(list->items[i].expr)); }
    return height;
}

static unsigned items_height(const struct sql_items *list) {
    unsigned height = 0;
    for (unsigned i = 0; i < list->count; i++) { height = max2(height, expr_height(list->items[i].expr)); }
    return height;
}

static unsigned window_height(const struct sql_window *window) {
    if (!window) { return 0; }
    const unsigned frame = max2(expr_height(window->start.offset), expr_height(window->end.offset));
    return max2(frame, max2(exprs_height(&window->partition_by), orders_height(&window->order_by)));
}

static void expr_grow(struct sql_build *b, struct sql_expr *expr, unsigned child) {
    expr->height = build_height(b, expr->span, max2(expr->height, child + 1));
}

struct sql_expr *build_expr(struct sql_build *b, enum sql_expr_kind kind, struct sql_span first) {
    struct sql_expr *expr = build_alloc(b, sizeof *expr);
    expr->kind = kind;
    expr->height = 1;
    expr->span = build_span(b, first);
    return expr;
}

/* ---- words and literals ----------------------------------------------------------------------------------------- */

bool build_word_is(const struct sql_token *token, const char *word) {
    const size_t size = strlen(word);
    return token->text && token->span.size == size && strncasecmp(token->text, word, size) == 0;
}

/* What stands between quotes, with doubled quotes halved. */
static char *unquote(struct sql_build *b, const char *text, size_t size, char quote, uint32_t *length) {
    char *copy = build_alloc(b, size + 1);
    size_t used = 0;
    for (size_t i = 0; i < size; i++) {
        copy[used++] = text[i];
        if (text[i] == quote && i + 1 < size && text[i + 1] == quote) { i++; }
    }
    copy[used] = 0;
    *length = (uint32_t)used;
    return copy;
}

struct sql_name build_name(struct sql_build *b, struct sql_token token) {
    struct sql_name name = {.span = token.span, .quoted = token.text[0] == '`'};
    uint32_t size = 0;
    if (name.quoted) {
        name.text = unquote(b, token.text + 1, token.span.size - 2, '`', &size);
    } else {
        char *text = build_alloc(b, token.span.size + 1u);
        memcpy(text, token.text, token.span.size);
        name.text = text;
    }
    return name;
}

static int hex_value(char c) {
    if (c >= '0' && c <= '9') { return c - '0'; }
    if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') { return (c | 0x20) - 'a' + 10; }
    return -1;
}

static size_t utf8_put(char *out, uint32_t point) {
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    if (point < 0x800) {
        out[0] = (char)(0xC0 | point >> 6);
        out[1] = (char)(0x80 | (point & 0x3F));
        return 2;
    }
    if (point < 0x10000) {
        out[0] = (char)(0xE0 | point >> 12);
        out[1] = (char)(0x80 | (point >> 6 & 0x3F));
        out[2] = (char)(0x80 | (point & 0x3F));
        return 3;
    }
    out[0] = (char)(0xF0 | point >> 18);
    out[1] = (char)(0x80 | (point >> 12 & 0x3F));
    out[2] = (char)(0x80 | (point >> 6 & 0x3F));
    out[3] = (char)(0x80 | (point & 0x3F));
    return 4;
}

/* \XXXX and \+XXXXXX of U&'..'; \\ is a backslash. Works in place: the result is never longer. */
static uint32_t unescape_unicode(struct sql_build *b, struct sql_span span, char *text, uint32_t size) {
    uint32_t used = 0;
    for (uint32_t i = 0; i < size;) {
        if (text[i] != '\\') {
            text[used++] = text[i++];
            continue;
        }
        if (i + 1 < size && text[i + 1] == '\\') {
            text[used++] = '\\';
            i += 2;
            continue;
        }
        const bool is_long = i + 1 < size && text[i + 1] == '+';
        const uint32_t digits = is_long ? 6 : 4;
        const uint32_t first = i + 1 + is_long;
        uint32_t point = 0;
        bool good = first + digits <= size;
        for (uint32_t d = 0; good && d < digits; d++) {
            const int value = hex_value(text[first + d]);
            good = value >= 0;
            point = point * 16 + (good ? (uint32_t)value : 0);
        }
        if (!good || point == 0 || point > 0x10FFFF || (point >= 0xD800 && point <= 0xDFFF)) {
            build_fail(b, SABOT_ERR_SQL, span, "a U&'..' string takes \\XXXX or \\+XXXXXX, the number of a character");
        }
        used += (uint32_t)utf8_put(text + used, point);
        i = first + digits;
    }
    text[used] = 0;
    return used;
}

/* Text of STRING, UNICODE_STRING, BYTES and RAW tokens. */
static const char *string_text(struct sql_build *b, struct sql_token token, uint32_t *size) {
    const char *quote = memchr(token.text, '\'', token.span.size);
    if (!quote || (token.kind == TK_RAW && quote != token.text)) {
        char *copy = build_alloc(b, token.span.size + 1u);
        memcpy(copy, token.text, token.span.size);
        *size = token.span.size;
        return copy;
    }
    const size_t prefix = (size_t)(quote - token.text);
    if (token.kind == TK_RAW || token.span.size < prefix + 2) {
        build_fail(b, SABOT_ERR_SQL, token.span, "this value mixes quotes and other text");
    }
    char *text = unquote(b, quote + 1, token.span.size - prefix - 2, '\'', size);
    if (token.kind == TK_UNICODE_STRING) { *size = unescape_unicode(b, token.span, text, *size); }
    return text;
}

const char *build_string(struct sql_build *b, struct sql_token token) {
    uint32_t size = 0;
    return string_text(b, token, &size);
}

uint32_t build_uint(struct sql_build *b, struct sql_token token) {
    uint64_t value = 0;
    for (uint32_t i = 0; i < token.span.size; i++) {
        value = value * 10 + (uint64_t)(token.text[i] - '0');
        if (value > INT32_MAX) {
            build_fail(b, SABOT_ERR_SQL, token.span, "this number is too large here: at most %d", INT32_MAX);
        }
    }
    return (uint32_t)value;
}

struct sql_expr *build_literal(struct sql_build *b, enum sql_expr_kind kind, struct sql_span first,
                               struct sql_token token) {
    struct sql_expr *expr = build_expr(b, kind, first);
    if (kind == SQL_EXPR_INTEGER || kind == SQL_EXPR_DECIMAL || kind == SQL_EXPR_DOUBLE) {
        expr->text = build_name(b, token).text;
        expr->text_size = token.span.size;
        return expr;
    }
    expr->text = string_text(b, token, &expr->text_size);
    if (kind == SQL_EXPR_BYTES) {
        bool good = expr->text_size % 2 == 0;
        for (uint32_t i = 0; i < expr->text_size; i++) { good = good && hex_value(expr->text[i]) >= 0; }
        if (!good) { build_fail(b, SABOT_ERR_SQL, token.span, "X'..' holds an even number of hexadecimal digits"); }
    }
    return expr;
}

enum sql_unit build_unit(struct sql_build *b, struct sql_token token) {
    const char *word = build_name(b, token).text;
    const enum sql_unit unit = sql_unit_find(word);
    if (unit != SQL_UNIT_NONE) { return unit; }
    struct nearest near = {.wanted = word};
    for (int i = SQL_UNIT_YEAR; i <= SQL_UNIT_MILLENNIUM; i++) {
        nearest_offer(&near, sql_unit_name((enum sql_unit)i));
    }
    if (near.name) {
        build_fail(b, SABOT_ERR_SQL, token.span, "'%s' is no unit of time; did you mean %s?", word, near.name);
    }
    build_fail(b, SABOT_ERR_SQL, token.span,
               "'%s' is no unit of time: YEAR, MONTH, DAY, HOUR, MINUTE, SECOND ..", word);
}

struct sql_expr *build_interval(struct sql_build *b, struct sql_token start, bool negative, struct sql_token text,
                                struct build_qualifier qualifier) {
    struct sql_expr *expr = build_expr(b, SQL_EXPR_INTERVAL, start.span);
    if (qualifier.from > SQL_UNIT_NANOSECOND) {
        build_fail(b, SABOT_ERR_SQL, expr->span, "%s is no unit of an interval", sql_unit_name(qualifier.from));
    }
    if (qualifier.to != SQL_UNIT_NONE && (qualifier.to <= qualifier.from || qualifier.to > SQL_UNIT_SECOND)) {
        build_fail(b, SABOT_ERR_SQL, expr->span,
                   "an interval goes from a larger unit to a smaller one, not from %s to %s",
                   sql_unit_name(qualifier.from), sql_unit_name(qualifier.to));
    }
    expr->interval = (struct sql_interval){
        .text = build_string(b, text),
        .negative = negative,
        .from = qualifier.from,
        .to = qualifier.to,
        .has_precision = qualifier.has_precision,
        .precision = qualifier.precision,
        .has_scale = qualifier.has_scale,
        .scale = qualifier.scale,
    };
    return expr;
}

/* ---- lists ------------------------------------------------------------------------------------------------------ */

static void *list_grow(struct sql_build *b, void *items, unsigned count, size_t item_size, unsigned *capacity) {
    void *grown = arena_grow(b->arena, items, count, item_size, capacity);
    if (!grown) { return build_alloc(b, SIZE_MAX / 8); } /* words the failure */
    return grown;
}

#define LIST_ADD(b, list, item)                                                                                        \
    do {                                                                                                               \
        (list)->items = list_grow((b), (list)->items, (list)->count, sizeof *(list)->items, &(list)->capacity);        \
        (list)->items[(list)->count++] = (item);                                                                       \
    } while (0)

#define LIST_FUNCTION(name, list_type, item_type)                                                                      \
    struct list_type name(struct sql_build *b, struct list_type list, item_type item) {                                \
        LIST_ADD(b, &list, item);                                                                                      \
        return list;                                                                                                   \
    }

LIST_FUNCTION(build_exprs, sql_exprs, struct sql_expr *)
LIST_FUNCTION(build_orders, sql_orders, struct sql_order)
LIST_FUNCTION(build_items, sql_items, struct sql_item)
LIST_FUNCTION(build_whens, sql_whens, struct sql_when)
LIST_FUNCTION(build_options, sql_options, struct sql_option)
LIST_FUNCTION(build_hints, sql_hints, struct sql_hint)
LIST_FUNCTION(build_groups, sql_groups, struct sql_group)
LIST_FUNCTION(build_fields, sql_fields, struct sql_field)
LIST_FUNCTION(build_ctes, sql_ctes, struct sql_cte)
LIST_FUNCTION(build_windows, sql_named_windows, struct sql_named_window)
LIST_FUNCTION(build_patterns, sql_patterns, struct sql_pattern *)
LIST_FUNCTION(build_statements, sql_statements, struct sql_statement *)
LIST_FUNCTION(build_resources, sql_resources, struct sql_resource)
LIST_FUNCTION(build_like_options, sql_like_options, struct sql_like_option)

struct sql_path build_path(struct sql_build *b, struct sql_path list, struct sql_token name) {
    const struct sql_name item = build_name(b, name);
    LIST_ADD(b, &list, item);
    return list;
}

void build_column(struct sql_build *b, struct sql_table_elements *elements, struct sql_column column) {
    LIST_ADD(b, &elements->columns, column);
}

void build_constraint(struct sql_build *b, struct sql_table_elements *elements, struct sql_constraint item) {
    LIST_ADD(b, &elements->constraints, item);
}

void build_watermark(struct sql_build *b, struct sql_table_elements *elements, struct sql_watermark item) {
    LIST_ADD(b, &elements->watermarks, item);
}

/* ---- expressions ------------------------------------------------------------------------------------------------ */

struct sql_span build_path_span(const struct sql_path *path) {
    return path->count == 0 ? (struct sql_span){0}
                            : sql_span_join(path->items[0].span, path->items[path->count - 1].span);
}

/* Functions that are called without parentheses. */
static bool is_niladic(const char *name) {
    static const char *const names[] = {"CURRENT_DATE",   "CURRENT_TIME",     "CURRENT_TIMESTAMP", "LOCALTIME",
                                        "LOCALTIMESTAMP", "CURRENT_DATABASE", "CURRENT_CATALOG"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcasecmp(names[i], name) == 0) { return true; }
    }
    return false;
}

struct sql_expr *build_column_ref(struct sql_build *b, struct sql_path path) {
    struct sql_expr *expr = build_expr(b, SQL_EXPR_COLUMN, build_path_span(&path));
    expr->span = build_path_span(&path);
    if (path.count == 1 && !path.items[0].quoted && is_niladic(path.items[0].text)) {
        expr->kind = SQL_EXPR_CALL;
        expr->call.name = path;
        expr->call.without_parens = true;
    } else {
        expr->path = path;
    }
    return expr;
}

struct sql_expr *build_unary(struct sql_build *b, enum sql_op op, struct sql_token start, struct sql_expr *operand) {
    struct sql_expr *expr = build_expr(b, SQL_EXPR_UNARY, start.span);
    expr->unary.op = op;
    expr->unary.operand = operand;
    expr_grow(b, expr, operand->height);
    return expr;
}

struct sql_expr *build_binary(struct sql_build *b, enum sql_op op, struct sql_expr *left, struct sql_expr *right) {
    struct sql_expr *expr = build_expr(b, SQL_EXPR_BINARY, left->span);
    expr->binary.op = op;
    expr->binary.left = left;
    expr->binary.right = right;
    expr_grow(b, expr, max2(left->height, right->height));
    return expr;
}

/* a AND b AND c is one node with three operands, so that a long chain is not a deep tree. */
struct sql_expr *build_logic(struct sql_build *b, enum sql_op op, struct sql_expr *left, struct sql_expr *right) {
    if (left->kind == SQL_EXPR_LOGIC && left->logic.op == op && !left->in_parens) {
        left->logic.operands = build_exprs(b, left->logic.operands, right);
        left->span = build_span(b, left->span);
        expr_grow(b, left, right->height);
        return left;
    }
    struct sql_expr *expr = build_expr(b, SQL_EXPR_LOGIC, left->span);
    expr->logic.op = op;
    expr->logic.operands = build_exprs(b, build_exprs(b, (struct sql_exprs){0}, left), right);
    expr_grow(b, expr, max2(left->height, right->height));
    return expr;
}

struct sql_expr *build_is(struct sql_build *b, struct sql_expr *operand, enum sql_is what, bool negated) {
    struct sql_expr *expr = build_expr(b, SQL_EXPR_IS, operand->span);
    expr->is.operand = operand;
    expr->is.what = what;
    expr->is.negated = negated;
    expr_grow(b, expr, operand->height);
    return expr;
}

/* Whether a phrase's text holds a word. */
static bool phrase_has(struct sql_token token, const char *word) {
    const size_t size = strlen(word);
    for (size_t i = 0; i + size <= token.span.size; i++) {
        const bool starts = i == 0 || strchr(" \t\r\n/", token.text[i - 1]);
        if (starts && strncasecmp(token.text + i, word, size) == 0) { return true; }
    }
    return false;
}

struct sql_expr *build_is_json(struct sql_build *b, struct sql_expr *operand, struct sql_token words) {
    const enum sql_is what = phrase_has(words, "OBJECT")   ? SQL_IS_JSON_OBJECT
                             : phrase_has(words, "ARRAY")  ? SQL_IS_JSON_ARRAY
                             : phrase_has(words, "SCALAR") ? SQL_IS_JSON_SCALAR
                                                           : SQL_IS_JSON;
    return build_is(b, operand, what, phrase_has(words, "NOT"));
}

struct sql_expr *build_like(struct sql_build *b, struct sql_expr *operand, struct sql_token op,
                            struct sql_expr *pattern, struct sql_expr *escape) {
    struct sql_expr *expr = build_expr(b, SQL_EXPR_LIKE, operand->span);
    expr->like.operand = operand;
    expr->like.pattern = pattern;
    expr->like.escape = escape;
    expr->like.similar = op.kind == TK_SIMILAR || op.kind == TK_NOT_SIMILAR;
    expr->like.negated = op.kind == TK_NOT_LIKE || op.kind == TK_NOT_SIMILAR;
    expr_grow(b, expr, max2(operand->height, max2(pattern->height, expr_height(escape))));
    return expr;
}

struct sql_expr *build_between(struct sql_build *b, struct sql_expr *operand, struct sql_token op,
                               struct sql_expr *low, struct sql_expr *high) {
    struct sql_expr *expr = build_expr(b, SQL_EXPR_BETWEEN, operand->span);
    expr->between.operand = operand;
    expr->between.low = low;
    expr->between.high = high;
    expr->between.symmetric = op.kind == TK_BETWEEN_SYMMETRIC || op.kind == TK_NOT_BETWEEN_SYMMETRIC;
    expr->between.negated = op.kind == TK_NOT_BETWEEN || op.kind == TK_NOT_BETWEEN_SYMMETRIC;
    expr_grow(b, expr, max2(operand->height, max2(low->height, high->height)));
    return expr;
}

struct sql_expr *build_in_list(struct sql_build *b, struct sql_expr *operand, struct sql_token op,
                               struct sql_exprs list) {
    /* IN ((SELECT ..)) means the query's rows, not its only row. */
    if (list.count == 1 && list.items[0]->kind == SQL_EXPR_SUBQUERY) {
        return build_in_query(b, operand, op, list.items[0]->query);
    }
    struct sql_expr *expr = build_expr(b, SQL_EXPR_IN, operand->span);
    expr->in.operand = operand;
    expr->in.list = list;
    expr->in.negated = op.kind == TK_NOT_IN;
    expr_grow(b, expr, max2(operand->height, exprs_height(&list)));
    return expr;
}

struct sql_expr *build_in_query(struct sql_build *b, struct sql_expr *operand, struct sql_token op,
                                struct sql_query *query) {
    struct sql_expr *expr = build_expr(b, SQL_EXPR_IN, operand->span);
    expr->in.operand = operand;
    expr->in.query = query;
    expr->in.negated = op.kind == TK_NOT_IN;
    expr_grow(b, expr, max2(operand->height, query->height));
    return expr;
}

struct sql_expr *build_quantified(struct sql_build *b, struct sql_expr *operand, enum sql_op op,
                                  struct sql_token quantifier, struct sql_query *query) {
    struct sql_expr *expr = build_expr(b, SQL_EXPR_QUANTIFIED, operand->span);
    expr->quantified.op = op;
    expr->quantified.all = quantifier.kind == TK_ALL;
    expr->quantified.operand = operand;
    expr->quantified.query = query;
    expr_grow(b, expr, max2(operand->height, query->height));
    return expr;
}

struct sql_expr *build_query_expr(struct sql_build *b, enum sql_expr_kind kind, struct sql_span first,
                                  struct sql_query *query) {
    struct sql_expr *expr = build_expr(b, kind, first);
    expr->query = query;
    expr_grow(b, expr, query->height);
    return expr;
}

struct sql_expr *build_list_expr(struct sql_build *b, enum sql_expr_kind kind, struct sql_span first,
                                 struct sql_exprs list) {
    struct sql_expr *expr = build_expr(b, kind, first);
    if (kind == SQL_EXPR_MAP && list.count % 2 != 0) {
        build_fail(b, SABOT_ERR_SQL, expr->span, "MAP[..] takes keys and values in turn; the last key lacks its value");
    }
    expr->list = list;
    expr_grow(b, expr, exprs_height(&list));
    return expr;
}

struct sql_expr *build_case(struct sql_build *b, struct sql_token start, struct sql_expr *operand,
                            struct sql_whens whens, struct sql_expr *otherwise) {
    struct sql_expr *expr = build_expr(b, SQL_EXPR_CASE, start.span);
    expr->cases.operand = operand;
    expr->cases.whens = whens;
    expr->cases.otherwise = otherwise;
    unsigned height = max2(expr_height(operand), expr_height(otherwise));
    for (unsigned i = 0; i < whens.count; i++) {
        height = max2(height, max2(whens.items[i].condition->height, whens.items[i].result->height));
    }
    expr_grow(b, expr, height);
    return expr;
}

struct sql_expr *build_cast(struct sql_build *b, struct sql_token start, struct sql_expr *operand,
                            struct sql_type *type, bool try_cast) {
    struct sql_expr *expr = build_expr(b, SQL_EXPR_CAST, start.span);
    expr->cast.operand = operand;
    expr->cast.type = type;
    expr->cast.try_cast = try_cast;
    expr_grow(b, expr, max2(operand->height, type->height));
    return expr;
}

struct sql_expr *build_symbol(struct sql_build *b, struct sql_token word, enum sql_unit unit) {
    struct sql_expr *expr = build_expr(b, SQL_EXPR_SYMBOL, word.span);
    expr->span = word.span;
    expr->symbol.unit = unit;
    expr->symbol.word = build_name(b, word).text;
    return expr;
}

void build_call_height(struct sql_build *b, struct sql_expr *call) {
    const struct sql_call *c = &call->call;
    call->span = build_span(b, call->span);
    unsigned height = max2(exprs_height(&c->args), orders_height(&c->order_by));
    height = max2(height, max2(expr_height(c->filter), window_height(c->over)));
    if (c->json) {
        height = max2(height, max2(expr_height(c->json->default_on_empty), expr_height(c->json->default_on_error)));
        height = max2(height, c->json->returning ? c->json->returning->height : 0);
    }
    call->height = 1;
    expr_grow(b, call, height);
}

static bool call_is(const struct sql_path *name, const char *word) {
    return name->count == 1 && strcasecmp(name->items[0].text, word) == 0;
}

/* A column name where a unit is meant: EXTRACT(DAY FROM x), TIMESTAMPADD(DAY, 1, x). */
static void unit_argument(struct sql_build *b, struct sql_expr *arg) {
    if (arg->kind != SQL_EXPR_COLUMN || arg->path.count != 1) {
        build_fail(b, SABOT_ERR_SQL, arg->span,
                   "a unit of time is meant here: YEAR, MONTH, DAY, HOUR, MINUTE, SECOND ..");
    }
    const struct sql_name name = arg->path.items[0];
    struct sql_token token = {.kind = TK_ID, .text = name.text, .span = name.span};
    token.span.size = (uint32_t)strlen(name.text);
    const enum sql_unit unit = build_unit(b, token);
    arg->kind = SQL_EXPR_SYMBOL;
    arg->symbol.unit = unit;
    arg->symbol.word = name.text;
}

struct sql_expr *build_call(struct sql_build *b, struct sql_path name, struct sql_exprs args) {
    struct sql_expr *expr = build_expr(b, SQL_EXPR_CALL, build_path_span(&name));
    if ((call_is(&name, "TIMESTAMPADD") || call_is(&name, "TIMESTAMPDIFF")) && args.count > 0) {
        unit_argument(b, args.items[0]);
    }
    expr->call.name = name;
    expr->call.args = args;
    build_call_height(b, expr);
    return expr;
}

struct sql_expr *build_from_call(struct sql_build *b, struct sql_path name, struct sql_expr *where,
                                 struct sql_expr *first, struct sql_expr *second, struct sql_expr *third) {
    struct sql_exprs args = {0};
    const bool is_trim = call_is(&name, "TRIM");
    if (call_is(&name, "EXTRACT") && !third && !where) {
        unit_argument(b, first);
    } else if (!(is_trim && !third) && !((call_is(&name, "SUBSTRING") || call_is(&name, "SUBSTR")) && !where)) {
        build_fail(b, SABOT_ERR_SQL, build_path_span(&name),
                   "FROM among the arguments belongs to EXTRACT, SUBSTRING and TRIM");
    }
    if (is_trim && !where) {
        where = build_expr(b, SQL_EXPR_SYMBOL, first->span);
        where->symbol.word = "BOTH";
    }
    if (where) { args = build_exprs(b, args, where); }
    args = build_exprs(b, build_exprs(b, args, first), second);
    if (third) { args = build_exprs(b, args, third); }
    return build_call(b, name, args);
}

struct sql_expr *build_named_call(struct sql_build *b, const char *name, struct sql_span first, struct sql_expr *one,
                                  struct sql_expr *two) {
    struct sql_path path = {0};
    const struct sql_name item = {.text = name, .span = first};
    LIST_ADD(b, &path, item);
    struct sql_exprs args = build_exprs(b, (struct sql_exprs){0}, one);
    if (two) { args = build_exprs(b, args, two); }
    struct sql_expr *call = build_call(b, path, args);
    call->span = build_span(b, first);
    return call;
}

struct sql_expr *build_named_arg(struct sql_build *b, struct sql_token name, struct sql_expr *value) {
    struct sql_expr *expr = build_expr(b, SQL_EXPR_NAMED_ARG, name.span);
    expr->named.name = build_name(b, name);
    expr->named.value = value;
    expr_grow(b, expr, value->height);
    return expr;
}

struct sql_expr *build_field_of(struct sql_build *b, struct sql_expr *operand, struct sql_token name) {
    struct sql_expr *expr = build_expr(b, SQL_EXPR_FIELD, operand->span);
    expr->field.operand = operand;
    expr->field.name = build_name(b, name);
    expr_grow(b, expr, operand->height);
    return expr;
}

struct sql_expr *build_table_arg(struct sql_build *b, struct sql_token start, struct sql_table *table,
                                 struct sql_expr *partition_by, struct sql_orders order_by) {
    struct sql_expr *expr = build_expr(b, SQL_EXPR_TABLE_ARG, start.span);
    expr->table_arg.table = table;
    expr->table_arg.order_by = order_by;
    if (partition_by && partition_by->kind == SQL_EXPR_ROW) {
        expr->table_arg.partition_by = partition_by->list;
    } else if (partition_by) {
        expr->table_arg.partition_by = build_exprs(b, (struct sql_exprs){0}, partition_by);
    }
    expr_grow(b, expr, max2(table->height, max2(expr_height(partition_by), orders_height(&order_by))));
    return expr;
}

struct sql_window *build_window(struct sql_build *b, struct sql_span first) {
    struct sql_window *window = build_alloc(b, sizeof *window);
    window->span = build_span(b, first);
    return window;
}

struct sql_json *build_json_merge(struct sql_build *b, struct sql_json *json, struct sql_json clause) {
    if (!json) { json = build_alloc(b, sizeof *json); }
    const bool twice = (json->returning && clause.returning) || (json->on_empty && clause.on_empty) ||
                       (json->on_error && clause.on_error) || (json->wrapper && clause.wrapper) ||
                       (json->nulls && clause.nulls);
    if (twice) { build_fail(b, SABOT_ERR_SQL, b->previous.span, "this clause is given twice"); }
    if (clause.returning) { json->returning = clause.returning; }
    if (clause.on_empty) {
        json->on_empty = clause.on_empty;
        json->default_on_empty = clause.default_on_empty;
    }
    if (clause.on_error) {
        json->on_error = clause.on_error;
        json->default_on_error = clause.default_on_error;
    }
    if (clause.wrapper) { json->wrapper = clause.wrapper; }
    if (clause.nulls) { json->nulls = clause.nulls; }
    return json;
}

struct sql_exprs build_rows(struct sql_build *b, struct sql_exprs exprs) {
    for (unsigned i = 0; i < exprs.count; i++) {
        struct sql_expr *value = exprs.items[i];
        if (value->kind == SQL_EXPR_ROW) { continue; }
        struct sql_expr *row = build_expr(b, SQL_EXPR_ROW, value->span);
        row->span = value->span;
        row->list = build_exprs(b, (struct sql_exprs){0}, value);
        expr_grow(b, row, value->height);
        exprs.items[i] = row;
    }
    return exprs;
}

/* ---- types ------------------------------------------------------------------------------------------------------ */

/* Every word for a type; of the words for one kind the one in sql_type_kind_name comes first in Flink's pages. */
static const struct {
    const char *name;
    enum sql_type_kind kind;
    unsigned char arguments; /* at most */
} type_names[] = {
    {"CHAR", SQL_TYPE_CHAR, 1},           {"CHARACTER", SQL_TYPE_CHAR, 1},       {"VARCHAR", SQL_TYPE_VARCHAR, 1},
    {"STRING", SQL_TYPE_STRING, 0},       {"BOOLEAN", SQL_TYPE_BOOLEAN, 0},      {"BINARY", SQL_TYPE_BINARY, 1},
    {"VARBINARY", SQL_TYPE_VARBINARY, 1}, {"BYTES", SQL_TYPE_BYTES, 0},          {"DECIMAL", SQL_TYPE_DECIMAL, 2},
    {"DEC", SQL_TYPE_DECIMAL, 2},         {"NUMERIC", SQL_TYPE_DECIMAL, 2},      {"TINYINT", SQL_TYPE_TINYINT, 0},
    {"SMALLINT", SQL_TYPE_SMALLINT, 0},   {"INT", SQL_TYPE_INT, 0},              {"INTEGER", SQL_TYPE_INT, 0},
    {"BIGINT", SQL_TYPE_BIGINT, 0},       {"FLOAT", SQL_TYPE_FLOAT, 0},          {"DOUBLE", SQL_TYPE_DOUBLE, 0},
    {"REAL", SQL_TYPE_FLOAT, 0},          {"DATE", SQL_TYPE_DATE, 0},            {"TIME", SQL_TYPE_TIME, 1},
    {"TIMESTAMP", SQL_TYPE_TIMESTAMP, 1}, {"TIMESTAMP_LTZ", SQL_TYPE_TIMESTAMP_LTZ, 1},
    {"RAW", SQL_TYPE_RAW, 0},             {"VARIANT", SQL_TYPE_VARIANT, 0},
};

struct sql_type *build_type(struct sql_build *b, enum sql_type_kind kind, struct sql_span first) {
    struct sql_type *type = build_alloc(b, sizeof *type);
    type->kind = kind;
    type->height = 1;
    type->span = build_span(b, first);
    return type;
}

struct sql_type *build_named_type(struct sql_build *b, struct sql_path name) {
    struct sql_type *type = build_type(b, SQL_TYPE_NAMED, build_path_span(&name));
    type->name = name;
    if (name.count > 1 || name.items[0].quoted) { return type; }
    const char *word = name.items[0].text;
    for (size_t i = 0; i < sizeof type_names / sizeof type_names[0]; i++) {
        if (strcasecmp(word, type_names[i].name) == 0) {
            type->kind = type_names[i].kind;
            return type;
        }
    }
    /* Words of two: the lexer joins them, whatever stands between. */
    if (strncasecmp(word, "DOUBLE", 6) == 0 && strpbrk(word, " \t\r\n/-")) {
        type->kind = SQL_TYPE_DOUBLE;
    } else if (strncasecmp(word, "CHAR", 4) == 0 && strpbrk(word, " \t\r\n/-")) {
        type->kind = SQL_TYPE_VARCHAR;
    } else if (strncasecmp(word, "BINARY", 6) == 0 && strpbrk(word, " \t\r\n/-")) {
        type->kind = SQL_TYPE_VARBINARY;
    }
    return type;
}

static unsigned type_arguments(const struct sql_type *type) {
    for (size_t i = 0; i < sizeof type_names / sizeof type_names[0]; i++) {
        if (type_names[i].kind == type->kind) { return type_names[i].arguments; }
    }
    return 0;
}

void build_type_args(struct sql_build *b, struct sql_type *type, struct sql_token precision,
                     const struct sql_token *scale) {
    type->span = build_span(b, type->span);
    const unsigned allowed = type_arguments(type);
    if (type->kind == SQL_TYPE_NAMED) {
        struct nearest near = {.wanted = type->name.items[type->name.count - 1].text};
        for (size_t i = 0; i < sizeof type_names / sizeof type_names[0]; i++) {
            nearest_offer(&near, type_names[i].name);
        }
        build_fail(b, SABOT_ERR_SQL, type->span, near.name ? "'%s' is no type; did you mean %s?" : "'%s' is no type",
                   near.wanted, near.name);
    }
    if (allowed < (scale ? 2u : 1u)) {
        build_fail(b, SABOT_ERR_SQL, type->span, "%s takes %s", sql_type_kind_name(type->kind),
                   allowed == 0 ? "no number in parentheses" : "one number in parentheses");
    }
    type->has_precision = true;
    type->precision = build_uint(b, precision);
    if (scale) {
        type->has_scale = true;
        type->scale = build_uint(b, *scale);
    }
}

struct sql_type *build_zone_type(struct sql_build *b, struct sql_type *type, enum sql_type_kind zone) {
    type->span = build_span(b, type->span);
    if (type->kind == SQL_TYPE_TIME && zone == SQL_TYPE_TIMESTAMP) { return type; }
    if (type->kind != SQL_TYPE_TIMESTAMP) {
        build_fail(b, SABOT_ERR_SQL, type->span, "only TIMESTAMP has a time zone, %s has none",
                   sql_type_kind_name(type->kind));
    }
    type->kind = zone;
    return type;
}

struct sql_type *build_collection(struct sql_build *b, enum sql_type_kind kind, struct sql_span first,
                                  struct sql_type *key, struct sql_type *element) {
    struct sql_type *type = build_type(b, kind, first);
    type->key = key;
    type->element = element;
    type->height = build_height(b, type->span, 1u + max2(key ? key->height : 0, element->height));
    return type;
}

struct sql_type *build_row_type(struct sql_build *b, struct sql_span first, struct sql_fields fields) {
    struct sql_type *type = build_type(b, SQL_TYPE_ROW, first);
    type->fields = fields;
    unsigned height = 0;
    for (unsigned i = 0; i < fields.count; i++) { height = max2(height, fields.items[i].type->height); }
    type->height = build_height(b, type->span, height + 1);
    return type;
}

/* ---- tables and queries ----------------------------------------------------------------------------------------- */

struct sql_table *build_table(struct sql_build *b, enum sql_table_kind kind, struct sql_span first) {
    struct sql_table *table = build_alloc(b, sizeof *table);
    table->kind = kind;
    table->height = 1;
    table->span = build_span(b, first);
    return table;
}

void build_table_height(struct sql_build *b, struct sql_table *table, unsigned child) {
    table->height = build_height(b, table->span, max2(table->height, child + 1));
}

struct sql_table *build_join(struct sql_build *b, enum sql_join_kind kind, struct sql_table *left,
                             struct sql_table *right) {
    struct sql_table *table = build_table(b, SQL_TABLE_JOIN, left->span);
    table->join.kind = kind;
    table->join.left = left;
    table->join.right = right;
    build_table_height(b, table, max2(left->height, right->height));
    return table;
}

struct sql_query *build_query(struct sql_build *b, enum sql_query_kind kind, struct sql_span first) {
    struct sql_query *query = build_alloc(b, sizeof *query);
    query->kind = kind;
    query->height = 1;
    query->span = build_span(b, first);
    return query;
}

static unsigned groups_height(struct sql_build *b, struct sql_groups *groups) {
    unsigned height = 0;
    for (unsigned i = 0; i < groups->count; i++) {
        struct sql_group *group = &groups->items[i];
        group->height = build_height(b, group->span,
                                     1 + max2(expr_height(group->expr), groups_height(b, &group->children)));
        height = max2(height, group->height);
    }
    return height;
}

static unsigned select_height(struct sql_build *b, struct sql_select *select) {
    unsigned height = max2(items_height(&select->items), select->from ? select->from->height : 0);
    height = max2(height, max2(expr_height(select->where), expr_height(select->having)));
    height = max2(height, max2(expr_height(select->qualify), groups_height(b, &select->group_by)));
    for (unsigned i = 0; i < select->windows.count; i++) {
        height = max2(height, window_height(select->windows.items[i].window));
    }
    return height;
}

void build_select_height(struct sql_build *b, struct sql_query *query) {
    unsigned height = max2(expr_height(query->limit), expr_height(query->offset));
    height = max2(height, orders_height(&query->order_by));
    for (unsigned i = 0; i < query->with.count; i++) { height = max2(height, query->with.items[i].query->height); }
    switch (query->kind) {
    case SQL_QUERY_SELECT: height = max2(height, select_height(b, &query->select)); break;
    case SQL_QUERY_VALUES: height = max2(height, exprs_height(&query->rows)); break;
    case SQL_QUERY_SET: height = max2(height, max2(query->set.left->height, query->set.right->height)); break;
    case SQL_QUERY_TABLE: height = max2(height, query->table->height); break;
    case SQL_QUERY_NESTED: height = max2(height, query->nested->height); break;
    }
    query->height = build_height(b, query->span, height + 1);
}

struct sql_query *build_set_query(struct sql_build *b, enum sql_set_op op, bool all, struct sql_query *left,
                                  struct sql_query *right) {
    struct sql_query *query = build_query(b, SQL_QUERY_SET, left->span);
    query->set.op = op;
    query->set.all = all;
    query->set.left = left;
    query->set.right = right;
    build_select_height(b, query);
    return query;
}

struct sql_query *build_query_clauses(struct sql_build *b, struct sql_query *body, struct sql_orders order_by,
                                      struct sql_expr *limit, struct sql_expr *offset) {
    struct sql_query *query = body;
    if (!order_by.count && !limit && !offset && !(body->in_parens && body->with.count)) { return body; }
    if (body->in_parens || body->order_by.count || body->limit || body->offset || body->with.count) {
        query = build_query(b, SQL_QUERY_NESTED, body->span);
        query->nested = body;
    }
    query->order_by = order_by;
    query->limit = limit;
    query->offset = offset;
    query->span = build_span(b, query->span);
    build_select_height(b, query);
    return query;
}

static unsigned patterns_height(const struct sql_patterns *list) {
    unsigned height = 0;
    for (unsigned i = 0; i < list->count; i++) { height = max2(height, list->items[i]->height); }
    return height;
}

struct sql_pattern *build_pattern(struct sql_build *b, enum sql_pattern_kind kind, struct sql_span first,
                                  struct sql_patterns children) {
    struct sql_pattern *pattern = build_alloc(b, sizeof *pattern);
    pattern->kind = kind;
    pattern->span = build_span(b, first);
    pattern->children = children;
    pattern->height = build_height(b, pattern->span, 1 + patterns_height(&children));
    return pattern;
}

struct sql_pattern *build_repeat(struct sql_build *b, struct sql_pattern *child, uint32_t min, uint32_t max) {
    struct sql_pattern *pattern =
        build_pattern(b, SQL_PATTERN_REPEAT, child->span, build_patterns(b, (struct sql_patterns){0}, child));
    if (min > max) {
        build_fail(b, SABOT_ERR_SQL, pattern->span, "{%u,%u} repeats at least %u and at most %u times: swap them", min,
                   max, min, max);
    }
    pattern->min = min;
    pattern->max = max;
    return pattern;
}

/* ---- statements ------------------------------------------------------------------------------------------------- */

struct sql_statement *build_statement(struct sql_build *b, enum sql_statement_kind kind, struct sql_span first) {
    struct sql_statement *statement = build_alloc(b, sizeof *statement);
    statement->kind = kind;
    statement->height = 1;
    statement->span = build_span(b, first);
    return statement;
}

static const struct {
    const char *first;
    const char *second; /* NULL: one word */
    enum sql_show_kind kind;
} shows[] = {
    {"TABLES", NULL, SQL_SHOW_TABLES},
    {"VIEWS", NULL, SQL_SHOW_VIEWS},
    {"FUNCTIONS", NULL, SQL_SHOW_FUNCTIONS},
    {"USER", "FUNCTIONS", SQL_SHOW_FUNCTIONS},
    {"CONNECTORS", NULL, SQL_SHOW_CONNECTORS},
    {"CATALOGS", NULL, SQL_SHOW_CATALOGS},
    {"DATABASES", NULL, SQL_SHOW_DATABASES},
    {"MODULES", NULL, SQL_SHOW_MODULES},
    {"FULL", "MODULES", SQL_SHOW_MODULES},
    {"JARS", NULL, SQL_SHOW_JARS},
    {"JOBS", NULL, SQL_SHOW_JOBS},
    {"COLUMNS", NULL, SQL_SHOW_COLUMNS},
    {"PARTITIONS", NULL, SQL_SHOW_PARTITIONS},
    {"CURRENT", "CATALOG", SQL_SHOW_CURRENT_CATALOG},
    {"CURRENT", "DATABASE", SQL_SHOW_CURRENT_DATABASE},
};

struct sql_statement *build_show(struct sql_build *b, struct sql_token start, struct sql_token first,
                                 const struct sql_token *second, struct sql_path name) {
    struct sql_statement *statement = build_statement(b, SQL_STATEMENT_SHOW, start.span);
    struct nearest near = {.wanted = build_name(b, first).text};
    for (size_t i = 0; i < sizeof shows / sizeof shows[0]; i++) {
        nearest_offer(&near, shows[i].first);
        const bool first_fits = build_word_is(&first, shows[i].first);
        const bool partitions = shows[i].kind == SQL_SHOW_PARTITIONS && second;
        if (!first_fits) { continue; }
        if (!partitions && (!second != !shows[i].second || (second && !build_word_is(second, shows[i].second)))) {
            continue;
        }
        if (shows[i].kind == SQL_SHOW_COLUMNS && name.count == 0) {
            build_fail(b, SABOT_ERR_SQL, statement->span, "whose columns? Write SHOW COLUMNS FROM <table>");
        }
        if (shows[i].kind == SQL_SHOW_PARTITIONS && !second) {
            build_fail(b, SABOT_ERR_SQL, statement->span, "whose partitions? Write SHOW PARTITIONS <table>");
        }
        statement->show = (struct sql_show){.kind = shows[i].kind, .name = name};
        statement->show.user = second && shows[i].kind == SQL_SHOW_FUNCTIONS;
        statement->show.full = second && shows[i].kind == SQL_SHOW_MODULES;
        return statement;
    }
    if (near.name && near.distance > 0) {
        build_fail(b, SABOT_ERR_SQL, first.span, "can't show '%s'; did you mean %s?", near.wanted, near.name);
    }
    build_fail(b, SABOT_ERR_SQL, first.span,
               "can't show this: SHOW knows TABLES, VIEWS, FUNCTIONS, CONNECTORS, CATALOGS, DATABASES, JOBS, "
               "COLUMNS FROM, PARTITIONS, CREATE TABLE, CURRENT DATABASE ..");
}

struct sql_statement *build_describe(struct sql_build *b, struct sql_token start, const struct sql_token *word,
                                     struct sql_path name) {
    struct sql_statement *statement = build_statement(b, SQL_STATEMENT_DESCRIBE, start.span);
    statement->describe = (struct sql_describe){.object = SQL_OBJECT_TABLE, .name = name};
    if (!word) { return statement; }
    if (build_word_is(word, "EXTENDED")) {
        statement->describe.extended = true;
    } else if (build_word_is(word, "CATALOG")) {
        statement->describe.object = SQL_OBJECT_CATALOG;
    } else if (build_word_is(word, "DATABASE")) {
        statement->describe.object = SQL_OBJECT_DATABASE;
    } else if (build_word_is(word, "FUNCTION")) {
        statement->describe.object = SQL_OBJECT_FUNCTION;
    } else if (!build_word_is(word, "VIEW")) {
        build_fail(b, SABOT_ERR_SQL, word->span,
                   "DESCRIBE knows tables, EXTENDED, CATALOG, DATABASE, FUNCTION and JOB");
    }
    return statement;
}

void build_explain_detail(struct sql_build *b, unsigned *details, struct sql_token word) {
    static const struct {
        const char *name;
        enum sql_explain_detail detail;
    } known[] = {
        {"ESTIMATED_COST", SQL_EXPLAIN_ESTIMATED_COST},
        {"CHANGELOG_MODE", SQL_EXPLAIN_CHANGELOG_MODE},
        {"JSON_EXECUTION_PLAN", SQL_EXPLAIN_JSON_EXECUTION_PLAN},
        {"PLAN_ADVICE", SQL_EXPLAIN_PLAN_ADVICE},
    };
    struct nearest near = {.wanted = build_name(b, word).text};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (build_word_is(&word, known[i].name)) {
            *details |= known[i].detail;
            return;
        }
        nearest_offer(&near, known[i].name);
    }
    if (near.name) {
        build_fail(b, SABOT_ERR_SQL, word.span, "EXPLAIN does not know '%s'; did you mean %s?", near.wanted, near.name);
    }
    build_fail(b, SABOT_ERR_SQL, word.span,
               "EXPLAIN takes ESTIMATED_COST, CHANGELOG_MODE, JSON_EXECUTION_PLAN, PLAN_ADVICE, PLAN FOR or STALL, "
               "and then a query or INSERT");
}

struct sql_like_option build_like_option(struct sql_build *b, struct sql_token mode, struct sql_token what) {
    static const char *const modes[] = {"INCLUDING", "EXCLUDING", "OVERWRITING"};
    static const char *const whats[] = {"ALL",      "CONSTRAINTS", "DISTRIBUTION", "GENERATED",
                                        "METADATA", "OPTIONS",     "PARTITIONS",   "WATERMARKS"};
    struct sql_like_option option = {.span = sql_span_join(mode.span, what.span)};
    unsigned m = 0;
    unsigned w = 0;
    while (m < sizeof modes / sizeof modes[0] && !build_word_is(&mode, modes[m])) { m++; }
    while (w < sizeof whats / sizeof whats[0] && !build_word_is(&what, whats[w])) { w++; }
    if (m == sizeof modes / sizeof modes[0]) {
        build_fail(b, SABOT_ERR_SQL, mode.span, "LIKE t (..) takes INCLUDING, EXCLUDING or OVERWRITING");
    }
    if (w == sizeof whats / sizeof whats[0]) {
        build_fail(b, SABOT_ERR_SQL, what.span,
                   "LIKE t (..) knows ALL, CONSTRAINTS, DISTRIBUTION, GENERATED, METADATA, OPTIONS, PARTITIONS, "
                   "WATERMARKS");
    }
    option.mode = m;
    option.what = w;
    return option;
}

uint32_t build_buckets(struct sql_build *b, struct sql_token number, struct sql_token word) {
    const uint32_t buckets = build_uint(b, number);
    if (!build_word_is(&word, "BUCKETS")) { build_fail(b, SABOT_ERR_SQL, word.span, "INTO n BUCKETS is meant here"); }
    if (buckets == 0) { build_fail(b, SABOT_ERR_SQL, number.span, "a table has at least one bucket"); }
    return buckets;
}

enum sql_language build_language(struct sql_build *b, struct sql_token word) {
    if (build_word_is(&word, "JAVA")) { return SQL_LANGUAGE_JAVA; }
    if (build_word_is(&word, "SCALA")) { return SQL_LANGUAGE_SCALA; }
    if (build_word_is(&word, "PYTHON")) { return SQL_LANGUAGE_PYTHON; }
    if (build_word_is(&word, "C")) { return SQL_LANGUAGE_C; }
    build_fail(b, SABOT_ERR_SQL, word.span, "LANGUAGE is JAVA, SCALA, PYTHON or C");
}
