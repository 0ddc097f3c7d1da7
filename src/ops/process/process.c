/* Process functions: rows of a batch are sorted by key and handed to the user's code, and so are timers that fire. */
#include "ops/process/process_impl.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "arrow/export.h"
#include "state/kv_hot.h"

#define FIRE_PER_CALL 4096 /* timers between two looks at the output and at what the job is told */
#define NAMESPACE_NULL 1
#define ROOM_KEPT (1 << 20) /* bytes of a room that stay for the next call; more were for a large value or list */

/* ---- opening and closing ----------------------------------------------------------------------------------------- */

/* Those larger than this. */
static void rooms_free(struct process *self, size_t larger_than) {
    struct process_room *rooms[] = {&self->hashes, &self->table, &self->groups, &self->order, &self->starts,
                                    &self->key_room, &self->null_room, &self->times, &self->emit_times,
                                    &self->timer_ids, &self->gathered, &self->given, &self->taken, &self->bytes,
                                    &self->entry_bytes, &self->out_keys, &self->out_values, &self->found,
                                    &self->offsets};
    for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++) {
        if (rooms[i]->capacity > larger_than) { process_room_free(self, rooms[i]); }
    }
}

static void process_close(struct op *op) {
    struct process *self = (struct process *)op;
    const struct sabot_process_function *definition = &self->function->definition;
    if (self->is_open && definition->close) { definition->close(self->instance); }
    importer_free(self->importer);
    schema_unref(self->rows_schema);
    schema_unref(self->keys_schema);
    schema_unref(self->columns_schema);
    window_progress_clear(&self->progress);
    kv_store_free(self->store);
    rooms_free(self, 0);
    free(self);
}

/* What a callback returned: a failure always says whose it is. */
static sabot_status user_status(struct process *self, sabot_status status, const char *callback,
                                struct sabot_error *inner, struct sabot_error *err) {
    if (status == SABOT_OK) { return SABOT_OK; }
    return SABOT_FAIL(err, status, "%s(), %s: %s", self->function->name, callback,
                      inner->message[0] ? inner->message : "it failed without a message");
}

static struct kv_ttl ttl_of(const struct sabot_process_state *state) {
    return (struct kv_ttl){.ttl_ms = state->ttl_ms, .on_read = state->ttl_on_read,
                           .time = state->ttl_time == SABOT_EVENT_TIME ? KV_EVENT_TIME : KV_PROCESSING_TIME};
}

static enum kv_type kv_type_of(enum sabot_process_type type) {
    return type == SABOT_BIGINT ? KV_INT64 : type == SABOT_DOUBLE ? KV_FLOAT64 : KV_BYTES;
}

static sabot_status state_open(struct process *self, int32_t i, struct sabot_error *err) {
    const struct sabot_process_state *state = &self->function->definition.states[i];
    char name[64];
    snprintf(name, sizeof name, "state.%s", state->name);
    const struct kv_declare declare = {
        .name = name, .key = self->key_type, .value = kv_type_of(state->type), .ttl = ttl_of(state)};
    switch (state->kind) {
    case SABOT_VALUE: return kv_value_open(self->store, &declare, &self->states[i], err);
    case SABOT_LIST: return kv_list_open(self->store, &declare, &self->states[i], err);
    case SABOT_MAP: return kv_map_open(self->store, &declare, kv_type_of(state->map_key), &self->states[i], err);
    case SABOT_COUNTER: return kv_counter_open(self->store, &declare, &self->states[i], err);
    }
    return SABOT_FAIL(err, SABOT_ERR_USAGE, "state \"%s\" is of no kind that there is", state->name);
}

static sabot_status on_due(void *arg, enum timer_domain domain, const struct timer *due, int32_t n, int32_t *taken,
                           struct sabot_error *err);

/* The namespace of a timer: its name, so that a checkpoint knows it whatever else is declared. */
static sabot_status names_make(struct process *self, struct sabot_error *err) {
    const struct sabot_process_function *definition = &self->function->definition;
    for (int32_t i = 0; i < definition->n_timers; i++) {
        const char *name = definition->timers[i].name;
        const struct string_view view = string_view_of(name, (uint32_t)strlen(name));
        self->names[i] = (int64_t)(kv_key_hash(KV_BYTES, &view) & ~(uint64_t)NAMESPACE_NULL);
        for (int32_t j = 0; j < i; j++) {
            if (self->names[j] != self->names[i]) { continue; }
            return SABOT_FAIL(err, SABOT_ERR_USAGE, "timers \"%s\" and \"%s\" can't stand side by side: rename one",
                              definition->timers[j].name, name);
        }
    }
    return SABOT_OK;
}

static sabot_status timers_make(struct process *self, struct sabot_error *err) {
    const struct sabot_process_function *definition = &self->function->definition;
    if (definition->n_timers == 0) { return SABOT_OK; }
    SABOT_TRY(names_make(self, err));
    const struct timers_options options = {
        .store = self->store, .name = "timers", .key = self->key_type, .callbacks = {on_due}, .arg = self};
    SABOT_TRY(timers_open(&options, &self->timers, err));
    for (int32_t i = 0; i < definition->n_timers; i++) {
        char name[64];
        if (definition->timers[i].many) { continue; }
        snprintf(name, sizeof name, "timer.%s", definition->timers[i].name);
        const struct kv_declare declare = {.name = name, .key = self->key_type, .value = KV_INT64};
        SABOT_TRY(kv_value_open(self->store, &declare, &self->standing[i], err));
    }
    return SABOT_OK;
}

static sabot_status store_open_for(struct process *self, struct sabot_error *err) {
    const struct sabot_process_function *definition = &self->function->definition;
    for (int32_t i = 0; i < definition->n_states; i++) {
        self->event_ttl |= definition->states[i].ttl_ms && definition->states[i].ttl_time == SABOT_EVENT_TIME;
    }
    if (self->key_column < 0 || definition->n_states + definition->n_timers == 0) { return SABOT_OK; }
    const struct kv_store_options options = {.env = self->own.env, .tables = self->own.state};
    SABOT_TRY(kv_store_new(&options, &self->store, err));
    const struct window_progress *progress = &self->progress;
    kv_store_set_restored(self->store, progress->further_ms, progress->first_group, progress->n_groups);
    for (int32_t i = 0; i < definition->n_states; i++) { SABOT_TRY(state_open(self, i, err)); }
    kv_store_set_restored(self->store, NULL, 0, 0); /* the array goes with the first checkpoint */
    return timers_make(self, err);
}

/* Schemas of some columns of the input. */
static sabot_status schemas_make(struct process *self, struct sabot_error *err) {
    const struct process_options *options = self->options;
    struct field keys[PROCESS_KEYS_MAX];
    for (int32_t k = 0; k < options->n_keys; k++) { keys[k] = self->own.input->fields[options->keys[k]]; }
    SABOT_TRY(schema_new(options->rows->fields, options->rows->n_fields, &self->rows_schema, err));
    SABOT_TRY(schema_new(keys, options->n_keys, &self->keys_schema, err));
    SABOT_TRY(schema_new(self->function->columns, self->function->definition.n_columns, &self->columns_schema, err));
    struct ArrowSchema arrow = {0};
    SABOT_TRY(schema_export(self->columns_schema, &arrow, err));
    const sabot_status status = importer_new(&arrow, &self->importer, err);
    arrow.release(&arrow);
    return status;
}

/* The scalar arguments: a batch of one row. */
static sabot_status arguments_make(struct process *self, struct batch **out, struct sabot_error *err) {
    const int32_t n = self->function->definition.n_arguments;
    struct field fields[PROCESS_COLUMNS_MAX];
    struct column *columns[PROCESS_COLUMNS_MAX];
    struct schema *none = NULL, *schema = NULL;
    BATCH_OWNED struct batch *row = NULL;
    struct program *program = NULL;
    for (int32_t i = 0; i < n; i++) {
        fields[i] = (struct field){self->function->arguments[i].name, self->options->arguments[i]->type};
    }
    SABOT_TRY(schema_new(NULL, 0, &none, err));
    sabot_status status = batch_new(none, NULL, 0, 1, &row, err);
    schema_unref(none);
    if (status == SABOT_OK) { status = schema_new(fields, n, &schema, err); }
    if (status == SABOT_OK) {
        status = program_compile((const struct expr *const *)self->options->arguments, n, &self->own.program, &program,
                                 err);
    }
    if (status == SABOT_OK) { status = program_eval(program, row, columns, err); }
    if (status == SABOT_OK) { status = batch_new(schema, columns, n, 1, out, err); }
    program_free(program);
    schema_unref(schema);
    return status;
}

static sabot_status user_open(struct process *self, struct sabot_error *err) {
    const struct sabot_process_function *definition = &self->function->definition;
    BATCH_OWNED struct batch *arguments = NULL;
    struct ArrowSchema input = {0};
    struct ArrowArray values = {0};
    struct sabot_error inner = {0};
    self->instance = definition->user;
    if (!definition->open) {
        self->is_open = true;
        return SABOT_OK;
    }
    SABOT_TRY(arguments_make(self, &arguments, err));
    SABOT_TRY(schema_export(self->rows_schema, &input, err));
    sabot_status status = batch_export(self->own.pool, arguments, &values, err);
    if (status == SABOT_OK) {
        const struct sabot_process_open open = {
            .size = sizeof open, .input = &input, .arguments = &values, .subtask = self->own.subtask,
            .parallelism = self->own.parallelism};
        status = user_status(self, definition->open(definition->user, &open, &self->instance, &inner), "open", &inner,
                             err);
        self->is_open = status == SABOT_OK;
        values.release(&values);
    }
    input.release(&input);
    return status;
}

static sabot_status process_prepare(struct process *self, struct sabot_error *err) {
    const struct process_options *options = self->options;
    self->key_column = -1;
    if (options->n_keys > 0) {
        struct type types[PROCESS_KEYS_MAX];
        for (int32_t k = 0; k < options->n_keys; k++) { types[k] = self->own.input->fields[options->keys[k]].type; }
        SABOT_TRY(process_key_form(types, options->n_keys, &self->form, err));
        self->key_type = self->form == PROCESS_KEY_NUMBER ? KV_INT64 : KV_BYTES;
        self->key_column = self->own.input->n_fields - 1;
    }
    self->watermark_ms = WATERMARK_NONE;
    SABOT_TRY(process_room(self, &self->gathered, KV_ROWS_MAX * sizeof(struct string_view), err));
    SABOT_TRY(schemas_make(self, err));
    SABOT_TRY(window_progress_open(&self->progress, &self->own, &self->watermark_ms, err));
    SABOT_TRY(store_open_for(self, err));
    /* the user's open() may do anything: it is for a job that runs */
    return state_tables_are_observed(self->own.state) ? SABOT_OK : user_open(self, err);
}

/* When the clock has to call. */
static void wake_set(struct process *self) {
    if (!self->timers) { return; }
    const int64_t next_ms = timers_next(self->timers, TIMER_PROCESSING_TIME);
    self->op.wake_at_ms = next_ms == INT64_MAX ? 0 : next_ms < 1 ? 1 : next_ms;
}

static sabot_status process_open(const struct op_context *context, struct op **out, struct sabot_error *err) {
    *out = NULL;
    struct process *self = calloc(1, sizeof *self);
    if (!self) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a process function"); }
    self->op.type = &op_process;
    self->handle.api = &process_api;
    self->own = *context;
    self->options = context->spec->options;
    self->function = self->options->function;
    const sabot_status status = process_prepare(self, err);
    if (status != SABOT_OK) {
        process_close(&self->op);
        return status;
    }
    wake_set(self);
    *out = &self->op;
    return SABOT_OK;
}

/* ---- rows by key ------------------------------------------------------------------------------------------------- */

static bool same_key(const struct process *self, const struct batch *batch, int32_t a, int32_t b) {
    const struct column *keys = batch->columns[self->key_column];
    const bool equal = self->key_type == KV_BYTES
                           ? string_view_equal(&((const struct string_view *)keys->values)[a],
                                               &((const struct string_view *)keys->values)[b])
                           : ((const int64_t *)keys->values)[a] == ((const int64_t *)keys->values)[b];
    if (!equal || self->form == PROCESS_KEY_ENCODED) { return equal; }
    const struct column *written = batch->columns[self->options->keys[0]];
    return column_is_null(written, a) == column_is_null(written, b);
}

/* groups[i]: number of row i's key, in the order in which keys come; *n_groups of them; *sorted: they come in runs. */
static sabot_status groups_find(struct process *self, const struct batch *batch, int32_t *n_groups, bool *sorted,
                                struct sabot_error *err) {
    const int32_t rows = batch->rows;
    uint32_t mask = 63;
    while (mask < (uint32_t)rows * 2) { mask = mask * 2 + 1; }
    SABOT_TRY(process_room(self, &self->hashes, (size_t)rows * sizeof(uint64_t), err));
    SABOT_TRY(process_room(self, &self->table, ((size_t)mask + 1) * sizeof(int32_t), err));
    SABOT_TRY(process_room(self, &self->groups, (size_t)rows * sizeof(int32_t), err));
    uint64_t *hashes = self->hashes.data;
    int32_t *table = self->table.data, *groups = self->groups.data; /* table: the first row of a key; -1: none */
    batch_hash_into(batch, &self->key_column, 1, hashes);
    memset(table, 0xff, ((size_t)mask + 1) * sizeof *table);
    *n_groups = 0;
    *sorted = true;
    for (int32_t i = 0; i < rows; i++) {
        uint32_t at = (uint32_t)hashes[i] & mask;
        while (table[at] >= 0 && !(hashes[table[at]] == hashes[i] && same_key(self, batch, table[at], i))) {
            at = (at + 1) & mask;
        }
        if (table[at] < 0) {
            table[at] = i;
            groups[i] = (*n_groups)++;
        } else {
            groups[i] = groups[table[at]];
        }
        *sorted = *sorted && (i == 0 || groups[i] == groups[i - 1] || table[at] == i);
    }
    return SABOT_OK;
}

/* key_starts, and the batch with the rows of a key beside each other. */
static sabot_status sort_by_key(struct process *self, struct batch **batch, int32_t *n_keys, struct sabot_error *err) {
    const int32_t rows = (*batch)->rows;
    bool sorted;
    SABOT_TRY(groups_find(self, *batch, n_keys, &sorted, err));
    SABOT_TRY(process_room(self, &self->starts, ((size_t)*n_keys + 2) * sizeof(int32_t), err));
    SABOT_TRY(process_room(self, &self->order, (size_t)rows * sizeof(int32_t), err));
    int32_t *starts = self->starts.data, *order = self->order.data;
    const int32_t *groups = self->groups.data;
    memset(starts, 0, ((size_t)*n_keys + 2) * sizeof *starts);
    for (int32_t i = 0; i < rows; i++) { starts[groups[i] + 2]++; }
    for (int32_t k = 0; k < *n_keys; k++) { starts[k + 2] += starts[k + 1]; }
    for (int32_t i = 0; i < rows; i++) { order[starts[groups[i] + 1]++] = i; } /* now starts[k] is where k begins */
    if (sorted) { return SABOT_OK; }
    struct batch *by_key;
    SABOT_TRY(batch_take(self->own.pool, *batch, order, rows, &by_key, err));
    by_key->created_ns = (*batch)->created_ns;
    batch_unref(*batch);
    *batch = by_key;
    return SABOT_OK;
}

/* One key per run, as key-value state takes them. */
static sabot_status keys_pick(struct process *self, const struct batch *batch, int32_t n, struct sabot_error *err) {
    const struct column *keys = batch->columns[self->key_column];
    const struct column *written = self->form == PROCESS_KEY_ENCODED ? NULL : batch->columns[self->options->keys[0]];
    const int32_t *starts = self->starts.data;
    SABOT_TRY(process_room(self, &self->key_room, (size_t)n * sizeof(struct string_view), err));
    SABOT_TRY(process_room(self, &self->null_room, (size_t)n, err));
    bool *nulls = self->null_room.data, any = false;
    for (int32_t k = 0; k < n; k++) {
        if (self->key_type == KV_BYTES) {
            ((struct string_view *)self->key_room.data)[k] = ((const struct string_view *)keys->values)[starts[k]];
        } else {
            ((int64_t *)self->key_room.data)[k] = ((const int64_t *)keys->values)[starts[k]];
        }
        nulls[k] = written && column_is_null(written, starts[k]);
        any = any || nulls[k];
    }
    self->keys = self->key_room.data;
    self->nulls = any ? nulls : NULL;
    return SABOT_OK;
}

static sabot_status times_pick(struct process *self, const struct batch *batch, struct sabot_error *err) {
    const int32_t column = self->options->time_column;
    self->row_times = NULL;
    self->emit_ms = NULL;
    if (column < 0) { return SABOT_OK; }
    const struct column *times = batch->columns[column];
    const int64_t scale = timestamp_units_per_ms_num(batch->schema->fields[column].type);
    SABOT_TRY(process_room(self, &self->times, (size_t)batch->rows * sizeof(int64_t), err));
    int64_t *target = self->times.data;
    for (int32_t i = 0; i < batch->rows; i++) {
        const int64_t time = ((const int64_t *)times->values)[column_at(times, i)];
        target[i] = column_is_null(times, i) ? INT64_MIN : time / scale - (time % scale < 0);
    }
    self->emit_ms = target;
    self->row_times = times;
    return SABOT_OK;
}

/* ---- calling ----------------------------------------------------------------------------------------------------- */

/* event_ms: what TTLs of event time go by. A timer finds what there was at its time, however far the watermark came at
 * once: at the end of the input all would be expired. */
static void times_tell(struct process *self, int64_t event_ms) {
    self->call.watermark_ms = self->watermark_ms;
    self->call.processing_ms = env_wall_ms(self->own.env);
    if (self->store) { kv_store_set_time(self->store, self->call.processing_ms, event_ms); }
}

static void call_over(struct process *self) {
    self->call = (struct sabot_process_call){.size = sizeof self->call};
    self->rows = NULL;
    self->keys = NULL;
    self->nulls = NULL;
    self->emit_ms = NULL;
    self->row_times = NULL;
    rooms_free(self, ROOM_KEPT);
}

/* Hands over the call that has been prepared; rows: what it is about. */
static sabot_status call_user(struct process *self, struct batch *rows, struct op_out *out, bool is_timer,
                              struct sabot_error *err) {
    const struct sabot_process_function *definition = &self->function->definition;
    struct ArrowArray array = {0};
    struct sabot_error inner = {0};
    SABOT_TRY(batch_export(self->own.pool, rows, &array, err));
    self->call.size = sizeof self->call;
    self->call.rows = &array;
    self->call.n_rows = rows->rows;
    self->out = out;
    const sabot_status status =
        is_timer ? definition->on_timer(self->instance, &self->handle, &self->call, &inner)
                 : definition->process(self->instance, &self->handle, &self->call, &inner);
    array.release(&array);
    if (self->failed != SABOT_OK && status == SABOT_OK) {
        return SABOT_FAIL(err, self->failed, "%s() passed over a failure of a call: %s", self->function->name,
                          self->failure);
    }
    return user_status(self, status, is_timer ? "on_timer" : "process", &inner, err);
}

/* The first columns of the batch: what the function reads. */
static sabot_status rows_view(struct process *self, const struct batch *batch, struct batch **out,
                              struct sabot_error *err) {
    struct column *columns[PROCESS_COLUMNS_MAX];
    const int32_t n = self->rows_schema->n_fields;
    for (int32_t i = 0; i < n; i++) { columns[i] = column_ref(batch->columns[i]); }
    return batch_new(self->rows_schema, columns, n, batch->rows, out, err);
}

static sabot_status call_process(struct process *self, struct batch **batch, struct op_out *out,
                                 struct sabot_error *err) {
    BATCH_OWNED struct batch *view = NULL;
    int32_t n_keys = 1;
    if (self->key_column >= 0) {
        SABOT_TRY(sort_by_key(self, batch, &n_keys, err));
        SABOT_TRY(keys_pick(self, *batch, n_keys, err));
    } else {
        SABOT_TRY(process_room(self, &self->starts, 2 * sizeof(int32_t), err));
        ((int32_t *)self->starts.data)[0] = 0;
        ((int32_t *)self->starts.data)[1] = (*batch)->rows;
    }
    SABOT_TRY(times_pick(self, *batch, err));
    SABOT_TRY(rows_view(self, *batch, &view, err));
    self->call.n_keys = n_keys;
    self->call.key_starts = self->starts.data;
    self->call.times_ms = self->emit_ms;
    self->rows = *batch;
    self->passed = self->options->passed;
    times_tell(self, self->watermark_ms);
    return call_user(self, view, out, false, err);
}

static sabot_status process_on_batch(struct op *op, int32_t input, struct batch *taken, struct op_out *out,
                                     struct sabot_error *err) {
    (void)input;
    struct process *self = (struct process *)op;
    struct batch *flat = NULL;
    if (taken->selected == 0) {
        batch_unref(taken);
        return SABOT_OK;
    }
    const int64_t created_ns = taken->created_ns;
    sabot_status status = batch_compact(self->own.pool, taken, &flat, err);
    batch_unref(taken);
    if (status != SABOT_OK) { return status; }
    if (created_ns) { self->created_ns = created_ns; }
    status = call_process(self, &flat, out, err);
    call_over(self);
    batch_unref(flat);
    wake_set(self);
    return status;
}

/* ---- timers ------------------------------------------------------------------------------------------------------ */

static int32_t timer_number(const struct process *self, int64_t namespace_) {
    const int64_t name = (int64_t)((uint64_t)namespace_ & ~(uint64_t)NAMESPACE_NULL);
    for (int32_t i = 0; i < self->function->definition.n_timers; i++) {
        if (self->names[i] == name) { return i; }
    }
    return -1;
}

static bool key_equal(const struct process *self, const void *a, const void *b) {
    return self->key_type == KV_BYTES ? string_view_equal(a, b) : *(const int64_t *)a == *(const int64_t *)b;
}

/* How many timers from the first on are of different keys; of one time where state has a TTL of event time, which goes
 * by the timers' time. */
static sabot_status distinct_run(struct process *self, const struct timer *due, int32_t n, int32_t *out,
                                 struct sabot_error *err) {
    uint32_t mask = 63;
    while (mask < (uint32_t)n * 2) { mask = mask * 2 + 1; }
    SABOT_TRY(process_room(self, &self->table, ((size_t)mask + 1) * sizeof(int32_t), err));
    int32_t *table = self->table.data;
    memset(table, 0xff, ((size_t)mask + 1) * sizeof *table);
    for (*out = 0; *out < n; ++*out) {
        if (self->event_ttl && due[*out].time_ms != due->time_ms) { return SABOT_OK; }
        uint32_t at = (uint32_t)kv_key_hash(self->key_type, &due[*out].key) & mask;
        while (table[at] >= 0 && !key_equal(self, &due[table[at]].key, &due[*out].key)) { at = (at + 1) & mask; }
        if (table[at] >= 0) { return SABOT_OK; }
        table[at] = *out;
    }
    return SABOT_OK;
}

/* The keys, times and numbers of timers that fire. */
static sabot_status due_pick(struct process *self, const struct timer *due, int32_t n, struct sabot_error *err) {
    const size_t key_size = kv_size(self->key_type);
    SABOT_TRY(process_room(self, &self->key_room, (size_t)n * sizeof(struct string_view), err));
    SABOT_TRY(process_room(self, &self->null_room, (size_t)n, err));
    SABOT_TRY(process_room(self, &self->times, (size_t)n * sizeof(int64_t), err));
    SABOT_TRY(process_room(self, &self->timer_ids, (size_t)n * sizeof(int32_t), err));
    for (int32_t i = 0; i < n; i++) {
        const int32_t timer = timer_number(self, due[i].namespace_);
        if (timer < 0) {
            return SABOT_FAIL(err, SABOT_ERR_STATE, "%s(): the checkpoint has a timer that the function no longer "
                              "declares: declare it again, or start without the checkpoint", self->function->name);
        }
        memcpy((char *)self->key_room.data + (size_t)i * key_size, &due[i].key, key_size);
        ((bool *)self->null_room.data)[i] = due[i].namespace_ & NAMESPACE_NULL;
        ((int64_t *)self->times.data)[i] = due[i].time_ms;
        ((int32_t *)self->timer_ids.data)[i] = timer;
        if (self->standing[timer]) { /* it stands no longer: the callback may set it again */
            SABOT_TRY(kv_remove(self->standing[timer], due[i].namespace_ & NAMESPACE_NULL, &due[i].key, 1, err));
        }
    }
    return SABOT_OK;
}

/* Rowtimes of what timers give out: their time; of processing time the event time that has been reached. */
static sabot_status emit_times(struct process *self, int32_t n, struct sabot_error *err) {
    self->row_times = NULL;
    self->emit_ms = self->times.data;
    if (self->domain == TIMER_EVENT_TIME) { return SABOT_OK; }
    SABOT_TRY(process_room(self, &self->emit_times, (size_t)n * sizeof(int64_t), err));
    const bool known = self->watermark_ms != WATERMARK_NONE && self->watermark_ms != WATERMARK_END;
    int64_t *target = self->emit_times.data;
    for (int32_t i = 0; i < n; i++) { target[i] = known ? self->watermark_ms + 1 : INT64_MIN; }
    self->emit_ms = target;
    return SABOT_OK;
}

/* Timers of different keys. */
static sabot_status fire_run(struct process *self, const struct timer *due, int32_t n, struct sabot_error *err) {
    struct column *columns[PROCESS_KEYS_MAX];
    struct type types[PROCESS_KEYS_MAX];
    BATCH_OWNED struct batch *rows = NULL;
    const int32_t n_types = self->keys_schema->n_fields;
    SABOT_TRY(due_pick(self, due, n, err));
    for (int32_t t = 0; t < n_types; t++) { types[t] = self->keys_schema->fields[t].type; }
    SABOT_TRY(process_key_decode(self->own.pool, types, n_types, self->key_room.data, self->null_room.data, n,
                                 columns, err));
    SABOT_TRY(batch_new(self->keys_schema, columns, n_types, n, &rows, err));
    SABOT_TRY(process_room(self, &self->starts, ((size_t)n + 1) * sizeof(int32_t), err));
    for (int32_t i = 0; i <= n; i++) { ((int32_t *)self->starts.data)[i] = i; }
    SABOT_TRY(emit_times(self, n, err));
    self->keys = self->key_room.data;
    self->nulls = self->null_room.data;
    self->rows = rows;
    self->passed = NULL; /* its columns are those in front */
    self->call.n_keys = n;
    self->call.key_starts = self->starts.data;
    self->call.times_ms = self->times.data;
    self->call.timers = self->timer_ids.data;
    times_tell(self, self->domain == TIMER_EVENT_TIME ? due->time_ms : self->watermark_ms);
    const sabot_status status = call_user(self, rows, self->out, true, err);
    call_over(self);
    return status;
}

/* Timers of different keys at a time: what a callback sets or clears is about those that have not fired yet, also where
 * they are due. */
static sabot_status on_due(void *arg, enum timer_domain domain, const struct timer *due, int32_t n, int32_t *taken,
                           struct sabot_error *err) {
    struct process *self = arg;
    self->domain = domain;
    SABOT_TRY(distinct_run(self, due, n, taken, err));
    return fire_run(self, due, *taken, err);
}

/* Fires some of what is due, where there is room for output; when all of it has fired, passes the watermark on. Timers
 * that set timers may never end: between its calls the task sees whether the job is cancelled. */
static sabot_status fire(struct process *self, struct op_out *out, struct sabot_error *err) {
    bool more = self->timers != NULL;
    self->op.busy = true;
    if (more) {
        if (out_is_full(out)) { return SABOT_OK; }
        self->out = out;
        SABOT_TRY(timers_fire(self->timers, self->domain, self->until_ms, FIRE_PER_CALL, &more, err));
    }
    if (more) {
        if (self->own.wake) { self->own.wake(self->own.wake_arg); }
        return SABOT_OK;
    }
    self->op.busy = false;
    wake_set(self);
    return self->domain == TIMER_EVENT_TIME ? out->watermark(out, self->until_ms, err) : SABOT_OK;
}

static sabot_status process_on_watermark(struct op *op, int64_t watermark_ms, struct op_out *out,
                                         struct sabot_error *err) {
    struct process *self = (struct process *)op;
    if (watermark_ms < self->watermark_ms) { return SABOT_OK; } /* behind a restore the sources begin anew */
    self->watermark_ms = watermark_ms;
    self->domain = TIMER_EVENT_TIME;
    self->until_ms = watermark_ms;
    return fire(self, out, err);
}

static sabot_status process_on_time(struct op *op, int64_t now_ms, struct op_out *out, struct sabot_error *err) {
    struct process *self = (struct process *)op;
    self->domain = TIMER_PROCESSING_TIME;
    self->until_ms = now_ms;
    return fire(self, out, err);
}

static sabot_status process_resume(struct op *op, struct op_out *out, struct sabot_error *err) {
    return op->busy ? fire((struct process *)op, out, err) : SABOT_OK;
}

static sabot_status process_before_barrier(struct op *op, int64_t checkpoint_id, struct op_out *out,
                                           struct sabot_error *err) {
    (void)checkpoint_id;
    (void)out;
    struct process *self = (struct process *)op;
    return window_progress_keep(&self->progress, self->own.pool, self->watermark_ms, err);
}

const struct op_type op_process = {
    .name = "process",
    .summary = "a process function: the user's code with keyed state and timers",
    .open = process_open,
    .on_batch = process_on_batch,
    .on_watermark = process_on_watermark,
    .on_idle = op_default_on_idle,
    .on_end = op_default_on_end,
    .resume = process_resume,
    .before_barrier = process_before_barrier,
    .on_complete = op_default_on_complete,
    .close = process_close,
    .on_time = process_on_time,
    .declares_state = true,
    .stateful = true,
    .key_value_state = true,
};
