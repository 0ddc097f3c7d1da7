/* Runs the lexer and the grammar over a script, and says what is wrong where it is. */
#include "sql/parse.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/nearest.h"
#include "sql/build.h"
#include "sql/parse_internal.h"

#define ARENA_BYTES_MAX ((size_t)256 * 1024 * 1024)
#define STACK_SYMBOLS_MAX ((size_t)SQL_DEPTH_MAX * 16)
#define EXPECTED_SHOWN_MAX 6u
#define TEXT_SHOWN_MAX 40
#define WORD_BYTES_MAX 64u

/* ---- the text --------------------------------------------------------------------------------------------------- */

/* Bytes of the UTF-8 character at `text`, 0 if there is none. */
static size_t utf8_size(const unsigned char *text, size_t left) {
    if (text[0] < 0x80) { return text[0] != 0; }
    const size_t size = text[0] >= 0xF0 ? 4 : text[0] >= 0xE0 ? 3 : 2;
    if (text[0] < 0xC2 || text[0] > 0xF4 || left < size) { return 0; }
    for (size_t i = 1; i < size; i++) {
        if ((text[i] & 0xC0) != 0x80) { return 0; }
    }
    if (text[0] == 0xE0 && text[1] < 0xA0) { return 0; }
    if (text[0] == 0xED && text[1] > 0x9F) { return 0; }
    if (text[0] == 0xF0 && text[1] < 0x90) { return 0; }
    if (text[0] == 0xF4 && text[1] > 0x8F) { return 0; }
    return size;
}

static sabot_status text_check(const char *text, size_t size, struct sabot_error *err) {
    if (size > SQL_SCRIPT_BYTES_MAX) {
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the SQL script has %zu bytes; at most %u are read", size,
                          SQL_SCRIPT_BYTES_MAX);
    }
    struct sql_span span = {.line = 1, .column = 1, .length = 1};
    for (size_t at = 0; at < size;) {
        const size_t step = utf8_size((const unsigned char *)text + at, size - at);
        if (step == 0) {
            if (text[at] == 0) { return SQL_FAIL(err, SABOT_ERR_SQL, span, "SQL text can't hold a zero byte"); }
            return SQL_FAIL(err, SABOT_ERR_SQL, span, "byte 0x%02x is not valid UTF-8",
                            (unsigned)(unsigned char)text[at]);
        }
        span.column++;
        if (text[at] == '\n') {
            span.line++;
            span.column = 1;
        }
        at += step;
    }
    return SABOT_OK;
}

/* ---- what was expected ------------------------------------------------------------------------------------------ */

static bool holds(const int *kinds, size_t count, int kind) {
    for (size_t i = 0; i < count; i++) {
        if (kinds[i] == kind) { return true; }
    }
    return false;
}

/* Infix operators are always possible behind an expression: say so in two words. */
static bool is_operator(int kind) {
    switch (kind) {
    case TK_PLUS: case TK_MINUS: case TK_STAR: case TK_SLASH: case TK_PERCENT: case TK_CONCAT: case TK_EQ: case TK_NE:
    case TK_LT: case TK_LE: case TK_GT: case TK_GE: case TK_IS: case TK_IS_UNKNOWN: case TK_IS_NOT_UNKNOWN:
    case TK_IS_JSON: case TK_IS_DISTINCT: case TK_IS_NOT_DISTINCT: case TK_LIKE: case TK_NOT_LIKE: case TK_SIMILAR:
    case TK_NOT_SIMILAR: case TK_IN: case TK_NOT_IN: case TK_BETWEEN: case TK_NOT_BETWEEN: case TK_BETWEEN_SYMMETRIC:
    case TK_NOT_BETWEEN_SYMMETRIC: case TK_OVERLAPS: case TK_AT_TIME_ZONE: case TK_AT_LOCAL: case TK_AND: case TK_OR:
    case TK_LBRACKET: case TK_DOT: case TK_OVER: case TK_FILTER: case TK_WITHIN_GROUP: case TK_IGNORE_NULLS:
    case TK_RESPECT_NULLS: case TK_HINT_OPEN: case TK_POSITION_IN: return true;
    default: return false;
    }
}

/* Tokens that start an expression, and little else. */
static bool is_expression(int kind) {
    switch (kind) {
    case TK_ID: case TK_STRING: case TK_INTEGER: case TK_DECIMAL: case TK_DOUBLE: case TK_BYTES: case TK_LP:
    case TK_UNICODE_STRING: case TK_NULL: case TK_TRUE: case TK_FALSE: case TK_DATE: case TK_TIME: case TK_TIMESTAMP:
    case TK_INTERVAL: case TK_EXISTS: case TK_ROW: case TK_ARRAY: case TK_ARRAY_QUERY: case TK_MAP: case TK_CAST:
    case TK_TRY_CAST: case TK_CASE: case TK_PLUS: case TK_MINUS: case TK_NOT: return true;
    default: return false;
    }
}

/* What people forget most comes first. */
static int rank(int kind) {
    static const int order[] = {TK_RP, TK_COMMA, TK_SEMI, TK_ID, TK_FROM, TK_AS, TK_STRING, TK_END, TK_THEN, TK_WHEN,
                                TK_ON, TK_BY, TK_SELECT, TK_WHERE, TK_GROUP, TK_JOIN};
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        if (order[i] == kind) { return (int)i - 100; }
    }
    return kind;
}

static int rank_compare(const void *a, const void *b) {
    const int left = rank(*(const int *)a);
    const int right = rank(*(const int *)b);
    return (left > right) - (left < right);
}

/* Nobody looks for these: they would hide the rest. */
static bool is_rare(int kind) {
    switch (kind) {
    case TK_UNICODE_STRING: case TK_HINT_OPEN: case TK_NATURAL: case TK_MATCH_RECOGNIZE: case TK_FETCH: case TK_WINDOW:
    case TK_QUALIFY: case TK_JSON_KEY: case TK_TRIM_WHERE: case TK_PLACING: case TK_TO: case TK_DEFAULT:
    case TK_DESCRIPTOR: case TK_JSON_VALUE_WORD: case TK_FOR: return true;
    default: return false;
    }
}

struct text {
    char *at;
    size_t left;
    unsigned parts;
};

static void text_add(struct text *text, const char *part, bool last) {
    const char *joint = text->parts == 0 ? "" : last ? " or " : ", ";
    const int size = snprintf(text->at, text->left, "%s%s", joint, part);
    if (size < 0 || (size_t)size >= text->left) {
        text->at[0] = 0;
        return;
    }
    text->at += size;
    text->left -= (size_t)size;
    text->parts++;
}

static void expected_text(int *kinds, size_t count, char *buffer, size_t size) {
    const char *parts[128];
    char names[128][SQL_DISPLAY_MAX];
    size_t used = 0;
    qsort(kinds, count, sizeof *kinds, rank_compare);
    const bool expression = holds(kinds, count, TK_ID) && holds(kinds, count, TK_INTEGER) &&
                            holds(kinds, count, TK_CASE);
    const bool operator= !expression && holds(kinds, count, TK_EQ) && holds(kinds, count, TK_PLUS);
    if (expression) { parts[used++] = "an expression"; }
    for (size_t i = 0; i < count && used < 120; i++) {
        if (expression && is_expression(kinds[i])) { continue; }
        if (operator && is_operator(kinds[i])) { continue; }
        if (is_rare(kinds[i])) { continue; }
        if (kinds[i] == 0 && holds(kinds, count, TK_SEMI)) { continue; }
        const char *part = kinds[i] == TK_SEMI ? "the end of the statement" : sql_token_display(kinds[i], names[used]);
        if (part[0] != 0) { parts[used++] = part; }
    }
    if (operator&& used < 126) { parts[used++] = "an operator"; }
    struct text text = {buffer, size, 0};
    buffer[0] = 0;
    if (holds(kinds, count, TK_SELECT) && holds(kinds, count, TK_CREATE) && holds(kinds, count, TK_INSERT_INTO)) {
        text_add(&text, "a statement (SELECT, INSERT INTO, CREATE TABLE, SET, SHOW ..)", false);
        return;
    }
    const size_t shown = used <= EXPECTED_SHOWN_MAX ? used : EXPECTED_SHOWN_MAX;
    for (size_t i = 0; i < shown; i++) { text_add(&text, parts[i], i + 1 == shown && used == shown); }
    if (used > shown) { text_add(&text, "..", false); }
}

/* A word that looks like a keyword which would fit here. */
static const char *near_keyword(const struct sql_token *token, const int *kinds, size_t count,
                                char name[SQL_DISPLAY_MAX]) {
    char word[WORD_BYTES_MAX + 1];
    if (token->kind != TK_ID || token->text[0] == '`' || token->span.size > WORD_BYTES_MAX) { return NULL; }
    memcpy(word, token->text, token->span.size);
    word[token->span.size] = 0;
    struct nearest near = {.wanted = word};
    int best = 0;
    for (size_t i = 0; i < count; i++) {
        char buffer[SQL_DISPLAY_MAX];
        const char *shown = sql_token_display(kinds[i], buffer);
        if (shown[0] < 'A' || shown[0] > 'Z') { continue; }
        const size_t first = strcspn(shown, " ");
        /* LEFT of LEFT JOIN */
        if (shown[first] == ' ' && strlen(word) == first && strncasecmp(shown, word, first) == 0) {
            return sql_token_display(kinds[i], name);
        }
        if (shown[first] == ' ') { continue; }
        const char *before = near.name;
        const size_t distance = near.distance;
        nearest_offer(&near, shown);
        if (near.name != before || near.distance != distance) { best = kinds[i]; }
    }
    return best != 0 && near.distance > 0 ? sql_token_display(best, name) : NULL;
}

static void found_text(const struct sql_token *token, char *buffer, size_t size) {
    if (token->kind == 0) {
        snprintf(buffer, size, "the end of the text");
        return;
    }
    uint32_t shown = token->span.size;
    if (shown > TEXT_SHOWN_MAX) {
        shown = TEXT_SHOWN_MAX;
        while (shown > 0 && ((unsigned char)token->text[shown] & 0xC0) == 0x80) { shown--; }
    }
    const char *quote = token->text[0] == '\'' || token->text[0] == '`' ? "" : "'";
    snprintf(buffer, size, "%s%.*s%s%s", quote, (int)shown, token->text, shown < token->span.size ? ".." : "", quote);
}

static const char *hint_for(const struct sql_token *previous, const struct sql_token *token) {
    if (token->kind == TK_INTEGER && build_word_is(previous, "INTERVAL")) {
        return "; the number of an interval needs quotes: INTERVAL '10' SECOND";
    }
    if (previous->kind == 0 || previous->kind == TK_SEMI) {
        static const char *const not_streams[] = {"UPDATE", "DELETE", "MERGE", "TRUNCATE", "UPSERT"};
        for (size_t i = 0; i < sizeof not_streams / sizeof not_streams[0]; i++) {
            if (build_word_is(token, not_streams[i])) { return "; rows are only added, by INSERT INTO"; }
        }
    }
    return "";
}

/* Parses the statement again up to the token that did not fit, to see what the grammar would have taken there: when it
 * meets that token it has already reduced, and has forgotten. */
static size_t expected_at(const char *text, size_t size, size_t tokens, struct arena *arena, int *kinds, size_t max) {
    struct sql_build build = {.arena = arena};
    struct sql_lexer lexer;
    sql_lexer_init(&lexer, text, size);
    void *volatile parser = SqlGrammarAlloc(malloc);
    if (!parser) { return 0; }
    volatile size_t count = 0;
    if (setjmp(build.failed) == 0) {
        for (size_t i = 0; i < tokens; i++) {
            const struct sql_token token = sql_lexer_next(&lexer);
            build.current = token;
            SqlGrammar(parser, token.kind, token, &build);
            build.previous = token;
        }
        count = sql_grammar_expected(parser, kinds, max);
    }
    SqlGrammarFree(parser, free);
    return count;
}

static void report_syntax_error(const struct sql_script *script, const struct sql_build *build, size_t tokens,
                                struct sabot_error *err) {
    int kinds[128];
    struct arena arena;
    arena_init(&arena, ARENA_BYTES_MAX);
    const size_t count = expected_at(script->text, script->text_size, tokens, &arena, kinds, 120);
    arena_clear(&arena);
    char found[128];
    char expected[512];
    char name[SQL_DISPLAY_MAX];
    found_text(&build->current, found, sizeof found);
    expected_text(kinds, count, expected, sizeof expected);
    const char *hint = hint_for(&build->previous, &build->current);
    const char *near = near_keyword(&build->current, kinds, count, name);
    const struct sql_token *wrong = &build->current;
    if (!near && hint[0] == 0 && tokens > 0) {
        /* SELECT a FORM t: FORM was taken for an alias, and the error shows behind it. */
        arena_init(&arena, ARENA_BYTES_MAX);
        const size_t before = expected_at(script->text, script->text_size, tokens - 1, &arena, kinds, 120);
        arena_clear(&arena);
        near = near_keyword(&build->previous, kinds, before, name);
        if (near) {
            wrong = &build->previous;
            found_text(wrong, found, sizeof found);
        }
    }
    if (hint[0] != 0) {
        SQL_FAIL(err, SABOT_ERR_SQL, build->current.span, "did not expect %s here%s", found, hint);
    } else if (near) {
        SQL_FAIL(err, SABOT_ERR_SQL, wrong->span, "found %s; did you mean %s?", found, near);
    } else {
        SQL_FAIL(err, SABOT_ERR_SQL, build->current.span, "found %s where %s was expected", found,
                 expected[0] ? expected : "something else");
    }
}

/* ---- parsing ---------------------------------------------------------------------------------------------------- */

static void feed(struct sql_build *build, struct sql_lexer *lexer, void *parser, size_t *tokens) {
    uint32_t statement_start = 0;
    size_t statement_tokens = 0;
    for (;;) {
        const struct sql_token token = sql_lexer_next(lexer);
        build->current = token;
        if (token.kind < 0) { build_fail(build, SABOT_ERR_SQL, token.span, "%s", token.text); }
        if (token.span.offset + token.span.size - statement_start > SQL_STATEMENT_BYTES_MAX ||
            ++statement_tokens > SQL_TOKENS_MAX) {
            build_fail(build, SABOT_ERR_MEMORY, token.span, "this statement is too long: at most %u bytes and %u words",
                       SQL_STATEMENT_BYTES_MAX, SQL_TOKENS_MAX);
        }
        SqlGrammar(parser, token.kind, token, build);
        if (build->syntax_error) { return; }
        if (sql_grammar_depth(parser) > STACK_SYMBOLS_MAX) {
            build_fail(build, SABOT_ERR_MEMORY, token.span, "this is nested too deeply");
        }
        build->previous = token;
        (*tokens)++;
        if (token.kind == TK_SEMI) {
            statement_start = token.span.offset + token.span.size;
            statement_tokens = 0;
        }
        if (token.kind == 0) { return; }
    }
}

sabot_status sql_parse(const char *text, size_t size, struct sql_script **result, struct sabot_error *err) {
    *result = NULL;
    SABOT_TRY(text_check(text, size, err));
    struct sql_script *script = calloc(1, sizeof *script);
    if (!script) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to parse SQL"); }
    arena_init(&script->arena, ARENA_BYTES_MAX);
    script->text = arena_copy(&script->arena, text, size);
    script->text_size = size;
    void *parser = SqlGrammarAlloc(malloc);
    if (!script->text || !parser) {
        SqlGrammarFree(parser, free);
        sql_script_free(script);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to parse SQL");
    }
    struct sql_build *build = ARENA_NEW(&script->arena, struct sql_build);
    struct sql_lexer *lexer = ARENA_NEW(&script->arena, struct sql_lexer);
    size_t *tokens = ARENA_NEW(&script->arena, size_t);
    sabot_status status = SABOT_ERR_MEMORY;
    if (build && lexer && tokens) {
        build->arena = &script->arena;
        build->err = err;
        sql_lexer_init(lexer, script->text, size);
        if (setjmp(build->failed) == 0) { feed(build, lexer, parser, tokens); }
        status = build->syntax_error ? SABOT_ERR_SQL : build->status;
    }
    SqlGrammarFree(parser, free);
    if (status == SABOT_OK) {
        script->statements = build->statements;
        *result = script;
        return SABOT_OK;
    }
    if (build && build->syntax_error) { report_syntax_error(script, build, *tokens, err); }
    sql_script_free(script);
    return SABOT_FAIL(err, status, "can't parse this SQL");
}

void sql_script_free(struct sql_script *script) {
    if (!script) { return; }
    arena_clear(&script->arena);
    free(script);
}

sabot_status sql_parse_expr(const char *text, size_t size, struct sql_script **script, struct sql_expr **expr,
                            struct sabot_error *err) {
    static const char prefix[] = "SELECT ";
    *script = NULL;
    *expr = NULL;
    if (size > SQL_STATEMENT_BYTES_MAX) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the expression is too long"); }
    char *whole = malloc(sizeof prefix + size);
    if (!whole) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to parse SQL"); }
    memcpy(whole, prefix, sizeof prefix - 1);
    memcpy(whole + sizeof prefix - 1, text, size);
    struct sabot_error inner = {0};
    const sabot_status status = sql_parse(whole, sizeof prefix - 1 + size, script, &inner);
    free(whole);
    if (status != SABOT_OK) {
        struct sql_span span = {.line = inner.sql_line, .column = inner.sql_column, .length = inner.sql_length};
        if (span.line == 1 && span.column >= sizeof prefix) { span.column -= (uint32_t)sizeof prefix - 1; }
        return SQL_FAIL(err, status, span, "%s", inner.message);
    }
    const struct sql_statements *list = &(*script)->statements;
    if (list->count == 1 && list->items[0]->kind == SQL_STATEMENT_QUERY) {
        const struct sql_query *query = list->items[0]->query;
        if (query->kind == SQL_QUERY_SELECT && query->select.items.count == 1 && !query->select.from) {
            *expr = query->select.items.items[0].expr;
            return SABOT_OK;
        }
    }
    sql_script_free(*script);
    *script = NULL;
    return SABOT_FAIL(err, SABOT_ERR_SQL, "one expression is expected");
}

/* ---- the shell's question --------------------------------------------------------------------------------------- */

bool sql_parse_is_complete(const char *text, size_t size) {
    struct sql_lexer lexer;
    sql_lexer_init(&lexer, text, size);
    int last = TK_SEMI;
    bool in_set = false; /* of statements: BEGIN .. END */
    for (;;) {
        const struct sql_token token = sql_lexer_next(&lexer);
        if (token.kind == 0) { break; }
        if (token.kind < 0) {
            /* An open quote or comment goes on in the next line; other rubbish stays rubbish. */
            return strstr(token.text, "has no end") == NULL;
        }
        if (token.kind == TK_STATEMENT_SET) { in_set = true; }
        if (token.kind == TK_END && last == TK_SEMI) { in_set = false; }
        last = token.kind;
    }
    return last == TK_SEMI && !in_set;
}
