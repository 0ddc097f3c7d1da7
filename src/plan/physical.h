/* Logical plan -> job graph: chaining, exchanges, two-phase aggregation, operator uids. */
#ifndef PLAN_PHYSICAL_H
#define PLAN_PHYSICAL_H

#include "plan/plan.h"
#include "runtime/job.h"

struct physical_plan; /* owns the graph, its options and a reference to every table in it */

struct physical_options {
    int32_t parallelism;           /* of operators, but where all rows must meet */
    bool keeps_exchanges;          /* with parallelism 1 the vertices and edges are those of a larger one: a checkpoint
                                      that the job starts from has rows on them */
    bool two_phase;                /* aggregate before the exchange where that is possible */
    bool batch;                    /* what ends is read whole before anybody looks at results */
    int64_t state_ttl_ms;          /* of state that no window or interval ends; 0 = for ever */
    bool late_ledger;              /* late rows themselves are wanted, so they must reach the judge of lateness */
    int64_t idle_timeout_ns;
    int64_t lookup_reload_ns;      /* a lookup join's table is read again when it is older; 0 = never */
    int64_t alignment_drift_ms;
    /* References to what the plan reads, given back by release(owner) in physical_free; on failure too. */
    void (*release)(void *owner);
    void *owner;
};

/* Builds one graph of all sinks (roots are SINK nodes after plan_optimize). Takes over *plans, which is empty
 * afterwards, on every path. uid_prefixes: one per root, unique, stable: operator uids are "<prefix>/<operator>[-n]".
 */
sabot_status physical_build(struct plan_arena *plans, struct plan *const *roots, const char *const *uid_prefixes,
                            int32_t n_roots, const struct physical_options *options, struct physical_plan **out,
                            struct sabot_error *err);

/* The graph to hand to job_start; borrowed: lives as long as the plan. */
const struct job_graph *physical_graph(const struct physical_plan *plan);
bool physical_is_bounded(const struct physical_plan *plan);
void physical_free(struct physical_plan *plan); /* NULL is allowed; the job must have been freed before */

/* The vertices with their chains, exchanges and types, as EXPLAIN's execution plan. */
void physical_print(const struct physical_plan *plan, struct text *target);

#endif
