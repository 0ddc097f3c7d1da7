/* SQL text -> syntax tree (ast.h). */
#ifndef SQL_PARSE_H
#define SQL_PARSE_H

#include "sql/ast.h"

/* Parses a script of statements separated by ';' (the last one may lack it). On success the caller owns *script and
 * frees it with sql_script_free. On failure err holds line, column, length and what was found and expected
 * (SABOT_ERR_SQL; SABOT_ERR_MEMORY past a limit) and *script is NULL. */
sabot_status sql_parse(const char *text, size_t size, struct sql_script **script, struct sabot_error *err);
void sql_script_free(struct sql_script *script);

/* One expression or type by itself, as a script whose only statement is SELECT <expr>; for tests and options. */
sabot_status sql_parse_expr(const char *text, size_t size, struct sql_script **script, struct sql_expr **expr,
                            struct sabot_error *err);

/* Whether a shell may hand the text to sql_parse: true when it ends with ';' outside of quotes, comments and
 * BEGIN .. END. A text that can't become right by typing more is complete too, so that its error is shown. */
bool sql_parse_is_complete(const char *text, size_t size);

#endif
