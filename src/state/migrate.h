/* State of an older version of a job in the tables of a newer one: what is the same, what can be made to fit, what
 * can't. `sabot check` and a restore decide by this, and say it in the same words.
 *
 * Key columns and value columns are found by name. Fits: a column that may be NULL now, a wider type, an added column
 * that has a beginning (NULL, or what the operator says), a column that has become NOT NULL and holds no NULL. Columns
 * that the job has no place for are left behind only where that was allowed. */
#ifndef STATE_MIGRATE_H
#define STATE_MIGRATE_H

#include "base/text.h"
#include "state/state.h"

/* A table as it is in a checkpoint, or as a job declares it. */
struct state_shape {
    const char *name;
    enum state_kind kind;
    int32_t n_keys;
    const struct schema *schema; /* of the form ROWS: KEYED with key_group and namespace in front */
    /* --- of the job's side */
    const struct state_default *defaults; /* per value column; NULL: see holds_nulls */
    bool holds_nulls;  /* an added column that may be NULL is NULL */
    bool fixed_layout; /* the same columns in the same order; only their types may widen */
};

enum state_verdict { STATE_SAME, STATE_MIGRATES, STATE_INCOMPATIBLE };
struct state_migration {
    enum state_verdict verdict;
    bool rekeyed;   /* keys hash to other values: a row may belong to another key group than its file says */
    bool narrows;   /* a column is NOT NULL now: rows must be looked at */
    int32_t n;      /* columns of the job's */
    int32_t *from;  /* of each: the column of the checkpoint, -1: added */
};
/* Appends to `why` what differs, and what to do about it. */
sabot_status state_migration_plan(const struct state_shape *from, const struct state_shape *to, bool drops_columns,
                                  struct state_migration *out, struct text *why, struct sabot_error *err);
void state_migration_clear(struct state_migration *migration);
/* Rows of the checkpoint as rows of the job's table: a new reference. ERR_STATE: a column that is NOT NULL has a NULL.
 * */
sabot_status state_migrate(const struct state_migration *migration, const struct state_shape *to,
                           struct memory_pool *pool, struct batch *rows, struct batch **out, struct sabot_error *err);

#endif
