/* The ends of a job in this process: rows collected for a reader, rows from an Arrow stream, rows that stand in memory.
 *
 * Connectors "collect" (sink), "stream" and "batches" (sources); they find their object in connector_table.memory. They
 * can't be named in SQL's WITH: the engine makes tables of them. */
#ifndef CONNECT_MEMORY_MEMORY_H
#define CONNECT_MEMORY_MEMORY_H

#include "connect/connector.h"

struct ArrowArrayStream;

/* --- collect: a bounded queue between the sink's tasks and one reader thread */
struct collect;
/* At most batches_max batches wait; then the sink's tasks do (back-pressure). */
sabot_status collect_new(struct env *env, int32_t batches_max, struct collect **out, struct sabot_error *err);
enum collect_state {
    COLLECT_BATCH,
    COLLECT_WAIT /* nothing within the time */,
    COLLECT_END /* all tasks have finished */
};
/* Waits at most timeout_ns (negative: no limit). A batch is the caller's. One thread at a time. */
enum collect_state collect_next(struct collect *collect, int64_t timeout_ns, struct batch **out);
/* The reader is gone: what waits is dropped, and what comes is taken and dropped. Any thread. */
void collect_close(struct collect *collect);
/* The last call; no job may write to it any more. */
void collect_free(struct collect *collect); /* NULL is allowed */

/* The columns that the query reads (table->schema), by name. */
sabot_status memory_project(const struct connector_table *table, const struct batch *from, struct batch **out,
                            struct sabot_error *err);

/* --- stream: an ArrowArrayStream that is read once, by subtask 0 */
struct stream_table;
/* Takes over `stream` on every path. */
sabot_status stream_table_new(struct ArrowArrayStream *stream, struct stream_table **out, struct sabot_error *err);
/* True (the default): get_next is called on a helper thread; else the task itself calls it, which saves two thread
 * switches a batch. */
void stream_table_set_blocking(struct stream_table *table, bool may_block);
struct schema *stream_table_schema(const struct stream_table *table); /* borrowed */
void stream_table_free(void *table);                                  /* struct stream_table *; NULL is allowed */

/* --- batches: immutable batches, read by all subtasks (batch i by subtask i mod parallelism), as often as wanted */
struct batches_table {
    struct schema *schema;
    struct batch *const *batches;
    int32_t n_batches;
    int64_t repeat; /* how many times all of them are read; 0 = once */
};

#endif
