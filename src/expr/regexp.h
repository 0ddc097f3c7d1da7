/* Regular expressions with Java's syntax, run by PCRE2 with its JIT compiler.
 *
 * What is the same: classes, quantifiers (lazy, possessive), groups (named, atomic), lookaround, back references,
 * flags, \Q..\E, \b, \p{..} of Unicode. Translated: \uXXXX, \p{Alpha} and the other POSIX classes (ASCII, as in Java).
 * Refused with a reason: intersections and nested classes ([a-z&&[^x]]), which PCRE2 does not have, and PCRE2's own
 * (*VERBS), recursion and callouts, which Java does not have. Other than in Java: '.' and '$' know \n, \r and \r\n as
 * ends of a line but not \u0085, \u2028 and \u2029; a pattern may try a million steps for a match from one place, then
 * it is an error (Java goes on for hours or overflows its stack). */
#ifndef EXPR_REGEXP_H
#define EXPR_REGEXP_H

#include "expr/signature.h"

struct regexp;

/* *out NULL and SABOT_OK: not a pattern; *reason says why (a static or a thread's text). */
sabot_status regexp_compile(struct slice pattern, struct regexp **out, char *reason, size_t reason_size,
                            struct sabot_error *err);
void regexp_free(struct regexp *regexp); /* NULL is allowed */
/* The same pattern with SQL's SIMILAR TO syntax; escape 0: none. Matches whole texts. */
sabot_status regexp_compile_similar(struct slice pattern, uint32_t escape, struct regexp **out, char *reason,
                                    size_t reason_size, struct sabot_error *err);

/* Whether the pattern occurs in the text from byte `from` on. ERR_DATA where it needs too many steps. */
sabot_status regexp_find(struct regexp *regexp, struct slice text, size_t from, bool *found, struct sabot_error *err);
/* Of the last match: group 0 is all of it; data NULL: the group took no part, or there is no such group. */
struct slice regexp_group(const struct regexp *regexp, uint32_t group, struct slice text);
uint32_t regexp_groups(const struct regexp *regexp); /* without group 0 */
/* The number of a named group, or -1. */
int regexp_named(const struct regexp *regexp, struct slice name);

#endif
