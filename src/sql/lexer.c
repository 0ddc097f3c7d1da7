/* SQL text -> tokens, in two steps: raw tokens (words, numbers, strings, signs), then phrases of words. */
#include "sql/lexer.h"

#include <string.h>
#include <strings.h>

#include "sql/grammar.h"

/* Where a phrase counts. */
enum phrase_place {
    ANYWHERE,
    IN_JSON,          /* directly inside of the parentheses of a JSON function */
    IN_TRIM,          /* first inside of TRIM( */
    JSON_KEY_PLACE,   /* JSON_OBJECT(KEY ..: before a key */
    JSON_VALUE_PLACE, /* JSON_OBJECT(k VALUE ..: behind a key */
};

/* What an open parenthesis belongs to. */
enum bracket { BRACKET_PLAIN, BRACKET_TRIM, BRACKET_POSITION, BRACKET_JSON };

enum { SET_NONE, SET_KEY, SET_EQUALS, SET_VALUE };

struct phrase {
    const char *text;
    int token;
    enum phrase_place place;
};

/* Ordered by first word (see the test); among those of one first word the first that fits is taken.
 * "&x": x must follow, but stays a token of its own. "_" any identifier, "'" a string, "1" an integer. */
static const struct phrase phrases[] = {
    {"ABSENT ON NULL", TK_ABSENT_ON_NULL, IN_JSON},
    {"ADD", TK_ADD, ANYWHERE},
    {"AFTER MATCH SKIP PAST LAST ROW", TK_SKIP_PAST, ANYWHERE},
    {"AFTER MATCH SKIP TO NEXT ROW", TK_SKIP_NEXT, ANYWHERE},
    {"AFTER MATCH SKIP TO FIRST", TK_SKIP_FIRST, ANYWHERE},
    {"AFTER MATCH SKIP TO LAST", TK_SKIP_LAST, ANYWHERE},
    {"AFTER MATCH SKIP TO", TK_SKIP_LAST, ANYWHERE},
    {"AFTER", TK_AFTER, ANYWHERE},
    {"ALL ROWS PER MATCH", TK_ALL_ROWS, ANYWHERE},
    {"ALL", TK_ALL, ANYWHERE},
    {"ALTER", TK_ALTER, ANYWHERE},
    {"AND", TK_AND, ANYWHERE},
    {"ANY &(", TK_ANY, ANYWHERE},
    {"ARRAY &[", TK_ARRAY, ANYWHERE},
    {"ARRAY ( &SELECT", TK_ARRAY_QUERY, ANYWHERE},
    {"ARRAY &<", TK_ARRAY_LT, ANYWHERE},
    {"ARRAY", TK_ARRAY_WORD, ANYWHERE},
    {"AS", TK_AS, ANYWHERE},
    {"ASC", TK_ASC, ANYWHERE},
    {"AT LOCAL", TK_AT_LOCAL, ANYWHERE},
    {"AT TIME ZONE", TK_AT_TIME_ZONE, ANYWHERE},
    {"BEGIN", TK_BEGIN, ANYWHERE},
    {"BETWEEN ASYMMETRIC", TK_BETWEEN, ANYWHERE},
    {"BETWEEN SYMMETRIC", TK_BETWEEN_SYMMETRIC, ANYWHERE},
    {"BETWEEN", TK_BETWEEN, ANYWHERE},
    {"BINARY VARYING", TK_TYPE_WORDS, ANYWHERE},
    {"BOTH", TK_TRIM_WHERE, IN_TRIM},
    {"BY", TK_BY, ANYWHERE},
    {"CASCADE", TK_CASCADE, ANYWHERE},
    {"CASE", TK_CASE, ANYWHERE},
    {"CAST &(", TK_CAST, ANYWHERE},
    {"CATALOG", TK_CATALOG, ANYWHERE},
    {"CHAR VARYING", TK_TYPE_WORDS, ANYWHERE},
    {"CHARACTER VARYING", TK_TYPE_WORDS, ANYWHERE},
    {"COLUMN", TK_COLUMN, ANYWHERE},
    {"COMMENT", TK_COMMENT, ANYWHERE},
    {"CONSTRAINT &_ &PRIMARY", TK_CONSTRAINT, ANYWHERE},
    {"CONSTRAINT &_ &UNIQUE", TK_CONSTRAINT, ANYWHERE},
    {"CREATE", TK_CREATE, ANYWHERE},
    {"CROSS JOIN", TK_CROSS_JOIN, ANYWHERE},
    {"CUBE &(", TK_CUBE, ANYWHERE},
    {"CURRENT ROW", TK_CURRENT_ROW, ANYWHERE},
    {"DATABASE", TK_DATABASE, ANYWHERE},
    {"DATE &'", TK_DATE, ANYWHERE},
    {"DEFAULT", TK_DEFAULT, ANYWHERE},
    {"DEFINE", TK_DEFINE, ANYWHERE},
    {"DESC", TK_DESC, ANYWHERE},
    {"DESCRIBE", TK_DESCRIBE, ANYWHERE},
    {"DESCRIPTOR &(", TK_DESCRIPTOR, ANYWHERE},
    {"DISTINCT", TK_DISTINCT, ANYWHERE},
    {"DISTRIBUTED BY", TK_DISTRIBUTED_BY, ANYWHERE},
    {"DISTRIBUTED INTO", TK_DISTRIBUTED_INTO, ANYWHERE},
    {"DOUBLE PRECISION", TK_TYPE_WORDS, ANYWHERE},
    {"DROP", TK_DROP, ANYWHERE},
    {"ELSE", TK_ELSE, ANYWHERE},
    {"EMPTY ARRAY ON", TK_JSON_EMPTY_ARRAY, IN_JSON},
    {"EMPTY OBJECT ON", TK_JSON_EMPTY_OBJECT, IN_JSON},
    {"END", TK_END, ANYWHERE},
    {"ENFORCED", TK_ENFORCED, ANYWHERE},
    {"ERROR ON", TK_JSON_ERROR_ON, IN_JSON},
    {"ESCAPE", TK_ESCAPE, ANYWHERE},
    {"EXCEPT", TK_EXCEPT, ANYWHERE},
    {"EXECUTE", TK_EXECUTE, ANYWHERE},
    {"EXISTS &(", TK_EXISTS, ANYWHERE},
    {"EXPLAIN", TK_EXPLAIN, ANYWHERE},
    {"FALSE ON", TK_JSON_FALSE_ON, IN_JSON},
    {"FALSE", TK_FALSE, ANYWHERE},
    {"FETCH FIRST", TK_FETCH, ANYWHERE},
    {"FETCH NEXT", TK_FETCH, ANYWHERE},
    {"FILTER ( &WHERE", TK_FILTER, ANYWHERE},
    {"FIRST", TK_FIRST, ANYWHERE},
    {"FOLLOWING", TK_FOLLOWING, ANYWHERE},
    {"FOR SYSTEM_TIME AS OF", TK_FOR_SYSTEM_TIME, ANYWHERE},
    {"FOR", TK_FOR, ANYWHERE},
    {"FROM", TK_FROM, ANYWHERE},
    {"FULL JOIN", TK_FULL_JOIN, ANYWHERE},
    {"FULL OUTER JOIN", TK_FULL_JOIN, ANYWHERE},
    {"FUNCTION", TK_FUNCTION, ANYWHERE},
    {"GROUP", TK_GROUP, ANYWHERE},
    {"GROUPING SETS", TK_GROUPING_SETS, ANYWHERE},
    {"HAVING", TK_HAVING, ANYWHERE},
    {"IF EXISTS", TK_IF_EXISTS, ANYWHERE},
    {"IF NOT EXISTS", TK_IF_NOT_EXISTS, ANYWHERE},
    {"IGNORE NULLS", TK_IGNORE_NULLS, ANYWHERE},
    {"ILIKE &'", TK_ILIKE, ANYWHERE},
    {"IN", TK_IN, ANYWHERE},
    {"INNER JOIN", TK_JOIN, ANYWHERE},
    {"INSERT INTO", TK_INSERT_INTO, ANYWHERE},
    {"INSERT OVERWRITE", TK_INSERT_OVERWRITE, ANYWHERE},
    {"INTERSECT", TK_INTERSECT, ANYWHERE},
    {"INTERVAL &'", TK_INTERVAL, ANYWHERE},
    {"INTERVAL &+", TK_INTERVAL, ANYWHERE},
    {"INTERVAL &-", TK_INTERVAL, ANYWHERE},
    {"INTERVAL &_", TK_INTERVAL_TYPE, ANYWHERE},
    {"INTO", TK_INTO, ANYWHERE},
    {"IS DISTINCT FROM", TK_IS_DISTINCT, ANYWHERE},
    {"IS JSON ARRAY", TK_IS_JSON, ANYWHERE},
    {"IS JSON OBJECT", TK_IS_JSON, ANYWHERE},
    {"IS JSON SCALAR", TK_IS_JSON, ANYWHERE},
    {"IS JSON VALUE", TK_IS_JSON, ANYWHERE},
    {"IS JSON", TK_IS_JSON, ANYWHERE},
    {"IS NOT DISTINCT FROM", TK_IS_NOT_DISTINCT, ANYWHERE},
    {"IS NOT JSON ARRAY", TK_IS_JSON, ANYWHERE},
    {"IS NOT JSON OBJECT", TK_IS_JSON, ANYWHERE},
    {"IS NOT JSON SCALAR", TK_IS_JSON, ANYWHERE},
    {"IS NOT JSON VALUE", TK_IS_JSON, ANYWHERE},
    {"IS NOT JSON", TK_IS_JSON, ANYWHERE},
    {"IS NOT UNKNOWN", TK_IS_NOT_UNKNOWN, ANYWHERE},
    {"IS UNKNOWN", TK_IS_UNKNOWN, ANYWHERE},
    {"IS", TK_IS, ANYWHERE},
    {"JAR &'", TK_JAR, ANYWHERE},
    {"JOB", TK_JOB, ANYWHERE},
    {"JOIN", TK_JOIN, ANYWHERE},
    {"KEY", TK_JSON_KEY, JSON_KEY_PLACE},
    {"LANGUAGE", TK_LANGUAGE, ANYWHERE},
    {"LATERAL", TK_LATERAL, ANYWHERE},
    {"LEADING", TK_TRIM_WHERE, IN_TRIM},
    {"LEFT JOIN", TK_LEFT_JOIN, ANYWHERE},
    {"LEFT OUTER JOIN", TK_LEFT_JOIN, ANYWHERE},
    {"LIKE", TK_LIKE, ANYWHERE},
    {"LIMIT &1", TK_LIMIT, ANYWHERE},
    {"LIMIT &ALL", TK_LIMIT, ANYWHERE},
    {"MAP &[", TK_MAP, ANYWHERE},
    {"MAP &<", TK_MAP_LT, ANYWHERE},
    {"MATCH_RECOGNIZE &(", TK_MATCH_RECOGNIZE, ANYWHERE},
    {"MEASURES", TK_MEASURES, ANYWHERE},
    {"METADATA", TK_METADATA, ANYWHERE},
    {"MODIFY", TK_MODIFY, ANYWHERE},
    {"MULTISET &<", TK_MULTISET_LT, ANYWHERE},
    {"MULTISET", TK_MULTISET_WORD, ANYWHERE},
    {"NATURAL", TK_NATURAL, ANYWHERE},
    {"NOT BETWEEN ASYMMETRIC", TK_NOT_BETWEEN, ANYWHERE},
    {"NOT BETWEEN SYMMETRIC", TK_NOT_BETWEEN_SYMMETRIC, ANYWHERE},
    {"NOT BETWEEN", TK_NOT_BETWEEN, ANYWHERE},
    {"NOT ENFORCED", TK_NOT_ENFORCED, ANYWHERE},
    {"NOT IN", TK_NOT_IN, ANYWHERE},
    {"NOT LIKE", TK_NOT_LIKE, ANYWHERE},
    {"NOT SIMILAR TO", TK_NOT_SIMILAR, ANYWHERE},
    {"NOT", TK_NOT, ANYWHERE},
    {"NULL ON NULL", TK_NULL_ON_NULL, IN_JSON},
    {"NULL ON", TK_JSON_NULL_ON, IN_JSON},
    {"NULL", TK_NULL, ANYWHERE},
    {"NULLS FIRST", TK_NULLS_FIRST, ANYWHERE},
    {"NULLS LAST", TK_NULLS_LAST, ANYWHERE},
    {"OFFSET &1", TK_OFFSET, ANYWHERE},
    {"ON EMPTY", TK_ON_EMPTY, IN_JSON},
    {"ON ERROR", TK_ON_ERROR, IN_JSON},
    {"ON", TK_ON, ANYWHERE},
    {"ONE ROW PER MATCH", TK_ONE_ROW, ANYWHERE},
    {"OR REPLACE", TK_OR_REPLACE, ANYWHERE},
    {"OR", TK_OR, ANYWHERE},
    {"ORDER", TK_ORDER, ANYWHERE},
    {"OVER", TK_OVER, ANYWHERE},
    {"OVERLAPS", TK_OVERLAPS, ANYWHERE},
    {"PARTITION &(", TK_PARTITION, ANYWHERE},
    {"PARTITION BY", TK_PARTITION_BY, ANYWHERE},
    {"PARTITIONED BY", TK_PARTITIONED_BY, ANYWHERE},
    {"PATTERN &(", TK_PATTERN, ANYWHERE},
    {"PERMUTE &(", TK_PERMUTE, ANYWHERE},
    {"PLACING", TK_PLACING, ANYWHERE},
    {"PLAN FOR", TK_PLAN_FOR, ANYWHERE},
    {"PRECEDING", TK_PRECEDING, ANYWHERE},
    {"PRIMARY KEY", TK_PRIMARY_KEY, ANYWHERE},
    {"QUALIFY", TK_QUALIFY, ANYWHERE},
    {"RANGE &BETWEEN", TK_RANGE, ANYWHERE},
    {"RANGE &CURRENT", TK_RANGE, ANYWHERE},
    {"RANGE &INTERVAL", TK_RANGE, ANYWHERE},
    {"RANGE &UNBOUNDED", TK_RANGE, ANYWHERE},
    {"RANGE &1", TK_RANGE, ANYWHERE},
    {"RECURSIVE", TK_RECURSIVE, ANYWHERE},
    {"REMOVE", TK_REMOVE, ANYWHERE},
    {"RENAME", TK_RENAME, ANYWHERE},
    {"RESET", TK_RESET, ANYWHERE},
    {"RESPECT NULLS", TK_RESPECT_NULLS, ANYWHERE},
    {"RESTRICT", TK_RESTRICT, ANYWHERE},
    {"RETURNING", TK_RETURNING, IN_JSON},
    {"RIGHT JOIN", TK_RIGHT_JOIN, ANYWHERE},
    {"RIGHT OUTER JOIN", TK_RIGHT_JOIN, ANYWHERE},
    {"ROLLUP &(", TK_ROLLUP, ANYWHERE},
    {"ROW &(", TK_ROW, ANYWHERE},
    {"ROW &<", TK_ROW_LT, ANYWHERE},
    {"ROW ONLY", TK_ROWS_ONLY, ANYWHERE},
    {"ROWS &BETWEEN", TK_ROWS, ANYWHERE},
    {"ROWS &CURRENT", TK_ROWS, ANYWHERE},
    {"ROWS &INTERVAL", TK_ROWS, ANYWHERE},
    {"ROWS &UNBOUNDED", TK_ROWS, ANYWHERE},
    {"ROWS &1", TK_ROWS, ANYWHERE},
    {"ROWS ONLY", TK_ROWS_ONLY, ANYWHERE},
    {"SELECT", TK_SELECT, ANYWHERE},
    {"SET", TK_SET, ANYWHERE},
    {"SHOW", TK_SHOW, ANYWHERE},
    {"SIMILAR TO", TK_SIMILAR, ANYWHERE},
    {"SOME &(", TK_ANY, ANYWHERE},
    {"STALL", TK_STALL, ANYWHERE},
    {"STATEMENT SET", TK_STATEMENT_SET, ANYWHERE},
    {"STOP", TK_STOP, ANYWHERE},
    {"SYSTEM", TK_SYSTEM, ANYWHERE},
    {"TABLE", TK_TABLE, ANYWHERE},
    {"TEMPORARY", TK_TEMPORARY, ANYWHERE},
    {"THEN", TK_THEN, ANYWHERE},
    {"TIME &'", TK_TIME, ANYWHERE},
    {"TIMESTAMP &'", TK_TIMESTAMP, ANYWHERE},
    {"TO", TK_TO, ANYWHERE},
    {"TRAILING", TK_TRIM_WHERE, IN_TRIM},
    {"TRUE ON", TK_JSON_TRUE_ON, IN_JSON},
    {"TRUE", TK_TRUE, ANYWHERE},
    {"TRY_CAST &(", TK_TRY_CAST, ANYWHERE},
    {"UNBOUNDED FOLLOWING", TK_UNBOUNDED_FOLLOWING, ANYWHERE},
    {"UNBOUNDED PRECEDING", TK_UNBOUNDED_PRECEDING, ANYWHERE},
    {"UNION", TK_UNION, ANYWHERE},
    {"UNIQUE &(", TK_UNIQUE, ANYWHERE},
    {"UNKNOWN ON", TK_JSON_UNKNOWN_ON, IN_JSON},
    {"UNNEST &(", TK_UNNEST, ANYWHERE},
    {"USE", TK_USE, ANYWHERE},
    {"USING", TK_USING, ANYWHERE},
    {"VALUE", TK_JSON_VALUE_WORD, JSON_VALUE_PLACE},
    {"VALUES", TK_VALUES, ANYWHERE},
    {"VIEW", TK_VIEW, ANYWHERE},
    {"VIRTUAL", TK_VIRTUAL, ANYWHERE},
    {"WATERMARK FOR", TK_WATERMARK_FOR, ANYWHERE},
    {"WHEN", TK_WHEN, ANYWHERE},
    {"WHERE", TK_WHERE, ANYWHERE},
    {"WINDOW &_ &AS &(", TK_WINDOW, ANYWHERE},
    {"WITH CONDITIONAL ARRAY WRAPPER", TK_WITH_CONDITIONAL_WRAPPER, IN_JSON},
    {"WITH CONDITIONAL WRAPPER", TK_WITH_CONDITIONAL_WRAPPER, IN_JSON},
    {"WITH UNCONDITIONAL ARRAY WRAPPER", TK_WITH_WRAPPER, IN_JSON},
    {"WITH UNCONDITIONAL WRAPPER", TK_WITH_WRAPPER, IN_JSON},
    {"WITH ARRAY WRAPPER", TK_WITH_WRAPPER, IN_JSON},
    {"WITH WRAPPER", TK_WITH_WRAPPER, IN_JSON},
    {"WITH LOCAL TIME ZONE", TK_WITH_LOCAL_TIME_ZONE, ANYWHERE},
    {"WITH ORDINALITY", TK_WITH_ORDINALITY, ANYWHERE},
    {"WITH TIME ZONE", TK_WITH_TIME_ZONE, ANYWHERE},
    {"WITH DRAIN", TK_WITH_DRAIN, ANYWHERE},
    {"WITH SAVEPOINT", TK_WITH_SAVEPOINT, ANYWHERE},
    {"WITH", TK_WITH, ANYWHERE},
    {"WITHIN GROUP &(", TK_WITHIN_GROUP, ANYWHERE},
    {"WITHIN &INTERVAL", TK_WITHIN, ANYWHERE},
    {"WITHOUT ARRAY WRAPPER", TK_WITHOUT_WRAPPER, IN_JSON},
    {"WITHOUT TIME ZONE", TK_WITHOUT_TIME_ZONE, ANYWHERE},
    {"WITHOUT WRAPPER", TK_WITHOUT_WRAPPER, IN_JSON},
};

static const size_t phrase_count = sizeof phrases / sizeof phrases[0];

/* ---- raw tokens ------------------------------------------------------------------------------------------------- */

void sql_lexer_init(struct sql_lexer *lexer, const char *text, size_t size) {
    *lexer = (struct sql_lexer){.text = text, .size = size, .line = 1, .column = 1};
}

static unsigned char peek_at(const struct sql_lexer *lexer, size_t ahead) {
    return lexer->offset + ahead < lexer->size ? (unsigned char)lexer->text[lexer->offset + ahead] : 0;
}

static bool at_end(const struct sql_lexer *lexer) { return lexer->offset >= lexer->size; }

/* Moves over one byte; a character counts at its first byte. */
static void advance(struct sql_lexer *lexer) {
    const unsigned char byte = (unsigned char)lexer->text[lexer->offset++];
    if ((byte & 0xC0) == 0x80) { return; }
    lexer->position++;
    lexer->column++;
    if (byte == '\n') {
        lexer->line++;
        lexer->column = 1;
    }
}

static void advance_by(struct sql_lexer *lexer, size_t bytes) {
    for (size_t i = 0; i < bytes && !at_end(lexer); i++) { advance(lexer); }
}

static struct sql_token token_start(const struct sql_lexer *lexer) {
    return (struct sql_token){
        .text = lexer->text + lexer->offset,
        .span = {.offset = lexer->offset,
                 .position = lexer->position,
                 .line = lexer->line,
                 .column = lexer->column},
    };
}

static struct sql_token token_end(const struct sql_lexer *lexer, struct sql_token token, int kind) {
    token.kind = kind;
    token.span.size = lexer->offset - token.span.offset;
    token.span.length = lexer->position - token.span.position;
    return token;
}

/* A token that stands for text which is none; the parser reports it when it gets there. */
static struct sql_token token_bad(const struct sql_lexer *lexer, struct sql_token token, const char *message) {
    token = token_end(lexer, token, -1);
    token.text = message;
    return token;
}

static bool is_space(unsigned char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
static bool is_digit(unsigned char c) { return c >= '0' && c <= '9'; }
static bool is_letter(unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' || c >= 0x80;
}
static bool is_word(unsigned char c) { return is_letter(c) || is_digit(c); }

/* Blanks and comments. False where a comment does not end; *token then says so. */
static bool skip_blanks(struct sql_lexer *lexer, struct sql_token *token) {
    while (!at_end(lexer)) {
        const unsigned char c = peek_at(lexer, 0);
        if (is_space(c)) {
            advance(lexer);
        } else if (c == '-' && peek_at(lexer, 1) == '-') {
            while (!at_end(lexer) && peek_at(lexer, 0) != '\n') { advance(lexer); }
        } else if (c == '/' && peek_at(lexer, 1) == '*' && peek_at(lexer, 2) != '+') {
            *token = token_start(lexer);
            advance_by(lexer, 2);
            while (!at_end(lexer) && !(peek_at(lexer, 0) == '*' && peek_at(lexer, 1) == '/')) { advance(lexer); }
            if (at_end(lexer)) {
                token->span.size = 2;
                token->span.length = 2;
                token->kind = -1;
                token->text = "this comment has no end: close it with */";
                return false;
            }
            advance_by(lexer, 2);
        } else {
            return true;
        }
    }
    return true;
}

/* 'text' or `name`, where the quote doubled stands for itself. */
static struct sql_token lex_quoted(struct sql_lexer *lexer, struct sql_token token, unsigned char quote, int kind) {
    advance(lexer);
    while (!at_end(lexer)) {
        const unsigned char c = peek_at(lexer, 0);
        if (c == quote && peek_at(lexer, 1) == quote) {
            advance_by(lexer, 2);
        } else if (c == quote) {
            advance(lexer);
            token = token_end(lexer, token, kind);
            if (kind == TK_ID && token.span.size == 2) { return token_bad(lexer, token, "a name can't be empty"); }
            return token;
        } else {
            advance(lexer);
        }
    }
    /* Show where it starts: the end of the text is far away. */
    token.span.size = 1;
    token.span.length = 1;
    token.kind = -1;
    token.text = kind == TK_ID ? "this name has no end: close it with `" : "this string has no end: close it with '";
    return token;
}

static struct sql_token lex_number(struct sql_lexer *lexer, struct sql_token token) {
    int kind = TK_INTEGER;
    while (is_digit(peek_at(lexer, 0))) { advance(lexer); }
    if (peek_at(lexer, 0) == '.') {
        kind = TK_DECIMAL;
        advance(lexer);
        while (is_digit(peek_at(lexer, 0))) { advance(lexer); }
    }
    const unsigned char sign = peek_at(lexer, 1);
    const bool is_signed = (sign == '+' || sign == '-') && is_digit(peek_at(lexer, 2));
    if ((peek_at(lexer, 0) | 0x20) == 'e' && (is_digit(sign) || is_signed)) {
        kind = TK_DOUBLE;
        advance_by(lexer, 2);
        while (is_digit(peek_at(lexer, 0))) { advance(lexer); }
    }
    if (is_word(peek_at(lexer, 0))) {
        while (is_word(peek_at(lexer, 0))) { advance(lexer); }
        return token_bad(lexer, token,
                         "neither a number nor a name: a name that starts with a digit needs `back quotes`");
    }
    return token_end(lexer, token, kind);
}

static bool word_is(const struct sql_token *token, const char *word) {
    const size_t size = strlen(word);
    return token->kind == TK_ID && token->span.size == size && strncasecmp(token->text, word, size) == 0;
}

/* X'CAFE', N'text', _UTF8'text', U&'\00e9'. */
static bool lex_prefixed_string(struct sql_lexer *lexer, struct sql_token *token) {
    const unsigned char first = peek_at(lexer, 0) & 0xDF;
    size_t prefix = 0;
    int kind = TK_STRING;
    if (first == 'X' && peek_at(lexer, 1) == '\'') {
        prefix = 1;
        kind = TK_BYTES;
    } else if (first == 'N' && peek_at(lexer, 1) == '\'') {
        prefix = 1;
    } else if (first == 'U' && peek_at(lexer, 1) == '&' && peek_at(lexer, 2) == '\'') {
        prefix = 2;
        kind = TK_UNICODE_STRING;
    } else if (peek_at(lexer, 0) == '_') {
        while (prefix < 12 && is_word(peek_at(lexer, prefix))) { prefix++; }
        if (peek_at(lexer, prefix) != '\'') { return false; }
    } else {
        return false;
    }
    advance_by(lexer, prefix);
    *token = lex_quoted(lexer, *token, '\'', kind);
    return true;
}

static struct sql_token lex_sign(struct sql_lexer *lexer, struct sql_token token) {
    static const struct {
        char text[3];
        int kind;
    } signs[] = {
        {"=>", TK_ARROW},
        {"<=", TK_LE},
        {"<>", TK_NE},
        {"!=", TK_NE},
        {">=", TK_GE},
        {"||", TK_CONCAT},
        {"{-", TK_EXCLUDE_OPEN},
        {"-}", TK_EXCLUDE_CLOSE},
        {"(", TK_LP},
        {")", TK_RP},
        {"[", TK_LBRACKET},
        {"]", TK_RBRACKET},
        {"{", TK_LBRACE},
        {"}", TK_RBRACE},
        {",", TK_COMMA},
        {".", TK_DOT},
        {";", TK_SEMI},
        {"=", TK_EQ},
        {"<", TK_LT},
        {">", TK_GT},
        {"+", TK_PLUS},
        {"-", TK_MINUS},
        {"*", TK_STAR},
        {"/", TK_SLASH},
        {"%", TK_PERCENT},
        {"|", TK_BAR},
        {"?", TK_QUESTION},
    };
    for (size_t i = 0; i < sizeof signs / sizeof signs[0]; i++) {
        const size_t size = strlen(signs[i].text);
        if (lexer->size - lexer->offset >= size && memcmp(lexer->text + lexer->offset, signs[i].text, size) == 0) {
            advance_by(lexer, size);
            return token_end(lexer, token, signs[i].kind);
        }
    }
    const unsigned char c = peek_at(lexer, 0);
    advance(lexer);
    while (!at_end(lexer) && (peek_at(lexer, 0) & 0xC0) == 0x80) { advance(lexer); }
    if (c == '"') {
        return token_bad(lexer, token,
                         "double quotes mean nothing here: write names in `back quotes`, text in 'quotes'");
    }
    return token_bad(lexer, token, "this character has no meaning in SQL");
}

/* SET execution.checkpointing.interval = 3 s: neither key nor value needs quotes. */
static struct sql_token lex_set_word(struct sql_lexer *lexer, struct sql_token token) {
    const bool is_key = lexer->set_state == SET_KEY;
    struct sql_token word = token;
    while (!at_end(lexer)) {
        const unsigned char c = peek_at(lexer, 0);
        if (c == ';' || c == '\n' || (is_key && (is_space(c) || c == '='))) { break; }
        if (c == '-' && peek_at(lexer, 1) == '-') { break; }
        advance(lexer);
        if (!is_space(c)) { word = token_end(lexer, token, TK_RAW); }
    }
    return word;
}

static struct sql_token lex_raw(struct sql_lexer *lexer) {
    struct sql_token token = {0};
    if (!skip_blanks(lexer, &token)) { return token; }
    token = token_start(lexer);
    if (at_end(lexer)) { return token_end(lexer, token, 0); }
    const unsigned char c = peek_at(lexer, 0);
    const bool set_word = lexer->set_state == SET_KEY || lexer->set_state == SET_VALUE;
    if (set_word && c != '\'' && c != ';' && c != '=') { return lex_set_word(lexer, token); }
    if (lexer->in_hint && c == '*' && peek_at(lexer, 1) == '/') {
        lexer->in_hint = false;
        advance_by(lexer, 2);
        return token_end(lexer, token, TK_HINT_CLOSE);
    }
    if (c == '/' && peek_at(lexer, 1) == '*') { /* with a plus: others are blanks */
        lexer->in_hint = true;
        advance_by(lexer, 3);
        return token_end(lexer, token, TK_HINT_OPEN);
    }
    if (c == '\'') { return lex_quoted(lexer, token, '\'', TK_STRING); }
    if (c == '`') { return lex_quoted(lexer, token, '`', TK_ID); }
    if (is_digit(c) || (c == '.' && is_digit(peek_at(lexer, 1)) && lexer->raw_previous != TK_ID)) {
        return lex_number(lexer, token);
    }
    if (is_letter(c)) {
        if (lex_prefixed_string(lexer, &token)) { return token; }
        while (is_word(peek_at(lexer, 0))) { advance(lexer); }
        return token_end(lexer, token, TK_ID);
    }
    return lex_sign(lexer, token);
}

static struct sql_token raw_next(struct sql_lexer *lexer) {
    const struct sql_token token = lex_raw(lexer);
    if (lexer->set_state == SET_KEY) {
        lexer->set_state = token.kind == TK_SEMI ? SET_NONE : SET_EQUALS;
    } else if (lexer->set_state == SET_EQUALS) {
        lexer->set_state = token.kind == TK_EQ ? SET_VALUE : SET_NONE;
    } else {
        lexer->set_state = SET_NONE;
        const bool starts = lexer->raw_previous == 0 || lexer->raw_previous == TK_SEMI;
        if (starts && (word_is(&token, "SET") || word_is(&token, "RESET"))) { lexer->set_state = SET_KEY; }
    }
    lexer->raw_previous = token.kind;
    return token;
}

static const struct sql_token *raw_ahead(struct sql_lexer *lexer, unsigned index) {
    while (lexer->ahead_count <= index) {
        const unsigned slot = (lexer->ahead_start + lexer->ahead_count) % SQL_LOOKAHEAD_MAX;
        lexer->ahead[slot] = raw_next(lexer);
        lexer->ahead_count++;
    }
    return &lexer->ahead[(lexer->ahead_start + index) % SQL_LOOKAHEAD_MAX];
}

static void raw_drop(struct sql_lexer *lexer, unsigned count) {
    lexer->ahead_start = (lexer->ahead_start + count) % SQL_LOOKAHEAD_MAX;
    lexer->ahead_count -= count;
}

/* ---- phrases ---------------------------------------------------------------------------------------------------- */

static int first_word_compare(const struct sql_token *token, const char *phrase) {
    const size_t size = strcspn(phrase, " ");
    const size_t common = size < token->span.size ? size : token->span.size;
    const int order = strncasecmp(token->text, phrase, common);
    if (order != 0) { return order; }
    return token->span.size < size ? -1 : token->span.size > size;
}

/* The first phrase with the word, or phrase_count. */
static size_t phrases_find(const struct sql_token *token) {
    size_t low = 0;
    size_t high = phrase_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (first_word_compare(token, phrases[middle].text) > 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < phrase_count && first_word_compare(token, phrases[low].text) == 0 ? low : phrase_count;
}

static bool element_fits(const struct sql_token *token, const char *element, size_t size) {
    switch (element[0]) {
    case '_': return token->kind == TK_ID;
    case '\'': return token->kind == TK_STRING;
    case '1': return token->kind == TK_INTEGER;
    case '(': return token->kind == TK_LP;
    case '[': return token->kind == TK_LBRACKET;
    case '<': return token->kind == TK_LT || token->kind == TK_NE;
    case '+': return token->kind == TK_PLUS;
    case '-': return token->kind == TK_MINUS;
    default:
        return token->kind == TK_ID && token->span.size == size && strncasecmp(token->text, element, size) == 0;
    }
}

/* The number of raw tokens that a phrase takes here, 0 if it does not fit. */
static unsigned phrase_match(struct sql_lexer *lexer, const char *text) {
    unsigned taken = 1;
    unsigned index = 1;
    const char *element = text + strcspn(text, " ");
    while (*element == ' ') {
        element++;
        const bool only_peek = element[0] == '&';
        const char *word = element + only_peek;
        const size_t size = strcspn(word, " ");
        if (!element_fits(raw_ahead(lexer, index), word, size)) { return 0; }
        index++;
        taken += !only_peek;
        element = word + size;
    }
    return taken;
}

static bool place_fits(const struct sql_lexer *lexer, enum phrase_place place) {
    const enum bracket bracket = lexer->depth > 0 ? (enum bracket)lexer->brackets[lexer->depth] : BRACKET_PLAIN;
    const int previous = lexer->previous;
    switch (place) {
    case IN_JSON: return bracket == BRACKET_JSON;
    case IN_TRIM: return bracket == BRACKET_TRIM && previous == TK_LP;
    case JSON_KEY_PLACE: return bracket == BRACKET_JSON && (previous == TK_LP || previous == TK_COMMA);
    case JSON_VALUE_PLACE:
        return bracket == BRACKET_JSON && (previous == TK_ID || previous == TK_STRING || previous == TK_RP ||
                                           previous == TK_INTEGER || previous == TK_RBRACKET);
    default: return true;
    }
}

/* KEY before a comma, a sign or VALUE is a column of that name. */
static bool key_is_column(struct sql_lexer *lexer) {
    const struct sql_token *next = raw_ahead(lexer, 1);
    return !(next->kind == TK_STRING || next->kind == TK_LP || next->kind == TK_INTEGER ||
             (next->kind == TK_ID && !word_is(next, "VALUE")));
}

static struct sql_token phrase_next(struct sql_lexer *lexer) {
    struct sql_token token = *raw_ahead(lexer, 0);
    unsigned taken = 1;
    const bool is_word_token = token.kind == TK_ID && token.text[0] != '`';
    /* Behind a point stands a name, whatever it is: t.order, row.value. */
    if (is_word_token && lexer->previous != TK_DOT) {
        for (size_t i = phrases_find(&token); i < phrase_count; i++) {
            if (first_word_compare(&token, phrases[i].text) != 0) { break; }
            if (!place_fits(lexer, phrases[i].place)) { continue; }
            if (phrases[i].place == JSON_KEY_PLACE && key_is_column(lexer)) { continue; }
            const unsigned count = phrase_match(lexer, phrases[i].text);
            if (count > 0) {
                token.kind = phrases[i].token;
                taken = count;
                break;
            }
        }
    }
    if (taken > 1) { token.span = sql_span_join(token.span, raw_ahead(lexer, taken - 1)->span); }
    raw_drop(lexer, taken);
    return token;
}

static bool word_starts(const struct sql_token *token, const char *start) {
    return token->kind == TK_ID && token->span.size >= strlen(start) &&
           strncasecmp(token->text, start, strlen(start)) == 0;
}

struct sql_token sql_lexer_next(struct sql_lexer *lexer) {
    struct sql_token token = phrase_next(lexer);
    /* FILTER ( and ARRAY ( end with a parenthesis of their own. */
    const bool opens = token.kind == TK_LP || token.kind == TK_FILTER || token.kind == TK_ARRAY_QUERY;
    if (opens) {
        if (lexer->depth >= SQL_DEPTH_MAX) {
            token.kind = -1;
            token.text = "parentheses are nested more than 256 deep";
            return token;
        }
        lexer->brackets[++lexer->depth] = lexer->previous_is_trim       ? BRACKET_TRIM
                                          : lexer->previous_is_position ? BRACKET_POSITION
                                          : lexer->previous_is_json     ? BRACKET_JSON
                                                                        : BRACKET_PLAIN;
    } else if (token.kind == TK_RP && lexer->depth > 0) {
        lexer->depth--;
    } else if (token.kind == TK_SEMI) {
        lexer->depth = 0;
    } else if (token.kind == TK_IN && lexer->depth > 0 && lexer->brackets[lexer->depth] == BRACKET_POSITION) {
        token.kind = TK_POSITION_IN;
    }
    lexer->previous_is_trim = word_is(&token, "TRIM");
    lexer->previous_is_position = word_is(&token, "POSITION");
    lexer->previous_is_json = word_starts(&token, "JSON_");
    lexer->previous = token.kind;
    return token;
}

/* ---- for messages and tests ------------------------------------------------------------------------------------- */

const char *sql_token_display(int kind, char buffer[SQL_DISPLAY_MAX]) {
    static const struct {
        int kind;
        const char *text;
    } others[] = {
        {0, "the end"},
        {TK_ID, "a name"},
        {TK_STRING, "a 'string'"},
        {TK_INTEGER, "a number"},
        {TK_DECIMAL, "a decimal number"},
        {TK_DOUBLE, "a number with an exponent"},
        {TK_BYTES, "bytes (X'..')"},
        {TK_UNICODE_STRING, "a string (U&'..')"},
        {TK_RAW, "a word"},
        {TK_HINT_OPEN, "a hint (/*+ .. */)"},
        {TK_HINT_CLOSE, "'*/'"},
        {TK_ARROW, "'=>'"},
        {TK_LE, "'<='"},
        {TK_NE, "'<>'"},
        {TK_GE, "'>='"},
        {TK_CONCAT, "'||'"},
        {TK_LP, "'('"},
        {TK_RP, "')'"},
        {TK_LBRACKET, "'['"},
        {TK_RBRACKET, "']'"},
        {TK_EXCLUDE_OPEN, "'{-'"},
        {TK_EXCLUDE_CLOSE, "'-}'"},
        {TK_LBRACE, "'{'"},
        {TK_RBRACE, "'}'"},
        {TK_COMMA, "','"},
        {TK_DOT, "'.'"},
        {TK_SEMI, "';'"},
        {TK_EQ, "'='"},
        {TK_LT, "'<'"},
        {TK_GT, "'>'"},
        {TK_PLUS, "'+'"},
        {TK_MINUS, "'-'"},
        {TK_STAR, "'*'"},
        {TK_SLASH, "'/'"},
        {TK_PERCENT, "'%'"},
        {TK_BAR, "'|'"},
        {TK_QUESTION, "'?'"},
        {TK_FILTER, "FILTER"},
        {TK_ARRAY_QUERY, "ARRAY"},
        {TK_POSITION_IN, "IN"},
        {TK_JSON_ERROR_ON, "ERROR ON .."},
        {TK_JSON_NULL_ON, "NULL ON .."},
        {TK_SKIP_LAST, "AFTER MATCH SKIP TO LAST"},
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (others[i].kind == kind) { return others[i].text; }
    }
    for (size_t i = 0; i < phrase_count; i++) {
        if (phrases[i].token == kind) {
            size_t size = strcspn(phrases[i].text, "&");
            while (size > 0 && phrases[i].text[size - 1] == ' ') { size--; }
            size = size < SQL_DISPLAY_MAX ? size : SQL_DISPLAY_MAX - 1;
            memcpy(buffer, phrases[i].text, size);
            buffer[size] = 0;
            return buffer;
        }
    }
    return "";
}

bool sql_lexer_is_keyword(const char *word) {
    static const char *const niladic[] = {"CURRENT_DATE",   "CURRENT_TIME",     "CURRENT_TIMESTAMP", "LOCALTIME",
                                          "LOCALTIMESTAMP", "CURRENT_DATABASE", "CURRENT_CATALOG"};
    const struct sql_token token = {.kind = TK_ID, .text = word, .span = {.size = (uint32_t)strlen(word)}};
    for (size_t i = 0; i < sizeof niladic / sizeof niladic[0]; i++) {
        if (strcasecmp(word, niladic[i]) == 0) { return true; }
    }
    return phrases_find(&token) < phrase_count;
}

const char *sql_lexer_phrase_out_of_order(void) {
    for (size_t i = 1; i < phrase_count; i++) {
        const size_t before = strcspn(phrases[i - 1].text, " ");
        const size_t here = strcspn(phrases[i].text, " ");
        const int order = strncasecmp(phrases[i - 1].text, phrases[i].text, before < here ? before : here);
        if (order > 0 || (order == 0 && before > here)) { return phrases[i].text; }
    }
    return NULL;
}
