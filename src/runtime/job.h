/* Jobs: a physical plan (job graph) and its run.
 *
 * A vertex is a chain of operators that runs as `parallelism` tasks; an edge is an exchange between two vertices. The
 * graph is immutable once the job has started, and owned by its maker. */
#ifndef RUNTIME_JOB_H
#define RUNTIME_JOB_H

#include "base/env.h"
#include "ops/op.h"
#include "ops/services.h"
#include "store/store.h"

enum exchange {
    EXCHANGE_FORWARD,   /* subtask i -> subtask i (same parallelism) */
    EXCHANGE_HASH,      /* by key group of the key columns */
    EXCHANGE_BROADCAST,
    EXCHANGE_REBALANCE, /* round robin by batch */
    EXCHANGE_GATHER     /* all -> subtask 0 (parallelism 1) */
};
const char *exchange_name(enum exchange exchange);

struct job_edge {
    int32_t from;          /* vertex index */
    int32_t input;         /* which input of the first operator it feeds (0 or 1) */
    enum exchange exchange;
    const int32_t *keys;   /* HASH: columns of the producer's output */
    int32_t n_keys;
};
struct job_vertex {
    const char *name;
    const struct op_spec *const *ops; /* the chain, upstream first; ops[0] of a vertex without edges is a source */
    int32_t n_ops;
    int32_t parallelism;
    const struct job_edge *edges;     /* inputs; several edges may feed one input (UNION ALL) */
    int32_t n_edges;
};
struct job_graph {
    const struct job_vertex *vertices; /* topological order */
    int32_t n_vertices;
};

struct job_options {
    const char *name;
    int32_t workers;             /* threads; 0 = number of cores, at most the largest parallelism */
    int32_t max_parallelism;     /* key groups; 0 = 128 */
    int32_t batch_rows;          /* 0 = BATCH_ROWS_DEFAULT */
    int64_t latency_target_ns;   /* 0 = 10 ms */
    int32_t channel_batches;     /* capacity of a channel; 0 = 8 */
    struct memory_pool *memory;  /* parent of the job's pool; NULL = the process's */
    int64_t memory_limit;        /* of the job; 0 = only the parent's */
    const char *spill_dir;       /* where state goes that is larger than memory; NULL = a temporary folder */
    bool spills_all;             /* for tests: with a limit, state goes to disk at once, also the smallest */
    const char *state_backend;   /* of key-value state: "memory", "rocksdb", "tonbo"; NULL = memory */
    const char *state_dir;       /* rocksdb, tonbo: where folders are made; NULL = a temporary folder */
    const char *system_state_dir; /* where the job keeps a record of itself (runtime/record.h); NULL: see there */
    int64_t state_memory;        /* rocksdb: cache and buffers of an operator instance; 0 = a default */
    int32_t state_cache_rows;    /* rocksdb, tonbo: entries of a state in memory; 0 = a default */
    const char *time_zone;       /* NULL = UTC */
    bool wrap_overflow;
    bool bounded;                /* all sources end */
    enum { JOB_ON_ERROR_SKIP, JOB_ON_ERROR_FAIL, JOB_ON_ERROR_DEAD_LETTER } on_error;
    const char *dead_letter_path; /* JSON lines: place, reason, record (base64 where not UTF-8); NULL = only counted */
    const char *late_path;        /* late ledger, JSON lines: rule, watermark, lateness, row; NULL = only counted */
    const char *checkpoint_dir;   /* NULL = no checkpoints */
    int64_t checkpoint_interval_ns;
    int64_t checkpoint_timeout_ns; /* 0 = 10 min */
    int64_t checkpoint_min_pause_ns; /* between two of the interval's */
    bool unaligned;                /* barriers of the interval's checkpoints overtake rows ... */
    int64_t aligned_timeout_ns;    /* ... once a checkpoint takes longer than this */
    bool checkpoints_full;         /* every checkpoint writes all state, not only what has changed */
    int32_t checkpoint_step_slots; /* of a table, copied between two batches; 0 = a number that takes little time */
    int32_t checkpoints_retained;  /* 0 = 2 */
    int32_t checkpoint_failures_max; /* so many in a row make the job fail; 0 = 3 */
    enum {
        JOB_RETAIN_ALWAYS,           /* checkpoints stay when the job is over */
        JOB_RETAIN_ON_FAILURE,       /* ... only when it failed: DELETE_ON_CANCELLATION */
        JOB_RETAIN_NEVER
    } checkpoint_retention;
    const char *restore_from; /* a checkpoint folder, or a checkpoint_dir (its newest complete one); NULL = fresh */
    bool resumes;             /* where checkpoint_dir has a checkpoint the job starts from there */
    bool allow_non_restored_state; /* state of operators that the job does not have is left behind */
    int64_t watermark_interval_ns; /* 0 = with every batch */
    struct store_setting store_settings[STORE_SETTINGS_MAX]; /* how S3 and HDFS are reached; borrowed until the start */
    int32_t n_store_settings;
    int64_t alignment_max_drift_ms; /* 0 = no watermark alignment between splits */
};

struct job;
/* STOPPED: ended on request, cleanly, while some source had not come to its end. FINISHED: all input was read. */
enum job_state { JOB_CREATED, JOB_RUNNING, JOB_STOPPING, JOB_FINISHED, JOB_STOPPED, JOB_CANCELLED, JOB_FAILED };

/* Opens every task (connectors, state, restore) and starts the workers. The graph must outlive the job. */
sabot_status job_start(struct env *env, const struct job_graph *graph, const struct job_options *options,
                       struct job **out, struct sabot_error *err);
/* Waits for the end, at most timeout_ns (negative: no limit); *done says whether it has ended. The job's own
 * failure is the returned status. In the simulator this runs the job. */
sabot_status job_wait(struct job *job, int64_t timeout_ns, bool *done, struct sabot_error *err);
/* Sources stop; what is in flight is finished, a last checkpoint is taken where there are checkpoints, sinks
 * commit; windows that are still open do not fire. Any thread; also from a signal handler's helper. */
void job_stop(struct job *job);
/* The same with a savepoint of all that was read, before the last checkpoint; waits for the end of the job. Where there
 * are no checkpoints a savepoint that fails makes the job fail, and nothing is committed. Any thread.
 * drain: the input comes to its end as if there were no more (Flink's --drain): the watermark goes to its maximum,
 * windows fire, results are final. A job that is started from such a savepoint takes rows as late, and fails where they
 * would belong to results that only come at the end. path NULL: no savepoint. */
sabot_status job_stop_with_savepoint(struct job *job, const char *path, bool drain, struct sabot_error *err);
/* Whether a savepoint could be written there, before the job is stopped for it. */
sabot_status job_savepoint_try(struct job *job, const char *path, struct sabot_error *err);
void job_cancel(struct job *job); /* drops what is in flight; any thread */
void job_free(struct job *job);   /* cancels where it still runs, waits, frees; NULL is allowed */

enum job_state job_state(const struct job *job);
/* Takes a checkpoint now and waits for it (a savepoint where path is given). */
sabot_status job_checkpoint(struct job *job, const char *path, int64_t *checkpoint_id, struct sabot_error *err);

struct job_op_metrics {
    const char *vertex, *label, *uid;
    int32_t subtask;
    bool is_source, is_sink; /* begins, ends a vertex that has no inputs, no consumers */
    const struct metrics *metrics;
};
int32_t job_n_metrics(const struct job *job);
void job_metrics(const struct job *job, int32_t i, struct job_op_metrics *out);
int64_t job_checkpoints_completed(const struct job *job);
/* "place: reason" of the first record that could not be decoded; NULL: none. */
const char *job_malformed_first(const struct job *job);

struct coordinator_counts;
struct job_description {
    const char *name, *checkpoint_dir; /* borrowed from the job; checkpoint_dir NULL: none */
    enum job_state state;
    int64_t started_ms; /* wall clock */
};
void job_describe(const struct job *job, struct job_description *out);
/* Takes a checkpoint that stays until job_checkpoint_drop() or the end of the job: somebody reads it. */
sabot_status job_checkpoint_keep(struct job *job, int64_t *id, struct sabot_error *err);
void job_checkpoint_drop(struct job *job, int64_t id);
void job_checkpoint_counts(const struct job *job, struct coordinator_counts *out);
/* EXPLAIN STALL: one line for each split or operator that holds the watermark, with its watermark and since when. */
void job_explain_stall(struct job *job, struct text *target);

#endif
