/* What the functions that read and write JSON share (functions_json.c). */
#ifndef EXPR_FUNCTIONS_JSON_H
#define EXPR_FUNCTIONS_JSON_H

#include "expr/json_path.h"
#include "expr/signature.h"

sabot_status json_no_memory(struct sabot_error *err);
/* The call keeps the reader as its scratch. */
sabot_status json_find(struct kernel_call *call, struct slice text, const struct json_steps *steps,
                       enum json_text form, struct json_hit *hit, struct sabot_error *err);

#endif
