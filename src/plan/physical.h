/* Logical plan -> job graph: chaining, exchanges, two-phase aggregation, operator uids. */
#ifndef PLAN_PHYSICAL_H
#define PLAN_PHYSICAL_H

#include "plan/plan.h"
#include "runtime/job.h"

struct physical_plan; /* owns the graph, its options and a reference to every table in it */

/* The graph to hand to job_start; borrowed: lives as long as the plan. */
const struct job_graph *physical_graph(const struct physical_plan *plan);
void physical_free(struct physical_plan *plan); /* NULL is allowed; the job must have been freed before */

#endif
