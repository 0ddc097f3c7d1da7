/* A multimap: rows by key, several per key. What joins keep of each side.
 *
 * It is a table of state.h (same names, same checkpoint format, restored by key group), with another access: rows
 * have slots, the rows of one key are a chain in the order of their arrival (which a restore may change). A slot is
 * valid until its row is removed. Every column may hold NULLs. A row has a namespace, by which rows leave in bulk: the
 * end of a window, or when they expire; and, where the spec asks for it, a count (how often the same row is there; then
 * rows can be retracted) and a number of matches, which is the operator's own. The memory backend is the only one so
 * far. */
#ifndef STATE_MULTIMAP_H
#define STATE_MULTIMAP_H

#include "state/state.h"

struct state_multimap;

struct multimap_spec {
    const char *name;
    struct schema *schema; /* key columns first; fixed-width or VIEW */
    int32_t n_keys;
    bool counts;     /* equal rows are held once, with a count */
    bool matches;    /* a number per row that the operator keeps */
    bool namespaces; /* rows have namespaces; without, all are in namespace 0 */
    int64_t unplaced; /* the namespace of rows that a checkpoint has in 0, because its job had none; 0 = the same */
};
/* Rows that a restore has for it are in it when this returns. It is closed with the tables. */
sabot_status state_multimap_open(struct state_tables *tables, const struct multimap_spec *spec,
                                 struct state_multimap **out, struct sabot_error *err);

/* Rows of a batch: columns[c] is the batch's column that the multimap's column c is of. batch->hashes must be those of
 * columns[0..n_keys) (for no keys too). */
struct multimap_rows {
    const struct batch *batch;
    const int32_t *columns;
    const int32_t *rows; /* physical; NULL = 0..n-1 */
    int32_t n;
};
/* Rows that come in the order of their hashes & this walk through the index instead of jumping about in it. */
#define MULTIMAP_ORDER UINT32_MAX
/* heads[i] gets the first slot of the key of row i; -1 = there is none. NULL equals NULL: leave such rows out
 * where SQL's equality is meant. Of rows->columns only the keys are used. */
void multimap_find(const struct state_multimap *map, const struct multimap_rows *rows, int32_t *heads);
/* namespaces and matches: one per row (NULL = 0). Where rows are counted, equal rows are put together, in the
 * namespace that comes last, with the matches that come last. */
sabot_status multimap_insert(struct state_multimap *map, const struct multimap_rows *rows, const int64_t *namespaces,
                             const int64_t *matches, struct sabot_error *err);
/* Inserts (+I, +U) and takes away (-U, -D) rows in order, by the batch's row kinds; for maps that count. A row
 * that is not there can't be taken away: it is passed over. */
sabot_status multimap_apply(struct state_multimap *map, const struct multimap_rows *rows, const int64_t *namespaces,
                            const int64_t *matches, struct sabot_error *err);

/* --- by slot; arrays are valid until the next insert */
const int32_t *multimap_next(const struct state_multimap *map); /* the next row of the key, -1 = the last */
const int64_t *multimap_counts(const struct state_multimap *map); /* NULL: every row is there once */
int64_t *multimap_matches(struct state_multimap *map); /* to write there: multimap_touch() first */
void multimap_touch(struct state_multimap *map, const int32_t *slots, int32_t n); /* matches will change */
const void *multimap_values(const struct state_multimap *map, int32_t column);
/* The values of a column at slots[0..n), -1 = NULL; a copy that shares the bytes of strings. */
sabot_status multimap_take(const struct state_multimap *map, int32_t column, const int32_t *slots, int32_t n,
                           struct column **out, struct sabot_error *err);
/* The key hashes of slots: a batch made of them needs no hashing. */
const uint64_t *multimap_hashes(const struct state_multimap *map);
int64_t multimap_size(const struct state_multimap *map); /* rows, equal ones once */
bool multimap_is_unique(const struct state_multimap *map); /* no key has two rows (equal ones are one) */

/* --- by namespace */
/* Rows that may leave at `ms` or up to a granule later share a namespace: the first multiple of it from there on. */
static inline int64_t multimap_granule(int64_t ms, int64_t granule_ms) {
    return (ms / granule_ms + (ms % granule_ms > 0)) * granule_ms;
}
bool multimap_first_namespace(const struct state_multimap *map, int64_t *out); /* the least that has rows */
bool multimap_namespace_at(const struct state_multimap *map, int32_t i, int64_t *out); /* the i-th least */
/* Slots of a namespace, newest first: up to `n` behind slot `after` (-1 = from the start). */
int32_t multimap_namespace_slots(const struct state_multimap *map, int64_t namespace_, int32_t after, int32_t *slots,
                                 int32_t n);
void multimap_drop_namespace(struct state_multimap *map, int64_t namespace_);

#endif
