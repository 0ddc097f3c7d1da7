/* Pieces of a sink's rows as rows of a log: subtask, key, number of the piece, bytes. The key is the namespace, too. */
#include "ops/flow/sink_keeper.h"

#include <stdlib.h>


#define PIECE_BYTES_MAX (INT64_C(1) << 20)
#define PIECE_BYTES_MIN (INT64_C(64) << 10)
#define PIECE_SHARE 64 /* of the memory limit */

enum { SUBTASK, KEY, PIECE, BYTES, COLUMNS };

static sabot_status keeper_add(struct keeper *keeper, int64_t key, const char *data, size_t size,
                               struct sabot_error *err) {
    struct sink_keeper *self = (struct sink_keeper *)keeper;
    const int64_t piece = state_count(self->rows, key);
    const struct string_view bytes = string_view_of(data, (uint32_t)size);
    const void *const values[COLUMNS] = {&self->subtask, &key, &piece, &bytes};
    struct column *columns[COLUMNS];
    for (int32_t c = 0; c < COLUMNS; c++) {
        const enum phys phys = type_phys(self->schema->fields[c].type);
        const sabot_status status = column_constant(self->pool, phys, values[c], 1, &columns[c], err);
        if (status == SABOT_OK) { continue; }
        while (c > 0) { column_unref(columns[--c]); }
        return status;
    }
    BATCH_OWNED struct batch *row = NULL;
    SABOT_TRY(batch_new(self->schema, columns, COLUMNS, 1, &row, err));
    const int32_t first = 0;
    return state_append(self->rows, key, row, &first, 1, err);
}

static void keeper_drop(struct keeper *keeper, int64_t key) {
    state_drop_namespace(((struct sink_keeper *)keeper)->rows, key);
}

struct place {
    int64_t piece;
    int32_t row;
};

static int by_piece(const void *a, const void *b) {
    const int64_t x = ((const struct place *)a)->piece, y = ((const struct place *)b)->piece;
    return x < y ? -1 : x > y;
}

/* A restore may have put rows of other subtasks under the same key, and all of them in another order. */
static int32_t places_find(const struct batch *rows, int32_t subtask, struct place *places) {
    const int32_t *subtasks = rows->columns[SUBTASK]->values;
    const int64_t *pieces = rows->columns[PIECE]->values;
    int32_t n = 0;
    for (int32_t i = 0; i < rows->rows; i++) {
        if (subtasks[i] == subtask) { places[n++] = (struct place){pieces[i], i}; }
    }
    qsort(places, (size_t)n, sizeof *places, by_piece);
    return n;
}

static sabot_status keeper_former(struct keeper *keeper, int32_t subtask, int64_t key, struct kept_pieces *out,
                                  struct sabot_error *err) {
    struct sink_keeper *self = (struct sink_keeper *)keeper;
    *out = (struct kept_pieces){0};
    const int64_t count = state_count(self->rows, key);
    if (count == 0) { return SABOT_OK; }
    SABOT_TRY(state_read(self->rows, key, 0, (int32_t)count, &out->rows, err));
    struct place *places = malloc((size_t)count * sizeof *places);
    out->pieces = malloc((size_t)count * sizeof *out->pieces);
    if (!places || !out->pieces) {
        free(places);
        kept_pieces_clear(out);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a list of kept rows");
    }
    out->n = places_find(out->rows, subtask, places);
    const struct string_view *bytes = out->rows->columns[BYTES]->values;
    for (int32_t i = 0; i < out->n; i++) {
        const struct string_view *view = &bytes[places[i].row];
        out->pieces[i] = (struct kept_piece){string_view_data(view), view->size};
        out->bytes += view->size;
    }
    free(places);
    return SABOT_OK;
}

static sabot_status keeper_get(struct keeper *keeper, int64_t key, struct kept_pieces *out, struct sabot_error *err) {
    return keeper_former(keeper, ((struct sink_keeper *)keeper)->subtask, key, out, err);
}

/* Keys that a restore has brought; new ones are behind them. */
static sabot_status restored_note(struct sink_keeper *self, struct sabot_error *err) {
    const int64_t *keys;
    SABOT_TRY(state_namespaces(self->rows, &keys, &self->n_restored, err));
    self->restored = calloc((size_t)self->n_restored + 1, sizeof *self->restored);
    if (!self->restored) {
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a list of kept rows");
    }
    for (int32_t i = 0; i < self->n_restored; i++) {
        self->restored[i] = keys[i];
        self->keeper.next_key = keys[i] + 1;
    }
    return SABOT_OK;
}

sabot_status sink_keeper_open(struct sink_keeper *self, const struct op_context *context, struct sabot_error *err) {
    const int64_t share = memory_limit(context->pool) / PIECE_SHARE;
    *self = (struct sink_keeper){
        .keeper = {.piece_bytes = share < PIECE_BYTES_MIN ? PIECE_BYTES_MIN
                                  : share > PIECE_BYTES_MAX ? PIECE_BYTES_MAX : share,
                   .add = keeper_add, .get = keeper_get, .drop = keeper_drop, .former = keeper_former},
        .pool = context->pool,
        .subtask = context->subtask,
    };
    context->pool->spill_eighths = 2; /* what is kept is read once, and late */
    const struct field fields[COLUMNS] = {[SUBTASK] = {"subtask", type_not_null(type_of(TYPE_INT32))},
                                          [KEY] = {"key", type_not_null(type_of(TYPE_INT64))},
                                          [PIECE] = {"piece", type_not_null(type_of(TYPE_INT64))},
                                          [BYTES] = {"bytes", type_not_null(type_of(TYPE_BINARY))}};
    SABOT_TRY(schema_new(fields, COLUMNS, &self->schema, err));
    const struct state_spec spec = {.name = "rows", .kind = STATE_KEYED, .schema = self->schema, .n_keys = COLUMNS,
                                    .n_sub_keys = COLUMNS, .is_log = true, .by_subtask = true};
    SABOT_TRY(state_table_open(context->state, &spec, &self->rows, err));
    return restored_note(self, err);
}

void sink_keeper_restored(struct sink_keeper *self) {
    for (int32_t i = 0; i < self->n_restored; i++) { state_drop_namespace(self->rows, self->restored[i]); }
    self->n_restored = 0;
}

void sink_keeper_clear(struct sink_keeper *self) {
    schema_unref(self->schema);
    free(self->restored);
    *self = (struct sink_keeper){0};
}
