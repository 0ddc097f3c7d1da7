/* ROW_NUMBER against a model that keeps every row and sorts each partition anew: ranks and no ranks, ties, NULLs,
 * strings, retractions, restores at other parallelisms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/util/fleet.h"

#define ROWS_MAX 6000
#define KEYS 20
#define BATCH_MAX 100

/* k: partition; o: a number that may be NULL; p: one that may not; s: a text; id: tells rows apart */
struct model_row {
    int32_t k, o, p, s; /* -1 = NULL, but for p */
    int64_t id;         /* also the order of arrival */
};
struct model {
    struct model_row rows[ROWS_MAX];
    int32_t n;
    int64_t next_id;
};
struct config {
    struct rank_options options;
    bool global;
};

static const char *text_of(int32_t s, char *target) {
    if (s < 0) { return NULL; }
    target[0] = 0;
    if (s) { sprintf(target, s % 2 ? "same begin %d" : "same begin, but a longer one %d", s); }
    return target;
}

/* --- the model */
static const struct config *sorting;
static int compare_key(const struct model_row *a, const struct model_row *b, const struct sort_key *key) {
    char text_a[64], text_b[64];
    const bool null_a = key->column == 1 ? a->o < 0 : key->column == 3 && a->s < 0;
    const bool null_b = key->column == 1 ? b->o < 0 : key->column == 3 && b->s < 0;
    if (null_a && null_b) { return 0; }
    if (null_a || null_b) { return null_a == key->nulls_first ? -1 : 1; }
    int order = 0;
    if (key->column == 1) { order = a->o - b->o; }
    if (key->column == 2) { order = a->p - b->p; }
    if (key->column == 3) { order = strcmp(text_of(a->s, text_a), text_of(b->s, text_b)); }
    return key->descending ? -order : order;
}
static int by_rank(const void *x, const void *y) {
    const struct model_row *a = x, *b = y;
    for (int32_t i = 0; i < sorting->options.n_order; i++) {
        const int order = compare_key(a, b, &sorting->options.order[i]);
        if (order) { return order; }
    }
    const int earlier = a->id < b->id ? -1 : a->id > b->id;
    return sorting->options.keep_last ? -earlier : earlier;
}
static void cell_number(char *target, int64_t value, bool is_null) {
    sprintf(target, is_null ? "NULL" : "%lld", (long long)value);
}
static void expect_model(struct fleet *fleet, const struct model *model, const struct config *config) {
    static char *rows[ROWS_MAX];
    static struct model_row part[ROWS_MAX];
    int32_t n = 0;
    for (int32_t key = config->global ? -2 : -1; key < (config->global ? -1 : KEYS); key++) {
        int32_t m = 0;
        for (int32_t i = 0; i < model->n; i++) {
            if (key == -2 || model->rows[i].k == key) { part[m++] = model->rows[i]; }
        }
        sorting = config;
        qsort(part, (size_t)m, sizeof *part, by_rank);
        for (int64_t r = config->options.first; r <= config->options.limit && r <= m; r++) {
            const struct model_row *row = &part[r - 1];
            char text[256], k[32], o[32], s[64], rank[32] = "";
            cell_number(k, row->k, row->k < 0);
            cell_number(o, row->o, row->o < 0);
            if (config->options.output_rank) { sprintf(rank, "|%lld", (long long)r); }
            snprintf(text, sizeof text, "%s|%s|%d|%s|%lld%s", k, o, row->p, row->s < 0 ? "NULL" : text_of(row->s, s),
                     (long long)row->id, rank);
            rows[n++] = strdup(text);
        }
    }
    fleet_expect(fleet, rows, n);
    for (int32_t i = 0; i < n; i++) { free(rows[i]); }
}

/* --- random changes */
static struct model_row random_row(struct model *model, struct test_random *random) {
    return (struct model_row){.k = test_below(random, KEYS + 1) - 1,
                              .o = test_below(random, 8) - 1,
                              .p = test_below(random, 12) - 6,
                              .s = test_below(random, 6) - 1,
                              .id = model->next_id++};
}
static struct batch *batch_of(struct fleet *fleet, const struct model_row *rows, const uint8_t *kinds, int32_t n) {
    int64_t columns_of[4][BATCH_MAX + 2] = {0};
    bool nulls[2][BATCH_MAX + 2] = {0};
    char texts[BATCH_MAX + 2][64];
    const char *cells[BATCH_MAX + 2] = {0};
    for (int32_t i = 0; i < n; i++) {
        columns_of[0][i] = rows[i].k;
        nulls[0][i] = rows[i].k < 0;
        columns_of[1][i] = rows[i].o;
        nulls[1][i] = rows[i].o < 0;
        columns_of[2][i] = rows[i].p;
        columns_of[3][i] = rows[i].id;
        cells[i] = text_of(rows[i].s, texts[i]);
    }
    struct column *columns[] = {
        test_column_i64(&fleet->pool, columns_of[0], nulls[0], n), test_column_i64(&fleet->pool, columns_of[1],
                                                                                   nulls[1], n),
        test_column_i64(&fleet->pool, columns_of[2], NULL, n), test_column_text(&fleet->pool, cells, n),
        test_column_i64(&fleet->pool, columns_of[3], NULL, n)};
    return test_changes(&fleet->pool, fleet->input, columns, 5, kinds);
}
static void random_step(struct fleet *fleet, struct model *model, struct test_random *random, bool retracts,
                        int32_t grow) {
    struct model_row rows[BATCH_MAX + 2];
    uint8_t kinds[BATCH_MAX + 2];
    int32_t n = 0;
    const int32_t wanted = 1 + test_below(random, BATCH_MAX);
    while (n < wanted) {
        if (!retracts || model->n == 0 || test_below(random, 100) < grow) {
            assert_true(model->n < ROWS_MAX);
            kinds[n] = ROW_INSERT;
            rows[n++] = model->rows[model->n++] = random_row(model, random);
            continue;
        }
        const int32_t at = test_below(random, model->n);
        const int32_t key = model->rows[at].k;
        const bool update = test_below(random, 3) == 0;
        kinds[n] = update ? ROW_UPDATE_BEFORE : ROW_DELETE;
        rows[n++] = model->rows[at];
        model->rows[at] = model->rows[--model->n];
        if (update) {
            kinds[n] = ROW_UPDATE_AFTER;
            rows[n] = model->rows[model->n++] = random_row(model, random);
            rows[n++].k = model->rows[model->n - 1].k = key;
        }
    }
    fleet_batch(fleet, batch_of(fleet, rows, retracts ? kinds : NULL, n));
}

static struct schema *schema_of(bool rank) {
    return test_schema((struct field[]){{"k", type_of(TYPE_INT64)},
                                        {"o", type_of(TYPE_INT64)},
                                        {"p", type_not_null(type_of(TYPE_INT64))},
                                        {"s", type_of(TYPE_STRING)},
                                        {"id", type_not_null(type_of(TYPE_INT64))},
                                        {"rank", type_not_null(type_of(TYPE_INT64))}},
                       rank ? 6 : 5);
}

static const struct sort_key by_p[] = {{.column = 2}}, by_p_down[] = {{.column = 2, .descending = true}};
static const struct sort_key by_o_and_s[] = {{.column = 1, .descending = true}, {.column = 3, .nulls_first = true}};
static const struct sort_key by_s_down[] = {{.column = 3, .descending = true, .nulls_first = true}};
static const struct {
    const struct sort_key *keys;
    int32_t n;
} orders[] = {{by_p, 1}, {by_p_down, 1}, {by_o_and_s, 2}, {by_s_down, 1}, {NULL, 0}};

static void run(struct config config) {
    static const int32_t parallelisms[] = {2, 7, 1, 3};
    static const int32_t key = 0;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct test_random random = {seed * UINT64_C(0x9e3779b97f4a7c15)};
        config.options.keys = &key;
        config.options.n_keys = !config.global;
        config.options.order = orders[seed % 5].keys;
        config.options.n_order = orders[seed % 5].n;
        const struct rank_options *o = &config.options;
        const bool upsert = o->limit == 1 && !o->emit_update_before && !o->output_rank;
        struct fleet *fleet = calloc(1, sizeof *fleet);
        struct model *model = calloc(1, sizeof *model);
        *fleet = (struct fleet){.type = &op_rank, .options = &config.options, .input = schema_of(false),
                                .output = schema_of(config.options.output_rank), .keys = &key, .n_keys = !config.global,
                                .n_upsert_keys = upsert ? !config.global : -1};
        fleet_open(fleet, 1);
        for (int32_t step = 0; step < 40; step++) {
            random_step(fleet, model, &random, config.options.input_retracts, step % 20 < 8 ? 70 : 30);
            expect_model(fleet, model, &config);
            if (step % 6 == 5) { fleet_rescale(fleet, config.global ? 1 : parallelisms[step / 6 % 4]); }
        }
        schema_unref(fleet->input);
        schema_unref(fleet->output);
        fleet_close(fleet);
        free(fleet);
        free(model);
    }
}

static void the_first_row_of_each_key_equals_the_model(void **state) {
    (void)state;
    run((struct config){{.first = 1, .limit = 1, .emit_update_before = true}, false});
    run((struct config){{.first = 1, .limit = 1}, false});
    run((struct config){{.first = 1, .limit = 1, .emit_update_before = true}, true});
}
static void the_last_arrival_of_equal_rows_wins_with_keep_last(void **state) {
    (void)state;
    run((struct config){{.first = 1, .limit = 1, .emit_update_before = true, .keep_last = true}, false});
    run((struct config){{.first = 1, .limit = 1, .keep_last = true}, false});
    run((struct config){{.first = 1, .limit = 1, .keep_last = true, .input_retracts = true}, false});
}
static void ranks_of_the_first_rows_equal_the_model(void **state) {
    (void)state;
    run((struct config){{.first = 1, .limit = 4, .emit_update_before = true, .output_rank = true}, false});
    run((struct config){{.first = 2, .limit = 5, .emit_update_before = true, .output_rank = true}, false});
    run((struct config){{.first = 1, .limit = 10, .emit_update_before = true, .output_rank = true}, true});
}
static void the_first_rows_without_ranks_equal_the_model(void **state) {
    (void)state;
    run((struct config){{.first = 1, .limit = 4, .emit_update_before = true}, false});
    run((struct config){{.first = 3, .limit = 5}, false});
    run((struct config){{.first = 1, .limit = 10}, true});
}
static void retractions_bring_evicted_rows_back(void **state) {
    (void)state;
    run((struct config){{.first = 1, .limit = 1, .input_retracts = true, .emit_update_before = true}, false});
    run((struct config){{.first = 1, .limit = 1, .input_retracts = true}, false});
    run((struct config){{.first = 1, .limit = 3, .input_retracts = true}, false});
    run((struct config){{.first = 2, .limit = 3, .input_retracts = true, .emit_update_before = true}, false});
    run((struct config){{.first = 1, .limit = 3, .input_retracts = true, .emit_update_before = true,
                         .output_rank = true},
                        false});
    run((struct config){{.first = 1, .limit = 5, .input_retracts = true, .emit_update_before = true,
                         .output_rank = true},
                        true});
}

static void state_holds_the_rows_that_rank_and_no_more(void **state) {
    (void)state;
    static const int32_t key = 0;
    for (int32_t retracts = 0; retracts < 2; retracts++) {
        const struct rank_options options = {.keys = &key, .n_keys = 1, .order = by_p, .n_order = 1, .first = 1,
                                             .limit = 3,
                                             .input_retracts = retracts};
        struct fleet *fleet = calloc(1, sizeof *fleet);
        *fleet = (struct fleet){.type = &op_rank, .options = &options, .input = schema_of(false),
                                .output = schema_of(false),
                                .keys = &key, .n_keys = 1, .n_upsert_keys = -1};
        fleet_open(fleet, 1);
        struct model_row rows[BATCH_MAX];
        uint8_t kinds[BATCH_MAX];
        for (int32_t i = 0; i < BATCH_MAX; i++) {
            rows[i] = (struct model_row){.k = i % 4, .o = 1, .p = i, .s = 1, .id = i};
        }
        fleet_batch(fleet, batch_of(fleet, rows, NULL, BATCH_MAX));
        assert_int_equal(fleet->members[0]->metrics.state_rows, retracts ? BATCH_MAX + 4 : 4 * 3 + 4);
        if (retracts) {
            memset(kinds, ROW_DELETE, sizeof kinds);
            fleet_batch(fleet, batch_of(fleet, rows, kinds, BATCH_MAX));
            assert_int_equal(fleet->members[0]->metrics.state_rows, 0);
            assert_int_equal(fleet->n_table, 0);
        }
        schema_unref(fleet->input);
        schema_unref(fleet->output);
        fleet_close(fleet);
        free(fleet);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_row_of_each_key_equals_the_model),
        cmocka_unit_test(the_last_arrival_of_equal_rows_wins_with_keep_last),
        cmocka_unit_test(ranks_of_the_first_rows_equal_the_model),
        cmocka_unit_test(the_first_rows_without_ranks_equal_the_model),
        cmocka_unit_test(retractions_bring_evicted_rows_back),
        cmocka_unit_test(state_holds_the_rows_that_rank_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
