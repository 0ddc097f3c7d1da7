/* State of an older version of a job: which columns fit, and what becomes of their values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "arrow/widen.h"
#include "state/migrate.h"

static struct memory_pool pool = {.name = "test", .limit = INT64_MAX};

static void ok(sabot_status status, const struct sabot_error *err) {
    if (status != SABOT_OK) { fail_msg("%s", err->message); }
}

static struct type varchar(int32_t length) {
    struct type type = type_of(TYPE_STRING);
    type.length = length;
    return type;
}

static struct schema *schema_of(const struct field *fields, int32_t n) {
    struct sabot_error err = {0};
    struct schema *schema;
    ok(schema_new(fields, n, &schema, &err), &err);
    return schema;
}

static struct column *column_of(enum phys phys, const void *values, int32_t n, int32_t null_at) {
    struct sabot_error err = {0};
    struct column_builder builder;
    struct column *column;
    ok(column_builder_init(&builder, &pool, phys, n, null_at >= 0, &err), &err);
    memcpy(builder.values, values, (size_t)n * phys_size(phys));
    if (null_at >= 0) { column_builder_set_null(&builder, null_at); }
    ok(column_builder_finish(&builder, &column, &err), &err);
    column_builder_clear(&builder);
    return column;
}

static void types_widen_where_no_value_is_lost(void **unused) {
    (void)unused;
    const struct {
        struct type from, to;
        bool widens;
    } cases[] = {
        {type_of(TYPE_INT8), type_of(TYPE_INT64), true},
        {type_of(TYPE_INT64), type_of(TYPE_INT32), false},
        {type_of(TYPE_INT32), type_of(TYPE_FLOAT64), true},
        {type_of(TYPE_INT32), type_of(TYPE_FLOAT32), false},
        {type_of(TYPE_INT64), type_of(TYPE_FLOAT64), false},
        {type_of(TYPE_INT32), type_decimal(12, 2), true},
        {type_of(TYPE_INT32), type_decimal(11, 2), false},
        {type_of(TYPE_FLOAT32), type_of(TYPE_FLOAT64), true},
        {type_of(TYPE_FLOAT64), type_of(TYPE_FLOAT32), false},
        {type_decimal(10, 2), type_decimal(12, 4), true},
        {type_decimal(10, 2), type_decimal(12, 5), false},
        {type_decimal(10, 2), type_decimal(12, 1), false},
        {type_timestamp(3), type_timestamp(6), true},
        {type_timestamp(6), type_timestamp(3), false},
        {varchar(10), varchar(20), true},
        {varchar(10), varchar(9), false},
        {type_of(TYPE_STRING), type_of(TYPE_BINARY), false},
        {type_not_null(type_of(TYPE_INT32)), type_of(TYPE_INT32), true},
        {type_of(TYPE_DATE), type_timestamp(3), false},
        {type_of(TYPE_BOOL), type_of(TYPE_INT32), false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (type_widens(cases[i].from, cases[i].to) != cases[i].widens) { fail_msg("case %zu", i); }
    }
}

static void values_are_the_same_in_the_wider_type(void **unused) {
    (void)unused;
    struct sabot_error err = {0};
    const int32_t numbers[] = {-7, 0, INT32_MAX};
    struct column *from = column_of(PHYS_I32, numbers, 3, 1), *to;
    ok(column_widen(&pool, from, type_of(TYPE_INT32), type_decimal(22, 3), &to, &err), &err);
    assert_true(((const __int128 *)to->values)[0] == -7000);
    assert_true(((const __int128 *)to->values)[2] == (__int128)INT32_MAX * 1000);
    assert_true(column_is_null(to, 1) && !column_is_null(to, 0));
    column_unref(to);
    ok(column_widen(&pool, from, type_of(TYPE_INT32), type_of(TYPE_FLOAT64), &to, &err), &err);
    assert_true(((const double *)to->values)[2] == 2147483647.0);
    column_unref(to);
    column_unref(from);
    const int64_t times[] = {-1, 1436918350000};
    from = column_of(PHYS_I64, times, 2, -1);
    ok(column_widen(&pool, from, type_timestamp(3), type_timestamp(9), &to, &err), &err);
    assert_int_equal(((const int64_t *)to->values)[0], -1000000);
    assert_int_equal(((const int64_t *)to->values)[1], 1436918350000000000);
    column_unref(to);
    column_unref(from);
    const int64_t far = INT64_MAX / 1000;
    from = column_of(PHYS_I64, &far, 1, -1);
    assert_int_equal(column_widen(&pool, from, type_timestamp(3), type_timestamp(9), &to, &err), SABOT_ERR_DATA);
    column_unref(from);
}

/* --- tables: key k, values least (guarded by taken) and taken */
#define NOT_NULL(kind) type_not_null(type_of(kind))
static struct schema *groups(enum type_kind least, bool key_nullable) {
    const struct field fields[] = {{"key_group", NOT_NULL(TYPE_INT32)},
                                   {"namespace", NOT_NULL(TYPE_INT64)},
                                   {"k", key_nullable ? type_of(TYPE_INT32) : NOT_NULL(TYPE_INT32)},
                                   {"least", NOT_NULL(least)},
                                   {"taken", NOT_NULL(TYPE_INT64)}};
    return schema_of(fields, 5);
}

static enum state_verdict plan(const struct state_shape *from, const struct state_shape *to,
                               struct state_migration *migration) {
    struct sabot_error err = {0};
    struct text why = {0};
    ok(state_migration_plan(from, to, false, migration, &why, &err), &err);
    assert_true(migration->verdict == STATE_SAME || why.size > 0 || migration->rekeyed);
    text_clear(&why);
    return migration->verdict;
}

static void no_value_yet_stays_no_value_yet(void **unused) {
    (void)unused;
    struct sabot_error err = {0};
    const int64_t most = INT64_MAX, zero = 0;
    const struct state_default defaults[] = {{true, &most, 1}, {true, &zero, -1}};
    struct schema *old = groups(TYPE_INT32, true), *new = groups(TYPE_INT64, true);
    const struct state_shape from = {.name = "groups", .kind = STATE_KEYED, .n_keys = 1, .schema = old};
    const struct state_shape to = {.name = "groups", .kind = STATE_KEYED, .n_keys = 1, .schema = new,
                                   .defaults = defaults};
    struct state_migration migration;
    assert_int_equal(plan(&from, &to, &migration), STATE_MIGRATES);
    assert_false(migration.rekeyed);
    const int32_t groups_of[] = {1, 2}, keys[] = {10, 20}, least[] = {INT32_MAX, INT32_MAX};
    const int64_t namespaces[] = {0, 0}, taken[] = {0, 3};
    struct column *columns[] = {column_of(PHYS_I32, groups_of, 2, -1), column_of(PHYS_I64, namespaces, 2, -1),
                                column_of(PHYS_I32, keys, 2, -1), column_of(PHYS_I32, least, 2, -1),
                                column_of(PHYS_I64, taken, 2, -1)};
    struct batch *rows, *out;
    ok(batch_new(old, columns, 5, 2, &rows, &err), &err);
    ok(state_migrate(&migration, &to, &pool, rows, &out, &err), &err);
    const int64_t *now = out->columns[3]->values;
    assert_true(now[0] == INT64_MAX); /* the least of nothing */
    assert_true(now[1] == INT32_MAX); /* a value */
    batch_unref(rows);
    batch_unref(out);
    state_migration_clear(&migration);
    schema_unref(old);
    schema_unref(new);
}

static void a_column_that_guards_an_old_one_is_not_added(void **unused) {
    (void)unused;
    const int64_t most = INT64_MAX, zero = 0;
    const struct state_default defaults[] = {{true, &most, 1}, {true, &zero, -1}};
    struct schema *whole = groups(TYPE_INT64, true);
    const struct state_shape to = {.name = "groups", .kind = STATE_KEYED, .n_keys = 1, .schema = whole,
                                   .defaults = defaults};
    for (int32_t n = 3; n <= 4; n++) { /* without both; without the guard only */
        struct schema *part = schema_of(whole->fields, n);
        const struct state_shape from = {.name = "groups", .kind = STATE_KEYED, .n_keys = 1, .schema = part};
        struct state_migration migration;
        assert_int_equal(plan(&from, &to, &migration), n == 3 ? STATE_MIGRATES : STATE_INCOMPATIBLE);
        state_migration_clear(&migration);
        schema_unref(part);
    }
    schema_unref(whole);
}

static void a_null_in_a_column_that_is_not_null_now_is_refused(void **unused) {
    (void)unused;
    struct sabot_error err = {0};
    const struct field field = {"v", type_of(TYPE_INT32)}, narrow = {"v", NOT_NULL(TYPE_INT32)};
    struct schema *old = schema_of(&field, 1), *new = schema_of(&narrow, 1);
    const struct state_shape from = {.name = "rows", .kind = STATE_LIST, .schema = old};
    const struct state_shape to = {.name = "rows", .kind = STATE_LIST, .schema = new, .holds_nulls = true};
    struct state_migration migration;
    assert_int_equal(plan(&from, &to, &migration), STATE_MIGRATES);
    assert_true(migration.narrows);
    for (int32_t null_at = -1; null_at <= 0; null_at++) {
        const int32_t values[] = {1, 2};
        struct column *column = column_of(PHYS_I32, values, 2, null_at);
        struct batch *rows, *out = NULL;
        ok(batch_new(old, &column, 1, 2, &rows, &err), &err);
        const sabot_status status = state_migrate(&migration, &to, &pool, rows, &out, &err);
        assert_int_equal(status, null_at < 0 ? SABOT_OK : SABOT_ERR_STATE);
        batch_unref(rows);
        batch_unref(out);
    }
    state_migration_clear(&migration);
    schema_unref(old);
    schema_unref(new);
}

static void keys_in_another_order_are_found_by_name(void **unused) {
    (void)unused;
    const struct field ab[] = {{"key_group", NOT_NULL(TYPE_INT32)}, {"namespace", NOT_NULL(TYPE_INT64)},
                               {"a", type_of(TYPE_INT32)}, {"b", type_of(TYPE_INT32)}};
    const struct field ba[] = {ab[0], ab[1], ab[3], ab[2]};
    struct schema *old = schema_of(ab, 4), *new = schema_of(ba, 4);
    const struct state_shape from = {.name = "groups", .kind = STATE_KEYED, .n_keys = 2, .schema = old};
    struct state_shape to = {.name = "groups", .kind = STATE_KEYED, .n_keys = 2, .schema = new};
    struct state_migration migration;
    assert_int_equal(plan(&from, &to, &migration), STATE_MIGRATES);
    assert_true(migration.rekeyed && migration.from[2] == 3 && migration.from[3] == 2);
    state_migration_clear(&migration);
    to.fixed_layout = true;
    assert_int_equal(plan(&from, &to, &migration), STATE_INCOMPATIBLE);
    state_migration_clear(&migration);
    schema_unref(old);
    schema_unref(new);
}

static void keys_of_one_name_are_told_apart_by_their_order(void **unused) {
    (void)unused;
    const struct field old_fields[] = {{"key_group", NOT_NULL(TYPE_INT32)}, {"namespace", NOT_NULL(TYPE_INT64)},
                                       {"a", type_of(TYPE_INT32)}, {"b", type_of(TYPE_INT32)},
                                       {"b", type_of(TYPE_INT32)}};
    const struct field new_fields[] = {old_fields[0], old_fields[1], old_fields[3], old_fields[2], old_fields[4]};
    struct schema *old = schema_of(old_fields, 5), *new = schema_of(new_fields, 5);
    const struct state_shape from = {.name = "groups_distinct_b", .kind = STATE_KEYED, .n_keys = 3, .schema = old};
    struct state_migration migration;
    assert_int_equal(plan(&from, &from, &migration), STATE_SAME);
    for (int32_t c = 0; c < 5; c++) { assert_int_equal(migration.from[c], c); }
    state_migration_clear(&migration);
    const struct state_shape to = {.name = "groups_distinct_b", .kind = STATE_KEYED, .n_keys = 3, .schema = new};
    assert_int_equal(plan(&from, &to, &migration), STATE_MIGRATES);
    assert_true(migration.from[2] == 3 && migration.from[3] == 2 && migration.from[4] == 4);
    state_migration_clear(&migration);
    schema_unref(old);
    schema_unref(new);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_widen_where_no_value_is_lost),
        cmocka_unit_test(values_are_the_same_in_the_wider_type),
        cmocka_unit_test(no_value_yet_stays_no_value_yet),
        cmocka_unit_test(a_column_that_guards_an_old_one_is_not_added),
        cmocka_unit_test(a_null_in_a_column_that_is_not_null_now_is_refused),
        cmocka_unit_test(keys_in_another_order_are_found_by_name),
        cmocka_unit_test(keys_of_one_name_are_told_apart_by_their_order),
    };
    return cmocka_run_group_tests_name("state.migrate", tests, NULL, NULL);
}
