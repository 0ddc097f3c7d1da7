/* Syntax tree -> SQL text that parses to the same tree: SHOW CREATE, EXPLAIN, names of unnamed columns. */
#ifndef SQL_FORMAT_H
#define SQL_FORMAT_H

#include "sql/ast.h"

/* Each returns text in `arena` or NULL when it is exhausted. Identifiers are quoted where the text needs it. */
const char *sql_format_expr(struct arena *arena, const struct sql_expr *expr);
const char *sql_format_type(struct arena *arena, const struct sql_type *type);
const char *sql_format_path(struct arena *arena, const struct sql_path *path);
const char *sql_format_query(struct arena *arena, const struct sql_query *query);
const char *sql_format_statement(struct arena *arena, const struct sql_statement *statement);

#endif
