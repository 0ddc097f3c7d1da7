/* A process function: a small charge followed by a large one within a minute, on the same account (the rule of Flink's
 * fraud detection walkthrough). Whether the last charge was small is state; a timer forgets it after a minute.
 *
 * Build: cc -shared -fPIC fraud.c $(pkg-config --cflags sabot) -o fraud.so    Use: fraud.sql beside this file */
#include <sabot/process.h>
#include <stdlib.h>
#include <string.h>

#define MINUTE_MS 60000
enum { SMALL_AT };      /* state: when the small charge was */
enum { FORGET };        /* timer */
enum { AMOUNT, AFTER }; /* output: the large charge, milliseconds behind the small one */

struct fraud {
    double small, large;
};

static sabot_status fraud_open(void *user, const struct sabot_process_open *open, void **instance,
                               struct sabot_error *err) {
    (void)user;
    (void)err;
    struct fraud *fraud = malloc(sizeof *fraud);
    if (!fraud) { return SABOT_ERR_MEMORY; }
    fraud->small = ((const double *)open->arguments->children[0]->buffers[1])[open->arguments->children[0]->offset];
    fraud->large = ((const double *)open->arguments->children[1]->buffers[1])[open->arguments->children[1]->offset];
    *instance = fraud;
    return SABOT_OK;
}

/* The output of one call: two columns of 8 bytes, and the rows that they are about. */
struct alerts {
    double *amounts;
    int64_t *after_ms;
    int32_t *rows;
    int64_t n;
    struct ArrowArray columns[2], *children[2];
    const void *buffers[2][2], *none[1];
};

static void alerts_release(struct ArrowArray *array) {
    struct alerts *alerts = array->private_data;
    free(alerts->amounts);
    free(alerts->after_ms);
    free(alerts);
    array->release = NULL;
}
static void column_release(struct ArrowArray *array) { array->release = NULL; }

static sabot_status alerts_emit(struct alerts *alerts, struct sabot_process *process, struct sabot_error *err) {
    for (int c = 0; c < 2; c++) {
        alerts->buffers[c][1] = c == AMOUNT ? (const void *)alerts->amounts : alerts->after_ms;
        alerts->columns[c] = (struct ArrowArray){
            .length = alerts->n, .n_buffers = 2, .buffers = alerts->buffers[c], .release = column_release};
        alerts->children[c] = &alerts->columns[c];
    }
    struct ArrowArray rows = {.length = alerts->n, .n_buffers = 1, .buffers = alerts->none, .n_children = 2,
                              .children = alerts->children, .release = alerts_release, .private_data = alerts};
    return sabot_emit(process, &rows, alerts->rows, err);
}

static sabot_status fraud_rows(const struct fraud *fraud, struct sabot_process *process,
                               const struct sabot_process_call *call, struct alerts *alerts, int64_t *small_at,
                               bool *armed, struct sabot_error *err) {
    const struct ArrowArray *column = call->rows->children[0];
    const double *amounts = (const double *)column->buffers[1] + column->offset;
    const int32_t n = call->n_keys;
    sabot_status status = sabot_state_get(process, SMALL_AT, NULL, n, small_at, armed, err); /* of all keys at once */
    for (int32_t k = 0; k < n && status == SABOT_OK; k++) {
        const bool was_armed = armed[k];
        for (int32_t i = call->key_starts[k]; i < call->key_starts[k + 1]; i++) {
            if (armed[k] && amounts[i] > fraud->large && call->times_ms[i] - small_at[k] <= MINUTE_MS) {
                alerts->amounts[alerts->n] = amounts[i];
                alerts->after_ms[alerts->n] = call->times_ms[i] - small_at[k];
                alerts->rows[alerts->n++] = i;
            }
            armed[k] = amounts[i] < fraud->small;
            if (armed[k]) { small_at[k] = call->times_ms[i]; }
        }
        if (armed[k]) {
            const int64_t until_ms = small_at[k] + MINUTE_MS;
            status = sabot_state_put(process, SMALL_AT, &k, 1, &small_at[k], err);
            if (status == SABOT_OK) { status = sabot_timer_set(process, FORGET, &k, 1, &until_ms, err); }
        } else if (was_armed) {
            status = sabot_state_clear(process, SMALL_AT, &k, 1, err);
            if (status == SABOT_OK) { status = sabot_timer_clear(process, FORGET, &k, 1, NULL, err); }
        }
    }
    return status;
}

static sabot_status fraud_process(void *instance, struct sabot_process *process, const struct sabot_process_call *call,
                                  struct sabot_error *err) {
    const size_t rows = (size_t)call->n_rows, keys = (size_t)call->n_keys;
    struct alerts *alerts = calloc(1, sizeof *alerts);
    int64_t *small_at = malloc(keys * sizeof *small_at);
    bool *armed = malloc(keys);
    if (alerts) {
        alerts->amounts = malloc(rows * sizeof *alerts->amounts);
        alerts->after_ms = malloc(rows * sizeof *alerts->after_ms);
        alerts->rows = malloc(rows * sizeof *alerts->rows);
    }
    sabot_status status = SABOT_ERR_MEMORY;
    if (alerts && alerts->amounts && alerts->after_ms && alerts->rows && small_at && armed) {
        status = fraud_rows(instance, process, call, alerts, small_at, armed, err);
    }
    int32_t *about = alerts ? alerts->rows : NULL;
    if (status == SABOT_OK) {
        status = alerts_emit(alerts, process, err); /* owns the alerts from here on */
    } else if (alerts) {
        free(alerts->amounts);
        free(alerts->after_ms);
        free(alerts);
    }
    free(about);
    free(small_at);
    free(armed);
    return status;
}

static sabot_status fraud_on_timer(void *instance, struct sabot_process *process,
                                   const struct sabot_process_call *call, struct sabot_error *err) {
    (void)instance;
    return sabot_state_clear(process, SMALL_AT, NULL, call->n_keys, err);
}

static const struct sabot_process_column inputs[] = {{"amount", "DOUBLE"}};
static const struct sabot_process_column columns[] = {{"amount", "DOUBLE"}, {"after_ms", "BIGINT"}};
static const struct sabot_process_argument arguments[] = {{"small", "DOUBLE", "1e0"}, {"large", "DOUBLE", "500e0"}};
static const struct sabot_process_state states[] = {{.name = "small_at", .kind = SABOT_VALUE, .type = SABOT_BIGINT}};
static const struct sabot_process_timer timers[] = {{.name = "forget", .time = SABOT_EVENT_TIME}};

SABOT_PROCESS_FUNCTION(fraud_function) = {
    .size = sizeof(struct sabot_process_function),
    .inputs = inputs, .n_inputs = 1, .columns = columns, .n_columns = 2,
    .arguments = arguments, .n_arguments = 2, .states = states, .n_states = 1, .timers = timers, .n_timers = 1,
    .open = fraud_open, .process = fraud_process, .on_timer = fraud_on_timer, .close = free,
};
