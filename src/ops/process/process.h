/* Process functions (docs/decisions/0018): what the planner tells the operator, and how keys become one column. */
#ifndef OPS_PROCESS_PROCESS_H
#define OPS_PROCESS_PROCESS_H

#include "base/arena.h"
#include "ops/op.h"
#include "sabot/process.h"
#include "state/kv_backend.h"

struct kv_bytes;

#define PROCESS_KEYS_MAX 32
#define PROCESS_STATES_MAX 64
#define PROCESS_TIMERS_MAX 64
#define PROCESS_COLUMNS_MAX 512

struct process_argument {
    const char *name;
    struct type type;
    const char *otherwise; /* NULL: it must be given */
};

/* A function as it was declared, checked and copied. Owned by the catalogue. */
struct process_function {
    struct process_function *next;
    struct arena arena;
    const char *name;
    struct sabot_process_function definition; /* its lists are copies in the arena */
    const struct field *inputs;  /* definition.n_inputs */
    const struct field *columns; /* definition.n_columns */
    const struct process_argument *arguments;
};

/* process: output = passed columns, the function's, the rowtime where there is one. */
struct process_options {
    const struct process_function *function;
    const char *uid;        /* NULL: the function's name */
    const struct schema *rows; /* what the function reads: the first columns of the input */
    const int32_t *passed;  /* columns of the input that the output begins with */
    int32_t n_passed;
    const int32_t *keys;    /* columns of the input: PARTITION BY */
    int32_t n_keys;
    int32_t time_column;    /* of the input; -1: none */
    struct expr *const *arguments; /* constants, one for each declared */
};

/* process_key: the input with one column more, which stands for its keys (process_key_field). */
struct process_key_options {
    const int32_t *keys;
    int32_t n_keys;
};

/* --- keys (key.c) */
enum process_key_form {
    PROCESS_KEY_NUMBER, /* one column of 8, 16, 32 or 64 bits: BIGINT */
    PROCESS_KEY_TEXT,   /* one STRING or BYTES column: its bytes */
    PROCESS_KEY_ENCODED /* all else: a NULL flag and the value of each, in bytes */
};
/* ERR_UNSUPPORTED for types that can't be keys. */
sabot_status process_key_form(const struct type *types, int32_t n, enum process_key_form *out,
                              struct sabot_error *err);
/* The column that stands for the keys: BIGINT or BYTES, NOT NULL. NULL of a single column is 0 or no bytes, and goes by
 * the validity of that column. */
struct field process_key_field(enum process_key_form form);
sabot_status process_key_column(struct memory_pool *pool, const struct batch *batch, const int32_t *keys, int32_t n,
                                struct column **out, struct sabot_error *err);
/* The key columns again, of n keys in the form's values; nulls: of a single column. types: of the columns. */
sabot_status process_key_decode(struct memory_pool *pool, const struct type *types, int32_t n_types, const void *keys,
                                const bool *nulls, int32_t n, struct column **columns, struct sabot_error *err);

#endif
