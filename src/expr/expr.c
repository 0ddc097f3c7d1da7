/* Expression trees: leaves, comparison, copying, folding, and their text. */
#include "expr/expr.h"

#include <assert.h>

#include "arrow/print.h"
#include "expr/function.h"

static sabot_status no_memory(struct source_span span, struct sabot_error *err) {
    return EXPR_FAIL(err, SABOT_ERR_MEMORY, span, "the query is too big");
}

sabot_status expr_column(struct arena *arena, int32_t index, struct type type, struct source_span span,
                         struct expr **out, struct sabot_error *err) {
    struct expr *expr = *out = ARENA_NEW(arena, struct expr);
    if (!expr) { return no_memory(span, err); }
    *expr = (struct expr){.kind = EXPR_COLUMN, .type = type, .span = span, .index = index};
    return SABOT_OK;
}

sabot_status expr_literal(struct arena *arena, struct type type, const void *value, struct source_span span,
                          struct expr **out, struct sabot_error *err) {
    struct expr *expr = *out = ARENA_NEW(arena, struct expr);
    if (!expr) { return no_memory(span, err); }
    type.nullable = value == NULL;
    *expr = (struct expr){.kind = EXPR_LITERAL, .type = type, .span = span};
    if (!value) { return SABOT_OK; }
    const size_t size = phys_size(type_phys(type));
    assert(size > 0); /* literals of nested types are calls of their constructors */
    void *copy = arena_alloc(arena, size);
    if (!copy) { return no_memory(span, err); }
    memcpy(copy, value, size);
    const struct string_view *view = value;
    if (type_phys(type) == PHYS_VIEW && view->size > STRING_VIEW_INLINE) {
        const char *bytes = arena_copy(arena, view->data, view->size);
        if (!bytes) { return no_memory(span, err); }
        ((struct string_view *)copy)->data = bytes;
    }
    expr->value = copy;
    return SABOT_OK;
}

sabot_status expr_field(struct arena *arena, struct expr *row, const char *field, struct source_span span,
                        struct expr **out, struct sabot_error *err) {
    if (row->type.kind != TYPE_ROW) {
        char type[160];
        type_print(row->type, type, sizeof type);
        return EXPR_FAIL(err, SABOT_ERR_PLAN, span, "%s has no fields, so no field '%.100s'", type, field);
    }
    for (int32_t i = 0; i < row->type.n_fields; i++) {
        if (strcmp(row->type.fields[i].name, field) != 0) { continue; }
        struct expr *expr = ARENA_NEW(arena, struct expr);
        struct expr **args = arena_alloc(arena, sizeof *args);
        if (!expr || !args) { return no_memory(span, err); }
        args[0] = row;
        *expr = (struct expr){
            .kind = EXPR_FIELD, .type = row->type.fields[i].type, .span = span, .index = i, .n_args = 1, .args = args};
        expr->type.nullable = expr->type.nullable || row->type.nullable;
        *out = expr;
        return SABOT_OK;
    }
    return EXPR_FAIL(err, SABOT_ERR_PLAN, span, "the row has no field '%.100s'", field);
}

/* --- questions */
static bool all_parts(const struct expr *expr, bool (*is_fine)(const struct expr *)) {
    if (!is_fine(expr)) { return false; }
    for (int32_t i = 0; i < expr->n_args; i++) {
        if (!all_parts(expr->args[i], is_fine)) { return false; }
    }
    return true;
}

static bool part_is_constant(const struct expr *expr) {
    return expr->kind != EXPR_COLUMN &&
           !(expr->kind == EXPR_CALL && (expr->flags & (FUNCTION_NOT_DETERMINISTIC | FUNCTION_TEMPORAL)));
}
static bool part_is_deterministic(const struct expr *expr) {
    return !(expr->kind == EXPR_CALL && (expr->flags & FUNCTION_NOT_DETERMINISTIC));
}

bool expr_is_constant(const struct expr *expr) { return all_parts(expr, part_is_constant); }

bool expr_is_deterministic(const struct expr *expr) { return all_parts(expr, part_is_deterministic); }

static bool literal_equal(const struct expr *a, const struct expr *b) {
    if (!a->value || !b->value) { return a->value == b->value; }
    if (type_phys(a->type) == PHYS_VIEW) { return string_view_equal(a->value, b->value); }
    return memcmp(a->value, b->value, phys_size(type_phys(a->type))) == 0;
}

bool expr_equal(const struct expr *a, const struct expr *b) {
    if (a == b) { return true; }
    if (a->kind != b->kind || a->index != b->index || a->try_cast != b->try_cast || a->function != b->function ||
        a->n_args != b->n_args || !type_same(a->type, b->type)) {
        return false;
    }
    if (a->kind == EXPR_LITERAL && !literal_equal(a, b)) { return false; }
    for (int32_t i = 0; i < a->n_args; i++) {
        if (!expr_equal(a->args[i], b->args[i])) { return false; }
    }
    return true;
}

void expr_columns(const struct expr *expr, bool *used, int32_t n_columns) {
    if (expr->kind == EXPR_COLUMN && expr->index < n_columns) { used[expr->index] = true; }
    for (int32_t i = 0; i < expr->n_args; i++) { expr_columns(expr->args[i], used, n_columns); }
}

/* --- copies */
static sabot_status copy_with_args(struct arena *arena, const struct expr *expr, struct expr **out,
                                   struct sabot_error *err) {
    struct expr *copy = ARENA_NEW(arena, struct expr);
    struct expr **args = arena_alloc(arena, (size_t)(expr->n_args + 1) * sizeof *args);
    if (!copy || !args) { return no_memory(expr->span, err); }
    *copy = *expr;
    copy->args = args;
    for (int32_t i = 0; i < expr->n_args; i++) { args[i] = expr->args[i]; }
    *out = copy;
    return SABOT_OK;
}

sabot_status expr_substitute(struct arena *arena, const struct expr *expr, struct expr *const *replacements,
                             int32_t n, struct expr **out, struct sabot_error *err) {
    if (expr->kind == EXPR_COLUMN && expr->index < n && replacements[expr->index]) {
        *out = replacements[expr->index];
        return SABOT_OK;
    }
    struct expr *copy;
    SABOT_TRY(copy_with_args(arena, expr, &copy, err));
    for (int32_t i = 0; i < copy->n_args; i++) {
        SABOT_TRY(expr_substitute(arena, expr->args[i], replacements, n, &copy->args[i], err));
    }
    *out = copy;
    return SABOT_OK;
}

/* --- folding */
#define FOLD_MEMORY_MAX (INT64_C(64) * 1024 * 1024)

sabot_status expr_evaluate_constant(struct arena *arena, const struct expr *expr, const void **value,
                                    struct sabot_error *err) {
    *value = NULL;
    if (expr->kind == EXPR_LITERAL) {
        *value = expr->value;
        return SABOT_OK;
    }
    const enum phys phys = type_phys(expr->type);
    if (phys_size(phys) == 0 && phys != PHYS_NULL) {
        return EXPR_FAIL(err, SABOT_ERR_UNSUPPORTED, expr->span, "a constant can't be an array, a map or a row");
    }
    struct memory_pool pool;
    memory_pool_init(&pool, "constant expressions", NULL, FOLD_MEMORY_MAX);
    const struct program_context context = {.env = env_real(), .pool = &pool, .watermark_ms = INT64_MIN};
    struct program *program;
    struct schema *schema = NULL;
    struct batch *batch = NULL;
    struct column *column = NULL;
    sabot_status status = program_compile(&expr, 1, &context, &program, err);
    if (status == SABOT_OK) { status = schema_new(NULL, 0, &schema, err); }
    if (status == SABOT_OK) { status = batch_new(schema, NULL, 0, 1, &batch, err); }
    if (status == SABOT_OK) { status = program_eval(program, batch, &column, err); }
    if (status == SABOT_OK && !column_is_null(column, 0)) {
        const size_t size = phys_size(phys);
        char *copy = arena_alloc(arena, size);
        if (copy) {
            memcpy(copy, column->values, size);
            const struct string_view *view = column->values;
            if (phys == PHYS_VIEW && view->size > STRING_VIEW_INLINE) {
                const char *bytes = arena_copy(arena, view->data, view->size);
                ((struct string_view *)(void *)copy)->data = bytes;
                copy = bytes ? copy : NULL;
            }
        }
        *value = copy;
        if (!copy) { status = no_memory(expr->span, err); }
    }
    column_unref(column);
    batch_unref(batch);
    schema_unref(schema);
    program_free(program);
    return status;
}

/* Session settings decide these, and the plan does not know them. */
static bool depends_on_session(const struct expr *expr) {
    if (expr->kind == EXPR_CAST) {
        const bool from = expr->args[0]->type.kind == TYPE_TIMESTAMP_LTZ, to = expr->type.kind == TYPE_TIMESTAMP_LTZ;
        if (from != to) { return true; }
    }
    for (int32_t i = 0; i < expr->n_args; i++) {
        if (expr->args[i]->type.kind == TYPE_TIMESTAMP_LTZ || depends_on_session(expr->args[i])) { return true; }
    }
    return false;
}

sabot_status expr_fold(struct arena *arena, struct expr *expr, struct expr **out, struct sabot_error *err) {
    *out = expr;
    if (expr->kind == EXPR_LITERAL || expr->kind == EXPR_COLUMN) { return SABOT_OK; }
    const enum phys phys = type_phys(expr->type);
    if (phys_size(phys) > 0 && expr_is_constant(expr) && !depends_on_session(expr)) {
        const void *value;
        if (expr_evaluate_constant(arena, expr, &value, NULL) == SABOT_OK) {
            const bool nullable = expr->type.nullable;
            SABOT_TRY(expr_literal(arena, expr->type, value, expr->span, out, err));
            (*out)->type.nullable = nullable || !value;
            return SABOT_OK;
        }
        /* 1/0 fails only if a row comes to it */
    }
    struct expr *copy = NULL;
    for (int32_t i = 0; i < expr->n_args; i++) {
        struct expr *arg;
        SABOT_TRY(expr_fold(arena, expr->args[i], &arg, err));
        if (arg == expr->args[i]) { continue; }
        if (!copy) { SABOT_TRY(copy_with_args(arena, expr, &copy, err)); }
        copy->args[i] = arg;
    }
    if (copy) { *out = copy; }
    return SABOT_OK;
}

/* --- text */
static void print_literal(const struct expr *expr, struct text *target) {
    if (!expr->value) {
        text_add(target, "NULL");
        return;
    }
    const struct column column = {
        .phys = (uint8_t)type_phys(expr->type), .constant = true, .length = 1, .values = expr->value};
    const struct text_options options = {.null_text = "NULL"};
    if (expr->type.kind == TYPE_STRING) {
        const struct string_view *view = expr->value;
        text_add(target, "'");
        const char *bytes = string_view_data(view);
        for (uint32_t i = 0; i < view->size; i++) {
            if (bytes[i] == '\'') { text_add(target, "'"); }
            text_append(target, bytes + i, 1);
        }
        text_add(target, "'");
        return;
    }
    static const char *const prefixes[TYPE_KINDS] = {
        [TYPE_DATE] = "DATE '",
        [TYPE_TIME] = "TIME '",
        [TYPE_TIMESTAMP] = "TIMESTAMP '",
        [TYPE_TIMESTAMP_LTZ] = "TIMESTAMP '",
        [TYPE_INTERVAL_MONTH] = "INTERVAL '",
        [TYPE_INTERVAL_DAY] = "INTERVAL '",
    };
    const char *prefix = prefixes[expr->type.kind] ? prefixes[expr->type.kind] : "";
    text_add(target, prefix);
    if (expr->type.kind == TYPE_BOOL) {
        text_add(target, *(const uint8_t *)expr->value ? "TRUE" : "FALSE");
    } else {
        column_print(&column, 0, expr->type, &options, target, NULL);
    }
    if (*prefix) { text_add(target, "'"); }
}

static void print_list(const struct expr *expr, int32_t first, const char *between, const struct schema *input,
                       struct text *target) {
    for (int32_t i = first; i < expr->n_args; i++) {
        if (i > first) { text_add(target, between); }
        expr_print(expr->args[i], input, target);
    }
}

/* An operator's argument, in parentheses where it is an operator itself. */
static void print_operand(const struct expr *expr, const struct schema *input, struct text *target) {
    const bool letters = expr->kind == EXPR_CALL && expr->function->name[0] >= 'A' && expr->function->name[0] <= 'Z' &&
                         !strchr(expr->function->name, ' ') && strcmp(expr->function->name, "LIKE") != 0 &&
                         strcmp(expr->function->name, "IN") != 0 && strcmp(expr->function->name, "NOT") != 0;
    const bool bare = expr->kind == EXPR_COLUMN || expr->kind == EXPR_LITERAL || expr->kind == EXPR_FIELD ||
                      expr->kind == EXPR_CAST || letters;
    if (!bare) { text_add(target, "("); }
    expr_print(expr, input, target);
    if (!bare) { text_add(target, ")"); }
}

static void print_call(const struct expr *expr, const struct schema *input, struct text *target) {
    const char *name = expr->function->name;
    const bool is_word = (name[0] >= 'A' && name[0] <= 'Z') || name[0] == '$';
    if (strncmp(name, "IS ", 3) == 0 && expr->n_args == 1) {
        print_operand(expr->args[0], input, target);
        text_format(target, " %s", name);
    } else if (strcmp(name, "NOT") == 0) {
        text_add(target, "NOT ");
        print_operand(expr->args[0], input, target);
    } else if (strcmp(name, "IN") == 0) {
        print_operand(expr->args[0], input, target);
        text_add(target, " IN (");
        print_list(expr, 1, ", ", input, target);
        text_add(target, ")");
    } else if (strcmp(name, "[]") == 0) {
        print_operand(expr->args[0], input, target);
        text_add(target, "[");
        expr_print(expr->args[1], input, target);
        text_add(target, "]");
    } else if (expr->n_args == 2 && (!is_word || strcmp(name, "LIKE") == 0 || strchr(name, ' '))) {
        print_operand(expr->args[0], input, target);
        text_format(target, " %s ", name);
        print_operand(expr->args[1], input, target);
    } else if (expr->n_args == 1 && !is_word) {
        text_add(target, name);
        print_operand(expr->args[0], input, target);
    } else {
        text_format(target, "%s(", name);
        print_list(expr, 0, ", ", input, target);
        text_add(target, ")");
    }
}

void expr_print(const struct expr *expr, const struct schema *input, struct text *target) {
    char type[160];
    switch (expr->kind) {
    case EXPR_COLUMN:
        if (input && expr->index < input->n_fields) {
            text_add(target, input->fields[expr->index].name);
        } else {
            text_format(target, "$%d", expr->index);
        }
        return;
    case EXPR_FIELD:
        print_operand(expr->args[0], input, target);
        text_format(target, ".%s", expr->args[0]->type.fields[expr->index].name);
        return;
    case EXPR_LITERAL: print_literal(expr, target); return;
    case EXPR_CALL: print_call(expr, input, target); return;
    case EXPR_CASE:
        text_add(target, "CASE");
        for (int32_t i = 0; i + 1 < expr->n_args; i += 2) {
            text_add(target, " WHEN ");
            expr_print(expr->args[i], input, target);
            text_add(target, " THEN ");
            expr_print(expr->args[i + 1], input, target);
        }
        if (expr->n_args % 2) {
            text_add(target, " ELSE ");
            expr_print(expr->args[expr->n_args - 1], input, target);
        }
        text_add(target, " END");
        return;
    case EXPR_AND:
    case EXPR_OR:
        for (int32_t i = 0; i < expr->n_args; i++) {
            if (i) { text_add(target, expr->kind == EXPR_AND ? " AND " : " OR "); }
            /* comparisons bind tighter, the other of AND and OR does not read well without parentheses */
            const bool other = expr->args[i]->kind == EXPR_AND || expr->args[i]->kind == EXPR_OR;
            if (other) { text_add(target, "("); }
            expr_print(expr->args[i], input, target);
            if (other) { text_add(target, ")"); }
        }
        return;
    case EXPR_CAST:
        text_add(target, expr->try_cast ? "TRY_CAST(" : "CAST(");
        expr_print(expr->args[0], input, target);
        type_print(type_nullable(expr->type), type, sizeof type);
        text_format(target, " AS %s)", type);
        return;
    }
}
