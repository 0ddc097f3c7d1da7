/* Options: what is accepted, and what a wrong one is told. */
#include "base/error.h"
#include "connect/connector.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static const struct connector_option options[] = {
    {"path", OPTION_STRING, OPTION_REQUIRED, NULL, "file to read"},
    {"interval", OPTION_DURATION, "1 s", NULL, "how often"},
    {"mode", OPTION_ENUM, "fast", "fast|safe", "how"},
    {"properties.", OPTION_PREFIX, NULL, NULL, "passed on"},
    {"fields.#.kind", OPTION_STRING, NULL, NULL, "per field"},
    {NULL, OPTION_STRING, NULL, NULL, NULL},
};

static sabot_status check(const struct table_option *given, int32_t n, struct sabot_error *err) {
    const struct connector_option *tables[] = {options};
    return options_check(&(struct connector_table){.name = "t", .options = given, .n_options = n}, tables, 1, err);
}

static void known_options_are_accepted(void **state) {
    (void)state;
    const struct table_option given[] = {{"connector", "x", 0, 0},       {"path", "a", 0, 0},
                                         {"interval", "500 ms", 0, 0},   {"mode", "SAFE", 0, 0},
                                         {"properties.acks", "1", 0, 0}, {"fields.a.b.kind", "random", 0, 0}};
    struct sabot_error err = {0};
    assert_int_equal(check(given, 6, &err), SABOT_OK);
}

static void an_unknown_option_gets_the_nearest_name_and_its_place(void **state) {
    (void)state;
    const struct table_option given[] = {{"path", "a", 0, 0}, {"intervall", "1", 3, 14}};
    struct sabot_error err = {0};
    assert_int_equal(check(given, 2, &err), SABOT_ERR_PLAN);
    assert_non_null(strstr(err.message, "did you mean 'interval'"));
    assert_int_equal(err.sql_line, 3);
    assert_int_equal(err.sql_column, 14);
}

static void a_missing_or_malformed_option_is_named(void **state) {
    (void)state;
    struct sabot_error err = {0};
    assert_int_equal(check(NULL, 0, &err), SABOT_ERR_PLAN);
    assert_non_null(strstr(err.message, "'path' is missing"));
    const struct table_option wrong[] = {{"path", "a", 0, 0}, {"mode", "slow", 0, 0}};
    err = (struct sabot_error){0};
    assert_int_equal(check(wrong, 2, &err), SABOT_ERR_PLAN);
    assert_non_null(strstr(err.message, "not one of fast|safe"));
    const struct table_option duration[] = {{"path", "a", 0, 0}, {"interval", "5 parsecs", 0, 0}};
    err = (struct sabot_error){0};
    assert_int_equal(check(duration, 2, &err), SABOT_ERR_PLAN);
    assert_non_null(strstr(err.message, "not a duration"));
}

static void durations_and_sizes_have_units(void **state) {
    (void)state;
    const struct {
        const char *text;
        int64_t ns;
    } durations[] = {
        {"10 s", 10000000000}, {"500ms", 500000000}, {"7", 7000000}, {"1 min", 60000000000}, {"1.5 h", 5400000000000}};
    for (size_t i = 0; i < sizeof durations / sizeof durations[0]; i++) {
        int64_t ns = -1;
        assert_int_equal(duration_parse(durations[i].text, &ns, NULL), SABOT_OK);
        assert_int_equal(ns, durations[i].ns);
    }
    int64_t bytes = 0;
    assert_int_equal(size_parse("64 mb", &bytes, NULL), SABOT_OK);
    assert_int_equal(bytes, 64 << 20);
    assert_int_equal(size_parse("many", &bytes, NULL), SABOT_ERR_PLAN);
    assert_int_equal(duration_parse("-1 s", &bytes, NULL), SABOT_ERR_PLAN);
    assert_int_equal(duration_parse("1e30 d", &bytes, NULL), SABOT_ERR_PLAN);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_options_are_accepted),
        cmocka_unit_test(an_unknown_option_gets_the_nearest_name_and_its_place),
        cmocka_unit_test(a_missing_or_malformed_option_is_named),
        cmocka_unit_test(durations_and_sizes_have_units),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
