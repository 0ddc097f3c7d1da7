/* The process function whose state is in the golden savepoints: state of every kind, timers of both forms. What it
 * gives out does not depend on the order of a key's rows, nor on when watermarks come: windows of a second from a map,
 * and, when the input ends, what the rest of the state has come to. Savepoints of all versions need it as it is. */
#include <sabot/process.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

enum { COUNT, MOST, ALL, BY_WINDOW, TEXT, LONG };
enum { WINDOW, END };
#define FAR_MS INT64_C(4102444800000) /* behind all rows; at the end of input everything with a TTL is expired */

static void output_release(struct ArrowArray *array) {
    free(array->private_data);
    array->release = NULL;
}
static void column_release(struct ArrowArray *array) { array->release = NULL; }

/* Rows of two BIGINT columns; one block of memory. */
struct output {
    struct ArrowArray columns[2], *children[2];
    const void *buffers[2][2], *none[1];
    int64_t values[];
};

static sabot_status emit(struct sabot_process *process, int32_t n, const int64_t *what, const int64_t *value,
                         const int32_t *from, struct sabot_error *err) {
    struct output *output = calloc(1, sizeof *output + ((size_t)n + 1) * 2 * sizeof(int64_t));
    for (int c = 0; c < 2; c++) {
        int64_t *values = output->values + c * (int64_t)n;
        for (int64_t i = 0; i < n; i++) { values[i] = (c ? value : what)[i]; }
        output->buffers[c][1] = values;
        output->columns[c] = (struct ArrowArray){
            .length = n, .n_buffers = 2, .buffers = output->buffers[c], .release = column_release};
        output->children[c] = &output->columns[c];
    }
    struct ArrowArray array = {.length = n, .n_buffers = 1, .buffers = output->none, .n_children = 2,
                               .children = output->children, .release = output_release, .private_data = output};
    return sabot_emit(process, &array, from, err);
}

#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        const sabot_status status_ = (call);                                                                           \
        if (status_ != SABOT_OK) { return status_; }                                                                   \
    } while (0)

static sabot_status take(struct sabot_process *process, int32_t key, int64_t price, int64_t time_ms,
                         struct sabot_error *err) {
    const int64_t one = 1, window = time_ms / 1000 * 1000 + 1000, fires = window - 1, far = FAR_MS, seven = 7;
    int64_t most = 0, sum = 0;
    bool found;
    TRY(sabot_state_add(process, COUNT, &key, 1, &one, err));
    TRY(sabot_state_get(process, MOST, &key, 1, &most, &found, err));
    if (!found || price > most) { most = price; }
    TRY(sabot_state_put(process, MOST, &key, 1, &most, err));
    TRY(sabot_state_put(process, LONG, &key, 1, &seven, err));
    char text[64];
    const struct sabot_bytes bytes = {text, (size_t)snprintf(text, sizeof text, "the most was %lld", (long long)most)};
    TRY(sabot_state_put(process, TEXT, &key, 1, &bytes, err));
    TRY(sabot_list_add(process, ALL, &key, 1, &price, err));
    TRY(sabot_map_get(process, BY_WINDOW, &key, &window, 1, &sum, &found, err));
    sum = (found ? sum : 0) + price;
    TRY(sabot_map_put(process, BY_WINDOW, &key, &window, 1, &sum, err));
    TRY(sabot_timer_set(process, WINDOW, &key, 1, &fires, err));
    return sabot_timer_set(process, END, &key, 1, &far, err);
}

static sabot_status on_rows(void *instance, struct sabot_process *process, const struct sabot_process_call *call,
                            struct sabot_error *err) {
    (void)instance;
    const struct ArrowArray *column = call->rows->children[0];
    const int64_t *prices = (const int64_t *)column->buffers[1] + column->offset;
    for (int32_t k = 0; k < call->n_keys; k++) {
        for (int32_t i = call->key_starts[k]; i < call->key_starts[k + 1]; i++) {
            if (call->times_ms[i] / 1000 * 1000 + 999 <= call->watermark_ms) { continue; } /* late */
            TRY(take(process, k, prices[i], call->times_ms[i], err));
        }
    }
    return SABOT_OK;
}

static sabot_status end_of(struct sabot_process *process, int32_t key, int64_t what[5], int64_t value[5],
                           struct sabot_error *err) {
    bool found;
    struct sabot_bytes text = {"", 0};
    const void *list;
    int64_t n;
    for (int32_t i = 0; i < 5; i++) { what[i] = -1 - i; }
    TRY(sabot_state_get(process, COUNT, &key, 1, &value[0], &found, err));
    TRY(sabot_state_get(process, MOST, &key, 1, &value[1], &found, err));
    TRY(sabot_state_get(process, TEXT, &key, 1, &text, &found, err));
    value[2] = (int64_t)text.size;
    for (size_t i = 0; i < text.size; i++) { value[2] = value[2] * 31 % 1000003 + ((const char *)text.data)[i]; }
    TRY(sabot_list_get(process, ALL, key, &list, &n, err));
    value[3] = n;
    value[4] = 0;
    for (int64_t i = 0; i < n; i++) { value[4] += ((const int64_t *)list)[i]; }
    return SABOT_OK;
}

static sabot_status on_timer(void *instance, struct sabot_process *process, const struct sabot_process_call *call,
                             struct sabot_error *err) {
    (void)instance;
    for (int32_t k = 0; k < call->n_keys; k++) {
        int64_t what[5] = {call->times_ms[k] + 1}, value[5], seven = 7;
        const int32_t from[5] = {k, k, k, k, k};
        const bool is_window = call->timers[k] == WINDOW;
        bool found;
        if (is_window) {
            TRY(sabot_map_get(process, BY_WINDOW, &k, what, 1, value, &found, err));
            TRY(sabot_map_remove(process, BY_WINDOW, &k, what, 1, err));
            found = true;
            if (call->watermark_ms < FAR_MS) { TRY(sabot_state_get(process, LONG, &k, 1, &seven, &found, err)); }
            if (!found || seven != 7) { value[0] = -7; }
        } else {
            TRY(end_of(process, k, what, value, err));
        }
        TRY(emit(process, is_window ? 1 : 5, what, value, from, err));
    }
    return SABOT_OK;
}

static const struct sabot_process_column price[] = {{"price", "BIGINT"}};
static const struct sabot_process_column columns[] = {{"what", "BIGINT"}, {"value", "BIGINT"}};
static const struct sabot_process_state states[] = {
    {.name = "count", .kind = SABOT_COUNTER, .type = SABOT_BIGINT},
    {.name = "most", .kind = SABOT_VALUE, .type = SABOT_BIGINT},
    {.name = "all", .kind = SABOT_LIST, .type = SABOT_BIGINT},
    {.name = "by_window", .kind = SABOT_MAP, .type = SABOT_BIGINT, .map_key = SABOT_BIGINT},
    {.name = "text", .kind = SABOT_VALUE, .type = SABOT_BYTES},
    {.name = "long", .kind = SABOT_VALUE, .type = SABOT_BIGINT, .ttl_ms = INT64_C(86400000) * 36500,
     .ttl_time = SABOT_EVENT_TIME}};
static const struct sabot_process_timer timers[] = {{.name = "window", .time = SABOT_EVENT_TIME, .many = true},
                                                    {.name = "end", .time = SABOT_EVENT_TIME}};

SABOT_PROCESS_FUNCTION(golden_function) = {
    .size = sizeof(struct sabot_process_function), .inputs = price, .n_inputs = 1, .columns = columns, .n_columns = 2,
    .states = states, .n_states = 6, .timers = timers, .n_timers = 2, .process = on_rows, .on_timer = on_timer};
