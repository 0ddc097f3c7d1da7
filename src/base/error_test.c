/* What callers rely on: the first failure wins, context goes in front, a missing error is allowed. */
#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static sabot_status fail_with(struct sabot_error *err, const char *what) {
    return SABOT_FAIL(err, SABOT_ERR_IO, "read %s: gone", what);
}

static sabot_status try_twice(struct sabot_error *err) {
    SABOT_TRY(fail_with(err, "first"));
    return fail_with(err, "second");
}

static void first_failure_wins(void **state) {
    (void)state;
    struct sabot_error err = {0};
    assert_int_equal(fail_with(&err, "a"), SABOT_ERR_IO);
    assert_int_equal(SABOT_FAIL(&err, SABOT_ERR_DATA, "later"), SABOT_ERR_DATA);
    assert_int_equal(err.status, SABOT_ERR_IO);
    assert_string_equal(err.message, "read a: gone");
    assert_non_null(strstr(err.file, "error_test.c"));
    assert_true(err.line > 0);
}

static void try_passes_the_failure_on(void **state) {
    (void)state;
    struct sabot_error err = {0};
    assert_int_equal(try_twice(&err), SABOT_ERR_IO);
    assert_string_equal(err.message, "read first: gone");
}

static void context_goes_in_front(void **state) {
    (void)state;
    struct sabot_error err = {0};
    fail_with(&err, "b");
    error_context(&err, "table %s", "bids");
    assert_string_equal(err.message, "table bids: read b: gone");
}

static void context_of_success_is_nothing(void **state) {
    (void)state;
    struct sabot_error err = {0};
    error_context(&err, "table");
    assert_string_equal(err.message, "");
}

static void null_error_is_allowed(void **state) {
    (void)state;
    assert_int_equal(fail_with(NULL, "c"), SABOT_ERR_IO);
    error_context(NULL, "x");
    error_clear(NULL);
}

static void long_message_is_cut_not_overrun(void **state) {
    (void)state;
    struct sabot_error err = {0};
    char text[3 * SABOT_ERROR_MESSAGE_MAX];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    fail_with(&err, text);
    assert_int_equal(strlen(err.message), SABOT_ERROR_MESSAGE_MAX - 1);
    error_context(&err, "%s", text);
    assert_int_equal(strlen(err.message), SABOT_ERROR_MESSAGE_MAX - 1);
}

static void cleared_error_takes_the_next_failure(void **state) {
    (void)state;
    struct sabot_error err = {0};
    fail_with(&err, "d");
    error_clear(&err);
    assert_int_equal(err.status, SABOT_OK);
    fail_with(&err, "e");
    assert_string_equal(err.message, "read e: gone");
}

static void every_status_has_a_name_and_an_exit_code(void **state) {
    (void)state;
    assert_string_equal(sabot_status_name(SABOT_OK), "OK");
    assert_int_equal(sabot_status_exit_code(SABOT_OK), 0);
    assert_string_equal(sabot_status_name(SABOT_ERR_SQL), "ERR_SQL");
    assert_int_equal(sabot_status_exit_code(SABOT_ERR_SQL), 3);
    assert_string_equal(sabot_status_name((sabot_status)9999), "ERR_INTERNAL");
    assert_int_equal(sabot_status_exit_code((sabot_status)9999), 70);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_failure_wins),
        cmocka_unit_test(try_passes_the_failure_on),
        cmocka_unit_test(context_goes_in_front),
        cmocka_unit_test(context_of_success_is_nothing),
        cmocka_unit_test(null_error_is_allowed),
        cmocka_unit_test(long_message_is_cut_not_overrun),
        cmocka_unit_test(cleared_error_takes_the_next_failure),
        cmocka_unit_test(every_status_has_a_name_and_an_exit_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
