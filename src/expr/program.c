/* Programs: expressions as a list of nodes in which equal subexpressions are one, evaluated column by column.
 *
 * A node is evaluated for a scope: a list of physical rows. CASE, AND and OR make smaller scopes for what is evaluated
 * only for some rows. The column of a node that several others use is kept for the rest of the batch, and serves every
 * scope within the one it was computed for. */
#include "expr/program.h"

#include <assert.h>
#include <stdlib.h>

#include "expr/function.h"

#define NODES_MAX 65536

struct node {
    const struct expr *expr;
    int32_t *args; /* node numbers */
    int32_t uses;
    struct column *literal; /* LITERAL: a constant column of one row */
    struct column *kept;    /* of this batch, where uses > 1 */
    uint64_t kept_scope;
    void *scratch;
    void (*scratch_free)(void *scratch);
};

struct program {
    struct program_context context;
    struct node *nodes; /* arguments come before those who use them */
    int32_t n_nodes, nodes_capacity;
    int32_t *roots;
    int32_t n_roots;
    uint64_t scopes; /* counts up */
};

struct scope {
    const int32_t *rows; /* NULL = all physical rows */
    int32_t n;
    uint64_t id;
    const struct scope *parent;
};

/* --- compile */
static bool may_share(const struct expr *expr) {
    return !(expr->kind == EXPR_CALL && (expr->flags & FUNCTION_NOT_DETERMINISTIC));
}

static bool same_node(const struct node *node, const struct expr *expr, const int32_t *args) {
    const struct expr *other = node->expr;
    if (other->kind != expr->kind || other->n_args != expr->n_args || other->index != expr->index ||
        other->try_cast != expr->try_cast || other->function != expr->function || other->kernel != expr->kernel ||
        !type_same(other->type, expr->type) || !may_share(expr)) {
        return false;
    }
    for (int32_t i = 0; i < expr->n_args; i++) {
        if (node->args[i] != args[i]) { return false; }
    }
    return expr->kind != EXPR_LITERAL || expr_equal(other, expr);
}

static sabot_status node_add(struct program *program, const struct expr *expr, int32_t *out, struct sabot_error *err) {
    int32_t *args = malloc((size_t)(expr->n_args + 1) * sizeof *args);
    if (!args) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for an expression"); }
    for (int32_t i = 0; i < expr->n_args; i++) {
        const sabot_status status = node_add(program, expr->args[i], &args[i], err);
        if (status != SABOT_OK) {
            free(args);
            return status;
        }
    }
    for (int32_t i = 0; i < program->n_nodes; i++) {
        if (same_node(&program->nodes[i], expr, args)) {
            free(args);
            program->nodes[i].uses++;
            /* its arguments were counted once more by this walk */
            for (int32_t k = 0; k < expr->n_args; k++) { program->nodes[program->nodes[i].args[k]].uses--; }
            *out = i;
            return SABOT_OK;
        }
    }
    if (program->n_nodes == program->nodes_capacity) {
        const int32_t capacity = program->nodes_capacity ? program->nodes_capacity * 2 : 16;
        struct node *nodes =
            capacity > NODES_MAX ? NULL : realloc(program->nodes, (size_t)capacity * sizeof *nodes);
        if (!nodes) {
            free(args);
            return SABOT_FAIL(err, SABOT_ERR_MEMORY, "expressions with more than %d parts in one operator", NODES_MAX);
        }
        program->nodes = nodes;
        program->nodes_capacity = capacity;
    }
    struct node *node = &program->nodes[program->n_nodes];
    *node = (struct node){.expr = expr, .args = args, .uses = 1};
    *out = program->n_nodes++;
    if (expr->kind != EXPR_LITERAL) { return SABOT_OK; }
    if (!expr->value) { return column_all_null(program->context.pool, expr->type, 1, &node->literal, err); }
    return column_constant(program->context.pool, type_phys(expr->type), expr->value, 1, &node->literal, err);
}

sabot_status program_compile(const struct expr *const *exprs, int32_t n_exprs, const struct program_context *context,
                             struct program **out, struct sabot_error *err) {
    *out = NULL;
    struct program *program = calloc(1, sizeof *program);
    if (!program) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for an expression"); }
    program->context = *context;
    program->roots = calloc((size_t)n_exprs + 1, sizeof *program->roots);
    program->n_roots = n_exprs;
    sabot_status status =
        program->roots ? SABOT_OK : SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for an expression");
    for (int32_t i = 0; i < n_exprs && status == SABOT_OK; i++) {
        status = node_add(program, exprs[i], &program->roots[i], err);
    }
    if (status != SABOT_OK) {
        program_free(program);
        return status;
    }
    *out = program;
    return SABOT_OK;
}

void program_free(struct program *program) {
    if (!program) { return; }
    for (int32_t i = 0; i < program->n_nodes; i++) {
        struct node *node = &program->nodes[i];
        if (node->scratch && node->scratch_free) { node->scratch_free(node->scratch); }
        column_unref(node->literal);
        column_unref(node->kept);
        free(node->args);
    }
    free(program->nodes);
    free(program->roots);
    free(program);
}

void program_set_watermark(struct program *program, int64_t watermark_ms) {
    program->context.watermark_ms = watermark_ms;
}

/* --- row lists */
struct row_list {
    int32_t *rows;
    int32_t n;
    size_t size; /* bytes allocated */
};

static sabot_status row_list_new(struct program *program, int32_t capacity, struct row_list *list,
                                 struct sabot_error *err) {
    void *rows;
    list->n = 0;
    list->size = ((size_t)capacity + 8) * sizeof(int32_t); /* 8 more: lists are written a group of 8 at a time */
    SABOT_TRY(memory_alloc(program->context.pool, list->size, &rows, err));
    list->rows = rows;
    return SABOT_OK;
}

static void row_list_free(struct program *program, struct row_list *list) {
    memory_free(program->context.pool, list->rows, list->size);
    *list = (struct row_list){0};
}

static inline bool bit_is_set(const uint64_t *bits, int64_t at) { return bits[at >> 6] >> (at & 63) & 1; }

/* Rows of 0..n-1 whose byte is 1. Groups of 8 that are all 0 cost one test. */
static int32_t rows_of_bytes(const uint8_t *bytes, int32_t n, int32_t *out) {
    int32_t found = 0, i = 0;
    for (; i + 8 <= n; i += 8) {
        uint64_t word;
        memcpy(&word, bytes + i, 8);
        if (word == 0) { continue; }
        for (int32_t k = 0; k < 8; k++) {
            out[found] = i + k;
            found += bytes[i + k];
        }
    }
    for (; i < n; i++) {
        out[found] = i;
        found += bytes[i];
    }
    return found;
}

/* Rows of the scope where the boolean column is true; with `others`, the rest goes there. */
static void split_rows(const struct column *condition, const struct scope *scope, struct row_list *taken,
                       struct row_list *others) {
    const uint8_t *values = condition->values;
    const uint64_t *bits = condition->validity;
    if (condition->constant) {
        const bool all = values && values[0] && (!bits || (bits[0] & 1)) && condition->phys == PHYS_BOOL;
        struct row_list *target = all ? taken : others;
        for (int32_t i = 0; target && i < scope->n; i++) { target->rows[i] = scope->rows ? scope->rows[i] : i; }
        if (target) { target->n = scope->n; }
        return;
    }
    if (!scope->rows && !bits && !others) {
        taken->n = rows_of_bytes(values, scope->n, taken->rows);
        return;
    }
    int32_t n = 0, n_others = 0;
    for (int32_t i = 0; i < scope->n; i++) {
        const int32_t row = scope->rows ? scope->rows[i] : i;
        /* a value under a NULL is undefined, so only its low bit may count */
        const int32_t is_true = (values[row] & 1) & (bits ? (int32_t)bit_is_set(bits, row) : 1);
        taken->rows[n] = row;
        n += is_true;
        if (others) {
            others->rows[n_others] = row;
            n_others += 1 - is_true;
        }
    }
    taken->n = n;
    if (others) { others->n = n_others; }
}

/* --- evaluation */
struct run {
    struct program *program;
    const struct batch *batch;
    struct sabot_error *err;
};

static sabot_status eval(struct run *run, int32_t number, const struct scope *scope, struct column **out);

static struct scope scope_below(struct run *run, const struct scope *parent, const struct row_list *list) {
    return (struct scope){.rows = list->rows, .n = list->n, .id = ++run->program->scopes, .parent = parent};
}

/* A constant column of another length shares the value. */
static sabot_status constant_of_length(const struct column *from, int32_t rows, struct column **out,
                                       struct sabot_error *err) {
    struct column *children[16];
    if (from->n_children > 16 || from->phys == PHYS_ROW) {
        struct column **more = malloc((size_t)(from->n_children + 1) * sizeof *more);
        if (!more) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a column"); }
        sabot_status status = SABOT_OK;
        int32_t made = 0;
        for (; made < from->n_children && status == SABOT_OK; made++) {
            status = constant_of_length(from->children[made], rows, &more[made], err);
        }
        if (status == SABOT_OK) {
            for (int32_t i = 0; i < from->n_owners; i++) { buffer_ref(from->owners[i]); }
            status = column_new(from->phys, rows, from->validity, from->values, from->owners, from->n_owners, more,
                                from->n_children, out, err);
        } else {
            for (int32_t i = 0; i < made - 1; i++) { column_unref(more[i]); }
        }
        free(more);
        if (status == SABOT_OK) { (*out)->constant = true; }
        return status;
    }
    for (int32_t i = 0; i < from->n_children; i++) { children[i] = column_ref(from->children[i]); }
    for (int32_t i = 0; i < from->n_owners; i++) { buffer_ref(from->owners[i]); }
    SABOT_TRY(column_new(from->phys, rows, from->validity, from->values, from->owners, from->n_owners, children,
                         from->n_children, out, err));
    (*out)->constant = from->constant;
    return SABOT_OK;
}

static size_t words_of(int32_t rows) { return ((size_t)rows + 63) / 64; }

/* --- FIELD: NULL where the row is NULL or the field is */
static sabot_status eval_field(struct run *run, const struct node *node, const struct scope *scope,
                               struct column **out) {
    COLUMN_OWNED struct column *row = NULL;
    SABOT_TRY(eval(run, node->args[0], scope, &row));
    struct column *field = row->children[node->expr->index];
    if (!row->validity) {
        *out = column_ref(field);
        return SABOT_OK;
    }
    if (row->constant && !(row->validity[0] & 1)) {
        return column_all_null(run->program->context.pool, node->expr->type, run->batch->rows, out, run->err);
    }
    if (row->constant || field->phys == PHYS_NULL) {
        *out = column_ref(field);
        return SABOT_OK;
    }
    if (field->constant) {
        struct row_list rows;
        SABOT_TRY(row_list_new(run->program, row->length, &rows, run->err));
        for (int32_t i = 0; i < row->length; i++) { rows.rows[i] = bit_is_set(row->validity, i) ? i : -1; }
        const sabot_status status =
            column_take(run->program->context.pool, field, rows.rows, row->length, out, run->err);
        row_list_free(run->program, &rows);
        return status;
    }
    struct buffer *validity;
    const size_t words = words_of(row->length);
    SABOT_TRY(buffer_new(run->program->context.pool, words * 8, &validity, run->err));
    uint64_t *bits = (uint64_t *)(void *)validity->data;
    for (size_t i = 0; i < words; i++) { bits[i] = row->validity[i]; }
    if (field->validity) {
        for (size_t i = 0; i < words; i++) { bits[i] &= field->validity[i]; }
    }
    struct buffer **owners = malloc((size_t)(field->n_owners + 1) * sizeof *owners);
    if (!owners) {
        buffer_unref(validity);
        return SABOT_FAIL(run->err, SABOT_ERR_MEMORY, "the system has no memory for a column");
    }
    for (int32_t i = 0; i < field->n_owners; i++) { owners[i] = buffer_ref(field->owners[i]); }
    owners[field->n_owners] = validity;
    for (int32_t i = 0; i < field->n_children; i++) { column_ref(field->children[i]); }
    const sabot_status status = column_new(field->phys, field->length, bits, field->values, owners,
                                           field->n_owners + 1, field->children, field->n_children, out, run->err);
    free(owners);
    return status;
}

/* --- CALL, CAST */
static bool constant_is_null(const struct column *column) {
    return column->phys == PHYS_NULL || (column->constant && column->validity && !(column->validity[0] & 1));
}

/* The AND of the arguments' validity into words; false where all are valid. */
static bool any_validity(struct column *const *args, int32_t n_args) {
    for (int32_t i = 0; i < n_args; i++) {
        if (args[i]->validity && !args[i]->constant) { return true; }
    }
    return false;
}

static void combine_validity(struct column *const *args, int32_t n_args, int32_t rows, uint64_t *target) {
    const size_t words = words_of(rows);
    bool first = true;
    for (int32_t i = 0; i < n_args; i++) {
        if (!args[i]->validity || args[i]->constant) { continue; }
        const uint64_t *from = args[i]->validity;
        if (first) {
            memcpy(target, from, words * 8);
        } else {
            for (size_t k = 0; k < words; k++) { target[k] &= from[k]; }
        }
        first = false;
    }
}

/* Rows of the scope that are valid; list->rows stays NULL where all are. */
static sabot_status valid_rows(struct run *run, const struct scope *scope, const uint64_t *bits,
                               struct row_list *list) {
    SABOT_TRY(row_list_new(run->program, scope->n, list, run->err));
    int32_t n = 0;
    for (int32_t i = 0; i < scope->n; i++) {
        const int32_t row = scope->rows ? scope->rows[i] : i;
        list->rows[n] = row;
        n += bit_is_set(bits, row);
    }
    list->n = n;
    if (n == scope->n) { row_list_free(run->program, list); }
    return SABOT_OK;
}

static sabot_status call_kernel(struct run *run, struct node *node, struct column *const *args, bool all_constant,
                                const struct scope *scope, struct column **out) {
    const struct expr *expr = node->expr;
    struct memory_pool *pool = run->program->context.pool;
    const enum phys phys = type_phys(expr->type);
    const bool is_nested = phys == PHYS_LIST || phys == PHYS_ROW || phys == PHYS_NULL;
    const int32_t rows = all_constant ? 1 : run->batch->rows;
    const bool null_aware = expr->flags & FUNCTION_NULL_AWARE;
    const bool with_validity = null_aware || (!all_constant && any_validity(args, expr->n_args));
    struct column_builder result = {0};
    struct row_list valid = {0};
    struct kernel_call call = {
        .context = &run->program->context,
        .expr = expr,
        .args = args,
        .n_args = expr->n_args,
        .rows = all_constant ? NULL : scope->rows,
        .n_rows = all_constant ? 1 : scope->n,
        .result = is_nested ? NULL : &result,
        .physical_rows = rows,
        .scratch = node->scratch,
        .scratch_free = node->scratch_free,
    };
    sabot_status status = SABOT_OK;
    const uint64_t *bits = NULL;
    struct buffer *nested_bits = NULL;
    if (!is_nested) {
        SABOT_TRY(column_builder_init(&result, pool, phys, rows, with_validity, run->err));
        if (with_validity && !null_aware) { combine_validity(args, expr->n_args, rows, result.validity); }
        bits = result.validity;
    } else if (with_validity && !null_aware) {
        SABOT_TRY(buffer_new(pool, words_of(rows) * 8, &nested_bits, run->err));
        combine_validity(args, expr->n_args, rows, (uint64_t *)(void *)nested_bits->data);
        bits = (const uint64_t *)(const void *)nested_bits->data;
    }
    if (bits && !null_aware && !(expr->flags & FUNCTION_DENSE)) {
        status = valid_rows(run, scope, bits, &valid);
        if (status == SABOT_OK && valid.rows) {
            call.rows = valid.rows;
            call.n_rows = valid.n;
        }
    }
    if (status == SABOT_OK) { status = expr->kernel(&call, run->err); }
    node->scratch = call.scratch;
    node->scratch_free = call.scratch_free;
    row_list_free(run->program, &valid);
    buffer_unref(nested_bits);
    if (status != SABOT_OK) {
        column_builder_clear(&result);
        column_unref(call.column);
        return expr_fail_at(status, run->err, expr->span);
    }
    if (call.column) {
        column_builder_clear(&result);
        *out = call.column;
    } else {
        assert(!is_nested);
        SABOT_TRY(column_builder_finish(&result, out, run->err));
    }
    if (all_constant) {
        struct column *one = *out;
        one->constant = true;
        one->length = run->batch->rows;
    }
    return SABOT_OK;
}

static sabot_status eval_call(struct run *run, struct node *node, const struct scope *scope, struct column **out) {
    const struct expr *expr = node->expr;
    struct column *few[8], **args = few;
    if (expr->n_args > 8) {
        args = malloc((size_t)expr->n_args * sizeof *args);
        if (!args) { return SABOT_FAIL(run->err, SABOT_ERR_MEMORY, "the system has no memory for arguments"); }
    }
    sabot_status status = SABOT_OK;
    int32_t made = 0;
    bool all_constant = !(expr->flags & FUNCTION_NOT_DETERMINISTIC), null_constant = false;
    for (; made < expr->n_args; made++) {
        status = eval(run, node->args[made], scope, &args[made]);
        if (status != SABOT_OK) { break; }
        all_constant = all_constant && (args[made]->constant || args[made]->phys == PHYS_NULL);
        null_constant = null_constant || constant_is_null(args[made]);
    }
    const enum phys phys = type_phys(expr->type);
    if (phys == PHYS_LIST || phys == PHYS_ROW || phys == PHYS_NULL) { all_constant = false; }
    if (status == SABOT_OK) {
        if (null_constant && !(expr->flags & FUNCTION_NULL_AWARE)) {
            status = column_all_null(run->program->context.pool, expr->type, run->batch->rows, out, run->err);
        } else {
            status = call_kernel(run, node, args, all_constant, scope, out);
        }
    }
    for (int32_t i = 0; i < made; i++) { column_unref(args[i]); }
    if (args != few) { free(args); }
    return status;
}

/* --- AND, OR */
/* A comparison of columns and constants: it can't fail, and computing it for all rows costs less than a row list. */
static bool is_cheap_condition(const struct expr *expr) {
    if (expr->kind != EXPR_CALL || !(expr->flags & FUNCTION_DENSE) || expr->type.kind != TYPE_BOOL) { return false; }
    for (int32_t i = 0; i < expr->n_args; i++) {
        if (expr->args[i]->kind != EXPR_COLUMN && expr->args[i]->kind != EXPR_LITERAL) { return false; }
    }
    return true;
}

/* All arguments for all rows, where they are cheap and have no NULLs; else *out stays NULL. */
static sabot_status eval_and_or_dense(struct run *run, const struct node *node, const struct scope *scope,
                                      struct column **out) {
    const bool is_or = node->expr->kind == EXPR_OR;
    const int32_t rows = run->batch->rows;
    for (int32_t a = 0; a < node->expr->n_args; a++) {
        if (!is_cheap_condition(node->expr->args[a])) { return SABOT_OK; }
    }
    struct column_builder result;
    SABOT_TRY(column_builder_init(&result, run->program->context.pool, PHYS_BOOL, rows, false, run->err));
    uint8_t *restrict values = result.values;
    sabot_status status = SABOT_OK;
    bool plain = true;
    for (int32_t a = 0; a < node->expr->n_args && status == SABOT_OK && plain; a++) {
        COLUMN_OWNED struct column *arg = NULL;
        status = eval(run, node->args[a], scope, &arg);
        if (status != SABOT_OK) { break; }
        plain = !arg->validity && !arg->constant && arg->phys == PHYS_BOOL;
        const uint8_t *from = arg->values;
        if (!plain) { break; }
        if (a == 0) {
            memcpy(values, from, (size_t)rows);
        } else if (is_or) {
            for (int32_t i = 0; i < rows; i++) { values[i] |= from[i]; }
        } else {
            for (int32_t i = 0; i < rows; i++) { values[i] &= from[i]; }
        }
    }
    if (status == SABOT_OK && plain) { return column_builder_finish(&result, out, run->err); }
    column_builder_clear(&result);
    return status;
}

/* Evaluates each argument only where the ones before leave the answer open: for AND where they are not false. */
static sabot_status eval_and_or(struct run *run, const struct node *node, const struct scope *scope,
                                struct column **out) {
    const bool is_or = node->expr->kind == EXPR_OR;
    if (scope->n >= run->batch->rows / 4) {
        SABOT_TRY(eval_and_or_dense(run, node, scope, out));
        if (*out) { return SABOT_OK; }
    }
    struct column_builder result;
    SABOT_TRY(column_builder_init(&result, run->program->context.pool, PHYS_BOOL, run->batch->rows, false, run->err));
    uint8_t *values = result.values; /* 0, 1, or 2 = NULL until the end */
    struct row_list open = {0};
    sabot_status status = row_list_new(run->program, scope->n, &open, run->err);
    bool any_null = false;
    const uint8_t decided = is_or ? 1 : 0;
    struct scope at = *scope;
    for (int32_t a = 0; a < node->expr->n_args && status == SABOT_OK && at.n > 0; a++) {
        struct column *arg = NULL;
        status = eval(run, node->args[a], &at, &arg);
        if (status != SABOT_OK) { break; }
        int32_t n = 0;
        for (int32_t i = 0; i < at.n; i++) {
            const int32_t row = at.rows ? at.rows[i] : i;
            uint8_t value = 2;
            if (!column_is_null(arg, row)) { value = ((const uint8_t *)arg->values)[column_at(arg, row)]; }
            const uint8_t before = a == 0 ? (uint8_t)!decided : values[row];
            /* a decided value wins; else NULL sticks */
            values[row] = value == decided ? decided : (value == 2 || before == 2) ? 2 : (uint8_t)!decided;
            any_null = any_null || values[row] == 2;
            open.rows[n] = row;
            n += value != decided;
        }
        column_unref(arg);
        open.n = n;
        if (n < at.n || a == 0) {
            const struct scope *parent = a == 0 ? scope : at.parent;
            at = scope_below(run, parent, &open);
        }
    }
    row_list_free(run->program, &open);
    if (status == SABOT_OK && any_null) { status = column_builder_add_validity(&result, run->err); }
    if (status == SABOT_OK) {
        for (int32_t i = 0; any_null && i < scope->n; i++) {
            const int32_t row = scope->rows ? scope->rows[i] : i;
            if (values[row] == 2) {
                column_builder_set_null(&result, row);
                values[row] = 0;
            }
        }
        return column_builder_finish(&result, out, run->err);
    }
    column_builder_clear(&result);
    return status;
}

/* --- CASE */
static void scatter(enum phys phys, const struct column *from, const struct scope *scope, void *target) {
#define SCATTER(type)                                                                                                  \
    do {                                                                                                               \
        const type *source = from->values;                                                                             \
        type *to = target;                                                                                             \
        if (from->constant) {                                                                                          \
            const type value = source[0];                                                                              \
            for (int32_t i = 0; i < scope->n; i++) { to[scope->rows ? scope->rows[i] : i] = value; }                   \
        } else {                                                                                                       \
            for (int32_t i = 0; i < scope->n; i++) {                                                                   \
                const int32_t row = scope->rows ? scope->rows[i] : i;                                                  \
                to[row] = source[row];                                                                                 \
            }                                                                                                          \
        }                                                                                                              \
    } while (0)
    switch (phys_size(phys)) {
    case 1: SCATTER(uint8_t); break;
    case 2: SCATTER(uint16_t); break;
    case 4: SCATTER(uint32_t); break;
    case 8: SCATTER(uint64_t); break;
    case 16: SCATTER(struct string_view); break;
    default: break;
    }
#undef SCATTER
}

/* Puts a branch's values at the rows of the scope. */
static sabot_status place_branch(struct column_builder *result, const struct column *branch, const struct scope *scope,
                                 struct sabot_error *err) {
    if (branch->validity || branch->phys == PHYS_NULL) {
        SABOT_TRY(column_builder_add_validity(result, err));
        for (int32_t i = 0; i < scope->n; i++) {
            const int32_t row = scope->rows ? scope->rows[i] : i;
            if (column_is_null(branch, row)) { column_builder_set_null(result, row); }
        }
    }
    if (branch->phys == PHYS_NULL) { return SABOT_OK; }
    scatter(result->phys, branch, scope, result->values);
    return result->phys == PHYS_VIEW ? column_builder_share(result, branch, err) : SABOT_OK;
}

/* Nested values: branches end to end, then rows picked. */
struct nested_case {
    struct column **branches;
    int32_t n;
    int32_t *rows; /* per physical row: where its value stands in the branches end to end, -1 = NULL */
};

static sabot_status nested_place(struct nested_case *nested, struct column *branch, const struct scope *scope) {
    int64_t base = 0;
    for (int32_t i = 0; i < nested->n; i++) { base += nested->branches[i]->length; }
    for (int32_t i = 0; i < scope->n; i++) {
        const int32_t row = scope->rows ? scope->rows[i] : i;
        nested->rows[row] = column_is_null(branch, row) ? -1 : (int32_t)(base + row);
    }
    nested->branches[nested->n++] = column_ref(branch);
    return SABOT_OK;
}

static sabot_status nested_finish(struct run *run, const struct nested_case *nested, struct type type,
                                  struct column **out) {
    struct memory_pool *pool = run->program->context.pool;
    if (nested->n == 0) { return column_all_null(pool, type, run->batch->rows, out, run->err); }
    struct column *all;
    SABOT_TRY(column_concat(pool, nested->branches, nested->n, &all, run->err));
    const sabot_status status = column_take(pool, all, nested->rows, run->batch->rows, out, run->err);
    column_unref(all);
    return status;
}

static sabot_status eval_case(struct run *run, const struct node *node, const struct scope *scope,
                              struct column **out) {
    struct program *program = run->program;
    const enum phys phys = type_phys(node->expr->type);
    const bool is_nested = phys == PHYS_LIST || phys == PHYS_ROW;
    const int32_t rows = run->batch->rows, n_args = node->expr->n_args;
    if (phys == PHYS_NULL) { return column_all_null(program->context.pool, node->expr->type, rows, out, run->err); }
    struct column_builder result = {0};
    struct nested_case nested = {0};
    struct row_list taken = {0}, rest[2] = {{0}, {0}};
    sabot_status status = SABOT_OK;
    if (is_nested) {
        nested.branches = calloc((size_t)n_args, sizeof *nested.branches);
        nested.rows = malloc(((size_t)rows + 1) * sizeof *nested.rows);
        if (!nested.branches || !nested.rows) {
            status = SABOT_FAIL(run->err, SABOT_ERR_MEMORY, "the system has no memory for CASE");
        }
        for (int32_t i = 0; status == SABOT_OK && i < rows; i++) { nested.rows[i] = -1; }
    } else {
        status = column_builder_init(&result, program->context.pool, phys, rows, false, run->err);
    }
    if (status == SABOT_OK) { status = row_list_new(program, scope->n, &taken, run->err); }
    for (int i = 0; i < 2 && status == SABOT_OK; i++) { status = row_list_new(program, scope->n, &rest[i], run->err); }

    struct scope open = *scope;
    for (int32_t a = 0; a < n_args && status == SABOT_OK && open.n > 0; a += 2) {
        struct column *branch = NULL;
        struct scope chosen = open;
        const bool is_else = a + 1 == n_args;
        if (!is_else) {
            struct column *condition = NULL;
            status = eval(run, node->args[a], &open, &condition);
            if (status != SABOT_OK) { break; }
            struct row_list *others = &rest[a / 2 % 2]; /* the other one holds the rows that are open now */
            others->n = taken.n = 0;
            split_rows(condition, &open, &taken, others);
            column_unref(condition);
            const struct scope *parent = scope;
            const struct scope before = open;
            if (taken.n < before.n) { chosen = scope_below(run, parent, &taken); }
            open = scope_below(run, parent, others);
            if (others->n == before.n) { /* the same rows, and what was computed for them serves on */
                open.id = before.id;
                open.parent = before.parent;
            }
        }
        if (chosen.n > 0 && (is_else || taken.n > 0)) {
            status = eval(run, node->args[is_else ? a : a + 1], &chosen, &branch);
            if (status == SABOT_OK) {
                status = is_nested ? nested_place(&nested, branch, &chosen)
                                   : place_branch(&result, branch, &chosen, run->err);
            }
            column_unref(branch);
        }
        if (is_else) { break; }
    }
    row_list_free(program, &taken);
    row_list_free(program, &rest[0]);
    row_list_free(program, &rest[1]);
    if (is_nested) {
        if (status == SABOT_OK) { status = nested_finish(run, &nested, node->expr->type, out); }
        for (int32_t i = 0; i < nested.n; i++) { column_unref(nested.branches[i]); }
        free(nested.branches);
        free(nested.rows);
        return status;
    }
    if (status == SABOT_OK) { return column_builder_finish(&result, out, run->err); }
    column_builder_clear(&result);
    return status;
}

static sabot_status eval_fresh(struct run *run, struct node *node, const struct scope *scope, struct column **out) {
    switch (node->expr->kind) {
    case EXPR_COLUMN: *out = column_ref(run->batch->columns[node->expr->index]); return SABOT_OK;
    case EXPR_FIELD: return eval_field(run, node, scope, out);
    case EXPR_LITERAL: return constant_of_length(node->literal, run->batch->rows, out, run->err);
    case EXPR_CALL:
    case EXPR_CAST: return eval_call(run, node, scope, out);
    case EXPR_CASE: return eval_case(run, node, scope, out);
    case EXPR_AND:
    case EXPR_OR: return eval_and_or(run, node, scope, out);
    }
    return SABOT_FAIL(run->err, SABOT_ERR_INTERNAL, "an expression of kind %d", (int)node->expr->kind);
}

static sabot_status eval(struct run *run, int32_t number, const struct scope *scope, struct column **out) {
    *out = NULL;
    struct node *node = &run->program->nodes[number];
    if (node->uses == 1 || node->expr->kind == EXPR_COLUMN) { return eval_fresh(run, node, scope, out); }
    if (node->kept) {
        for (const struct scope *at = scope; at; at = at->parent) {
            if (at->id == node->kept_scope) {
                *out = column_ref(node->kept);
                return SABOT_OK;
            }
        }
    }
    SABOT_TRY(eval_fresh(run, node, scope, out));
    column_unref(node->kept);
    node->kept = column_ref(*out);
    node->kept_scope = scope->id;
    return SABOT_OK;
}

static void forget_kept(struct program *program) {
    for (int32_t i = 0; i < program->n_nodes; i++) {
        column_unref(program->nodes[i].kept);
        program->nodes[i].kept = NULL;
    }
}

static struct scope scope_of_batch(struct program *program, const struct batch *batch) {
    return (struct scope){.rows = batch->selection, .n = batch->selected, .id = ++program->scopes};
}

sabot_status program_eval(struct program *program, const struct batch *batch, struct column **columns,
                          struct sabot_error *err) {
    struct run run = {.program = program, .batch = batch, .err = err};
    const struct scope scope = scope_of_batch(program, batch);
    sabot_status status = SABOT_OK;
    for (int32_t i = 0; i < program->n_roots; i++) { columns[i] = NULL; }
    for (int32_t i = 0; i < program->n_roots && status == SABOT_OK; i++) {
        status = eval(&run, program->roots[i], &scope, &columns[i]);
    }
    forget_kept(program);
    if (status != SABOT_OK) {
        for (int32_t i = 0; i < program->n_roots; i++) {
            column_unref(columns[i]);
            columns[i] = NULL;
        }
    }
    return status;
}

/* Rows of the scope where the node is true: an AND narrows step by step. */
static sabot_status true_rows(struct run *run, int32_t number, const struct scope *scope, struct row_list *out) {
    const struct node *node = &run->program->nodes[number];
    if (node->expr->kind != EXPR_AND) {
        COLUMN_OWNED struct column *condition = NULL;
        SABOT_TRY(eval(run, number, scope, &condition));
        split_rows(condition, scope, out, NULL);
        return SABOT_OK;
    }
    struct scope at = *scope;
    for (int32_t a = 0; a < node->expr->n_args; a++) {
        out->n = 0;
        SABOT_TRY(true_rows(run, node->args[a], &at, out)); /* reads the list and writes it behind its reading */
        if (out->n == 0) { break; }
        at = scope_below(run, scope, out);
    }
    return SABOT_OK;
}

sabot_status program_filter(struct program *program, struct batch *batch, struct batch **out, struct sabot_error *err) {
    assert(program->n_roots == 1);
    BATCH_OWNED struct batch *input = batch;
    *out = NULL;
    struct run run = {.program = program, .batch = input, .err = err};
    const struct scope scope = scope_of_batch(program, input);
    struct buffer *selection;
    SABOT_TRY(buffer_new(program->context.pool, ((size_t)input->selected + 8) * sizeof(int32_t), &selection, err));
    struct row_list list = {.rows = (int32_t *)(void *)selection->data};
    const sabot_status status = true_rows(&run, program->roots[0], &scope, &list);
    forget_kept(program);
    if (status != SABOT_OK || list.n == 0) {
        buffer_unref(selection);
        return status;
    }
    if (list.n == input->selected) {
        buffer_unref(selection);
        *out = batch_ref(input);
        return SABOT_OK;
    }
    return batch_with_selection(input, selection, list.n, out, err);
}
