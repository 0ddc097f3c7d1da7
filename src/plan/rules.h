/* Rewrite rules over logical plans. Each keeps the columns of the plan's root, and its rows. */
#ifndef PLAN_RULES_H
#define PLAN_RULES_H

#include "plan/plan.h"

/* All rules, in order: fold constants, push filters down, merge projections, find the keys of joins and windowed
 * aggregates, prune columns, derive changelogs.
 * Once per plan: what is pruned can't be pruned again. */
sabot_status plan_optimize(struct plan_arena *plans, struct plan *plan, struct plan **out, struct sabot_error *err);

sabot_status rule_push_filters(struct plan_arena *plans, struct plan *plan, struct plan **out, struct sabot_error *err);
sabot_status rule_merge_projects(struct plan_arena *plans, struct plan *plan, struct plan **out,
                                 struct sabot_error *err);
/* Grouping sets over a window function: rows are expanded before they get their windows (rule_expand.c). */
sabot_status rule_expands(struct plan_arena *plans, struct plan *plan, struct plan **out, struct sabot_error *err);
/* AGGREGATE whose keys hold the start and end of a window -> WINDOW_AGGREGATE (rule_window.c). */
sabot_status rule_window_aggregates(struct plan_arena *plans, struct plan *plan, struct plan **out,
                                    struct sabot_error *err);
/* ROW_NUMBER() in the order of time that nothing limits -> OVER: rows come out once (rule_over.c). */
sabot_status rule_over(struct plan_arena *plans, struct plan *plan, struct plan **out, struct sabot_error *err);
/* Equalities of a join's condition become its keys; finds window and interval joins (rule_join.c). */
sabot_status rule_joins(struct plan_arena *plans, struct plan *plan, struct plan **out, struct sabot_error *err);
/* Fills in what changes come out of every node; refuses what can't take them (rule_changes.c). */
sabot_status rule_changes(struct plan_arena *plans, struct plan *plan, struct plan **out, struct sabot_error *err);
/* Drops columns and fields of rows that nothing reads; fills in what scans read (rule_prune.c). */
sabot_status rule_prune(struct plan_arena *plans, struct plan *plan, struct plan **out, struct sabot_error *err);

/* Whether an AGGREGATE groups by the start and the end of a window. */
bool plan_groups_by_window(const struct plan *aggregate);
/* The window of that id at or below the plan; NULL: none. */
const struct window_spec *plan_find_window(const struct plan *plan, int32_t id);

/* Applies a rule to all inputs of a node. */
typedef sabot_status (*plan_rule)(struct plan_arena *plans, struct plan *plan, struct plan **out,
                                  struct sabot_error *err);
sabot_status plan_rewrite_inputs(struct plan_arena *plans, struct plan *plan, plan_rule rule, struct plan **out,
                                 struct sabot_error *err);

#endif
