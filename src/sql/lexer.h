/* SQL text -> tokens for grammar.y.
 *
 * Flink's users name columns `value`, `day` or `timestamp` without thinking, so hardly a word is reserved. The lexer
 * decides by looking ahead: a word or a run of words is a keyword only where the table of phrases in lexer.c says so
 * (DATE before a string, LEFT before JOIN, KEY behind PRIMARY), else it is an identifier. */
#ifndef SQL_LEXER_H
#define SQL_LEXER_H

#include "sql/ast.h"

#define SQL_LOOKAHEAD_MAX 8u

struct sql_token {
    int kind;         /* TK_* of the grammar; 0 at the end of the text; -1 for text that is no token */
    const char *text; /* `span.size` bytes of the source; for kind -1 the message, NUL-terminated */
    struct sql_span span;
};

struct sql_lexer {
    const char *text;
    size_t size;
    /* where the next raw token starts */
    uint32_t offset;
    uint32_t position;
    uint32_t line;
    uint32_t column;
    int raw_previous;  /* kind of the raw token before, 0 at the start of a statement */
    int set_state;     /* inside of SET key = value, whose words need no quotes */
    bool in_hint;      /* inside of slash-star-plus */
    struct sql_token ahead[SQL_LOOKAHEAD_MAX];
    unsigned ahead_start;
    unsigned ahead_count;
    int previous; /* kind of the token handed out before */
    unsigned depth;
    unsigned char brackets[SQL_DEPTH_MAX + 1]; /* what each open parenthesis belongs to */
    bool previous_is_trim;
    bool previous_is_position;
    bool previous_is_json;
};

void sql_lexer_init(struct sql_lexer *lexer, const char *text, size_t size);
struct sql_token sql_lexer_next(struct sql_lexer *lexer);

/* How a message shows a kind of token: "ORDER", "'('", "a number". Static, or in `buffer`. */
#define SQL_DISPLAY_MAX 64
const char *sql_token_display(int kind, char buffer[SQL_DISPLAY_MAX]);
/* Whether a word means something somewhere, so that a name of that spelling is better quoted. */
bool sql_lexer_is_keyword(const char *word);
/* Checks the order of the table of phrases; for the test. Returns the first phrase that is out of order, or NULL. */
const char *sql_lexer_phrase_out_of_order(void);

#endif
