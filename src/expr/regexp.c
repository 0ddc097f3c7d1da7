/* Regular expressions: Java's syntax translated for PCRE2, and what makes searching columns quick. */
#include "expr/regexp.h"

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#define PATTERN_SIZE_MAX 65536
#define STEPS_MAX 1000000
#define HEAP_KIB_MAX 16384
#define JIT_STACK_MAX (1 << 20)
#define LITERAL_MAX 64

struct regexp {
    pcre2_code *code;  /* for texts beyond ASCII */
    pcre2_code *ascii; /* the same without UTF, quicker, for texts of ASCII only; NULL where it means something else */
    pcre2_match_data *data;
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
    /* Every match contains this text, its beginning at most `lead` bytes behind the beginning of the match (SIZE_MAX:
     * anywhere). What does not have it does not match, and the search may start close to it. */
    char literal[LITERAL_MAX];
    size_t literal_size, lead;
};

/* ---- translation ------------------------------------------------------------------------------------------------- */

struct translation {
    struct slice from;
    size_t at;
    struct text to;
    const char *reason;
};

static bool at_text(const struct translation *t, const char *text) {
    const size_t size = strlen(text);
    return t->from.size - t->at >= size && memcmp(t->from.data + t->at, text, size) == 0;
}

/* \p{Alpha} and so on: what stands inside of a class of PCRE2. */
static const char *posix_class(struct slice name) {
    static const char *const classes[][2] = {
        {"Lower", "a-z"}, {"Upper", "A-Z"}, {"ASCII", "\\x00-\\x7F"}, {"Alpha", "a-zA-Z"}, {"Digit", "0-9"},
        {"Alnum", "a-zA-Z0-9"}, {"Punct", "!-\\/:-@\\[-`{-~"}, {"Graph", "!-~"}, {"Print", " -~"}, {"Blank", " \\t"},
        {"Cntrl", "\\x00-\\x1F\\x7F"}, {"XDigit", "0-9a-fA-F"}, {"Space", " \\t\\n\\x0B\\f\\r"},
    };
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        if (slice_equal(name, (struct slice){classes[i][0], strlen(classes[i][0])})) { return classes[i][1]; }
    }
    return NULL;
}

/* \p{..} or \P{..} at t->at. */
static void translate_property(struct translation *t, bool in_class) {
    const bool negated = t->from.data[t->at + 1] == 'P';
    const char *open = t->from.data + t->at + 3;
    const char *close = t->at + 2 < t->from.size && t->from.data[t->at + 2] == '{'
                            ? memchr(open, '}', t->from.size - t->at - 3) : NULL;
    if (!close) { /* \pL */
        text_append(&t->to, t->from.data + t->at, 2);
        t->at += 2;
        return;
    }
    struct slice name = {open, (size_t)(close - open)};
    const char *posix = posix_class(name);
    if (posix && negated && in_class) {
        t->reason = "\\P{..} of a POSIX class inside of [..] can't be used";
    } else if (posix) {
        text_format(&t->to, in_class ? "%s%s" : "[%s%s]", negated ? "^" : "", posix);
    } else {
        /* IsLatin, IsL: scripts and categories go by their names in PCRE2 */
        if (name.size > 2 && memcmp(name.data, "Is", 2) == 0) { name = (struct slice){name.data + 2, name.size - 2}; }
        text_format(&t->to, "\\%c{%.*s}", negated ? 'P' : 'p', (int)name.size, name.data);
    }
    t->at = (size_t)(close - t->from.data) + 1;
}

/* The escape at t->at. */
static void translate_escape(struct translation *t, bool in_class) {
    const char c = t->at + 1 < t->from.size ? t->from.data[t->at + 1] : 0;
    if (c == 'u') {
        bool good = t->from.size - t->at >= 6;
        for (size_t i = 2; good && i < 6; i++) {
            const char digit = t->from.data[t->at + i];
            good = (digit >= '0' && digit <= '9') || ((digit | 32) >= 'a' && (digit | 32) <= 'f');
        }
        if (!good) {
            t->reason = "\\u needs four hexadecimal digits";
            return;
        }
        text_format(&t->to, "\\x{%.4s}", t->from.data + t->at + 2);
        t->at += 6;
    } else if (c == 'p' || c == 'P') {
        translate_property(t, in_class);
    } else if (c == 'K' || c == 'C' || (c == 'g' && !in_class)) {
        t->reason = "\\K, \\C and \\g are no escapes of Java";
    } else if (c == 'Q' && !in_class) {
        const char *end = NULL;
        for (size_t i = t->at + 2; i + 1 < t->from.size && !end; i++) {
            if (memcmp(t->from.data + i, "\\E", 2) == 0) { end = t->from.data + i; }
        }
        const size_t stop = end ? (size_t)(end - t->from.data) + 2 : t->from.size;
        text_append(&t->to, t->from.data + t->at, stop - t->at);
        t->at = stop;
    } else {
        const size_t size = t->from.size - t->at < 2 ? 1 : 2;
        text_append(&t->to, t->from.data + t->at, size);
        t->at += size;
    }
}

/* [..] from its bracket on. */
static void translate_class(struct translation *t) {
    text_append(&t->to, "[", 1);
    t->at++;
    if (t->at < t->from.size && t->from.data[t->at] == '^') {
        text_append(&t->to, "^", 1);
        t->at++;
    }
    for (bool first = true; t->at < t->from.size && !t->reason; first = false) {
        const char c = t->from.data[t->at];
        if (c == ']' && !first) { break; }
        if (c == '[') {
            t->reason = "a class inside of a class ([a[b]]) can't be used; write [ab], or \\[ for the bracket";
        } else if (at_text(t, "&&")) {
            t->reason = "intersections of classes (&&) can't be used";
        } else if (c == '\\') {
            translate_escape(t, true);
        } else {
            text_append(&t->to, &c, 1);
            t->at++;
        }
    }
    if (!t->reason && t->at == t->from.size) { t->reason = "a [ is not closed"; }
    text_append(&t->to, "]", 1);
    t->at++;
}

static bool translate(struct translation *t) {
    static const char *const foreign[] = {"(*", "(?R", "(?&", "(?P", "(?C", "(?|", "(?0", "(?1", "(?2", "(?3", "(?4",
                                          "(?5", "(?6", "(?7", "(?8", "(?9", "(?+", "(?("};
    while (t->at < t->from.size && !t->reason) {
        const char c = t->from.data[t->at];
        if (c == '\\') {
            translate_escape(t, false);
        } else if (c == '[') {
            translate_class(t);
        } else {
            for (size_t i = 0; c == '(' && i < sizeof foreign / sizeof foreign[0]; i++) {
                if (at_text(t, foreign[i])) {
                    t->reason = "it has a group that Java's regular expressions do not know";
                }
            }
            text_append(&t->to, &c, 1);
            t->at++;
        }
    }
    if (!t->reason && t->to.failed) { t->reason = "it is too long"; }
    return !t->reason;
}

/* ---- what every match contains ----------------------------------------------------------------------------------- */

/* Reads a pattern just far enough to know how many bytes each part can take, and where plain text stands. Gives up on
 * anything that is not plain: then there is no shortcut. */
struct survey {
    const char *at, *end;
    bool failed;
};

#define WIDE SIZE_MAX

static size_t add_widths(size_t a, size_t b) { return a == WIDE || b == WIDE ? WIDE : a + b; }

static size_t survey_choices(struct survey *survey, int depth);

/* One atom: the most bytes that it takes; *literal is its byte where it is plain, else -1. */
static size_t survey_atom(struct survey *survey, int depth, int *literal) {
    const char c = *survey->at++;
    *literal = -1;
    switch (c) {
    case '^': case '$': return 0;
    case '.': return 1;
    case '[':
        if (survey->at < survey->end && *survey->at == '^') { survey->at++; }
        if (survey->at < survey->end && *survey->at == ']') { survey->at++; }
        while (survey->at < survey->end && *survey->at != ']') {
            if (*survey->at == '[') { survey->failed = true; }
            survey->at += *survey->at == '\\' ? 2 : 1;
        }
        survey->failed |= survey->at >= survey->end;
        survey->at++;
        return 1;
    case '(': {
        if (survey->at < survey->end && *survey->at == '?') {
            if (survey->end - survey->at < 2 || survey->at[1] != ':') {
                survey->failed = true;
                return WIDE;
            }
            survey->at += 2;
        }
        const size_t width = survey_choices(survey, depth + 1);
        survey->failed |= survey->at >= survey->end || *survey->at != ')';
        survey->at++;
        return width;
    }
    case '\\': {
        const char e = survey->at < survey->end ? *survey->at++ : 0;
        if (e && strchr("dDwWsS", e)) { return 1; }
        if (e && strchr("bB", e)) { return 0; }
        if ((unsigned char)e < 0x80 && e > ' ' && !((e | 32) >= 'a' && (e | 32) <= 'z') && !(e >= '0' && e <= '9')) {
            *literal = e;
            return 1;
        }
        survey->failed = true;
        return WIDE;
    }
    case '*': case '+': case '?': case '{': case '}': case ']': survey->failed = true; return WIDE;
    default:
        *literal = (unsigned char)c < 0x80 ? c : -1;
        survey->failed |= (unsigned char)c >= 0x80;
        return 1;
    }
}

/* The most repetitions of a quantifier at the place, 1 without one; *least too. */
static size_t survey_quantifier(struct survey *survey, size_t *least) {
    *least = 1;
    if (survey->at == survey->end || !strchr("*+?{", *survey->at)) { return 1; }
    size_t most = WIDE;
    const char c = *survey->at++;
    if (c == '?' || c == '*') { *least = 0; }
    if (c == '?') { most = 1; }
    if (c == '{') {
        char *rest = NULL;
        *least = strtoul(survey->at, &rest, 10);
        most = *least;
        if (rest == survey->at) { survey->failed = true; }
        if (*rest == ',') {
            const char *from = rest + 1;
            most = strtoul(from, &rest, 10);
            if (rest == from) { most = WIDE; }
        }
        if (*rest != '}' || rest >= survey->end) { survey->failed = true; }
        survey->at = survey->failed ? survey->end : rest + 1;
    }
    if (survey->at < survey->end && (*survey->at == '?' || *survey->at == '+')) { survey->at++; }
    return most;
}

static size_t survey_choices(struct survey *survey, int depth) {
    size_t widest = 0, width = 0;
    survey->failed |= depth > 50;
    while (survey->at < survey->end && *survey->at != ')' && !survey->failed) {
        if (*survey->at == '|') {
            survey->at++;
            widest = width > widest ? width : widest;
            width = 0;
            continue;
        }
        int literal;
        size_t least;
        const size_t one = survey_atom(survey, depth, &literal);
        if (survey->failed) { break; }
        const size_t times = survey_quantifier(survey, &least);
        width = add_widths(width, one == 0 ? 0 : one == WIDE || times == WIDE ? WIDE : one * times);
    }
    return width > widest ? width : widest;
}

/* The longest run of plain characters at the pattern's top level, and how far behind the beginning it can stand. */
static void find_literal(struct regexp *regexp, const char *pattern, size_t size) {
    struct survey survey = {pattern, pattern + size, false};
    char run[LITERAL_MAX];
    size_t n = 0, lead = 0, before = 0; /* most bytes in front of the run, and so far */
    while (survey.at < survey.end && !survey.failed) {
        if (*survey.at == '|' || *survey.at == ')') {
            regexp->literal_size = 0;
            return;
        }
        int literal;
        size_t least;
        const size_t one = survey_atom(&survey, 0, &literal);
        if (survey.failed) { break; }
        const char *mark = survey.at;
        const size_t times = survey_quantifier(&survey, &least);
        const bool plain = literal >= 0 && survey.at == mark && n < LITERAL_MAX;
        if (plain) {
            if (n == 0) { lead = before; }
            run[n++] = (char)literal;
        }
        if (n > regexp->literal_size) {
            memcpy(regexp->literal, run, n);
            regexp->literal_size = n;
            regexp->lead = lead;
        }
        if (!plain) { n = 0; }
        before = add_widths(before, one == 0 ? 0 : one == WIDE || times == WIDE ? WIDE : one * times);
    }
    if (survey.failed) { regexp->literal_size = 0; }
}

/* ---- compiling --------------------------------------------------------------------------------------------------- */

static pcre2_code *compile_one(const struct text *pattern, uint32_t options, char *reason, size_t reason_size) {
    int code = 0;
    size_t at = 0;
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (!context) { return NULL; }
    pcre2_set_newline(context, PCRE2_NEWLINE_ANYCRLF);
    pcre2_set_parens_nest_limit(context, 200);
    pcre2_code *compiled = pcre2_compile((PCRE2_SPTR)text_string(pattern), pattern->size,
                                         options | PCRE2_NEVER_BACKSLASH_C, &code, &at, context);
    pcre2_compile_context_free(context);
    if (!compiled) {
        char message[160];
        pcre2_get_error_message(code, (PCRE2_UCHAR *)message, sizeof message);
        snprintf(reason, reason_size, "%s (at its byte %zu)", message, at);
        return NULL;
    }
    pcre2_jit_compile(compiled, PCRE2_JIT_COMPLETE); /* where there is no JIT it is interpreted */
    return compiled;
}

static sabot_status finish(const struct text *pattern, uint32_t options, bool shortcut, struct regexp **out,
                           char *reason, size_t reason_size, struct sabot_error *err) {
    *out = NULL;
    struct regexp *regexp = calloc(1, sizeof *regexp);
    if (!regexp) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a regular expression"); }
    regexp->code = compile_one(pattern, options | PCRE2_UTF | PCRE2_MATCH_INVALID_UTF, reason, reason_size);
    if (!regexp->code) {
        regexp_free(regexp);
        return SABOT_OK;
    }
    char ignored[200];
    if (slice_is_ascii((struct slice){text_string(pattern), pattern->size}) && !strstr(text_string(pattern), "\\p") &&
        !strstr(text_string(pattern), "\\P") && !strstr(text_string(pattern), "\\X")) {
        regexp->ascii = compile_one(pattern, options, ignored, sizeof ignored);
        if (shortcut) { find_literal(regexp, text_string(pattern), pattern->size); }
    }
    regexp->data = pcre2_match_data_create_from_pattern(regexp->code, NULL);
    regexp->context = pcre2_match_context_create(NULL);
    regexp->stack = pcre2_jit_stack_create(32 * 1024, JIT_STACK_MAX, NULL);
    if (!regexp->data || !regexp->context || !regexp->stack) {
        regexp_free(regexp);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a regular expression");
    }
    pcre2_set_match_limit(regexp->context, STEPS_MAX);
    pcre2_set_heap_limit(regexp->context, HEAP_KIB_MAX);
    pcre2_jit_stack_assign(regexp->context, NULL, regexp->stack);
    *out = regexp;
    return SABOT_OK;
}

void regexp_free(struct regexp *regexp) {
    if (!regexp) { return; }
    pcre2_jit_stack_free(regexp->stack);
    pcre2_match_context_free(regexp->context);
    pcre2_match_data_free(regexp->data);
    pcre2_code_free(regexp->ascii);
    pcre2_code_free(regexp->code);
    free(regexp);
}

sabot_status regexp_compile(struct slice pattern, struct regexp **out, char *reason, size_t reason_size,
                            struct sabot_error *err) {
    *out = NULL;
    if (pattern.size > PATTERN_SIZE_MAX) {
        snprintf(reason, reason_size, "it is longer than %d bytes", PATTERN_SIZE_MAX);
        return SABOT_OK;
    }
    struct translation translation = {.from = pattern};
    sabot_status status = SABOT_OK;
    if (translate(&translation)) {
        status = finish(&translation.to, 0, true, out, reason, reason_size, err);
    } else {
        snprintf(reason, reason_size, "%s", translation.reason);
    }
    text_clear(&translation.to);
    return status;
}

/* SIMILAR TO: % and _ as in LIKE, | * + ? {} () [] as in regular expressions, the rest is plain. */
sabot_status regexp_compile_similar(struct slice pattern, uint32_t escape, struct regexp **out, char *reason,
                                    size_t reason_size, struct sabot_error *err) {
    struct text to = {0};
    bool in_class = false;
    *out = NULL;
    if (pattern.size > PATTERN_SIZE_MAX) {
        snprintf(reason, reason_size, "it is longer than %d bytes", PATTERN_SIZE_MAX);
        return SABOT_OK;
    }
    text_add(&to, "\\A(?:");
    for (size_t i = 0; i < pattern.size;) {
        uint32_t code;
        size_t step = (size_t)utf8_decode(pattern.data + i, pattern.size - i, &code);
        const char *at = pattern.data + i;
        bool plain = false;
        if (escape != 0 && code == escape && i + step < pattern.size) {
            i += step;
            at = pattern.data + i;
            step = utf8_step(at, pattern.size - i);
            plain = true;
        }
        i += step;
        if (!plain && in_class) {
            in_class = *at != ']';
            if (*at == '\\') { text_add(&to, "\\"); }
            text_append(&to, at, step);
        } else if (!plain && *at == '%') {
            text_add(&to, ".*");
        } else if (!plain && *at == '_') {
            text_add(&to, ".");
        } else if (!plain && strchr("|*+?{}()[,", *at) && *at) {
            in_class = *at == '[';
            text_append(&to, at, step);
            if (*at == '(') { text_add(&to, "?:"); }
        } else {
            const bool is_word = step > 1 || code_is_letter((unsigned char)*at) || code_is_digit((unsigned char)*at);
            if (!is_word && (unsigned char)*at < 0x80) { text_add(&to, "\\"); }
            text_append(&to, at, step);
        }
    }
    text_add(&to, ")\\z");
    sabot_status status = SABOT_OK;
    if (to.failed) {
        status = SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a pattern");
    } else {
        status = finish(&to, PCRE2_DOTALL, false, out, reason, reason_size, err);
    }
    text_clear(&to);
    return status;
}

/* ---- matching ---------------------------------------------------------------------------------------------------- */

sabot_status regexp_find(struct regexp *regexp, struct slice text, size_t from, bool *found, struct sabot_error *err) {
    *found = false;
    if (regexp->literal_size > 0) {
        const char *place = slice_find((struct slice){text.data + from, text.size - from},
                                       (struct slice){regexp->literal, regexp->literal_size});
        if (!place) { return SABOT_OK; }
        const size_t at = (size_t)(place - text.data);
        /* in bytes only where each character is one */
        if (regexp->lead != WIDE && at - from > regexp->lead && slice_is_ascii(text)) { from = at - regexp->lead; }
    }
    const bool ascii = regexp->ascii && slice_is_ascii(text);
    const int code = pcre2_match(ascii ? regexp->ascii : regexp->code, (PCRE2_SPTR)text.data, text.size, from, 0,
                                 regexp->data, regexp->context);
    if (code == PCRE2_ERROR_NOMATCH) { return SABOT_OK; }
    if (code < 0) {
        char reason[160];
        pcre2_get_error_message(code, (PCRE2_UCHAR *)reason, sizeof reason);
        return SABOT_FAIL(
            err, SABOT_ERR_DATA,
            "a regular expression gave up on a text of %zu bytes, '%.*s': %s; make the pattern less ambiguous "
            "(nested repetitions)",
            text.size, text.size > 40 ? 40 : (int)text.size, text.data, reason);
    }
    *found = true;
    return SABOT_OK;
}

struct slice regexp_group(const struct regexp *regexp, uint32_t group, struct slice text) {
    const size_t *offsets = pcre2_get_ovector_pointer(regexp->data);
    if (group >= pcre2_get_ovector_count(regexp->data) || offsets[2 * group] == PCRE2_UNSET) {
        return (struct slice){NULL, 0};
    }
    const size_t start = offsets[2 * group], end = offsets[2 * group + 1];
    return (struct slice){text.data + start, end > start ? end - start : 0};
}

uint32_t regexp_groups(const struct regexp *regexp) { return pcre2_get_ovector_count(regexp->data) - 1; }

int regexp_named(const struct regexp *regexp, struct slice name) {
    char text[64];
    if (name.size >= sizeof text) { return -1; }
    memcpy(text, name.data, name.size);
    text[name.size] = 0;
    const int number = pcre2_substring_number_from_name(regexp->code, (PCRE2_SPTR)text);
    return number > 0 ? number : -1;
}
