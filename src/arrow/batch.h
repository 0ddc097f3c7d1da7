/* Columns and batches: immutable, reference-counted, in Arrow's layout but for three choices made for speed inside:
 * strings are 16-byte views with a pointer, booleans are bytes, and a column may be one constant value.
 * At the library's edge they become plain Arrow arrays (export.h) and are taken in from them (import.h).
 *
 * Rows are addressed by physical index. A selection lists the physical rows that are in the batch, ascending; values at
 * other rows are undefined (an expression leaves them unwritten), their validity bit too. */
#ifndef ARROW_BATCH_H
#define ARROW_BATCH_H

#include <string.h>

#include "arrow/heaps.h"
#include "arrow/type.h"
#include "base/memory.h"

#define BATCH_ROWS_DEFAULT 8192
#define BATCH_ROWS_MAX 65536

/* Up to 12 bytes stand inside; longer strings point into a heap that the column's owners keep alive. */
struct string_view {
    uint32_t size;
    char prefix[4]; /* the first 4 bytes, zero-padded; with `rest` the inlined string where size <= 12 */
    union {
        char rest[8];
        const char *data;
    };
};
_Static_assert(sizeof(struct string_view) == 16, "views are 16 bytes");
#define STRING_VIEW_INLINE 12

static inline const char *string_view_data(const struct string_view *view) {
    return view->size <= STRING_VIEW_INLINE ? view->prefix : view->data;
}
/* A view of `size` bytes at `data`; where size > 12 it borrows data. */
static inline struct string_view string_view_of(const char *data, uint32_t size) {
    struct string_view view;
    memset(&view, 0, sizeof view);
    view.size = size;
    if (size <= STRING_VIEW_INLINE) {
        memcpy(view.prefix, data, size);
    } else {
        memcpy(view.prefix, data, 4);
        view.data = data;
    }
    return view;
}
bool string_view_equal(const struct string_view *a, const struct string_view *b);
int string_view_compare(const struct string_view *a, const struct string_view *b); /* by bytes, <0 0 >0 */

struct column {
    _Atomic int32_t refs;
    uint8_t phys;             /* enum phys */
    bool constant;            /* one value (index 0) stands for every row; length is then the rows it stands for */
    int32_t length;           /* physical rows */
    const uint64_t *validity; /* bit i % 64 of word i / 64: 1 = not NULL; NULL pointer = no NULLs. Constant: bit 0 */
    const void *values;       /* by phys; padded to 64 bytes where Sabot allocated it */
    int32_t n_children;
    int32_t n_owners;
    struct column **children; /* ROW: the fields; LIST: one (offsets in values) */
    struct buffer **owners;   /* keep validity, values and string heaps alive */
};

static inline bool column_is_null(const struct column *column, int64_t row) {
    if (!column->validity) { return column->phys == PHYS_NULL; }
    const int64_t at = column->constant ? 0 : row;
    return !(column->validity[at >> 6] >> (at & 63) & 1);
}
/* The index at which the value of a row stands. */
static inline int64_t column_at(const struct column *column, int64_t row) { return column->constant ? 0 : row; }

struct column *column_ref(struct column *column);
void column_unref(struct column *column); /* NULL is allowed */

/* A new column over buffers; takes over the references in `owners` and `children` on every path. */
sabot_status column_new(enum phys phys, int32_t length, const uint64_t *validity, const void *values,
                        struct buffer *const *owners, int32_t n_owners, struct column *const *children,
                        int32_t n_children, struct column **out, struct sabot_error *err);

/* A column under construction: plain buffers that a kernel fills; validity only where asked for. */
struct column_builder {
    struct memory_pool *pool;
    enum phys phys;
    int32_t rows;
    uint64_t *validity; /* all ones at the start, or NULL when made without */
    void *values;       /* uninitialised */
    struct buffer *validity_buffer, *values_buffer;
    struct heaps heaps; /* for views: extra owners */
};
/* Fixed-width or VIEW columns. */
sabot_status column_builder_init(struct column_builder *builder, struct memory_pool *pool, enum phys phys,
                                 int32_t rows, bool with_validity, struct sabot_error *err);
sabot_status column_builder_add_validity(struct column_builder *builder, struct sabot_error *err); /* all ones */
static inline void column_builder_set_null(struct column_builder *builder, int64_t row) {
    builder->validity[row >> 6] &= ~(UINT64_C(1) << (row & 63));
}
/* Space for string bytes that live as long as the column; write them, then string_view_of() them. */
sabot_status column_builder_reserve(struct column_builder *builder, size_t size, char **out, struct sabot_error *err);
/* Keeps the heaps of another column alive (its views are copied without their bytes). */
sabot_status column_builder_share(struct column_builder *builder, const struct column *from, struct sabot_error *err);
sabot_status column_builder_finish(struct column_builder *builder, struct column **out, struct sabot_error *err);
void column_builder_clear(struct column_builder *builder); /* after a failure; safe after finish too */

/* One value for `rows` rows. value NULL = SQL NULL; else points to the physical value (string bytes are copied). */
sabot_status column_constant(struct memory_pool *pool, enum phys phys, const void *value, int32_t rows,
                             struct column **out, struct sabot_error *err);
sabot_status column_all_null(struct memory_pool *pool, struct type type, int32_t rows, struct column **out,
                             struct sabot_error *err);

enum row_kind { ROW_INSERT = 0, ROW_UPDATE_BEFORE = 1, ROW_UPDATE_AFTER = 2, ROW_DELETE = 3 };

struct batch {
    _Atomic int32_t refs;
    int32_t rows;              /* physical rows, 0..BATCH_ROWS_MAX */
    int32_t selected;          /* rows in the batch: == rows where selection is NULL */
    int32_t n_columns;
    struct schema *schema;     /* owned reference */
    struct column **columns;   /* owned references, each of `rows` rows */
    const int32_t *selection;  /* ascending physical rows, or NULL = all */
    struct buffer *selection_buffer;
    const uint8_t *row_kinds;  /* enum row_kind per physical row, or NULL = all inserts */
    struct buffer *row_kinds_buffer;
    const uint64_t *hashes;    /* key hash per physical row (valid at selected rows), or NULL */
    struct buffer *hashes_buffer;
    uint64_t hash_key_id;      /* which keys they are of: key_id() of the columns */
    int64_t created_ns;        /* when its (oldest) rows entered the engine, env_now_ns; 0 = unknown */
};

/* Takes over the column references on every path; columns may be empty (n_columns 0) with rows > 0. */
sabot_status batch_new(struct schema *schema, struct column *const *columns, int32_t n_columns, int32_t rows,
                       struct batch **out, struct sabot_error *err);
struct batch *batch_ref(struct batch *batch);
void batch_unref(struct batch *batch); /* NULL is allowed */

/* The same rows with other columns (a projection): shares selection, row kinds and time, not the hashes. Takes over the
 * column references. */
sabot_status batch_with_columns(const struct batch *from, struct schema *schema, struct column *const *columns,
                                int32_t n_columns, struct batch **out, struct sabot_error *err);
/* The same rows with one column more, the last one, or the first where `first` is set. Takes over its reference. */
sabot_status batch_with_column(const struct batch *from, struct schema *schema, struct column *column, bool first,
                               struct batch **out, struct sabot_error *err);
/* The same rows with their row kinds as a column of text, +I -U +U -D: the last one, or the first where `first` is set.
 * schema: what schema_with_row_kinds made of the batch's. */
sabot_status batch_with_row_kinds(struct memory_pool *pool, const struct batch *from, struct schema *schema, bool first,
                                  struct batch **out, struct sabot_error *err);
sabot_status schema_with_row_kinds(const struct schema *from, const char *name, bool first, struct schema **out,
                                   struct sabot_error *err);
/* The same columns with another selection (the buffer's reference is taken over). */
sabot_status batch_with_selection(const struct batch *from, struct buffer *selection, int32_t selected,
                                  struct batch **out, struct sabot_error *err);
/* The same rows in a batch of its own, for what may be written before it is shared (hashes). The selection may begin
 * inside its buffer (parts of an exchange share one), so it can't be made again from the buffer. */
sabot_status batch_copy(const struct batch *from, struct batch **out, struct sabot_error *err);
/* Row i of the batch -> physical row. */
static inline int32_t batch_row(const struct batch *batch, int32_t i) {
    return batch->selection ? batch->selection[i] : i;
}

/* cleanup attribute for owners: BATCH_OWNED struct batch *b = NULL; */
void batch_cleanup(struct batch **batch);
void column_cleanup(struct column **column);
#define BATCH_OWNED __attribute__((cleanup(batch_cleanup)))
#define COLUMN_OWNED __attribute__((cleanup(column_cleanup)))

/* --- kernels over batches (take.c hash.c compare.c) */
/* Rows `rows[0..n)` of a column, in that order; -1 gives NULL. Strings are shared, not copied. */
sabot_status column_take(struct memory_pool *pool, const struct column *from, const int32_t *rows, int32_t n,
                         struct column **out, struct sabot_error *err);
/* Flattens: selection applied, constants expanded, hashes dropped. A batch that is flat already is returned by ref. */
sabot_status batch_compact(struct memory_pool *pool, struct batch *batch, struct batch **out, struct sabot_error *err);
/* Rows rows[0..n) (physical) as a new flat batch with row kinds and, where present, hashes. */
sabot_status batch_take(struct memory_pool *pool, const struct batch *batch, const int32_t *rows, int32_t n,
                        struct batch **out, struct sabot_error *err);
/* Columns of one type end to end, n > 0. */
sabot_status column_concat(struct memory_pool *pool, struct column *const *columns, int32_t n, struct column **out,
                           struct sabot_error *err);
/* All rows of the given batches (same schema) in one flat batch; total at most INT32_MAX rows. */
sabot_status batch_concat(struct memory_pool *pool, struct batch *const *batches, int32_t n, struct batch **out,
                          struct sabot_error *err);
/* Copies string bytes into heaps of the batch's own, so that no foreign heap is kept alive. */
sabot_status batch_detach(struct memory_pool *pool, struct batch *batch, struct batch **out, struct sabot_error *err);

/* xxh3 with a fixed seed over the key columns, at selected rows; NULL is a value of its own; equal keys hash equally in
 * every process and release (checkpoints depend on it). 1.0 and integer 1 need not be equal; -0.0 == 0.0, NaN == NaN.
 */
sabot_status batch_hash(struct memory_pool *pool, struct batch *batch, const int32_t *keys, int32_t n_keys,
                        struct buffer **hashes, struct sabot_error *err);
/* Computes the hashes or reuses the cached ones; afterwards batch->hashes is set (the batch must not be shared between
 * threads yet). */
sabot_status batch_cache_hashes(struct memory_pool *pool, struct batch *batch, const int32_t *keys, int32_t n_keys,
                                struct sabot_error *err);
#define HASH_NULL UINT64_C(0x9e3779b97f4a7c15) /* of a NULL that is the only key; one BIGINT has it too */
/* The same into target[0..rows), without an allocation. */
void batch_hash_into(const struct batch *batch, const int32_t *keys, int32_t n_keys, uint64_t *target);
uint64_t hash_number(int64_t key); /* what a BIGINT that is the only key has */
uint64_t key_id(const int32_t *keys, int32_t n_keys);

/* Key groups: the unit of rescaling. */
#define MAX_PARALLELISM_DEFAULT 128
static inline int32_t key_group_of(uint64_t hash, int32_t max_parallelism) {
    return (int32_t)((hash >> 32) * (uint64_t)max_parallelism >> 32); /* high bits: tables use the low ones */
}
/* The subtask that owns a key group, and the first group of a subtask (Flink's formula). */
static inline int32_t key_group_owner(int32_t group, int32_t max_parallelism, int32_t parallelism) {
    return group * parallelism / max_parallelism;
}
static inline int32_t key_group_first(int32_t subtask, int32_t max_parallelism, int32_t parallelism) {
    return (subtask * max_parallelism + parallelism - 1) / parallelism;
}

/* Total order of two values of columns with the same type, NULL first: <0 0 >0. */
int column_compare(const struct column *a, int64_t row_a, const struct column *b, int64_t row_b, struct type type);

struct zone;
/* One cell as text the way the command prints it: CSV cells, NULL as given, timestamps as 2015-07-14 23:59:10.000. */
struct text_options {
    const char *null_text;   /* "\\N"; inside of arrays, maps and rows it is always NULL */
    bool as_cast;            /* as CAST(... AS STRING): TRUE, bytes as text; else true and x'0a0b' */
    const struct zone *zone; /* for TIMESTAMP_LTZ; NULL = UTC (base/zone.h) */
};
/* Appends to a growing malloc'ed text (see base/text.h). Nothing is quoted: that is the CSV writer's part. */
struct text;
sabot_status column_print(const struct column *column, int64_t row, struct type type,
                          const struct text_options *options, struct text *target, struct sabot_error *err);

#endif
