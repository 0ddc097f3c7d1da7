/* Process functions as they are declared, in C or in a shared library: checked, and copied. */
#ifndef SQL_PROCESS_FUNCTION_H
#define SQL_PROCESS_FUNCTION_H

#include "ops/process/process.h"

sabot_status process_function_new(const struct sabot_process_function *given, const char *name,
                                  struct process_function **out, struct sabot_error *err);
/* Of a shared library, which stays loaded. A file name without a slash is looked for as dlopen does. */
sabot_status process_function_load(const char *library, const char *symbol, const char *name,
                                   struct process_function **out, struct sabot_error *err);
void process_function_free(struct process_function *function); /* NULL is allowed */

#endif
