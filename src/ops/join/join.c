/* Joins of two streams: regular (updating), window and interval joins are one operator.
 *
 * Each side keeps its rows in a multimap by key. A batch of one side probes the other side's map as a whole: its rows
 * and the chains that they lead to become events (row, slot) in blocks, the residual condition is evaluated over a
 * block at once, and then the events are walked in order to give out rows. The map of the other side does not change
 * meanwhile, so that walking may stop at a full output and go on later; the batch goes into its own side's map when its
 * last event is done, unless the other side has ended. Sides whose rows come out without a match keep the number of
 * matches per row. The kinds of join differ in when rows are probed and leave: regular ones at once and never (or by
 * TTL); interval joins at once, and rows leave when the watermark has passed all they could match; window joins when
 * the watermark passes the window's end, for both. Semantics are those of Flink's StreamingJoinOperator,
 * StreamingSemiAntiJoinOperator, TimeIntervalJoin, WindowJoin. */
#include <stdlib.h>

#include "ops/held.h"
#include "ops/specs.h"
#include "ops/window/window_rows.h"
#include "state/multimap.h"

#define COLUMNS_MAX 64
#define SLOT_END (-1)     /* an event: the row has no more candidates */
#define CURSOR_FRESH (-2) /* the chain of the next row is not begun */
#define GRANULES 64       /* rows of an interval join leave in so many steps per interval */

enum join_mode { MODE_REGULAR, MODE_INTERVAL, MODE_WINDOW };

struct side {
    struct state_multimap *map;
    struct schema *schema; /* of its rows, borrowed */
    struct schema *state;  /* keys first; owned */
    const int32_t *keys;
    int32_t columns[COLUMNS_MAX]; /* of the map -> of a row */
    int32_t places[COLUMNS_MAX];  /* of a row -> of the map */
    bool pads;             /* its rows come out with NULLs where nothing matches */
    bool tracks;           /* its rows know how many matches they have */
    bool ended;            /* no more rows come: those of the other side need not be kept for them */
    bool ending;           /* the same, but for rows that are held */
    int64_t rows_taken;    /* by this process */
    struct held held;      /* rows that have come, but were not looked at yet */
    int32_t time_column;   /* rowtime or window_end, -1 = none */
    int64_t units_per_ms;
};

/* A batch on its way through the other side's map. */
struct probe {
    struct batch *batch; /* NULL = none */
    int32_t n;
    int32_t *rows;   /* physical */
    int32_t *heads;  /* -1 = nothing to match */
    int64_t *matched;
    int64_t *namespaces;
    uint8_t *stored; /* the row goes into its own side's map */
    void *memory;
    size_t memory_size;
    int32_t capacity;
    int32_t row, cursor; /* where the next block of events begins */
    bool stores;         /* a batch that came in; not one that a window has given */
};

struct join {
    struct op op;
    struct op_context own;
    const struct join_options *options;
    enum join_mode mode;
    struct side sides[2];
    struct schema *pair;
    struct program *condition;
    bool condition_reads[2 * COLUMNS_MAX]; /* columns of pair */
    int32_t from; /* the side that probes; out_slots are of the other side's map */
    struct probe probe;
    void *memory;
    size_t memory_size;
    int32_t block;                        /* events, rows given out */
    int32_t *event_rows, *event_slots;    /* row: index in probe.rows */
    int32_t *pair_rows, *pair_slots;
    uint8_t *event_passes;
    int32_t n_events, event;
    int64_t copy; /* of what the event gives out, done already */
    int32_t *out_rows, *out_slots; /* physical row of the probe and slot; -1 = NULLs */
    uint8_t *out_kinds;
    int32_t n_out;
    int64_t created_ns;
    int64_t watermark_ms; /* handled */
    bool advancing;       /* to_ms is being handled */
    int64_t to_ms;
    int32_t advance_side, after; /* -1 = a namespace has not been begun */
    int64_t namespace_;
    int64_t granule_ms, delay_ms;
    bool releasing; /* what is held is on its way */
    struct held_pace pace;
};

static bool keeps_left_only(const struct join *self) {
    return self->options->kind == JOIN_SEMI || self->options->kind == JOIN_ANTI;
}

/* --- open and close */
static void join_close(struct op *op) {
    struct join *self = (struct join *)op;
    batch_unref(self->probe.batch);
    held_clear(&self->sides[0].held);
    held_clear(&self->sides[1].held);
    memory_free(self->own.pool, self->probe.memory, self->probe.memory_size);
    memory_free(self->own.pool, self->memory, self->memory_size);
    program_free(self->condition);
    schema_unref(self->pair);
    schema_unref(self->sides[0].state);
    schema_unref(self->sides[1].state);
    free(self);
}

static sabot_status open_side(struct join *self, int32_t s, bool retracts, struct sabot_error *err) {
    const struct join_options *options = self->options;
    struct side *side = &self->sides[s];
    const enum join_kind kind = options->kind;
    side->schema = s == 0 ? options->left : options->right;
    side->keys = s == 0 ? options->left_keys : options->right_keys;
    side->pads = kind == JOIN_FULL || kind == (s == 0 ? JOIN_LEFT : JOIN_RIGHT);
    side->tracks = side->pads || (s == 0 && keeps_left_only(self));
    side->time_column = self->mode == MODE_WINDOW ? (s == 0 ? options->left_window_end : options->right_window_end)
                        : self->mode == MODE_INTERVAL ? (s == 0 ? options->left_time : options->right_time) : -1;
    if (side->time_column >= 0) {
        side->units_per_ms = timestamp_units_per_ms_num(side->schema->fields[side->time_column].type);
    }
    if (side->schema->n_fields + options->n_keys > COLUMNS_MAX) {
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "a join of %d columns, at most %d are possible: select fewer "
                          "columns below the join", side->schema->n_fields, COLUMNS_MAX - options->n_keys);
    }
    struct field fields[COLUMNS_MAX];
    int32_t n = 0;
    for (int32_t k = 0; k < options->n_keys; k++) {
        fields[n] = side->schema->fields[side->keys[k]];
        side->columns[n] = side->keys[k];
        side->places[side->keys[k]] = n++;
    }
    for (int32_t c = 0; c < side->schema->n_fields; c++) {
        bool is_key = false;
        for (int32_t k = 0; k < options->n_keys; k++) { is_key |= side->keys[k] == c; }
        if (is_key) { continue; }
        fields[n] = side->schema->fields[c];
        side->columns[n] = c;
        side->places[c] = n++;
    }
    SABOT_TRY(schema_new(fields, n, &side->state, err));
    const int64_t now_ms = options->ttl_ms > 0 ? env_wall_ms(self->own.env) : 0;
    const struct multimap_spec spec = {
        .name = s == 0 ? "left" : "right",
        .schema = side->state,
        .n_keys = options->n_keys,
        .counts = retracts && self->mode == MODE_REGULAR,
        .matches = side->tracks,
        .namespaces = self->mode != MODE_REGULAR || options->ttl_ms > 0,
        /* a job without TTL becomes one with it: its rows are as old as this start */
        .unplaced = options->ttl_ms > 0 ? multimap_granule(now_ms + options->ttl_ms, self->granule_ms) : 0,
    };
    return state_multimap_open(self->own.state, &spec, &side->map, err);
}

static sabot_status open_condition(struct join *self, struct sabot_error *err) {
    const struct join_options *options = self->options;
    if (!options->condition) { return SABOT_OK; }
    struct field fields[2 * COLUMNS_MAX];
    int32_t n = 0;
    for (int32_t s = 0; s < 2; s++) {
        const struct schema *schema = self->sides[s].schema;
        for (int32_t c = 0; c < schema->n_fields; c++) { fields[n++] = schema->fields[c]; }
    }
    SABOT_TRY(schema_new(fields, n, &self->pair, err));
    const struct expr *condition = options->condition;
    expr_columns(condition, self->condition_reads, n);
    return program_compile(&condition, 1, &self->own.program, &self->condition, err);
}

static sabot_status open_block(struct join *self, struct sabot_error *err) {
    self->block = self->own.batch_rows > BATCH_ROWS_MAX ? BATCH_ROWS_MAX : self->own.batch_rows;
    const size_t n = (size_t)self->block + 1; /* an end of row may follow the last candidate */
    self->memory_size = n * (6 * sizeof(int32_t) + 2);
    SABOT_TRY(memory_alloc(self->own.pool, self->memory_size, &self->memory, err));
    self->event_rows = self->memory;
    self->event_slots = self->event_rows + n;
    self->pair_rows = self->event_slots + n;
    self->pair_slots = self->pair_rows + n;
    self->out_rows = self->pair_slots + n;
    self->out_slots = self->out_rows + n;
    self->event_passes = (uint8_t *)(self->out_slots + n);
    self->out_kinds = self->event_passes + n;
    return SABOT_OK;
}

static sabot_status check_options(const struct join *self, struct sabot_error *err) {
    const struct join_options *options = self->options;
    for (int32_t k = 0; k < options->n_keys; k++) {
        const struct field *left = &options->left->fields[options->left_keys[k]];
        const struct field *right = &options->right->fields[options->right_keys[k]];
        if (type_phys(left->type) == type_phys(right->type)) { continue; }
        return SABOT_FAIL(err, SABOT_ERR_INTERNAL, "a join compares %s with %s, which are of different types",
                          left->name, right->name);
    }
    if (self->mode == MODE_INTERVAL && keeps_left_only(self)) {
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "an interval join can't be a semi or anti join: write a regular "
                          "join, or compare window columns on both sides");
    }
    if (self->mode != MODE_REGULAR && (options->left_retracts || options->right_retracts)) {
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "an interval or window join takes inserts only, but an input is "
                          "updated: write a regular join");
    }
    return SABOT_OK;
}

static sabot_status open_join(struct join *self, struct sabot_error *err) {
    const struct join_options *options = self->options;
    SABOT_TRY(check_options(self, err));
    if (self->mode == MODE_REGULAR) {
        self->granule_ms = options->ttl_ms / GRANULES > 1 ? options->ttl_ms / GRANULES : 1;
    }
    SABOT_TRY(open_side(self, 0, options->left_retracts, err));
    SABOT_TRY(open_side(self, 1, options->right_retracts, err));
    if (self->mode == MODE_INTERVAL) {
        const int64_t span = options->upper_ms - options->lower_ms;
        self->granule_ms = span / GRANULES > 1 ? span / GRANULES : 1;
        /* No row comes out with a time at or before the watermark passed on: a stored row may be so much behind ... */
        self->delay_ms = -options->lower_ms > options->upper_ms ? -options->lower_ms : options->upper_ms;
        self->delay_ms = self->delay_ms > 0 ? self->delay_ms : 0;
        /* ... and one without a match waits for its granule to end. */
        if (self->sides[0].pads || self->sides[1].pads) { self->delay_ms += self->granule_ms; }
    }
    SABOT_TRY(open_condition(self, err));
    return open_block(self, err);
}

static sabot_status join_open(const struct op_context *context, struct op **out, struct sabot_error *err) {
    *out = NULL;
    struct join *self = calloc(1, sizeof *self);
    if (!self) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a join"); }
    self->op.type = &op_join;
    self->own = *context;
    self->options = context->spec->options;
    self->mode = self->options->interval ? MODE_INTERVAL
                 : self->options->left_window_end >= 0 ? MODE_WINDOW : MODE_REGULAR;
    self->watermark_ms = WATERMARK_NONE;
    self->sides[0].held.pool = self->sides[1].held.pool = context->pool;
    const sabot_status status = open_join(self, err);
    if (status != SABOT_OK) {
        join_close(&self->op);
        return status;
    }
    *out = &self->op;
    return SABOT_OK;
}

/* --- output */
/* Columns of side s for what is in the out list. */
static sabot_status side_column(struct join *self, int32_t s, int32_t c, struct column **out, struct sabot_error *err) {
    const struct side *side = &self->sides[s];
    if (s != self->from) { return multimap_take(side->map, side->places[c], self->out_slots, self->n_out, out, err); }
    if (!self->probe.batch) {
        return column_all_null(self->own.pool, type_nullable(side->schema->fields[c].type), self->n_out, out, err);
    }
    return column_take(self->own.pool, self->probe.batch->columns[c], self->out_rows, self->n_out, out, err);
}

static sabot_status set_kinds(struct join *self, struct batch *batch, struct sabot_error *err) {
    uint8_t any = 0;
    for (int32_t i = 0; i < self->n_out; i++) { any |= self->out_kinds[i]; }
    if (!any) { return SABOT_OK; }
    SABOT_TRY(buffer_new(self->own.pool, (size_t)self->n_out, &batch->row_kinds_buffer, err));
    memcpy(batch->row_kinds_buffer->data, self->out_kinds, (size_t)self->n_out);
    batch->row_kinds = batch->row_kinds_buffer->data;
    return SABOT_OK;
}

static sabot_status give_out(struct join *self, struct op_out *out, struct sabot_error *err) {
    if (self->n_out == 0) { return SABOT_OK; }
    struct column *columns[2 * COLUMNS_MAX];
    int32_t n = 0;
    for (int32_t s = 0; s < (keeps_left_only(self) ? 1 : 2); s++) {
        for (int32_t c = 0; c < self->sides[s].schema->n_fields; c++) {
            const sabot_status status = side_column(self, s, c, &columns[n], err);
            if (status != SABOT_OK) {
                while (n > 0) { column_unref(columns[--n]); }
                return status;
            }
            n++;
        }
    }
    BATCH_OWNED struct batch *batch = NULL;
    SABOT_TRY(batch_new(self->own.spec->output, columns, n, self->n_out, &batch, err));
    SABOT_TRY(set_kinds(self, batch, err));
    batch->created_ns = self->created_ns;
    self->n_out = 0;
    struct batch *given = batch;
    batch = NULL;
    return out_emit(out, given, err);
}

static inline void put(struct join *self, int32_t row, int32_t slot, enum row_kind kind) {
    self->out_rows[self->n_out] = row;
    self->out_slots[self->n_out] = slot;
    self->out_kinds[self->n_out++] = (uint8_t)kind;
}

/* --- walking events */
static inline bool kind_adds(uint8_t kind) { return kind == ROW_INSERT || kind == ROW_UPDATE_AFTER; }

/* What a candidate that passed gives out: first[count times], then second[count times]. */
struct effect {
    bool has_first, has_second;
    int32_t first_row, second_row; /* the slot is the candidate's */
    enum row_kind first, second;
    int64_t count;
};

static struct effect effect_of(const struct join *self, int32_t row, int32_t slot, uint8_t kind) {
    const int32_t other = 1 - self->from;
    const struct side *side = &self->sides[other];
    const int64_t *counts = multimap_counts(side->map);
    const bool adds = kind_adds(kind);
    struct effect effect = {.count = counts ? counts[slot] : 1};
    /* The candidate's own row changes where this is its first match, or was its last. */
    const bool turns =
        self->mode == MODE_REGULAR && side->tracks && multimap_matches(side->map)[slot] == (adds ? 0 : 1);
    if (keeps_left_only(self)) {
        if (self->from == 0) { return effect; }
        effect.has_first = turns;
        effect.first_row = -1;
        effect.first = adds == (self->options->kind == JOIN_SEMI) ? ROW_INSERT : ROW_DELETE;
        return effect;
    }
    /* An inner join passes row kinds on; where a row may have come out with NULLs before, it is an insert or delete. */
    const enum row_kind pair = self->options->kind == JOIN_INNER ? (enum row_kind)kind : adds ? ROW_INSERT : ROW_DELETE;
    if (adds && turns) {
        effect.has_first = effect.has_second = true;
        effect.first_row = -1;
        effect.first = ROW_DELETE;
        effect.second_row = row;
        effect.second = pair;
        return effect;
    }
    effect.has_first = true;
    effect.first_row = row;
    effect.first = pair;
    effect.has_second = turns;
    effect.second_row = -1;
    effect.second = ROW_INSERT;
    return effect;
}

/* False where the block is full: the event goes on with the next one. */
static bool walk_candidate(struct join *self, int32_t i, int32_t slot, uint8_t kind) {
    const struct effect effect = effect_of(self, self->probe.rows[i], slot, kind);
    const int64_t firsts = effect.has_first ? effect.count : 0;
    const int64_t total = firsts + (effect.has_second ? effect.count : 0);
    for (; self->copy < total; self->copy++) {
        if (self->n_out == self->block) { return false; }
        if (self->copy < firsts) {
            put(self, effect.first_row, slot, effect.first);
        } else {
            put(self, effect.second_row, slot, effect.second);
        }
    }
    const struct side *other = &self->sides[1 - self->from];
    if (other->tracks) {
        multimap_touch(other->map, &slot, 1);
        int64_t *matches = &multimap_matches(other->map)[slot];
        *matches += kind_adds(kind) ? 1 : *matches > 0 ? -1 : 0;
    }
    self->probe.matched[i] += effect.count;
    self->copy = 0;
    return true;
}

/* All candidates of a row have been seen. There is room for one row. */
static void walk_end(struct join *self, int32_t i, uint8_t kind) {
    const bool has_match = self->probe.matched[i] > 0;
    if (keeps_left_only(self)) {
        if (self->from == 0 && has_match == (self->options->kind == JOIN_SEMI)) {
            put(self, self->probe.rows[i], -1, (enum row_kind)kind);
        }
        return;
    }
    if (!self->sides[self->from].pads || has_match) { return; }
    if (self->mode == MODE_INTERVAL && self->probe.stored[i]) { return; } /* it may match until it leaves */
    put(self, self->probe.rows[i], -1, kind_adds(kind) ? ROW_INSERT : ROW_DELETE);
}

static void walk(struct join *self) {
    const uint8_t *kinds = self->probe.batch->row_kinds;
    for (; self->event < self->n_events; self->event++) {
        const int32_t i = self->event_rows[self->event], slot = self->event_slots[self->event];
        const uint8_t kind = kinds ? kinds[self->probe.rows[i]] : ROW_INSERT;
        if (self->n_out == self->block) { return; }
        if (slot == SLOT_END) {
            walk_end(self, i, kind);
        } else if (self->event_passes[self->event] && !walk_candidate(self, i, slot, kind)) {
            return;
        }
    }
}

/* Nobody keeps count of anything: each candidate that passed is a row. */
static bool walk_is_plain(const struct join *self) {
    return self->options->kind == JOIN_INNER && !multimap_counts(self->sides[1 - self->from].map);
}

static void walk_plainly(struct join *self) {
    const uint8_t *kinds = self->probe.batch->row_kinds;
    for (; self->event < self->n_events; self->event++) {
        if (self->n_out == self->block) { return; }
        const int32_t row = self->probe.rows[self->event_rows[self->event]], slot = self->event_slots[self->event];
        self->out_rows[self->n_out] = row;
        self->out_slots[self->n_out] = slot;
        self->out_kinds[self->n_out] = kinds ? kinds[row] : ROW_INSERT;
        self->n_out += self->event_passes[self->event] & (slot != SLOT_END);
    }
}

/* --- events */
static void collect(struct join *self) {
    struct probe *probe = &self->probe;
    const int32_t *next = multimap_next(self->sides[1 - self->from].map);
    int32_t n = 0;
    while (probe->row < probe->n && n < self->block) {
        int32_t slot = probe->cursor == CURSOR_FRESH ? probe->heads[probe->row] : probe->cursor;
        for (; slot >= 0 && n < self->block; slot = next[slot]) {
            self->event_rows[n] = probe->row;
            self->event_slots[n] = slot;
            self->event_passes[n++] = 1;
        }
        if (slot >= 0) {
            probe->cursor = slot;
            break;
        }
        self->event_rows[n] = probe->row++;
        self->event_slots[n] = SLOT_END;
        self->event_passes[n++] = 1;
        probe->cursor = CURSOR_FRESH;
    }
    self->n_events = n;
    self->event = 0;
    self->copy = 0;
}

/* left BETWEEN right + lower AND right + upper, in units of both columns. */
static void check_times(struct join *self) {
    const struct side *mine = &self->sides[self->from], *other = &self->sides[1 - self->from];
    const struct column *column = self->probe.batch->columns[mine->time_column];
    const int64_t *my_times = column->values;
    const int64_t *other_times = multimap_values(other->map, other->places[other->time_column]);
    const __int128 units = (__int128)mine->units_per_ms * other->units_per_ms;
    const __int128 lower = units * self->options->lower_ms, upper = units * self->options->upper_ms;
    for (int32_t e = 0; e < self->n_events; e++) {
        if (self->event_slots[e] == SLOT_END) { continue; }
        const int64_t at = column_at(column, self->probe.rows[self->event_rows[e]]);
        const __int128 my_time = (__int128)my_times[at] * other->units_per_ms;
        const __int128 other_time = (__int128)other_times[self->event_slots[e]] * mine->units_per_ms;
        const __int128 distance = self->from == 0 ? my_time - other_time : other_time - my_time; /* left - right */
        self->event_passes[e] = distance >= lower && distance <= upper;
    }
}

/* Candidates as rows for the condition; columns that it does not read are NULL. */
static sabot_status pair_batch(struct join *self, int32_t n, struct batch **out, struct sabot_error *err) {
    struct column *columns[2 * COLUMNS_MAX];
    int32_t n_columns = 0;
    sabot_status status = SABOT_OK;
    for (int32_t s = 0; s < 2 && status == SABOT_OK; s++) {
        const struct side *side = &self->sides[s];
        for (int32_t c = 0; c < side->schema->n_fields && status == SABOT_OK; c++) {
            struct column **column = &columns[n_columns];
            if (!self->condition_reads[n_columns]) {
                status = column_all_null(self->own.pool, type_nullable(side->schema->fields[c].type), n, column, err);
            } else if (s == self->from) {
                status =
                    column_take(self->own.pool, self->probe.batch->columns[c], self->pair_rows, n, column, err);
            } else {
                status = multimap_take(side->map, side->places[c], self->pair_slots, n, column, err);
            }
            n_columns += status == SABOT_OK;
        }
    }
    if (status != SABOT_OK) {
        while (n_columns > 0) { column_unref(columns[--n_columns]); }
        return status;
    }
    return batch_new(self->pair, columns, n_columns, n, out, err);
}

/* Evaluates the residual condition over all candidates of the block at once. */
static sabot_status check_condition(struct join *self, struct sabot_error *err) {
    int32_t n = 0;
    for (int32_t e = 0; e < self->n_events; e++) {
        if (self->event_slots[e] == SLOT_END || !self->event_passes[e]) { continue; }
        self->pair_rows[n] = self->probe.rows[self->event_rows[e]];
        self->pair_slots[n++] = self->event_slots[e];
    }
    if (n == 0) { return SABOT_OK; }
    struct batch *pairs;
    SABOT_TRY(pair_batch(self, n, &pairs, err));
    BATCH_OWNED struct batch *passed = NULL;
    SABOT_TRY(program_filter(self->condition, pairs, &passed, err));
    if (passed && !passed->selection) { return SABOT_OK; }
    int32_t pair = 0, at = 0;
    const int32_t n_passed = passed ? passed->selected : 0;
    for (int32_t e = 0; e < self->n_events; e++) {
        if (self->event_slots[e] == SLOT_END || !self->event_passes[e]) { continue; }
        const bool passes = at < n_passed && passed->selection[at] == pair;
        self->event_passes[e] = passes;
        at += passes;
        pair++;
    }
    return SABOT_OK;
}

/* --- probing */
static sabot_status probe_reserve(struct join *self, int32_t n, struct sabot_error *err) {
    struct probe *probe = &self->probe;
    if (n > probe->capacity) {
        const int32_t capacity = n < BATCH_ROWS_DEFAULT ? BATCH_ROWS_DEFAULT : n;
        const size_t size = (size_t)capacity * (2 * sizeof(int64_t) + 2 * sizeof(int32_t) + 1);
        void *memory;
        SABOT_TRY(memory_alloc(self->own.pool, size, &memory, err));
        memory_free(self->own.pool, probe->memory, probe->memory_size);
        probe->memory = memory;
        probe->memory_size = size;
        probe->capacity = capacity;
        probe->matched = memory;
        probe->namespaces = probe->matched + capacity;
        probe->rows = (int32_t *)(probe->namespaces + capacity);
        probe->heads = probe->rows + capacity;
        probe->stored = (uint8_t *)(probe->heads + capacity);
    }
    return SABOT_OK;
}

/* Makes a batch ours to cache hashes in, where they are not there yet. */
static sabot_status prepare(struct join *self, int32_t side, struct batch **batch, struct sabot_error *err) {
    const int32_t *keys = self->sides[side].keys;
    const int32_t n_keys = self->options->n_keys;
    if ((*batch)->hashes && (*batch)->hash_key_id == key_id(keys, n_keys)) { return SABOT_OK; }
    if (atomic_load_explicit(&(*batch)->refs, memory_order_relaxed) > 1) {
        struct batch *own;
        SABOT_TRY(batch_copy(*batch, &own, err));
        batch_unref(*batch);
        *batch = own;
    }
    return batch_cache_hashes(self->own.pool, *batch, keys, n_keys, err);
}

static bool key_has_null(const struct join *self, int32_t side, const struct batch *batch, int32_t row) {
    for (int32_t k = 0; k < self->options->n_keys; k++) {
        if (column_is_null(batch->columns[self->sides[side].keys[k]], row)) { return true; }
    }
    return false;
}

static bool keys_may_be_null(const struct join *self, int32_t side, const struct batch *batch) {
    for (int32_t k = 0; k < self->options->n_keys; k++) {
        const struct column *column = batch->columns[self->sides[side].keys[k]];
        if (column->validity || column->phys == PHYS_NULL) { return true; }
    }
    return false;
}

/* Looks up where the rows of probe.rows lead to. */
static void probe_find(struct join *self) {
    struct probe *probe = &self->probe;
    const struct side *mine = &self->sides[self->from];
    const struct multimap_rows rows = {
        .batch = probe->batch, .columns = mine->columns, .rows = probe->rows, .n = probe->n};
    multimap_find(self->sides[1 - self->from].map, &rows, probe->heads);
    if (keys_may_be_null(self, self->from, probe->batch)) {
        for (int32_t i = 0; i < probe->n; i++) {
            if (key_has_null(self, self->from, probe->batch, probe->rows[i])) { probe->heads[i] = -1; }
        }
    }
    memset(probe->matched, 0, (size_t)probe->n * sizeof *probe->matched);
    probe->row = 0;
    probe->cursor = CURSOR_FRESH;
    self->n_events = self->event = 0;
    self->created_ns = probe->batch->created_ns;
}

static sabot_status store(struct join *self, struct sabot_error *err) {
    struct probe *probe = &self->probe;
    int32_t n = 0;
    if (self->mode != MODE_WINDOW && self->sides[1 - self->from].ended) { return SABOT_OK; }
    for (int32_t i = 0; i < probe->n; i++) {
        if (!probe->stored[i]) { continue; }
        probe->rows[n] = probe->rows[i];
        probe->namespaces[n] = probe->namespaces[i];
        probe->matched[n++] = probe->matched[i];
    }
    const struct side *mine = &self->sides[self->from];
    const struct multimap_rows rows = {.batch = probe->batch, .columns = mine->columns, .rows = probe->rows, .n = n};
    return multimap_apply(mine->map, &rows, probe->namespaces, probe->matched, err);
}

/* --- rows with one match at most */
/* The column of the probe that equals column c of the other side wherever there is a match; -1 = none. */
static int32_t equal_column(const struct join *self, int32_t c) {
    const struct side *other = &self->sides[1 - self->from];
    const int32_t key = other->places[c];
    const enum phys phys = type_phys(other->schema->fields[c].type);
    if (key >= self->options->n_keys || phys == PHYS_F32 || phys == PHYS_F64) { return -1; } /* 0.0 equals -0.0 */
    return self->sides[self->from].keys[key];
}

/* Slots by physical row: where nothing matches, one that has a row. Returns the number of rows that match. */
static int32_t direct_slots(struct join *self) {
    const struct probe *probe = &self->probe;
    int32_t n = 0, any = 0, *slots = self->out_slots;
    for (int32_t i = 0; i < probe->n; i++) {
        any = probe->heads[i] >= 0 ? probe->heads[i] : any;
        n += probe->heads[i] >= 0;
    }
    if (n < probe->n || probe->batch->selection) {
        for (int32_t i = 0; i < probe->batch->rows; i++) { slots[i] = any; }
    }
    for (int32_t i = 0; i < probe->n; i++) { slots[probe->rows[i]] = probe->heads[i] >= 0 ? probe->heads[i] : any; }
    return n;
}

static sabot_status direct_columns(struct join *self, struct column **columns, int32_t *n, struct sabot_error *err) {
    const struct batch *batch = self->probe.batch;
    *n = 0;
    for (int32_t s = 0; s < 2; s++) {
        const struct side *side = &self->sides[s];
        for (int32_t c = 0; c < side->schema->n_fields; c++) {
            const int32_t mine = s == self->from ? c : equal_column(self, c);
            if (mine >= 0) {
                columns[*n] = column_ref(batch->columns[mine]);
            } else {
                SABOT_TRY(multimap_take(side->map, side->places[c], self->out_slots, batch->rows, &columns[*n], err));
            }
            ++*n;
        }
    }
    return SABOT_OK;
}

/* An inner join with a side of unique keys: the columns of the probe go on as they are, with a selection of the rows
 * that match. *done = false: this batch goes the other way. */
static sabot_status give_directly(struct join *self, struct op_out *out, bool *done, struct sabot_error *err) {
    struct batch *probe = self->probe.batch;
    const struct state_multimap *map = self->sides[1 - self->from].map;
    *done = false;
    if (self->mode != MODE_REGULAR || self->condition || !walk_is_plain(self) || !multimap_is_unique(map) ||
        probe->rows > self->block) {
        return SABOT_OK;
    }
    const int32_t n = direct_slots(self);
    if (n > 0 && n < probe->rows / 4) { return SABOT_OK; } /* copying few rows is less */
    *done = true;
    if (n == 0) { return SABOT_OK; }
    struct column *columns[2 * COLUMNS_MAX];
    int32_t n_columns;
    const sabot_status status = direct_columns(self, columns, &n_columns, err);
    if (status != SABOT_OK) {
        while (n_columns > 0) { column_unref(columns[--n_columns]); }
        return status;
    }
    BATCH_OWNED struct batch *batch = NULL;
    SABOT_TRY(batch_new(self->own.spec->output, columns, n_columns, probe->rows, &batch, err));
    batch->created_ns = probe->created_ns;
    if (probe->row_kinds) {
        batch->row_kinds_buffer = buffer_ref(probe->row_kinds_buffer);
        batch->row_kinds = probe->row_kinds;
    }
    if (n < probe->rows) {
        struct buffer *selection;
        SABOT_TRY(buffer_new(self->own.pool, (size_t)n * sizeof(int32_t), &selection, err));
        int32_t *rows = (int32_t *)(void *)selection->data, at = 0;
        for (int32_t i = 0; i < self->probe.n; i++) {
            if (self->probe.heads[i] >= 0) { rows[at++] = self->probe.rows[i]; }
        }
        struct batch *chosen;
        SABOT_TRY(batch_with_selection(batch, selection, n, &chosen, err));
        batch_unref(batch);
        batch = chosen;
    }
    return out_emit(out, batch_ref(batch), err);
}

/* *done: all rows of the probe have been given out; else the output is full. */
static sabot_status probe_run(struct join *self, struct op_out *out, bool *done, struct sabot_error *err) {
    struct probe *probe = &self->probe;
    *done = false;
    if (probe->row == 0 && probe->cursor == CURSOR_FRESH && self->event == self->n_events) { /* at its beginning */
        bool given;
        SABOT_TRY(give_directly(self, out, &given, err));
        if (given) { probe->row = probe->n; }
    }
    for (;;) {
        if (self->n_out == self->block) {
            SABOT_TRY(give_out(self, out, err));
            if (out_is_full(out)) { return SABOT_OK; }
        }
        if (self->event < self->n_events) {
            if (walk_is_plain(self)) {
                walk_plainly(self);
            } else {
                walk(self);
            }
            continue;
        }
        if (probe->row == probe->n) { break; }
        collect(self);
        if (self->mode == MODE_INTERVAL) { check_times(self); }
        if (self->condition) { SABOT_TRY(check_condition(self, err)); }
    }
    SABOT_TRY(give_out(self, out, err));
    if (probe->stores) { SABOT_TRY(store(self, err)); }
    batch_unref(probe->batch);
    probe->batch = NULL;
    *done = true;
    return SABOT_OK;
}

/* --- time */
static int64_t divide_up(int64_t value, int64_t by) { return value / by + (value % by > 0); }
static int64_t divide_down(int64_t value, int64_t by) { return value / by - (value % by < 0); }
static int64_t time_of(const struct join *self, int32_t side, const struct batch *batch, int32_t row) {
    const struct column *column = batch->columns[self->sides[side].time_column];
    return ((const int64_t *)column->values)[column_at(column, row)];
}

/* Which rows of an interval join are kept, and until when. */
static void interval_namespaces(struct join *self) {
    struct probe *probe = &self->probe;
    const int32_t side = self->from;
    const int64_t reach = side == 0 ? -self->options->lower_ms : self->options->upper_ms;
    for (int32_t i = 0; i < probe->n; i++) {
        const int32_t row = probe->rows[i];
        if (column_is_null(probe->batch->columns[self->sides[side].time_column], row)) {
            probe->heads[i] = -1; /* a row without a time matches nothing */
            probe->stored[i] = 0;
            continue;
        }
        const int64_t time = time_of(self, side, probe->batch, row);
        const int64_t last_ms = divide_up(time, self->sides[side].units_per_ms) + reach;
        probe->namespaces[i] = multimap_granule(last_ms, self->granule_ms);
        probe->stored[i] &= last_ms > self->watermark_ms;
    }
}

/* Rows of a window join that are not late are kept until the window ends; the others go to the late ledger. */
static sabot_status window_store(struct join *self, struct sabot_error *err) {
    struct probe *probe = &self->probe;
    const struct side *mine = &self->sides[self->from];
    const bool comes_out_anyway = mine->pads || (self->from == 0 && self->options->kind == JOIN_ANTI);
    for (int32_t i = 0; i < probe->n; i++) {
        const int32_t row = probe->rows[i];
        probe->stored[i] = !column_is_null(probe->batch->columns[mine->time_column], row);
        if (!probe->stored[i]) { continue; }
        const int64_t end_ms = divide_down(time_of(self, self->from, probe->batch, row), mine->units_per_ms);
        probe->namespaces[i] = end_ms;
        if (end_ms - 1 <= self->watermark_ms) {
            probe->stored[i] = 0;
            SABOT_TRY(window_late(&self->own, NULL, probe->batch, &row, 1, "window join", end_ms, self->watermark_ms,
                                  NULL, err));
        } else if (!comes_out_anyway) {
            probe->stored[i] = !key_has_null(self, self->from, probe->batch, row);
        }
    }
    memset(probe->matched, 0, (size_t)probe->n * sizeof *probe->matched);
    SABOT_TRY(store(self, err));
    batch_unref(probe->batch);
    probe->batch = NULL;
    return SABOT_OK;
}

/* Regular joins with a TTL: namespaces are wall-clock times. */
static void expire(struct join *self, int64_t until) {
    for (int32_t s = 0; s < 2; s++) {
        int64_t first;
        while (multimap_first_namespace(self->sides[s].map, &first) && first <= until) {
            multimap_drop_namespace(self->sides[s].map, first);
        }
    }
}

/* The least namespace of both sides that the watermark has passed; false: none. */
static bool next_namespace(const struct join *self, int64_t *out) {
    int64_t least = INT64_MAX;
    bool found = false;
    for (int32_t s = 0; s < 2; s++) {
        int64_t first;
        if (!multimap_first_namespace(self->sides[s].map, &first)) { continue; }
        least = first < least ? first : least;
        found = true;
    }
    *out = least;
    const int64_t bound = self->mode == MODE_WINDOW && self->to_ms < INT64_MAX ? self->to_ms + 1 : self->to_ms;
    return found && least <= bound;
}

/* The next rows of the left side of a window as a probe; leaves probe.batch NULL where there are no more. */
static sabot_status probe_window(struct join *self, struct sabot_error *err) {
    const struct side *left = &self->sides[0];
    SABOT_TRY(probe_reserve(self, self->block, err));
    const int32_t n = multimap_namespace_slots(left->map, self->namespace_, self->after, self->pair_slots, self->block);
    if (n == 0) { return SABOT_OK; }
    self->after = self->pair_slots[n - 1];
    struct column *columns[COLUMNS_MAX];
    for (int32_t c = 0; c < left->schema->n_fields; c++) {
        const sabot_status status = multimap_take(left->map, left->places[c], self->pair_slots, n, &columns[c], err);
        if (status != SABOT_OK) {
            while (c > 0) { column_unref(columns[--c]); }
            return status;
        }
    }
    BATCH_OWNED struct batch *batch = NULL;
    SABOT_TRY(batch_new(left->schema, columns, left->schema->n_fields, n, &batch, err));
    SABOT_TRY(buffer_new(self->own.pool, (size_t)n * sizeof(uint64_t), &batch->hashes_buffer, err));
    uint64_t *hashes = (uint64_t *)(void *)batch->hashes_buffer->data;
    for (int32_t i = 0; i < n; i++) { hashes[i] = multimap_hashes(left->map)[self->pair_slots[i]]; }
    batch->hashes = hashes;
    batch->hash_key_id = key_id(left->keys, self->options->n_keys);
    self->probe.batch = batch;
    batch = NULL;
    self->probe.n = n;
    self->probe.stores = false;
    self->from = 0;
    for (int32_t i = 0; i < n; i++) { self->probe.rows[i] = i; }
    probe_find(self);
    return SABOT_OK;
}

/* Gives out rows of one side in a namespace that have no match. *done = false: the output is full. */
static sabot_status give_unmatched(struct join *self, int32_t s, struct op_out *out, bool *done,
                                   struct sabot_error *err) {
    const struct side *side = &self->sides[s];
    *done = false;
    self->from = 1 - s;
    self->created_ns = 0;
    for (;;) {
        if (out_is_full(out)) { return SABOT_OK; }
        const int32_t n =
            multimap_namespace_slots(side->map, self->namespace_, self->after, self->pair_slots, self->block);
        if (n == 0) { break; }
        self->after = self->pair_slots[n - 1];
        const int64_t *matches = multimap_matches(side->map);
        for (int32_t i = 0; i < n; i++) {
            if (matches[self->pair_slots[i]] == 0) { put(self, -1, self->pair_slots[i], ROW_INSERT); }
        }
        SABOT_TRY(give_out(self, out, err));
    }
    *done = true;
    return SABOT_OK;
}

/* Goes on with the namespaces that the watermark has passed. Steps per namespace: 0 left, 1 right, then both are
 * dropped. A window's left side is probed, which also finds its own rows without a match. */
static sabot_status advance(struct join *self, struct op_out *out, bool *done, struct sabot_error *err) {
    *done = false;
    for (;;) {
        if (self->advance_side < 0) {
            if (!next_namespace(self, &self->namespace_)) { break; }
            self->advance_side = 0;
            self->after = -1;
        }
        if (self->advance_side == 0 && self->mode == MODE_WINDOW) {
            SABOT_TRY(probe_window(self, err));
            if (self->probe.batch) { return SABOT_OK; }
        } else if (self->advance_side < 2 && self->sides[self->advance_side].pads) {
            bool given;
            SABOT_TRY(give_unmatched(self, self->advance_side, out, &given, err));
            if (!given) { return SABOT_OK; }
        }
        self->after = -1;
        if (++self->advance_side < 2) { continue; }
        multimap_drop_namespace(self->sides[0].map, self->namespace_);
        multimap_drop_namespace(self->sides[1].map, self->namespace_);
        self->advance_side = -1;
    }
    *done = true;
    return SABOT_OK;
}

/* --- rows that wait: where state is on disk, many rows share a walk through it */
static int64_t rows_held(const struct join *self) { return self->sides[0].held.rows + self->sides[1].held.rows; }

static bool holds(const struct join *self) { return rows_held(self) > 0 || memory_is_spilled(self->own.pool); }

static void release_begin(struct join *self) {
    if (self->releasing || rows_held(self) == 0) { return; }
    self->releasing = true;
    held_pace_begin(&self->pace, self->own.env);
}

/* A batch is on its way through the other side's map. */
static sabot_status probe_begin(struct join *self, int32_t input, struct batch *taken, struct sabot_error *err) {
    BATCH_OWNED struct batch *batch = taken;
    struct probe *probe = &self->probe;
    SABOT_TRY(prepare(self, input, &batch, err));
    SABOT_TRY(probe_reserve(self, batch->selected, err));
    self->from = input;
    probe->n = batch->selected;
    probe->stores = true;
    for (int32_t i = 0; i < probe->n; i++) { probe->rows[i] = batch_row(batch, i); }
    memset(probe->stored, self->mode == MODE_WINDOW || !self->sides[1 - input].ended, (size_t)probe->n);
    memset(probe->namespaces, 0, (size_t)probe->n * sizeof *probe->namespaces);
    probe->batch = batch;
    batch = NULL;
    if (self->mode == MODE_WINDOW) { return window_store(self, err); }
    if (self->mode == MODE_REGULAR && self->options->ttl_ms > 0) {
        const int64_t now_ms = env_wall_ms(self->own.env);
        expire(self, now_ms);
        const int64_t until = multimap_granule(now_ms + self->options->ttl_ms, self->granule_ms);
        for (int32_t i = 0; i < probe->n; i++) { probe->namespaces[i] = until; }
    }
    probe_find(self);
    if (keys_may_be_null(self, input, probe->batch)) { /* what matches nothing need not be kept */
        for (int32_t i = 0; i < probe->n; i++) {
            probe->stored[i] &= !key_has_null(self, input, probe->batch, probe->rows[i]);
        }
    }
    if (self->mode == MODE_INTERVAL) { interval_namespaces(self); }
    return SABOT_OK;
}

/* Makes the next of the rows that were held the probe; leaves probe.batch NULL where none is left. */
static sabot_status release_next(struct join *self, struct sabot_error *err) {
    while (self->releasing) {
        for (int32_t s = 0; s < 2; s++) {
            struct held *held = &self->sides[s].held;
            struct batch *batch;
            if (!held_is_going(held)) { continue; }
            SABOT_TRY(held_next(held, self->block, &batch, err));
            if (batch) { SABOT_TRY(probe_begin(self, s, batch, err)); }
            if (self->probe.batch) { return SABOT_OK; }
        }
        if (held_is_going(&self->sides[0].held) || held_is_going(&self->sides[1].held)) { continue; }
        const int32_t s = self->sides[0].held.rows > 0 ? 0 : 1;
        if (self->sides[s].held.rows > 0) {
            struct side *side = &self->sides[s];
            SABOT_TRY(held_begin(&side->held, side->keys, self->options->n_keys, MULTIMAP_ORDER, err));
            continue;
        }
        self->releasing = false;
        held_pace_end(&self->pace, self->own.env);
        self->sides[0].ended |= self->sides[0].ending;
        self->sides[1].ended |= self->sides[1].ending;
    }
    return SABOT_OK;
}

/* --- events of the task */
static sabot_status pass_watermark(struct join *self, int64_t watermark_ms, struct op_out *out,
                                   struct sabot_error *err) {
    const bool is_delayed = self->mode == MODE_INTERVAL && watermark_ms != WATERMARK_END;
    return out->watermark(out, is_delayed ? watermark_ms - self->delay_ms : watermark_ms, err);
}

static void advance_begin(struct join *self, int64_t watermark_ms) {
    self->advancing = true;
    self->advance_side = -1;
    self->to_ms = watermark_ms;
}

/* What has waited for the rows that were held. *more: there are rows to give out for it. */
static sabot_status settle(struct join *self, struct op_out *out, bool *more, struct sabot_error *err) {
    *more = false;
    if (rows_held(self) > 0) { return SABOT_OK; }
    int64_t watermark_ms;
    if (held_take_watermark(&self->pace, &watermark_ms)) {
        if (self->mode != MODE_REGULAR) {
            advance_begin(self, watermark_ms);
            *more = true;
            return SABOT_OK;
        }
        SABOT_TRY(pass_watermark(self, watermark_ms, out, err));
    }
    return held_pass_idle(&self->pace, out, err);
}

static sabot_status drive(struct join *self, struct op_out *out, struct sabot_error *err) {
    self->op.busy = true;
    for (bool more = true; more;) {
        bool done = true;
        if (self->probe.batch) { SABOT_TRY(probe_run(self, out, &done, err)); }
        if (!done) { return SABOT_OK; }
        if (self->releasing) { SABOT_TRY(release_next(self, err)); }
        if (self->probe.batch) { continue; }
        if (self->advancing) {
            SABOT_TRY(advance(self, out, &done, err));
            if (self->probe.batch) { continue; }
            if (!done) { return SABOT_OK; }
            self->advancing = false;
            self->watermark_ms = self->to_ms;
            SABOT_TRY(pass_watermark(self, self->to_ms, out, err));
        }
        SABOT_TRY(settle(self, out, &more, err));
    }
    self->op.busy = false;
    return SABOT_OK;
}

static sabot_status hold(struct join *self, int32_t input, struct batch *batch, struct op_out *out,
                         struct sabot_error *err) {
    SABOT_TRY(held_add(&self->sides[input].held, batch, err));
    if (held_is_enough(self->own.pool, rows_held(self), self->sides[0].held.bytes + self->sides[1].held.bytes)) {
        release_begin(self);
        return drive(self, out, err);
    }
    held_wake(&self->pace, &self->op, &self->own);
    return SABOT_OK;
}

static sabot_status join_on_batch(struct op *op, int32_t input, struct batch *taken, struct op_out *out,
                                  struct sabot_error *err) {
    struct join *self = (struct join *)op;
    self->sides[input].rows_taken += taken->selected;
    if (taken->selected > 0 && holds(self)) { return hold(self, input, taken, out, err); }
    SABOT_TRY(probe_begin(self, input, taken, err));
    return self->probe.batch ? drive(self, out, err) : SABOT_OK;
}

/* What is held goes on before whatever is behind it. */
static sabot_status release_all(struct join *self, struct op_out *out, struct sabot_error *err) {
    release_begin(self);
    return self->releasing ? drive(self, out, err) : SABOT_OK;
}

static sabot_status join_on_time(struct op *op, int64_t now_ms, struct op_out *out, struct sabot_error *err) {
    (void)now_ms;
    return release_all((struct join *)op, out, err);
}

static sabot_status join_before_barrier(struct op *op, int64_t checkpoint_id, struct op_out *out,
                                        struct sabot_error *err) {
    (void)checkpoint_id;
    return release_all((struct join *)op, out, err);
}

static sabot_status join_on_watermark(struct op *op, int64_t watermark_ms, struct op_out *out,
                                      struct sabot_error *err) {
    struct join *self = (struct join *)op;
    if (self->condition) { program_set_watermark(self->condition, watermark_ms); }
    if (rows_held(self) > 0) {
        held_keep_watermark(&self->pace, watermark_ms);
        return watermark_ms == WATERMARK_END ? release_all(self, out, err) : SABOT_OK;
    }
    if (self->mode == MODE_REGULAR) { return out->watermark(out, watermark_ms, err); }
    advance_begin(self, watermark_ms);
    return drive(self, out, err);
}

static sabot_status join_on_idle(struct op *op, struct op_out *out, struct sabot_error *err) {
    struct join *self = (struct join *)op;
    if (rows_held(self) == 0) { return out->idle(out, err); }
    self->pace.idle_waits = true;
    return release_all(self, out, err);
}

static void join_on_input_end(struct op *op, int32_t input) {
    struct join *self = (struct join *)op;
    self->sides[input].ending = true;
    if (rows_held(self) == 0) { self->sides[input].ended = true; }
}

/* Rows need not be kept once the other side has ended. So where only the end counts, the side that has had fewer rows
 * is read until it has ended or is no longer behind: when the smaller one ends, no more than as many rows of the larger
 * one have been stored, whatever the sizes are, and nobody had to guess them. One task waits for that side; several
 * could wait for each other, each for rows that are stuck behind another's. */
static int32_t join_next_input(const struct op *op, bool *waits) {
    const struct join *self = (const struct join *)op;
    const struct side *sides = self->sides;
    if (!self->options->batch || self->mode != MODE_REGULAR || sides[0].ending || sides[1].ending) { return -1; }
    *waits = self->own.parallelism == 1;
    return sides[1].rows_taken <= sides[0].rows_taken;
}

static sabot_status join_resume(struct op *op, struct op_out *out, struct sabot_error *err) {
    return op->busy ? drive((struct join *)op, out, err) : SABOT_OK;
}

const struct op_type op_join = {
    .name = "join",
    .summary = "join two inputs by keys: regular, window or interval join",
    .open = join_open,
    .on_batch = join_on_batch,
    .on_watermark = join_on_watermark,
    .on_idle = join_on_idle,
    .on_end = op_default_on_end,
    .on_input_end = join_on_input_end,
    .next_input = join_next_input,
    .resume = join_resume,
    .before_barrier = join_before_barrier,
    .on_time = join_on_time,
    .on_complete = op_default_on_complete,
    .close = join_close,
    .stateful = true,
    .declares_state = true,
};
