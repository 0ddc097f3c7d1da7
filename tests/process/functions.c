/* Process functions of this suite, in a library that knows sabot/process.h only.
 *
 * windows: a tumbling window made of maps and timers, so that SQL's TUMBLE is its oracle. pass: every row, with the
 * number of rows of its key before it in this call, columns passed through. */
#include <sabot/process.h>
#include <stdlib.h>

enum { ROWS, TOTALS };

/* Columns of BIGINT that own their memory. */
struct output {
    struct ArrowArray columns[3], *children[3];
    const void *buffers[3][2], *none[1];
    int64_t *values[3];
};

static void output_release(struct ArrowArray *array) {
    struct output *output = array->private_data;
    for (int c = 0; c < 3; c++) { free(output->values[c]); }
    free(output);
    array->release = NULL;
}
static void column_release(struct ArrowArray *array) { array->release = NULL; }

static struct output *output_new(int64_t rows) {
    struct output *output = calloc(1, sizeof *output);
    for (int c = 0; c < 3; c++) { output->values[c] = calloc((size_t)rows + 1, sizeof(int64_t)); }
    return output;
}

static sabot_status output_emit(struct output *output, int64_t rows, int n_columns, struct sabot_process *process,
                                const int32_t *from, struct sabot_error *err) {
    for (int c = 0; c < n_columns; c++) {
        output->buffers[c][1] = output->values[c];
        output->columns[c] = (struct ArrowArray){
            .length = rows, .n_buffers = 2, .buffers = output->buffers[c], .release = column_release};
        output->children[c] = &output->columns[c];
    }
    struct ArrowArray array = {.length = rows, .n_buffers = 1, .buffers = output->none, .n_children = n_columns,
                               .children = output->children, .release = output_release, .private_data = output};
    return sabot_emit(process, &array, from, err);
}

static sabot_status windows_open(void *user, const struct sabot_process_open *open, void **instance,
                                 struct sabot_error *err) {
    (void)user;
    (void)err;
    int64_t *size_ms = malloc(sizeof *size_ms);
    const struct ArrowArray *given = open->arguments->children[0];
    *size_ms = ((const int64_t *)given->buffers[1])[given->offset];
    *instance = size_ms;
    return SABOT_OK;
}

static sabot_status add(struct sabot_process *process, int32_t state, int32_t key, int64_t window, int64_t delta,
                        struct sabot_error *err) {
    int64_t value = 0;
    bool found;
    sabot_status status = sabot_map_get(process, state, &key, &window, 1, &value, &found, err);
    if (status != SABOT_OK) { return status; }
    value = (found ? value : 0) + delta;
    return sabot_map_put(process, state, &key, &window, 1, &value, err);
}

static sabot_status windows_process(void *instance, struct sabot_process *process,
                                    const struct sabot_process_call *call, struct sabot_error *err) {
    const int64_t size_ms = *(const int64_t *)instance;
    const struct ArrowArray *column = call->rows->children[0];
    const int64_t *prices = (const int64_t *)column->buffers[1] + column->offset;
    for (int32_t k = 0; k < call->n_keys; k++) {
        for (int32_t i = call->key_starts[k]; i < call->key_starts[k + 1]; i++) {
            const int64_t window = call->times_ms[i] / size_ms * size_ms + size_ms, fires = window - 1;
            sabot_status status = SABOT_OK;
            if (fires <= call->watermark_ms) { continue; } /* late */
            status = add(process, ROWS, k, window, 1, err);
            if (status == SABOT_OK) { status = add(process, TOTALS, k, window, prices[i], err); }
            if (status == SABOT_OK) { status = sabot_timer_set(process, 0, &k, 1, &fires, err); }
            if (status != SABOT_OK) { return status; }
        }
    }
    return SABOT_OK;
}

static sabot_status windows_on_timer(void *instance, struct sabot_process *process,
                                     const struct sabot_process_call *call, struct sabot_error *err) {
    (void)instance;
    const int32_t n = call->n_keys;
    struct output *output = output_new(n);
    bool *found = malloc((size_t)n + 1);
    for (int32_t k = 0; k < n; k++) { output->values[0][k] = call->times_ms[k] + 1; }
    sabot_status status = sabot_map_get(process, ROWS, NULL, output->values[0], n, output->values[1], found, err);
    if (status == SABOT_OK) {
        status = sabot_map_get(process, TOTALS, NULL, output->values[0], n, output->values[2], found, err);
    }
    if (status == SABOT_OK) { status = sabot_map_remove(process, ROWS, NULL, output->values[0], n, err); }
    if (status == SABOT_OK) { status = sabot_map_remove(process, TOTALS, NULL, output->values[0], n, err); }
    free(found);
    if (status == SABOT_OK) { return output_emit(output, n, 3, process, NULL, err); }
    struct ArrowArray unused = {.private_data = output};
    output_release(&unused);
    return status;
}

static const struct sabot_process_column price[] = {{"price", "BIGINT"}};
static const struct sabot_process_column window_columns[] = {
    {"window_end", "BIGINT"}, {"n", "BIGINT"}, {"total", "BIGINT"}};
static const struct sabot_process_argument size_argument[] = {{"size_ms", "BIGINT", NULL}};
static const struct sabot_process_state window_states[] = {
    {.name = "rows", .kind = SABOT_MAP, .type = SABOT_BIGINT, .map_key = SABOT_BIGINT},
    {.name = "totals", .kind = SABOT_MAP, .type = SABOT_BIGINT, .map_key = SABOT_BIGINT}};
static const struct sabot_process_timer window_timers[] = {{.name = "end", .time = SABOT_EVENT_TIME, .many = true}};

SABOT_PROCESS_FUNCTION(windows_function) = {
    .size = sizeof(struct sabot_process_function), .inputs = price, .n_inputs = 1,
    .columns = window_columns, .n_columns = 3, .arguments = size_argument, .n_arguments = 1,
    .states = window_states, .n_states = 2, .timers = window_timers, .n_timers = 1, .open = windows_open,
    .process = windows_process, .on_timer = windows_on_timer, .close = free};

/* --- windows of later versions, by whose states a checkpoint is judged; open() would give it away if it were called */
static sabot_status never_open(void *user, const struct sabot_process_open *open, void **instance,
                               struct sabot_error *err) {
    (void)user, (void)open, (void)instance, (void)err;
    abort();
}
#define LATER_WINDOWS(symbol, its_states, n)                                                                           \
    SABOT_PROCESS_FUNCTION(symbol) = {                                                                                 \
        .size = sizeof(struct sabot_process_function), .inputs = price, .n_inputs = 1, .columns = window_columns,      \
        .n_columns = 3, .arguments = size_argument, .n_arguments = 1, .states = its_states, .n_states = n,             \
        .timers = window_timers, .n_timers = 1, .open = never_open, .process = windows_process,                        \
        .on_timer = windows_on_timer}
static const struct sabot_process_state later_states[] = {
    {.name = "totals", .kind = SABOT_MAP, .type = SABOT_BYTES, .map_key = SABOT_BIGINT},
    {.name = "rows", .kind = SABOT_MAP, .type = SABOT_BIGINT, .map_key = SABOT_BIGINT},
    {.name = "more", .kind = SABOT_VALUE, .type = SABOT_BIGINT},
    {.name = "rows", .kind = SABOT_VALUE, .type = SABOT_BIGINT}};
LATER_WINDOWS(windows_retyped_function, later_states, 2);
LATER_WINDOWS(windows_fewer_function, later_states + 1, 1);
LATER_WINDOWS(windows_other_kind_function, later_states + 2, 2);

/* --- */
static sabot_status pass_process(void *instance, struct sabot_process *process, const struct sabot_process_call *call,
                                 struct sabot_error *err) {
    (void)instance;
    struct output *output = output_new(call->n_rows);
    for (int32_t k = 0; k < call->n_keys; k++) {
        for (int32_t i = call->key_starts[k]; i < call->key_starts[k + 1]; i++) {
            output->values[0][i] = i - call->key_starts[k];
        }
    }
    return output_emit(output, call->n_rows, 1, process, NULL, err);
}

static const struct sabot_process_column place[] = {{"place", "BIGINT"}};
SABOT_PROCESS_FUNCTION(pass_function) = {.size = sizeof(struct sabot_process_function), .columns = place,
                                         .n_columns = 1, .process = pass_process, .pass_columns_through = true};

/* --- a timer of processing time: how many rows came, half a second after the first */
static sabot_status clock_process(void *instance, struct sabot_process *process, const struct sabot_process_call *call,
                                  struct sabot_error *err) {
    (void)instance;
    const int64_t soon = call->processing_ms + 300;
    for (int32_t k = 0; k < call->n_keys; k++) {
        const int64_t rows = call->key_starts[k + 1] - call->key_starts[k];
        int64_t before;
        bool found;
        sabot_status status = sabot_state_get(process, 0, &k, 1, &before, &found, err);
        if (status == SABOT_OK) { status = sabot_state_add(process, 0, &k, 1, &rows, err); }
        if (status == SABOT_OK && !found) { status = sabot_timer_set(process, 0, &k, 1, &soon, err); }
        if (status != SABOT_OK) { return status; }
    }
    return SABOT_OK;
}
static sabot_status clock_on_timer(void *instance, struct sabot_process *process, const struct sabot_process_call *call,
                                   struct sabot_error *err) {
    (void)instance;
    struct output *output = output_new(call->n_keys);
    bool *found = malloc((size_t)call->n_keys + 1);
    sabot_status status = sabot_state_get(process, 0, NULL, call->n_keys, output->values[0], found, err);
    if (status == SABOT_OK) { status = sabot_state_clear(process, 0, NULL, call->n_keys, err); }
    free(found);
    if (status == SABOT_OK) { return output_emit(output, call->n_keys, 1, process, NULL, err); }
    return status;
}
static const struct sabot_process_column came[] = {{"came", "BIGINT"}};
static const struct sabot_process_state clock_states[] = {{.name = "n", .kind = SABOT_COUNTER, .type = SABOT_BIGINT}};
static const struct sabot_process_timer clock_timers[] = {{.name = "soon", .time = SABOT_PROCESSING_TIME}};
SABOT_PROCESS_FUNCTION(clock_function) = {
    .size = sizeof(struct sabot_process_function), .columns = came, .n_columns = 1, .states = clock_states,
    .n_states = 1, .timers = clock_timers, .n_timers = 1, .process = clock_process, .on_timer = clock_on_timer};
