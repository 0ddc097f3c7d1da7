/* Everything in tests/sql/parse parses, and formatting is the inverse of parsing; errors say what and where. */
#include "sql/parse.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/nearest.h"
#include "base/text.h"
#include "sql/caret.h"
#include "sql/format.h"
#include "sql/lexer.h"

static struct sql_script *parse(const char *text) {
    struct sql_script *script;
    struct sabot_error err = {0};
    if (sql_parse(text, strlen(text), &script, &err) != SABOT_OK) {
        fail_msg("%u:%u: %s\nin: %s", err.sql_line, err.sql_column, err.message, text);
    }
    return script;
}

/* The script's statements as text, each with ";\n". */
static char *format(const struct sql_script *script) {
    struct arena arena;
    arena_init(&arena, (size_t)64 << 20);
    char *text = NULL;
    size_t size = 0;
    FILE *file = open_memstream(&text, &size);
    for (unsigned i = 0; i < script->statements.count; i++) {
        const char *statement = sql_format_statement(&arena, script->statements.items[i]);
        assert_non_null(statement);
        fprintf(file, "%s;\n", statement);
    }
    fclose(file);
    arena_clear(&arena);
    return text;
}

static unsigned check_round_trip(const char *text) {
    struct sql_script *first = parse(text);
    char *once = format(first);
    struct sql_script *second = parse(once);
    char *twice = format(second);
    assert_int_equal(first->statements.count, second->statements.count);
    assert_string_equal(once, twice);
    const unsigned count = first->statements.count;
    sql_script_free(first);
    sql_script_free(second);
    free(once);
    free(twice);
    return count;
}

static char *read_file(const char *name) {
    char path[1024];
    /* __FILE__ is relative to the directory that the compiler and the test run in. */
    const size_t folder = strlen(__FILE__) - strlen("src/sql/parse_test.c");
    snprintf(path, sizeof path, "%.*stests/sql/parse/%s", (int)folder, __FILE__, name);
    FILE *file = fopen(path, "rb");
    if (!file) { fail_msg("can't open %s: run from the directory that it was compiled in", path); }
    char *text = calloc(1, 1 << 20);
    assert_non_null(text);
    const size_t size = fread(text, 1, (1 << 20) - 1, file);
    assert_true(size > 0);
    fclose(file);
    return text;
}

static void statements_of_flink_parse_and_survive_formatting(void **state) {
    (void)state;
    static const char *const files[] = {"tables.sql", "commands.sql", "queries.sql", "expressions.sql", "nexmark.sql"};
    unsigned count = 0;
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        char *text = read_file(files[i]);
        count += check_round_trip(text);
        free(text);
    }
    assert_true(count >= 240);
}

static void check_format(const char *text, const char *expected) {
    struct sql_script *script;
    struct sql_expr *expr;
    struct sabot_error err = {0};
    if (sql_parse_expr(text, strlen(text), &script, &expr, &err) != SABOT_OK) { fail_msg("%s: %s", text, err.message); }
    assert_string_equal(sql_format_expr(&script->arena, expr), expected);
    sql_script_free(script);
}

static void operators_bind_as_in_flink(void **state) {
    (void)state;
    check_format("(a + (b * c))", "a + b * c");
    check_format("(a + b) * c", "(a + b) * c");
    check_format("a - (b - c)", "a - (b - c)");
    check_format("(a - b) - c", "a - b - c");
    check_format("a or (b and c)", "a OR b AND c");
    check_format("(a or b) and c", "(a OR b) AND c");
    check_format("not (a = b)", "NOT a = b");
    check_format("(not a) = b", "(NOT a) = b");
    check_format("a between 1 and 2 and b", "a BETWEEN 1 AND 2 AND b");
    check_format("(a = b) is true", "a = b IS TRUE");
    check_format("a = (b is true)", "a = (b IS TRUE)");
    check_format("- - 1", "-(-1)");
    check_format("a || b + c", "a || b + c");
    check_format("a + b || c", "a + b || c");
    check_format("(a + b) || c", "(a + b) || c");
    check_format("((a, b)) in ((1, 2), (3, 4))", "ROW(a, b) IN (ROW(1, 2), ROW(3, 4))");
    check_format("trim('x' from y)", "trim(BOTH 'x' FROM y)");
    check_format("`value` + t.`a b`", "`value` + t.`a b`");
    check_format("interval '1-2' year to month", "INTERVAL '1-2' YEAR TO MONTH");
    check_format("x not in (select 1)", "x NOT IN (SELECT 1)");
}

static void long_chains_of_and_are_one_node(void **state) {
    (void)state;
    char *text = calloc(1, 200000);
    strcpy(text, "SELECT a FROM t WHERE x = 0");
    for (int i = 1; i < 5000; i++) { snprintf(text + strlen(text), 32, " OR x = %d", i); }
    struct sql_script *script = parse(text);
    const struct sql_expr *where = script->statements.items[0]->query->select.where;
    assert_int_equal(where->kind, SQL_EXPR_LOGIC);
    assert_int_equal(where->logic.operands.count, 5000);
    sql_script_free(script);
    free(text);
}

static void words_become_keywords_only_where_they_mean_something(void **state) {
    (void)state;
    struct sql_script *script = parse(
        "SELECT date, DATE '2020-01-01', value, left(a, 1) FROM t LEFT JOIN u ON t.key = u.day");
    const struct sql_select *select = &script->statements.items[0]->query->select;
    assert_int_equal(select->items.items[0].expr->kind, SQL_EXPR_COLUMN);
    assert_int_equal(select->items.items[1].expr->kind, SQL_EXPR_DATE);
    assert_int_equal(select->items.items[2].expr->kind, SQL_EXPR_COLUMN);
    assert_int_equal(select->items.items[3].expr->kind, SQL_EXPR_CALL);
    assert_int_equal(select->from->join.kind, SQL_JOIN_LEFT);
    assert_null(select->from->join.left->alias.text);
    sql_script_free(script);
    assert_null(sql_lexer_phrase_out_of_order());
}

static void nodes_know_their_place(void **state) {
    (void)state;
    struct sql_script *script = parse("SELECT a,\n  größe + pirce -- x\n FROM bid");
    const struct sql_select *select = &script->statements.items[0]->query->select;
    const struct sql_expr *sum = select->items.items[1].expr;
    assert_int_equal(sum->span.line, 2);
    assert_int_equal(sum->span.column, 3);
    assert_int_equal(sum->span.length, 13);
    assert_int_equal(sum->binary.right->span.column, 11);
    assert_int_equal(sum->binary.right->span.length, 5);
    assert_int_equal(script->statements.items[0]->span.line, 1);
    assert_memory_equal(script->text + sum->span.offset, "größe + pirce", sum->span.size);
    sql_script_free(script);
}

static void set_needs_no_quotes(void **state) {
    (void)state;
    struct sql_script *script = parse("SET table.exec.mini-batch.size = 5 s ; -- x\nRESET a.b-c; SET 'k' = 'v;w'");
    assert_int_equal(script->statements.count, 3);
    assert_string_equal(script->statements.items[0]->set.items[0].key, "table.exec.mini-batch.size");
    assert_string_equal(script->statements.items[0]->set.items[0].value, "5 s");
    assert_string_equal(script->statements.items[1]->set.items[0].key, "a.b-c");
    assert_string_equal(script->statements.items[2]->set.items[0].value, "v;w");
    sql_script_free(script);
}

struct wrong {
    const char *text;
    unsigned line, column, length;
    const char *says;
};

static const struct wrong wrongs[] = {
    {"SELECT a FORM t", 1, 10, 4, "did you mean FROM?"},
    {"SELECT a FROM t WERE a > 1", 1, 17, 4, "did you mean WHERE?"},
    {"SELECT a FROM t LEFT b ON t.x = b.x", 1, 17, 4, "did you mean LEFT JOIN?"},
    {"SELECT a, b c d FROM t", 1, 15, 1, "'d'"},
    {"SELECT FROM t", 1, 8, 4, "an expression"},
    {"SELECT a,\n       FROM t", 2, 8, 4, "'FROM'"},
    {"SELECT (a + 1 FROM t", 1, 15, 4, "')'"},
    {"SELCT a FROM t", 1, 1, 5, "did you mean SELECT?"},
    {"CREATE TABEL t (a INT)", 1, 8, 5, "did you mean TABLE?"},
    {"SELECT a FROM t WHERE", 1, 22, 1, "the end of the text"},
    {"SELECT 'abc", 1, 8, 1, "no end"},
    {"SELECT `abc FROM t", 1, 8, 1, "no end"},
    {"SELECT 1 /* x", 1, 10, 2, "no end"},
    {"SELECT \"a\" FROM t", 1, 8, 1, "back quotes"},
    {"SELECT 1a FROM t", 1, 8, 2, "neither a number nor a name"},
    {"SELECT a # b", 1, 10, 1, "no meaning"},
    {"SELECT INTERVAL '1' SECNOD", 1, 21, 6, "did you mean SECOND?"},
    {"SELECT INTERVAL 10 SECOND", 1, 17, 2, "INTERVAL '10' SECOND"},
    {"SELECT EXTRACT(DYA FROM ts)", 1, 16, 3, "did you mean DAY?"},
    {"SELECT CAST(a AS DECMAL(3, 2))", 1, 18, 12, "did you mean DECIMAL?"},
    {"SELECT CAST(a AS BIGINT(3))", 1, 18, 9, "BIGINT takes no number"},
    {"SELECT MAP['a', 1, 'b']", 1, 8, 16, "lacks its value"},
    {"CREATE TABLE t (a INT PRIMARY KEY)", 1, 23, 11, "NOT ENFORCED"},
    {"CREATE TABLE t (a INT", 1, 22, 1, "')'"},
    {"CREATE TABLE t (a INT) WITH ('k' 'v')", 1, 34, 3, "'='"},
    {"SHOW TABELS", 1, 6, 6, "did you mean TABLES?"},
    {"SHOW COLUMNS", 1, 1, 12, "SHOW COLUMNS FROM"},
    {"EXPLAIN CHANGELOG_MOD SELECT 1", 1, 9, 13, "did you mean CHANGELOG_MODE?"},
    {"UPDATE t SET a = 1", 1, 1, 6, "INSERT INTO"},
    {"SELECT a FROM t LIMIT 1 FETCH FIRST 2 ROWS ONLY", 1, 25, 11, "'FETCH FIRST'"},
    {"SELECT CASE WHEN a THEN b FROM t", 1, 27, 4, "END"},
    {"SELECT a FROM t GROUP a", 1, 23, 1, "BY"},
    {"SELECT f(a FROM b)", 1, 8, 1, "EXTRACT, SUBSTRING and TRIM"},
    {"CREATE FUNCTION f AS 'x' LANGUAGE COBOL", 1, 35, 5, "PYTHON"},
    {"SELECT 1; SELECT 2 2", 1, 20, 1, "'2'"},
    {"SELECT U&'\\00'", 1, 8, 7, "\\XXXX"},
    {"SELECT X'ABC'", 1, 8, 6, "even number"},
    {"SELECT * FROM t MATCH_RECOGNIZE (PATTERN (A{3,2}) DEFINE A AS TRUE)", 1, 43, 6, "swap"},
};

static void errors_say_what_and_where(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof wrongs / sizeof wrongs[0]; i++) {
        struct sql_script *script;
        struct sabot_error err = {0};
        assert_int_not_equal(sql_parse(wrongs[i].text, strlen(wrongs[i].text), &script, &err), SABOT_OK);
        if (err.sql_line != wrongs[i].line || err.sql_column != wrongs[i].column ||
            err.sql_length != wrongs[i].length ||
            !strstr(err.message, wrongs[i].says) || err.status != SABOT_ERR_SQL) {
            fail_msg("%s\n%u:%u+%u %s", wrongs[i].text, err.sql_line, err.sql_column, err.sql_length, err.message);
        }
    }
}

/* `open` n times, `middle`, `close` n times. */
static struct text nest(const char *open, const char *middle, const char *close, size_t n) {
    struct text text = {0};
    text_add(&text, "SELECT ");
    for (size_t i = 0; i < n; i++) { text_add(&text, open); }
    text_add(&text, middle);
    for (size_t i = 0; i < n; i++) { text_add(&text, close); }
    return text;
}

static void depth_and_size_have_limits(void **state) {
    (void)state;
    static const char *const nests[][3] = {
        {"(", "1", ")"},          {"-", "1", ""},         {"NOT ", "a", ""},      {"(SELECT ", "1", ")"},
        {"CASE WHEN a THEN ", "1", " END"}, {"f(", "", ")"}, {"CAST(", "1", " AS INT)"}, {"ARRAY[", "1", "]"},
        {"a + ", "1", ""},        {"CASE ", "a", ""},     {"", "a", "[1]"},       {"CAST(a AS ", "INT", ">"},
    };
    for (size_t i = 0; i < sizeof nests / sizeof nests[0]; i++) {
        for (size_t n = 200; n <= 100000; n *= 500) {
            struct text text = nest(nests[i][0], nests[i][1], nests[i][2], n);
            struct sql_script *script;
            struct sabot_error err = {0};
            if (sql_parse(text.data, text.size, &script, &err) == SABOT_OK) {
                assert_true(n == 200);
                sql_script_free(script);
            } else {
                assert_true(err.message[0] != 0 && err.sql_line == 1);
            }
            text_clear(&text);
        }
    }
    char *big = malloc(SQL_STATEMENT_BYTES_MAX + 100);
    memset(big, ' ', SQL_STATEMENT_BYTES_MAX + 100);
    memcpy(big, "SELECT", 6);
    big[SQL_STATEMENT_BYTES_MAX + 98] = '1';
    struct sql_script *script;
    struct sabot_error err = {0};
    assert_int_equal(sql_parse(big, SQL_STATEMENT_BYTES_MAX + 99, &script, &err), SABOT_ERR_MEMORY);
    free(big);
}

static void text_must_be_utf8(void **state) {
    (void)state;
    static const char *const bad[] = {"SELECT '\xff'", "SELECT '\xc3'", "SELECT '\xed\xa0\x80'", "SELECT '\xc0\x80'"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct sql_script *script;
        struct sabot_error err = {0};
        assert_int_equal(sql_parse(bad[i], strlen(bad[i]), &script, &err), SABOT_ERR_SQL);
        assert_int_equal(err.sql_column, 9);
    }
    struct sql_script *script;
    struct sabot_error err = {0};
    assert_int_equal(sql_parse("SELECT \0 1", 10, &script, &err), SABOT_ERR_SQL);
}

static void shell_waits_for_the_semicolon(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool complete;
    } cases[] = {
        {"", true},
        {"  -- only a comment", true},
        {"SELECT 1", false},
        {"SELECT 1;", true},
        {"SELECT 1; -- done", true},
        {"SELECT ';", false},
        {"SELECT `;", false},
        {"SELECT 1 /* ;", false},
        {"SELECT 1 -- ;", false},
        {"EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1;", false},
        {"EXECUTE STATEMENT SET BEGIN INSERT INTO a SELECT 1; END;", true},
        {"BEGIN STATEMENT SET;", false},
        {"BEGIN STATEMENT SET; INSERT INTO a SELECT CASE WHEN b THEN 1 END FROM t; END;", true},
        {"SELECT # ", true},
        {"SET a = b", false},
        {"SET a = b;", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        if (sql_parse_is_complete(cases[i].text, strlen(cases[i].text)) != cases[i].complete) {
            fail_msg("%s", cases[i].text);
        }
    }
}

static void caret_points_at_the_place(void **state) {
    (void)state;
    char picture[512];
    const char *text = "SELECT a,\n\tgröße + pirce\nFROM bid";
    const struct sabot_error err = {.status = SABOT_ERR_PLAN, .sql_line = 2, .sql_column = 10, .sql_length = 5};
    sql_caret(text, strlen(text), &err, picture, sizeof picture);
    assert_string_equal(picture, "   2 |  größe + pirce\n     |          ^~~~~\n");
    const struct sabot_error nowhere = {.status = SABOT_ERR_IO};
    assert_int_equal(sql_caret(text, strlen(text), &nowhere, picture, sizeof picture), 0);
    const struct sabot_error beyond = {.status = SABOT_ERR_SQL, .sql_line = 9, .sql_column = 1, .sql_length = 1};
    assert_int_equal(sql_caret(text, strlen(text), &beyond, picture, sizeof picture), 0);
    char tiny[4];
    sql_caret(text, strlen(text), &err, tiny, sizeof tiny);
    assert_string_equal(tiny, "   ");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statements_of_flink_parse_and_survive_formatting),
        cmocka_unit_test(operators_bind_as_in_flink),
        cmocka_unit_test(long_chains_of_and_are_one_node),
        cmocka_unit_test(words_become_keywords_only_where_they_mean_something),
        cmocka_unit_test(nodes_know_their_place),
        cmocka_unit_test(set_needs_no_quotes),
        cmocka_unit_test(errors_say_what_and_where),
        cmocka_unit_test(depth_and_size_have_limits),
        cmocka_unit_test(text_must_be_utf8),
        cmocka_unit_test(shell_waits_for_the_semicolon),
        cmocka_unit_test(caret_points_at_the_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
