/* Rows on standard output: a table for people, CSV, JSON lines or an Arrow IPC stream for programs. */
#ifndef CLI_OUTPUT_H
#define CLI_OUTPUT_H

#include "arrow/batch.h"
#include "base/env.h"

enum output_kind { OUTPUT_TABLE, OUTPUT_CSV, OUTPUT_JSON, OUTPUT_ARROW };
/* "table", "csv", "json", "arrow"; false for other texts. */
bool output_kind_parse(const char *text, enum output_kind *out);

struct output;
/* fold: a changelog is folded to the final table, which is written at the end (bounded queries). Else the rows of a
 * changelog get a first column `op` (+I, -U, +U, -D). `upsert_key`: columns by which a later row replaces an earlier
 * one, for changelogs without -U; NULL: none. */
struct output_options {
    enum output_kind kind;
    bool updating, fold;
    const int32_t *upsert_key;
    int32_t n_upsert_key;
};
sabot_status output_new(struct env *env, struct memory_pool *pool, struct schema *schema,
                        const struct output_options *options, struct output **out, struct sabot_error *err);
sabot_status output_write(struct output *output, struct batch *batch, struct sabot_error *err); /* borrows */
sabot_status output_end(struct output *output, struct sabot_error *err);
/* Hands on what has been written so far: a live query must not wait for a full buffer. */
sabot_status output_flush(struct output *output, struct sabot_error *err);
int64_t output_rows(const struct output *output); /* written so far */
void output_free(struct output *output); /* NULL is allowed */

#endif
