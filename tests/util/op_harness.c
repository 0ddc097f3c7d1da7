/* Runs one operator by hand: see op_harness.h. */
#include "tests/util/op_harness.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/spill.h"
#include "tests/util/random.h"

static void check(sabot_status status, const struct sabot_error *err) {
    if (status != SABOT_OK) { fail_msg("%s (%s:%d)", err->message, err->file ? err->file : "?", err->line); }
}

/* --- output */
static sabot_status keep(struct op_harness *harness, struct harness_event event) {
    assert_true(harness->n_events < HARNESS_EVENTS_MAX);
    harness->events[harness->n_events++] = event;
    return SABOT_OK;
}
static sabot_status take_batch(struct op_out *out, struct batch *batch, struct sabot_error *err) {
    struct op_harness *harness = (struct op_harness *)out;
    if (harness->room > 0) { harness->room--; }
    assert_true(batch->selected > 0);
    if (harness->next) { return out_emit(harness->next, batch, err); }
    return keep(harness, (struct harness_event){.batch = batch});
}
static sabot_status take_watermark(struct op_out *out, int64_t watermark_ms, struct sabot_error *err) {
    struct op_harness *harness = (struct op_harness *)out;
    if (harness->next) { return harness->next->watermark(harness->next, watermark_ms, err); }
    return keep(harness, (struct harness_event){.watermark_ms = watermark_ms});
}
static sabot_status take_idle(struct op_out *out, struct sabot_error *err) {
    struct op_harness *harness = (struct op_harness *)out;
    if (harness->next) { return harness->next->idle(harness->next, err); }
    return keep(harness, (struct harness_event){.is_idle = true});
}
static sabot_status take_end(struct op_out *out, struct sabot_error *err) {
    struct op_harness *harness = (struct op_harness *)out;
    if (harness->next) { return harness->next->end(harness->next, err); }
    return keep(harness, (struct harness_event){.is_end = true});
}
static bool is_full(const struct op_out *out) { return ((const struct op_harness *)out)->room == 0; }

/* --- life */
static struct state_tables *new_tables(struct op_harness *harness) {
    struct sabot_error err = {0};
    struct state_tables *tables;
    check(state_tables_new(&(struct state_context){.pool = &harness->pool, .metrics = &harness->metrics,
                                                   .backend = "memory", .parallelism = 1, .max_parallelism = 128},
                           &tables, &err),
          &err);
    return tables;
}

void harness_init(struct op_harness *harness, const struct op_type *type, const void *options, struct schema *input,
                  struct schema *output) {
    memset(harness, 0, sizeof *harness);
    harness->out = (struct op_out){
        .emit = take_batch, .watermark = take_watermark, .idle = take_idle, .end = take_end, .is_full = is_full};
    harness->room = -1;
    memory_pool_init(&harness->pool, "test", NULL, INT64_MAX);
    harness->spec = (struct op_spec){
        .type = type, .options = options, .output = schema_ref(output), .uid = "op", .label = type->name};
    harness->context = (struct op_context){
        .env = env_real(),
        .pool = &harness->pool,
        .metrics = &harness->metrics,
        .spec = &harness->spec,
        .input = schema_ref(input),
        .parallelism = 1,
        .max_parallelism = 128,
        .batch_rows = 8192,
        .latency_target_ns = 10000000,
        .program = {.env = env_real(), .pool = &harness->pool, .watermark_ms = INT64_MIN},
    };
    harness->tables = new_tables(harness);
}

sabot_status harness_try_open(struct op_harness *harness, struct sabot_error *err) {
    harness->context.state = harness->tables;
    return harness->spec.type->open(&harness->context, &harness->op, err);
}
void harness_open(struct op_harness *harness) {
    struct sabot_error err = {0};
    check(harness_try_open(harness, &err), &err);
    assert_ptr_equal(harness->op->type, harness->spec.type);
}

/* --- snapshots: pieces of one between any two calls, at random sizes */
static void snapshot_step(struct op_harness *harness) {
    if (!harness->check) {
        memory_pool_init(&harness->check_pool, "check", NULL, INT64_MAX);
        harness->check = chain_check_new(&harness->check_pool, harness->tables);
    }
    const int32_t n = harness->n_given++;
    if (harness->is_frozen) {
        harness->is_frozen = !chain_check_copy(harness->check, n % 3 ? 10 << n % 11 : INT32_MAX);
    } else if (n < 20 || n % 7 == 0) { /* the cost of each grows with the state */
        chain_check_freeze(harness->check, false);
        harness->is_frozen = true;
    }
}

void harness_check_end(struct op_harness *harness) {
    while (harness->is_frozen) { harness->is_frozen = !chain_check_copy(harness->check, 100); }
    if (harness->check) { chain_check_step(harness->check); }
    chain_check_free(harness->check);
    harness->check = NULL;
}

void harness_resume(struct op_harness *harness) {
    struct sabot_error err = {0};
    while (harness->op->busy) {
        if (harness->room == 0) { harness->room = 1; }
        check(harness->spec.type->resume(harness->op, &harness->out, &err), &err);
    }
}
sabot_status harness_try_batch(struct op_harness *harness, struct batch *batch, struct sabot_error *err) {
    return harness->spec.type->on_batch(harness->op, harness->input, batch, &harness->out, err);
}
void harness_batch(struct op_harness *harness, struct batch *batch) {
    struct sabot_error err = {0};
    snapshot_step(harness);
    check(harness_try_batch(harness, batch, &err), &err);
    harness_resume(harness);
}
void harness_watermark(struct op_harness *harness, int64_t watermark_ms) {
    struct sabot_error err = {0};
    snapshot_step(harness);
    check(harness->spec.type->on_watermark(harness->op, watermark_ms, &harness->out, &err), &err);
    harness_resume(harness);
}
void harness_idle(struct op_harness *harness) {
    struct sabot_error err = {0};
    check(harness->spec.type->on_idle(harness->op, &harness->out, &err), &err);
    harness_resume(harness);
}
void harness_end(struct op_harness *harness) {
    struct sabot_error err = {0};
    harness_watermark(harness, WATERMARK_END);
    check(harness->spec.type->on_end(harness->op, &harness->out, &err), &err);
    harness_resume(harness);
}

void harness_restart(struct op_harness *harness, int64_t checkpoint_id) {
    struct sabot_error err = {0};
    check(harness->spec.type->before_barrier(harness->op, checkpoint_id, &harness->out, &err), &err);
    harness_resume(harness);
    harness_check_end(harness);
    struct state_snapshot *snapshots;
    int32_t n;
    check(state_tables_snapshot(harness->tables, &snapshots, &n, &err), &err);
    harness->spec.type->close(harness->op);
    state_tables_free(harness->tables);
    harness->tables = new_tables(harness);
    for (int32_t i = 0; i < n; i++) {
        if (!snapshots[i].rows) { continue; }
        check(state_tables_load(harness->tables, snapshots[i].name, snapshots[i].kind, batch_ref(snapshots[i].rows),
                                &err),
              &err);
    }
    state_snapshots_free(snapshots, n);
    harness_open(harness);
}

void harness_forget(struct op_harness *harness) {
    for (int32_t i = 0; i < harness->n_events; i++) { batch_unref(harness->events[i].batch); }
    harness->n_events = 0;
}

void harness_close(struct op_harness *harness) {
    harness_forget(harness);
    harness_check_end(harness);
    if (harness->op) { harness->spec.type->close(harness->op); }
    state_tables_free(harness->tables);
    schema_unref(harness->spec.output);
    schema_unref(harness->context.input);
    histogram_free(harness->metrics.latency);
    assert_int_equal(harness->pool.used, 0);
}

void test_disk_open(struct test_disk *disk) {
    struct sabot_error err = {0};
    check(spill_new(env_real(), NULL, INT64_MAX / 2, &disk->spill, &err), &err);
    check(spill_block_new(disk->spill, "test", 1 << 16, &disk->block, &err), &err);
}

void test_disk_close(struct test_disk *disk) {
    if (disk->block) { spill_block_free(disk->spill, disk->block); }
    spill_free(disk->spill);
}

/* --- batches by hand */
static struct column *column_of(struct memory_pool *pool, enum phys phys, const void *values, const bool *nulls,
                                int32_t n) {
    struct sabot_error err = {0};
    struct column_builder builder;
    check(column_builder_init(&builder, pool, phys, n, nulls != NULL, &err), &err);
    memcpy(builder.values, values, (size_t)n * phys_size(phys));
    for (int32_t i = 0; nulls && i < n; i++) {
        if (nulls[i]) { column_builder_set_null(&builder, i); }
    }
    struct column *column;
    check(column_builder_finish(&builder, &column, &err), &err);
    return column;
}
struct column *test_column_i64(struct memory_pool *pool, const int64_t *values, const bool *nulls, int32_t n) {
    return column_of(pool, PHYS_I64, values, nulls, n);
}
struct column *test_column_i32(struct memory_pool *pool, const int32_t *values, const bool *nulls, int32_t n) {
    return column_of(pool, PHYS_I32, values, nulls, n);
}
struct column *test_column_f64(struct memory_pool *pool, const double *values, const bool *nulls, int32_t n) {
    return column_of(pool, PHYS_F64, values, nulls, n);
}
struct column *test_column_bool(struct memory_pool *pool, const bool *values, const bool *nulls, int32_t n) {
    return column_of(pool, PHYS_BOOL, values, nulls, n);
}
struct column *test_column_text(struct memory_pool *pool, const char *const *values, int32_t n) {
    struct sabot_error err = {0};
    struct column_builder builder;
    check(column_builder_init(&builder, pool, PHYS_VIEW, n, true, &err), &err);
    for (int32_t i = 0; i < n; i++) {
        struct string_view *view = (struct string_view *)builder.values + i;
        memset(view, 0, sizeof *view);
        if (!values[i]) {
            column_builder_set_null(&builder, i);
            continue;
        }
        char *target;
        check(column_builder_reserve(&builder, strlen(values[i]), &target, &err), &err);
        memcpy(target, values[i], strlen(values[i]));
        *view = string_view_of(target, (uint32_t)strlen(values[i]));
    }
    struct column *column;
    check(column_builder_finish(&builder, &column, &err), &err);
    return column;
}
struct batch *test_batch(struct schema *schema, struct column *const *columns, int32_t n_columns) {
    struct sabot_error err = {0};
    struct batch *batch;
    check(batch_new(schema, columns, n_columns, columns[0]->length, &batch, &err), &err);
    return batch;
}
struct batch *test_select(struct memory_pool *pool, struct batch *batch, const int32_t *rows, int32_t n) {
    struct sabot_error err = {0};
    struct buffer *buffer;
    check(buffer_new(pool, (size_t)n * sizeof *rows, &buffer, &err), &err);
    memcpy(buffer->data, rows, (size_t)n * sizeof *rows);
    struct batch *selected;
    check(batch_with_selection(batch, buffer, n, &selected, &err), &err);
    batch_unref(batch);
    return selected;
}
struct schema *test_schema(const struct field *fields, int32_t n) {
    struct sabot_error err = {0};
    struct schema *schema;
    check(schema_new(fields, n, &schema, &err), &err);
    return schema;
}

static void i128_text(__int128 value, char *target) {
    char digits[48];
    int n = 0;
    unsigned __int128 rest = value < 0 ? -(unsigned __int128)value : (unsigned __int128)value;
    do {
        digits[n++] = (char)('0' + (int)(rest % 10));
        rest /= 10;
    } while (rest);
    if (value < 0) { digits[n++] = '-'; }
    for (int i = 0; i < n; i++) { target[i] = digits[n - 1 - i]; }
    target[n] = '\0';
}

void test_row_text(const struct batch *batch, int32_t row, char *target, size_t size) {
    size_t at = 0;
    target[0] = '\0';
    for (int32_t c = 0; c < batch->n_columns; c++) {
        const struct column *column = batch->columns[c];
        const int64_t i = column_at(column, row);
        char cell[512] = "NULL";
        if (!column_is_null(column, row)) {
            switch ((enum phys)column->phys) {
            case PHYS_BOOL: snprintf(cell, sizeof cell, "%d", ((const uint8_t *)column->values)[i]); break;
            case PHYS_I8: snprintf(cell, sizeof cell, "%d", ((const int8_t *)column->values)[i]); break;
            case PHYS_I16: snprintf(cell, sizeof cell, "%d", ((const int16_t *)column->values)[i]); break;
            case PHYS_I32: snprintf(cell, sizeof cell, "%d", ((const int32_t *)column->values)[i]); break;
            case PHYS_I64: snprintf(cell, sizeof cell, "%lld", (long long)((const int64_t *)column->values)[i]); break;
            case PHYS_I128: i128_text(((const __int128 *)column->values)[i], cell); break;
            case PHYS_F32: snprintf(cell, sizeof cell, "%.7g", (double)((const float *)column->values)[i]); break;
            case PHYS_F64: snprintf(cell, sizeof cell, "%.12g", ((const double *)column->values)[i]); break;
            case PHYS_VIEW: {
                const struct string_view *view = (const struct string_view *)column->values + i;
                snprintf(cell, sizeof cell, "%.*s", (int)view->size, string_view_data(view));
                break;
            }
            default: snprintf(cell, sizeof cell, "?"); break;
            }
        }
        at += (size_t)snprintf(target + at, size - at, "%s%s", c ? "|" : "", cell);
        assert_true(at < size);
    }
}

static int text_order(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

char **harness_rows(const struct op_harness *harness, int32_t *n) {
    int32_t total = 0;
    for (int32_t e = 0; e < harness->n_events; e++) {
        total += harness->events[e].batch ? harness->events[e].batch->selected : 0;
    }
    char **rows = malloc(((size_t)total + 1) * sizeof *rows);
    *n = 0;
    for (int32_t e = 0; e < harness->n_events; e++) {
        const struct batch *batch = harness->events[e].batch;
        for (int32_t i = 0; batch && i < batch->selected; i++) {
            char text[2048];
            test_row_text(batch, batch_row(batch, i), text, sizeof text);
            rows[(*n)++] = strdup(text);
        }
    }
    qsort(rows, (size_t)*n, sizeof *rows, text_order);
    return rows;
}
void harness_changes(struct op_harness *harness, char *target, size_t size) {
    static const char *const kinds[] = {
        [ROW_INSERT] = "+I", [ROW_UPDATE_BEFORE] = "-U", [ROW_UPDATE_AFTER] = "+U", [ROW_DELETE] = "-D"};
    size_t used = 0;
    target[0] = 0;
    for (int32_t e = 0; e < harness->n_events; e++) {
        const struct batch *batch = harness->events[e].batch;
        for (int32_t i = 0; batch && i < batch->selected; i++) {
            char text[1024];
            const int32_t row = batch_row(batch, i);
            test_row_text(batch, row, text, sizeof text);
            assert_true(used < size);
            used += (size_t)snprintf(target + used, size - used, "%s%s %s", used ? "; " : "",
                                     kinds[batch->row_kinds ? batch->row_kinds[row] : ROW_INSERT], text);
        }
    }
    assert_true(used < size);
    harness_forget(harness);
}

void test_rows_free(char **rows, int32_t n) {
    for (int32_t i = 0; i < n; i++) { free(rows[i]); }
    free(rows);
}

uint64_t test_random(struct test_random *random) { return xorshift64(&random->state); }
int32_t test_below(struct test_random *random, int32_t n) { return (int32_t)(test_random(random) % (uint64_t)n); }
