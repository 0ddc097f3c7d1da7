/* One statement, from syntax tree to effect: DDL changes the catalogue, SHOW and the like give rows at once, INSERT and
 * queries give a physical plan that the engine runs. */
#ifndef SQL_STATEMENT_H
#define SQL_STATEMENT_H

#include "plan/physical.h"
#include "sql/ast.h"
#include "sql/catalog.h"
#include "sql/settings.h"

struct statement_context {
    struct env *env;
    struct memory_pool *pool;  /* for rows */
    struct catalog *catalog;
    struct settings *settings;
    const char *text;          /* the script that the tree was parsed from */
    /* QUERY: the object that the connector "collect" finds behind its table (connect/memory/memory.h); made by the
     * engine before it calls, used only where outcome is STATEMENT_QUERY. */
    const void *collect;
    int32_t statement_number;  /* 0-based in the script: part of operator uids */
    const char *restore_from;  /* where the job starts from; NULL or "": nowhere */
};

enum statement_outcome {
    STATEMENT_DONE,  /* CREATE, DROP, SET ...: nothing to show */
    STATEMENT_ROWS,  /* SHOW, DESCRIBE, EXPLAIN, SET without a value: rows */
    STATEMENT_JOB,   /* INSERT, statement set, CREATE TABLE AS: plan */
    STATEMENT_QUERY, /* a query: plan, whose one sink is the collect object */
    STATEMENT_STALL  /* EXPLAIN STALL: the engine answers with job_explain_stall of its running jobs */
};

struct statement_result {
    enum statement_outcome outcome;
    struct batch *rows;          /* ROWS: owned */
    struct physical_plan *plan;  /* JOB, QUERY: owned; keeps the tables that it reads */
    struct schema *schema;       /* QUERY: of the result; owned */
    bool bounded;                /* JOB, QUERY: all sources end */
    bool updating;               /* QUERY: rows carry row kinds */
    const int32_t *upsert_key;   /* QUERY, updating: columns of the key, in the plan; NULL: none */
    int32_t n_upsert_key;
};
/* Frees what the result holds and zeroes it. */
void statement_result_clear(struct statement_result *result);

sabot_status statement_execute(const struct statement_context *context, const struct sql_statement *statement,
                               struct statement_result *result, struct sabot_error *err);

/* As statement_execute, but a query, an INSERT or a statement set is explained. */
sabot_status statement_explain(const struct statement_context *context, struct sql_statement *statement,
                               struct statement_result *result, struct sabot_error *err);

/* The job options that the settings ask for (name, parallelism limits, latency, checkpoints, ledgers ...); texts are
 * borrowed from the settings. `memory`, `bounded` are left to the caller. */
struct job_options;
void statement_job_options(const struct settings *settings, struct job_options *options);

#endif
