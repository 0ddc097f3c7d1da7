/* LISTAGG with a changelog against a model that keeps every group's values in order: inserts, updates and deletes in
 * one batch, NULLs, restores at other parallelisms. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/util/fleet.h"

#define KEYS 6
#define VALUES_MAX 24 /* of a group */
#define BATCH_MAX 16

static const char *const texts[] = {"", "a", "b", "a text that is longer than twelve bytes", NULL};
#define N_TEXTS 5

struct group {
    int32_t values[VALUES_MAX]; /* of texts, in order of arrival */
    int32_t n;
};

struct change {
    int64_t key;
    int32_t text;
    uint8_t kind;
};

static void group_add(struct group *group, int32_t text) { group->values[group->n++] = text; }

/* The first that is equal goes. */
static void group_remove(struct group *group, int32_t text) {
    int32_t at = 0;
    while (group->values[at] != text) { at++; }
    for (group->n--; at < group->n; at++) { group->values[at] = group->values[at + 1]; }
}

static int32_t random_changes(struct group *groups, struct test_random *random, bool retracts, struct change *changes) {
    int32_t n = 0;
    while (n < BATCH_MAX - 1) {
        const int64_t key = test_below(random, KEYS);
        struct group *group = &groups[key];
        const bool adds = group->n == 0 || (group->n < VALUES_MAX && (!retracts || test_below(random, 2)));
        if (!adds && !retracts) { break; }
        if (adds) {
            changes[n] = (struct change){.key = key, .text = test_below(random, N_TEXTS), .kind = ROW_INSERT};
            group_add(group, changes[n++].text);
            continue;
        }
        const int32_t old = group->values[test_below(random, group->n)];
        const bool update = test_below(random, 2);
        changes[n++] = (struct change){.key = key, .text = old, .kind = update ? ROW_UPDATE_BEFORE : ROW_DELETE};
        group_remove(group, old);
        if (!update) { continue; }
        changes[n] = (struct change){.key = key, .text = test_below(random, N_TEXTS), .kind = ROW_UPDATE_AFTER};
        group_add(group, changes[n++].text);
    }
    return n;
}

static void give(struct fleet *fleet, const struct change *changes, int32_t n, bool retracts) {
    int64_t keys[BATCH_MAX];
    const char *given[BATCH_MAX];
    uint8_t kinds[BATCH_MAX];
    for (int32_t i = 0; i < n; i++) {
        keys[i] = changes[i].key;
        given[i] = texts[changes[i].text];
        kinds[i] = changes[i].kind;
    }
    struct column *columns[] = {test_column_i64(&fleet->pool, keys, NULL, n), test_column_text(&fleet->pool, given, n)};
    fleet_batch(fleet, test_changes(&fleet->pool, fleet->input, columns, 2, retracts ? kinds : NULL));
}

static void expect(struct fleet *fleet, const struct group *groups) {
    char *rows[KEYS];
    int32_t n = 0;
    for (int32_t key = 0; key < KEYS; key++) {
        char text[VALUES_MAX * 48];
        size_t at = 0;
        int32_t joined = 0;
        if (groups[key].n == 0) { continue; }
        at += (size_t)snprintf(text, sizeof text, "%d|%d|", key, groups[key].n);
        for (int32_t i = 0; i < groups[key].n; i++) {
            const char *value = texts[groups[key].values[i]];
            if (!value) { continue; }
            at += (size_t)snprintf(text + at, sizeof text - at, "%s%s", joined++ ? "; " : "", value);
        }
        if (!joined) { snprintf(text + at, sizeof text - at, "NULL"); }
        rows[n++] = strdup(text);
    }
    fleet_expect(fleet, rows, n);
    for (int32_t i = 0; i < n; i++) { free(rows[i]); }
}

static void run(bool retracts, bool pairs) {
    static const int32_t parallelisms[] = {2, 7, 1, 3};
    static const int32_t key = 0;
    const struct aggregate_call calls[] = {
        {.kind = AGGREGATE_COUNT_STAR, .argument = -1, .filter = -1},
        {.kind = AGGREGATE_LISTAGG, .argument = 1, .filter = -1, .separator = string_view_of("; ", 2)}};
    const struct group_update_options options = {.keys = &key, .n_keys = 1, .calls = calls, .n_calls = 2,
                                                 .input_retracts = retracts, .emit_update_before = pairs};
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct test_random random = {seed * UINT64_C(0x9e3779b97f4a7c15)};
        struct fleet *fleet = calloc(1, sizeof *fleet);
        struct group *groups = calloc(KEYS, sizeof *groups);
        struct field input[] = {{"k", type_of(TYPE_INT64)}, {"t", type_of(TYPE_STRING)}};
        struct field output[] = {{"k", type_of(TYPE_INT64)}, {"n", type_of(TYPE_INT64)}, {"l", type_of(TYPE_STRING)}};
        *fleet = (struct fleet){.type = &op_group_update, .options = &options, .input = test_schema(input, 2),
                                .output = test_schema(output, 3), .keys = &key, .n_keys = 1,
                                .n_upsert_keys = pairs ? -1 : 1};
        fleet_open(fleet, 1);
        for (int32_t step = 0; step < 30; step++) {
            struct change changes[BATCH_MAX];
            const int32_t n = random_changes(groups, &random, retracts, changes);
            if (n == 0) { break; }
            give(fleet, changes, n, retracts);
            expect(fleet, groups);
            if (step % 5 == 4) { fleet_rescale(fleet, parallelisms[step / 5 % 4]); }
        }
        schema_unref(fleet->input);
        schema_unref(fleet->output);
        fleet_close(fleet);
        free(fleet);
        free(groups);
    }
}

static void values_are_joined_in_the_order_of_arrival(void **state) {
    (void)state;
    run(false, true);
    run(false, false);
}

static void a_value_that_is_taken_back_goes_where_it_stood_first(void **state) {
    (void)state;
    run(true, true);
    run(true, false);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(values_are_joined_in_the_order_of_arrival),
                                       cmocka_unit_test(a_value_that_is_taken_back_goes_where_it_stood_first)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
