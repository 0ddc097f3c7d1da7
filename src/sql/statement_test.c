/* Runs tests/statements: plans as EXPLAIN prints them, answers of SHOW and DESCRIBE, and messages for what is wrong.
 *
 * A file is a list of cases:   ==== name / SQL script / ---- / the answer of its last statement.
 * A case named "setup" runs before each case that follows it. An answer is the rows (cells joined by " | "), "OK", or
 * "ERR_PLAN 1:8+5 message". SABOT_TEST_UPDATE=1 writes the answers that were got into the files: read the difference.
 */
#include "sql/statement.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sql/parse.h"

struct session {
    struct memory_pool pool;
    struct catalog catalog;
    struct settings settings;
};

static void print_rows(const struct batch *rows, struct text *target) {
    const struct text_options options = {.null_text = "NULL"};
    for (int32_t row = 0; row < rows->rows; row++) {
        for (int32_t i = 0; i < rows->n_columns; i++) {
            text_add(target, i ? " | " : "");
            const sabot_status status =
                column_print(rows->columns[i], row, rows->schema->fields[i].type, &options, target, NULL);
            assert_int_equal(status, SABOT_OK);
        }
        text_add(target, "\n");
    }
}

static void describe_error(const struct sabot_error *err, struct text *target) {
    text_format(target, "%s %u:%u+%u %s\n", sabot_status_name(err->status), err->sql_line, err->sql_column,
                err->sql_length, err->message);
}

/* Runs all statements; false: one failed. The answer of the last one that ran is appended to target. */
static bool run(struct session *session, const char *text, size_t size, struct text *target) {
    struct sabot_error err = {0};
    struct sql_script *script = NULL;
    if (sql_parse(text, size, &script, &err) != SABOT_OK) {
        describe_error(&err, target);
        return false;
    }
    const struct statement_context context = {
        .env = env_real(), .pool = &session->pool, .catalog = &session->catalog, .settings = &session->settings,
        .text = script->text,
    };
    bool good = true;
    for (unsigned i = 0; i < script->statements.count && good; i++) {
        struct statement_result result;
        const bool last = i + 1 == script->statements.count;
        good = statement_execute(&context, script->statements.items[i], &result, &err) == SABOT_OK;
        if (!good) {
            describe_error(&err, target);
        } else if (last && result.outcome == STATEMENT_ROWS) {
            print_rows(result.rows, target);
        } else if (last) {
            static const char *const names[] = {"OK", "rows", "job", "query", "stall"};
            text_format(target, "%s%s\n", names[result.outcome], result.plan && !result.bounded ? ", unbounded" : "");
        }
        if (good) { statement_result_clear(&result); }
    }
    sql_script_free(script);
    return good;
}

struct text_case {
    const char *name, *sql, *answer;
    size_t name_size, sql_size, answer_size;
};

/* The case that begins at *at (at "==== "); moves on behind it. */
static struct text_case next_case(const char **at) {
    struct text_case found = {.name = *at + strlen("==== ")};
    found.name_size = strcspn(found.name, "\n");
    found.sql = found.name + found.name_size + 1;
    const char *end = strstr(found.sql, "\n==== ");
    end = end ? end + 1 : found.sql + strlen(found.sql);
    const char *bar = strstr(found.sql, "\n----\n");
    if (bar && bar < end) {
        found.sql_size = (size_t)(bar + 1 - found.sql);
        found.answer = bar + strlen("\n----\n");
        found.answer_size = (size_t)(end - found.answer);
    } else {
        found.sql_size = (size_t)(end - found.sql);
        found.answer = end;
    }
    *at = end;
    return found;
}

static size_t trimmed(const char *text, size_t size) {
    while (size > 0 && text[size - 1] == '\n') {
        size--;
    }
    return size;
}

static void path_of(const char *name, char *target, size_t size) {
    const char *end = strstr(__FILE__, "src/sql/statement_test.c");
    assert_non_null(end);
    snprintf(target, size, "%.*stests/statements/%s", (int)(end - __FILE__), __FILE__, name);
}

static char *read_file(const char *path) {
    struct sabot_error err = {0};
    char *data = NULL;
    size_t size = 0;
    if (env_read_file(env_real(), path, &data, &size, &err) == SABOT_OK) { return data; }
    fail_msg("%s", err.message);
    return NULL;
}

static void run_case(const struct text_case *setup, const struct text_case *test, struct text *answer) {
    struct session session = {0};
    memory_pool_init(&session.pool, "test", NULL, INT64_MAX);
    if (!setup->name || run(&session, setup->sql, setup->sql_size, answer)) {
        text_clear(answer);
        (void)run(&session, test->sql, test->sql_size, answer);
    }
    catalog_clear(&session.catalog);
    settings_clear(&session.settings);
    assert_int_equal(session.pool.used, 0);
}

static void check_file(const char *name) {
    char path[1024];
    path_of(name, path, sizeof path);
    char *text = read_file(path);
    const bool update = getenv("SABOT_TEST_UPDATE") != NULL;
    struct text written = {0};
    struct text_case setup = {0};
    int cases = 0, failed = 0;
    const char *at = strstr(text, "==== ");
    assert_non_null(at);
    text_append(&written, text, (size_t)(at - text));
    while (*at) {
        const struct text_case test = next_case(&at);
        if (strncmp(test.name, "setup", 5) == 0) {
            setup = test;
            text_append(&written, test.name - 5, (size_t)(at - test.name) + 5);
            continue;
        }
        struct text answer = {0};
        run_case(&setup, &test, &answer);
        cases++;
        const size_t got = trimmed(text_string(&answer), answer.size);
        const size_t want = trimmed(test.answer, test.answer_size);
        if (!update && (got != want || memcmp(text_string(&answer), test.answer, got) != 0)) {
            failed++;
            fprintf(stderr, "%s: %.*s\n--- got\n%.*s\n--- expected\n%.*s\n", name, (int)test.name_size, test.name,
                    (int)got, text_string(&answer), (int)want, test.answer);
        }
        text_format(&written, "==== %.*s\n%.*s----\n%.*s\n\n", (int)test.name_size, test.name, (int)test.sql_size,
                    test.sql, (int)got, text_string(&answer));
        text_clear(&answer);
    }
    if (update) {
        struct sabot_error err = {0};
        written.size--; /* one line end is enough */
        assert_int_equal(env_write_file(env_real(), path, written.data, written.size, &err), SABOT_OK);
    }
    text_clear(&written);
    free(text);
    assert_true(cases > 0);
    assert_int_equal(failed, 0);
}

static void plans_are_as_written(void **state) {
    (void)state;
    check_file("plans.test");
}

static void answers_of_show_and_describe_are_as_written(void **state) {
    (void)state;
    check_file("show.test");
}

static void what_is_wrong_is_said_with_its_place(void **state) {
    (void)state;
    check_file("errors.test");
}

static void what_can_not_run_yet_is_refused_with_a_sentence(void **state) {
    (void)state;
    check_file("refused.test");
}

/* SELECT item, item .. FROM t end: the answer has `said`. */
static void check_many(const char *item, int n, const char *end, const char *said) {
    static const char table[] =
        "CREATE TABLE t (g INT, v INT) WITH ('connector' = 'datagen', 'number-of-rows' = '1');\n";
    struct text sql = {0}, answer = {0};
    text_add(&sql, "SELECT g");
    for (int i = 0; i < n; i++) { text_format(&sql, ", %s", item); }
    text_format(&sql, " FROM t%s", end);
    const struct text_case setup = {.name = "setup", .sql = table, .sql_size = strlen(table)};
    const struct text_case test = {.sql = text_string(&sql), .sql_size = sql.size};
    run_case(&setup, &test, &answer);
    if (!strstr(text_string(&answer), said)) { fail_msg("%s\nsays: %s\nnot: %s", item, text_string(&answer), said); }
    text_clear(&sql);
    text_clear(&answer);
}

/* The binder has room for 64 of each in a SELECT. */
static void more_overs_and_subqueries_than_fit_are_refused(void **state) {
    (void)state;
    static const char over[] = "ROW_NUMBER() OVER (ORDER BY v)", value[] = "(SELECT MAX(v) FROM t)";
    check_many(over, 65, "", "more than 64 functions with OVER in a SELECT");
    check_many(over, 65, " GROUP BY g", "ROW_NUMBER(..) OVER (..) can't run here");
    check_many(value, 64, "", "query");
    check_many(value, 65, "", "more than 64 subqueries in a SELECT");
    check_many(value, 64, " GROUP BY g", "query");
    check_many(value, 65, " GROUP BY g", "more than 64 subqueries in a SELECT");
    check_many("ROW_NUMBER() OVER (ORDER BY v), (SELECT MAX(v) FROM t)", 65, " GROUP BY g",
               "more than 64 subqueries in a SELECT");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plans_are_as_written),
        cmocka_unit_test(answers_of_show_and_describe_are_as_written),
        cmocka_unit_test(what_is_wrong_is_said_with_its_place),
        cmocka_unit_test(what_can_not_run_yet_is_refused_with_a_sentence),
        cmocka_unit_test(more_overs_and_subqueries_than_fit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
