/* A world whose files fail where a test says so: it passes every call on to another one, counts those that may fail,
 * and lets the n-th of them go wrong. Never used where SABOT_FAULT_AT is not set and no test asks for it. */
#ifndef BASE_ENV_FAULTY_H
#define BASE_ENV_FAULTY_H

#include "base/env.h"

/* X(symbol, name): what may fail. */
#define ENV_FAULT_OPS(X)                                                                                               \
    X(OPEN, "open") X(READ, "read") X(WRITE, "write") X(SYNC, "sync") X(STAT, "stat") X(RENAME, "rename")              \
    X(REMOVE, "remove") X(MAKE_DIR, "mkdir") X(LIST, "list") X(MAP, "map") X(THREAD, "thread") X(OFFLOAD, "offload")
enum env_fault_op {
#define X(symbol, name) ENV_FAULT_##symbol,
    ENV_FAULT_OPS(X)
#undef X
    ENV_FAULT_N_OPS
};
extern const char *const env_fault_op_names[ENV_FAULT_N_OPS];

/* X(symbol, name): how. */
#define ENV_FAULT_KINDS(X)                                                                                             \
    X(ERROR, "error") /* nothing is done */                                                                            \
    X(DONE, "done")   /* it is done, and said to have failed: an answer that was lost */                               \
    X(TORN, "torn")   /* half of a write is done, then it fails */                                                     \
    X(SHORT, "short") /* a read gives less than there is; no failure */                                                \
    X(CRASH, "crash") /* half of a write, or all of something else, is done, and the process dies */                   \
    X(FULL, "full")   /* the disk is full, from then on */
enum env_fault_kind {
#define X(symbol, name) ENV_FAULT_KIND_##symbol,
    ENV_FAULT_KINDS(X)
#undef X
    ENV_FAULT_N_KINDS
};
extern const char *const env_fault_kind_names[ENV_FAULT_N_KINDS];
/* Whether such an operation can fail in this way. */
bool env_fault_applies(enum env_fault_op op, enum env_fault_kind kind);

struct env_fault {
    enum env_fault_op op;
    enum env_fault_kind kind;
    int64_t at; /* the at-th operation of this kind, from 1; 0: none fails */
};
/* "write:17:torn" */
bool env_fault_parse(const char *text, struct env_fault *out);

/* Aborts without memory. Freed with env_faulty_free, when nothing of it is open. `inner` is not a simulator: that has
 * faults of its own. */
struct env *env_faulty_new(struct env *inner, const struct env_fault *fault);
void env_faulty_free(struct env *env);
/* Counts begin again. */
void env_faulty_set(struct env *env, const struct env_fault *fault);
int64_t env_faulty_count(const struct env *env, enum env_fault_op op); /* operations so far */
bool env_faulty_fired(const struct env *env);

#endif
