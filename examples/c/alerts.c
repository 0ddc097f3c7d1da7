/* Sabot embedded in a C program: payments come in as Arrow, alerts come out as Arrow, in between is SQL.
 *
 * Build: cc alerts.c $(pkg-config --cflags --libs sabot) -o alerts */
#include <sabot/sabot.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char job[] =
    "CREATE TABLE payments (card BIGINT, amount INT, ts TIMESTAMP(3), WATERMARK FOR ts AS ts - INTERVAL '1' SECOND)\n"
    "WITH ('connector' = 'datagen', 'number-of-rows' = '100000', 'fields.card.kind' = 'random',\n"
    "      'fields.card.min' = '1', 'fields.card.max' = '50', 'fields.amount.kind' = 'sequence',\n"
    "      'fields.amount.start' = '1', 'fields.amount.end' = '100000', 'fields.ts.max-past' = '0 s');";

static const char query[] =
    "SELECT card, COUNT(*) AS payments, SUM(taxed(CAST(amount AS BIGINT))) AS total FROM payments GROUP BY card";

/* A function of our own: one call per batch, Arrow arrays in and out. */
static void release_values(struct ArrowArray *array) {
    free((void *)array->buffers[1]);
    free(array->buffers);
    array->release = NULL;
}

static int taxed(void *user, const struct ArrowArray *const *args, int32_t n_args, int64_t n_rows,
                 struct ArrowArray *out, char *message, size_t message_size) {
    (void)n_args;
    const int64_t percent = *(const int64_t *)user;
    const int64_t *amounts = (const int64_t *)args[0]->buffers[1] + args[0]->offset;
    int64_t *values = malloc(sizeof *values * (size_t)(n_rows + 1));
    const void **buffers = calloc(2, sizeof *buffers);
    if (!values || !buffers) {
        snprintf(message, message_size, "no memory for %lld values", (long long)n_rows);
        free(values);
        free(buffers);
        return 1;
    }
    for (int64_t i = 0; i < n_rows; i++) { values[i] = amounts[i] * (100 + percent) / 100; }
    buffers[1] = values;
    *out = (struct ArrowArray){.length = n_rows, .n_buffers = 2, .buffers = buffers, .release = release_values};
    return 0;
}

static int fail(const struct sabot_error *err) {
    fprintf(stderr, "%s: %s\n", sabot_status_name(err->status), err->message);
    return 1;
}

int main(void) {
    struct sabot_error err = {0};
    struct sabot_engine *engine = NULL;
    struct sabot_result *result = NULL;
    struct ArrowArrayStream rows;
    int64_t percent = 20;
    const char *types[] = {"BIGINT"};
    const struct sabot_function function = {.size = sizeof function, .name = "taxed", .argument_types = types,
                                            .n_arguments = 1, .return_type = "BIGINT", .call = taxed, .user = &percent};

    if (sabot_engine_open(NULL, &engine, &err) || sabot_engine_register_function(engine, &function, &err) ||
        sabot_engine_execute(engine, job, NULL, &err) || sabot_engine_execute(engine, query, &result, &err) ||
        sabot_result_stream(result, &rows, &err)) {
        return fail(&err);
    }
    int64_t cards = 0, payments = 0, total = 0;
    for (;;) {
        struct ArrowArray batch;
        if (rows.get_next(&rows, &batch) != 0) {
            fprintf(stderr, "%s\n", rows.get_last_error(&rows));
            return 1;
        }
        if (!batch.release) { break; } /* the end */
        const int64_t *counts = (const int64_t *)batch.children[1]->buffers[1] + batch.children[1]->offset;
        const int64_t *sums = (const int64_t *)batch.children[2]->buffers[1] + batch.children[2]->offset;
        for (int64_t i = 0; i < batch.length; i++) {
            payments += counts[i];
            total += sums[i];
        }
        cards += batch.length;
        batch.release(&batch);
    }
    printf("%lld cards, %lld payments, %lld in total\n", (long long)cards, (long long)payments, (long long)total);
    rows.release(&rows);
    sabot_result_free(result);
    sabot_engine_close(engine);
    return 0;
}
