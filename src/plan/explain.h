/* Plans as text, for EXPLAIN and operator labels. */
#ifndef PLAN_EXPLAIN_H
#define PLAN_EXPLAIN_H

#include "base/text.h"
#include "plan/plan.h"

enum explain_style {
    EXPLAIN_LOGICAL,  /* "LogicalProject(..)" */
    EXPLAIN_PHYSICAL, /* "Project(..)" */
    EXPLAIN_CHANGELOG, /* the same with changelogMode=[..] */
    EXPLAIN_LOCAL     /* the local half of a windowed aggregation */
};

/* One node on one line, without its inputs. */
void explain_node(const struct plan *node, enum explain_style style, struct text *target);
/* What a node's state depends on besides its columns, which are found by name; nothing: NULL at no cost. */
void explain_meaning(const struct plan *node, struct text *target);
/* The tree, root first, one node a line, indented as Flink does. */
void explain_tree(const struct plan *root, enum explain_style style, struct text *target);

#endif
