/* What grammar.y gives to parse.c. Private to the parser. */
#ifndef SQL_PARSE_INTERNAL_H
#define SQL_PARSE_INTERNAL_H

#include <stddef.h>

#include "sql/grammar.h"
#include "sql/lexer.h"

struct sql_build;

void *SqlGrammarAlloc(void *(*allocate)(size_t));
void SqlGrammarFree(void *parser, void (*release)(void *));
void SqlGrammar(void *parser, int kind, struct sql_token token, struct sql_build *build);

/* The kinds of tokens that the parser would take next, names first; returns how many. */
size_t sql_grammar_expected(void *parser, int *kinds, size_t kinds_max);
/* Symbols on the parser's stack. */
size_t sql_grammar_depth(void *parser);

#endif
