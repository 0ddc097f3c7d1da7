/* Rewriting of bound expressions when the columns under them change. */
#include "plan/plan.h"

#include "expr/function.h"

#include <assert.h>
#include <string.h>

bool expr_is_cheap(const struct expr *expr) {
    if (expr->kind == EXPR_FIELD) { return expr_is_cheap(expr->args[0]); }
    return expr->kind == EXPR_COLUMN || expr->kind == EXPR_LITERAL;
}

int32_t expr_size(const struct expr *expr, int32_t limit) {
    int32_t size = 1;
    for (int32_t i = 0; i < expr->n_args && size < limit; i++) {
        size += expr_size(expr->args[i], limit - size);
    }
    return size;
}

/* The field of a row by the name it had in another row type; -1: none. */
static int32_t field_again(struct type row, const char *name) {
    for (int32_t i = 0; i < row.n_fields; i++) {
        if (strcmp(row.fields[i].name, name) == 0) { return i; }
    }
    return -1;
}

sabot_status expr_rewrite(struct plan_arena *plans, const struct expr *expr, struct expr *const *replacements,
                          int32_t n, struct expr **out, struct sabot_error *err) {
    if (expr->kind == EXPR_COLUMN) {
        assert(expr->index < n);
        struct expr *replacement = replacements[expr->index];
        *out = replacement ? replacement : (struct expr *)(uintptr_t)expr;
        return SABOT_OK;
    }
    struct expr *copy = NULL; /* made when the first argument differs */
    for (int32_t i = 0; i < expr->n_args; i++) {
        struct expr *arg = NULL;
        SABOT_TRY(expr_rewrite(plans, expr->args[i], replacements, n, &arg, err));
        if (arg == expr->args[i]) { continue; }
        if (!copy) {
            copy = ARENA_NEW(&plans->arena, struct expr);
            struct expr **args = arena_alloc(&plans->arena, (size_t)expr->n_args * sizeof *args);
            if (!copy || !args) { return PLAN_NO_MEMORY(err); }
            *copy = *expr;
            memcpy(args, expr->args, (size_t)expr->n_args * sizeof *args);
            copy->args = args;
        }
        copy->args[i] = arg;
    }
    if (copy && copy->kind == EXPR_FIELD) {
        const struct type before = expr->args[0]->type;
        copy->index = field_again(copy->args[0]->type, before.fields[expr->index].name);
        assert(copy->index >= 0);
        copy->type = copy->args[0]->type.fields[copy->index].type;
        copy->type.nullable = expr->type.nullable;
    }
    *out = copy ? copy : (struct expr *)(uintptr_t)expr;
    return SABOT_OK;
}

sabot_status expr_remap(struct plan_arena *plans, const struct expr *expr, const int32_t *map, struct expr **out,
                        struct sabot_error *err) {
    if (expr->kind != EXPR_COLUMN && expr->n_args == 0) {
        *out = (struct expr *)(uintptr_t)expr;
        return SABOT_OK;
    }
    struct expr *copy = ARENA_NEW(&plans->arena, struct expr);
    if (!copy) { return PLAN_NO_MEMORY(err); }
    *copy = *expr;
    if (expr->kind == EXPR_COLUMN) {
        assert(map[expr->index] >= 0);
        copy->index = map[expr->index];
    } else {
        copy->args = arena_alloc(&plans->arena, (size_t)expr->n_args * sizeof *copy->args);
        if (!copy->args) { return PLAN_NO_MEMORY(err); }
        for (int32_t i = 0; i < expr->n_args; i++) {
            SABOT_TRY(expr_remap(plans, expr->args[i], map, &copy->args[i], err));
        }
    }
    *out = copy;
    return SABOT_OK;
}

bool expr_is_call_of(const struct expr *expr, const char *name, int32_t n_args) {
    return expr->kind == EXPR_CALL && expr->n_args == n_args && expr->function &&
           strcmp(expr->function->name, name) == 0;
}

sabot_status expr_sides_of(struct plan_arena *plans, const struct expr *expr, int32_t n_left, int32_t n,
                           struct expr_sides *out, struct sabot_error *err) {
    bool *used = arena_alloc(&plans->arena, (size_t)n + 1);
    if (!used) { return PLAN_NO_MEMORY(err); }
    expr_columns(expr, used, n);
    *out = (struct expr_sides){false, false};
    for (int32_t i = 0; i < n; i++) { *(i < n_left ? &out->left : &out->right) |= used[i]; }
    return SABOT_OK;
}

sabot_status expr_for_right(struct plan_arena *plans, const struct expr *expr, int32_t n_left, int32_t n,
                            struct expr **out, struct sabot_error *err) {
    int32_t *map = arena_alloc(&plans->arena, (size_t)(n + 1) * sizeof *map);
    if (!map) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < n; i++) { map[i] = i - n_left; }
    return expr_remap(plans, expr, map, out, err);
}

static int32_t count_conjuncts(const struct expr *condition) {
    if (condition->kind != EXPR_AND) { return 1; }
    int32_t n = 0;
    for (int32_t i = 0; i < condition->n_args; i++) {
        n += count_conjuncts(condition->args[i]);
    }
    return n;
}

static void gather_conjuncts(struct expr *condition, struct expr **target, int32_t *n) {
    if (condition->kind != EXPR_AND) {
        target[(*n)++] = condition;
        return;
    }
    for (int32_t i = 0; i < condition->n_args; i++) {
        gather_conjuncts(condition->args[i], target, n);
    }
}

sabot_status expr_conjuncts(struct plan_arena *plans, struct expr *condition, struct expr ***out, int32_t *n,
                            struct sabot_error *err) {
    struct expr **target = arena_alloc(&plans->arena, (size_t)count_conjuncts(condition) * sizeof *target);
    if (!target) { return PLAN_NO_MEMORY(err); }
    *n = 0;
    gather_conjuncts(condition, target, n);
    *out = target;
    return SABOT_OK;
}

sabot_status expr_conjunction(struct plan_arena *plans, struct expr *const *conditions, int32_t n, struct expr **out,
                              struct sabot_error *err) {
    assert(n >= 1);
    if (n == 1) {
        *out = conditions[0];
        return SABOT_OK;
    }
    struct expr *both = ARENA_NEW(&plans->arena, struct expr);
    struct expr **args = arena_alloc(&plans->arena, (size_t)n * sizeof *args);
    if (!both || !args) { return PLAN_NO_MEMORY(err); }
    memcpy(args, conditions, (size_t)n * sizeof *args);
    *both = (struct expr){.kind = EXPR_AND, .type = type_not_null(type_of(TYPE_BOOL)), .span = conditions[0]->span,
                          .args = args, .n_args = n};
    for (int32_t i = 0; i < n; i++) {
        both->type.nullable = both->type.nullable || conditions[i]->type.nullable;
    }
    *out = both;
    return SABOT_OK;
}
