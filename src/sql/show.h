/* SHOW, DESCRIBE and SET without a value: rows about the catalogue and the settings. */
#ifndef SQL_SHOW_H
#define SQL_SHOW_H

#include "sql/statement.h"

sabot_status show_execute(const struct statement_context *context, const struct sql_show *show, struct batch **out,
                          struct sabot_error *err);
sabot_status describe_execute(const struct statement_context *context, const struct sql_describe *describe,
                              struct sql_span span, struct batch **out, struct sabot_error *err);
/* One cell. */
sabot_status statement_text_rows(struct memory_pool *pool, const char *title, const char *text, struct batch **out,
                                 struct sabot_error *err);
sabot_status settings_show(const struct statement_context *context, struct batch **out, struct sabot_error *err);

#endif
