/* Rewrite rules over logical plans. Each keeps the columns of the plan's root, and its rows. */
#ifndef PLAN_RULES_H
#define PLAN_RULES_H

#include "plan/plan.h"

/* All rules, in order: fold constants, push filters down, merge projections, find windowed aggregates, prune columns.
 * Once per plan: what is pruned can't be pruned again. */
sabot_status plan_optimize(struct plan_arena *plans, struct plan *plan, struct plan **out, struct sabot_error *err);

sabot_status rule_push_filters(struct plan_arena *plans, struct plan *plan, struct plan **out, struct sabot_error *err);
sabot_status rule_merge_projects(struct plan_arena *plans, struct plan *plan, struct plan **out,
                                 struct sabot_error *err);
/* AGGREGATE whose keys hold the start and end of a window -> WINDOW_AGGREGATE (rule_window.c). */
sabot_status rule_window_aggregates(struct plan_arena *plans, struct plan *plan, struct plan **out,
                                    struct sabot_error *err);
/* Drops columns and fields of rows that nothing reads; fills in what scans read (rule_prune.c). */
sabot_status rule_prune(struct plan_arena *plans, struct plan *plan, struct plan **out, struct sabot_error *err);

/* Applies a rule to all inputs of a node. */
typedef sabot_status (*plan_rule)(struct plan_arena *plans, struct plan *plan, struct plan **out,
                                  struct sabot_error *err);
sabot_status plan_rewrite_inputs(struct plan_arena *plans, struct plan *plan, plan_rule rule, struct plan **out,
                                 struct sabot_error *err);

#endif
