/* Functions of regular expressions (regexp.h says how far they are Java's), SIMILAR TO, and splitting by patterns. */
#include "expr/regexp.h"
#include "expr/string_lists.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- the pattern of a call --------------------------------------------------------------------------------------- */

/* The pattern that came last, compiled; each task has its own, since a match needs working space. */
struct pattern {
    struct regexp *regexp; /* NULL: the text is no pattern */
    char *text;
    size_t size;
    uint32_t escape;
};

struct patterns {
    struct pattern of[2]; /* STR_TO_MAP has two */
};

static void patterns_free(void *scratch) {
    struct patterns *patterns = scratch;
    for (int i = 0; i < 2; i++) {
        regexp_free(patterns->of[i].regexp);
        free(patterns->of[i].text);
    }
    free(patterns);
}

static sabot_status no_memory(struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a regular expression");
}

static sabot_status pattern_compile(struct pattern *pattern, struct slice text, bool similar, uint32_t escape,
                                    struct sabot_error *err) {
    char reason[256];
    char *copy = malloc(text.size + 1);
    if (!copy) { return no_memory(err); }
    memcpy(copy, text.data, text.size);
    free(pattern->text);
    regexp_free(pattern->regexp);
    *pattern = (struct pattern){.text = copy, .size = text.size, .escape = escape};
    return similar ? regexp_compile_similar(text, escape, &pattern->regexp, reason, sizeof reason, err)
                   : regexp_compile(text, &pattern->regexp, reason, sizeof reason, err);
}

/* *out NULL: the text is no pattern. Only texts that are not known at bind can be none. */
static sabot_status pattern_of(struct kernel_call *call, int which, struct slice text, bool similar, uint32_t escape,
                               struct regexp **out, struct sabot_error *err) {
    struct patterns *patterns = call->scratch;
    if (!patterns) {
        patterns = call->scratch = calloc(1, sizeof *patterns);
        if (!patterns) { return no_memory(err); }
        call->scratch_free = patterns_free;
    }
    struct pattern *pattern = &patterns->of[which];
    if (!pattern->text || pattern->size != text.size || pattern->escape != escape ||
        memcmp(pattern->text, text.data, text.size) != 0) {
        SABOT_TRY(pattern_compile(pattern, text, similar, escape, err));
    }
    *out = pattern->regexp;
    return SABOT_OK;
}

static sabot_status pattern_at(struct kernel_call *call, int32_t row, struct regexp **out, struct sabot_error *err) {
    return pattern_of(call, 0, arg_string(call, 1, row), false, 0, out, err);
}

/* A constant pattern is checked before the job runs. */
static sabot_status check_pattern(const struct function_binding *binding, int32_t arg, bool similar, uint32_t escape,
                                  struct sabot_error *err) {
    const void *value = NULL;
    if (!binding_constant(binding, arg, &value) || !value) { return SABOT_OK; }
    struct regexp *regexp = NULL;
    char reason[256] = "";
    const struct slice text = slice_of(value);
    SABOT_TRY(similar ? regexp_compile_similar(text, escape, &regexp, reason, sizeof reason, err)
                      : regexp_compile(text, &regexp, reason, sizeof reason, err));
    if (!regexp) {
        return EXPR_FAIL(err, SABOT_ERR_PLAN, binding->args[arg]->span, "'%.*s' is no regular expression: %s",
                         text.size > 80 ? 80 : (int)text.size, text.data, reason);
    }
    regexp_free(regexp);
    return SABOT_OK;
}

/* ---- matching ---------------------------------------------------------------------------------------------------- */

static sabot_status regexp_kernel(struct kernel_call *call, struct sabot_error *err) {
    FOR_ROWS(call, row, {
        struct regexp *regexp = NULL;
        bool found = false;
        SABOT_TRY(pattern_at(call, row, &regexp, err));
        if (regexp && kernel_string(call, 1, row)->size > 0) {
            SABOT_TRY(regexp_find(regexp, arg_string(call, 0, row), 0, &found, err));
        }
        put_bool(call, row, found);
    })
    return SABOT_OK;
}

static sabot_status extract_kernel(struct kernel_call *call, struct sabot_error *err) {
    SABOT_TRY(column_builder_share(call->result, call->args[0], err));
    FOR_ROWS(call, row, {
        struct regexp *regexp = NULL;
        struct slice part = {NULL, 0};
        bool found = false;
        const struct slice text = arg_string(call, 0, row);
        const int32_t group = call->n_args == 3 ? arg_int(call, 2, row) : 0;
        SABOT_TRY(pattern_at(call, row, &regexp, err));
        if (regexp && group >= 0) { SABOT_TRY(regexp_find(regexp, text, 0, &found, err)); }
        if (found) { part = regexp_group(regexp, (uint32_t)group, text); }
        if (part.data) {
            put_part(call, row, part.data, part.size);
        } else {
            SABOT_TRY(put_null(call, row, err));
        }
    })
    return SABOT_OK;
}

/* Where the search goes on behind a match: an empty one moves it by a character. */
static size_t behind(struct slice match, struct slice text) {
    const size_t end = (size_t)(match.data - text.data) + match.size;
    if (match.size > 0) { return end; }
    return end < text.size ? end + utf8_step(match.data, text.size - end) : end + 1;
}

static sabot_status count_kernel(struct kernel_call *call, struct sabot_error *err) {
    FOR_ROWS(call, row, {
        struct regexp *regexp = NULL;
        const struct slice text = arg_string(call, 0, row);
        int32_t n = 0;
        SABOT_TRY(pattern_at(call, row, &regexp, err));
        for (size_t from = 0; regexp && from <= text.size; n++) {
            bool found;
            SABOT_TRY(regexp_find(regexp, text, from, &found, err));
            if (!found) { break; }
            from = behind(regexp_group(regexp, 0, text), text);
        }
        put_int(call, row, n);
        if (!regexp) { SABOT_TRY(put_null(call, row, err)); }
    })
    return SABOT_OK;
}

static sabot_status instr_kernel(struct kernel_call *call, struct sabot_error *err) {
    FOR_ROWS(call, row, {
        struct regexp *regexp = NULL;
        bool found = false;
        const struct slice text = arg_string(call, 0, row);
        SABOT_TRY(pattern_at(call, row, &regexp, err));
        if (regexp) { SABOT_TRY(regexp_find(regexp, text, 0, &found, err)); }
        const char *at = found ? regexp_group(regexp, 0, text).data : text.data;
        put_int(call, row, found ? (int32_t)utf8_length(text.data, (size_t)(at - text.data)) + 1 : 0);
        if (!regexp) { SABOT_TRY(put_null(call, row, err)); }
    })
    return SABOT_OK;
}

static sabot_status extract_all(struct kernel_call *call, struct string_lists *lists, struct sabot_error *err) {
    FOR_ROWS(call, row, {
        struct regexp *regexp = NULL;
        const struct slice text = arg_string(call, 0, row);
        const int32_t group = call->n_args == 3 ? arg_int(call, 2, row) : 1;
        SABOT_TRY(pattern_at(call, row, &regexp, err));
        if (!regexp || group < 0 || (uint32_t)group > regexp_groups(regexp)) { continue; }
        string_lists_row(lists, row);
        for (size_t from = 0; from <= text.size;) {
            bool found;
            SABOT_TRY(regexp_find(regexp, text, from, &found, err));
            if (!found) { break; }
            const struct slice part = regexp_group(regexp, (uint32_t)group, text);
            SABOT_TRY(string_lists_add(lists, part, part, err));
            from = behind(regexp_group(regexp, 0, text), text);
        }
    })
    return SABOT_OK;
}

static sabot_status extract_all_kernel(struct kernel_call *call, struct sabot_error *err) {
    struct string_lists lists;
    SABOT_TRY(string_lists_init(&lists, call, err));
    const sabot_status status = extract_all(call, &lists, err);
    if (status != SABOT_OK) {
        string_lists_clear(&lists);
        return status;
    }
    return string_lists_finish(&lists, call, false, err);
}

/* ---- REGEXP_REPLACE ---------------------------------------------------------------------------------------------- */

/* Appends a replacement with Java's $1, ${name} and \x; false: it names a group that there is not. */
static bool append_replacement(struct text *to, const struct regexp *regexp, struct slice by, struct slice text) {
    for (size_t i = 0; i < by.size; i++) {
        if (by.data[i] == '\\') {
            if (++i == by.size) { return false; }
            text_append(to, by.data + i, 1);
            continue;
        }
        if (by.data[i] != '$') {
            text_append(to, by.data + i, 1);
            continue;
        }
        uint32_t group = 0;
        if (i + 1 < by.size && by.data[i + 1] == '{') {
            const char *close = memchr(by.data + i, '}', by.size - i);
            const int named =
                close ? regexp_named(regexp, (struct slice){by.data + i + 2, (size_t)(close - by.data) - i - 2}) : -1;
            if (named < 0) { return false; }
            group = (uint32_t)named;
            i = (size_t)(close - by.data);
        } else {
            if (i + 1 == by.size || by.data[i + 1] < '0' || by.data[i + 1] > '9') { return false; }
            group = (uint32_t)(by.data[++i] - '0');
            if (group > regexp_groups(regexp)) { return false; }
            while (i + 1 < by.size && by.data[i + 1] >= '0' && by.data[i + 1] <= '9' &&
                   group * 10 + (uint32_t)(by.data[i + 1] - '0') <= regexp_groups(regexp)) {
                group = group * 10 + (uint32_t)(by.data[++i] - '0');
            }
        }
        const struct slice part = regexp_group(regexp, group, text);
        if (part.data) { text_append(to, part.data, part.size); }
    }
    return true;
}

/* *replaced false: nothing to replace; *good false: a replacement that means nothing. */
static sabot_status replace_all(struct regexp *regexp, struct slice text, struct slice by, struct text *to,
                                bool *replaced, bool *good, struct sabot_error *err) {
    size_t copied = 0;
    *replaced = false;
    *good = true;
    for (size_t from = 0; from <= text.size && *good;) {
        bool found;
        SABOT_TRY(regexp_find(regexp, text, from, &found, err));
        if (!found) { break; }
        const struct slice match = regexp_group(regexp, 0, text);
        const size_t start = (size_t)(match.data - text.data);
        text_append(to, text.data + copied, start - copied);
        *good = append_replacement(to, regexp, by, text);
        copied = start + match.size;
        *replaced = true;
        from = behind(match, text);
    }
    text_append(to, text.data + copied, text.size - copied);
    return to->failed ? no_memory(err) : SABOT_OK;
}

static sabot_status replace_row(struct kernel_call *call, int32_t row, struct text *to, struct sabot_error *err) {
    struct regexp *regexp = NULL;
    bool replaced = false, good = true;
    const struct slice text = arg_string(call, 0, row);
    SABOT_TRY(pattern_at(call, row, &regexp, err));
    if (!regexp) { return put_null(call, row, err); }
    to->size = 0;
    if (kernel_string(call, 1, row)->size > 0) {
        SABOT_TRY(replace_all(regexp, text, arg_string(call, 2, row), to, &replaced, &good, err));
    }
    if (!good) { return put_null(call, row, err); }
    if (replaced) { return put_string(call, row, text_string(to), to->size, err); }
    put_part(call, row, text.data, text.size);
    return SABOT_OK;
}

static sabot_status replace_kernel(struct kernel_call *call, struct sabot_error *err) {
    SABOT_TRY(column_builder_share(call->result, call->args[0], err));
    struct text to = {0};
    sabot_status status = SABOT_OK;
    for (int32_t i = 0; i < call->n_rows && status == SABOT_OK; i++) {
        status = replace_row(call, kernel_row(call, i), &to, err);
    }
    text_clear(&to);
    return status;
}

/* ---- SIMILAR TO -------------------------------------------------------------------------------------------------- */

static uint32_t escape_of(struct slice text) {
    uint32_t code = 0;
    if (text.size > 0) { utf8_decode(text.data, text.size, &code); }
    return code;
}

static sabot_status similar_kernel(struct kernel_call *call, struct sabot_error *err) {
    FOR_ROWS(call, row, {
        struct regexp *regexp = NULL;
        bool found = false;
        const uint32_t escape = call->n_args == 3 ? escape_of(arg_string(call, 2, row)) : 0;
        const struct slice pattern = arg_string(call, 1, row);
        SABOT_TRY(pattern_of(call, 0, pattern, true, escape, &regexp, err));
        if (!regexp) {
            return SABOT_FAIL(err, SABOT_ERR_DATA, "'%.*s' is no pattern of SIMILAR TO",
                              pattern.size > 60 ? 60 : (int)pattern.size, pattern.data);
        }
        SABOT_TRY(regexp_find(regexp, arg_string(call, 0, row), 0, &found, err));
        put_bool(call, row, found);
    })
    return SABOT_OK;
}

sabot_status bind_similar(const struct function *function, struct function_binding *binding, struct sabot_error *err) {
    static const struct signature signatures[] = {{"SIMILAR TO", "SS|S", 'B', false, similar_kernel}};
    const void *value = NULL;
    SABOT_TRY(BIND_SIGNATURE(function, binding, signatures, err));
    if (binding->n_args == 3 && (!binding_constant(binding, 2, &value) || !value)) { return SABOT_OK; }
    return check_pattern(binding, 1, true, value ? escape_of(slice_of(value)) : 0, err);
}

/* ---- SPLIT, STR_TO_MAP ------------------------------------------------------------------------------------------- */

static sabot_status split_row(struct string_lists *lists, struct slice text, struct slice by, struct sabot_error *err) {
    if (by.size == 0) { /* every character */
        for (size_t i = 0; i < text.size;) {
            const size_t step = utf8_step(text.data + i, text.size - i);
            const struct slice part = {text.data + i, step};
            SABOT_TRY(string_lists_add(lists, part, part, err));
            i += step;
        }
        return SABOT_OK;
    }
    for (;;) {
        const char *found = slice_find(text, by);
        const struct slice part = {text.data, found ? (size_t)(found - text.data) : text.size};
        SABOT_TRY(string_lists_add(lists, part, part, err));
        if (!found) { return SABOT_OK; }
        text = (struct slice){found + by.size, text.size - part.size - by.size};
    }
}

static sabot_status split_kernel(struct kernel_call *call, struct sabot_error *err) {
    struct string_lists lists;
    sabot_status status = string_lists_init(&lists, call, err);
    if (status != SABOT_OK) { return status; }
    for (int32_t i = 0; i < call->n_rows && status == SABOT_OK; i++) {
        const int32_t row = kernel_row(call, i);
        string_lists_row(&lists, row);
        status = split_row(&lists, arg_string(call, 0, row), arg_string(call, 1, row), err);
    }
    if (status == SABOT_OK) { return string_lists_finish(&lists, call, false, err); }
    string_lists_clear(&lists);
    return status;
}

/* The part of the text in front of the next match of a delimiter; *rest.data NULL: there is none. An empty match is
 * none, but between characters (as in Java, where '' splits at each). */
static sabot_status cut_at(struct regexp *regexp, struct slice text, struct slice *part, struct slice *rest,
                           struct sabot_error *err) {
    bool found = false;
    *part = text;
    *rest = (struct slice){NULL, 0};
    SABOT_TRY(regexp_find(regexp, text, 0, &found, err));
    if (!found) { return SABOT_OK; }
    struct slice match = regexp_group(regexp, 0, text);
    if (match.size == 0 && match.data == text.data) {
        if (text.size == 0) { return SABOT_OK; }
        SABOT_TRY(regexp_find(regexp, text, utf8_step(text.data, text.size), &found, err));
        if (!found) { return SABOT_OK; }
        match = regexp_group(regexp, 0, text);
    }
    part->size = (size_t)(match.data - text.data);
    if (match.size == 0 && part->size == text.size) { return SABOT_OK; }
    *rest = (struct slice){match.data + match.size, text.size - part->size - match.size};
    return SABOT_OK;
}

/* A key that comes twice has its last value. */
static void forget_key(struct string_lists *lists, size_t first) {
    const size_t last = lists->n - 1;
    for (size_t i = first; i < last; i++) {
        if (string_view_equal(&lists->items[0][i], &lists->items[0][last])) {
            lists->items[1][i] = lists->items[1][last];
            lists->is_null[i] = lists->is_null[last];
            lists->n--;
            return;
        }
    }
}

static sabot_status map_row(struct string_lists *lists, struct slice text, struct regexp *pairs, struct regexp *values,
                            struct sabot_error *err) {
    const size_t first = lists->n;
    size_t blank = 0; /* Java's split leaves out empty pairs at the end */
    while (text.data && (text.size > 0 || lists->n > first)) {
        struct slice pair, rest, key, value;
        SABOT_TRY(cut_at(pairs, text, &pair, &rest, err));
        text = rest;
        if (pair.size == 0) {
            blank++;
            continue;
        }
        SABOT_TRY(cut_at(values, pair, &key, &value, err));
        if (blank > 0) {
            SABOT_TRY(string_lists_add(lists, (struct slice){"", 0}, (struct slice){NULL, 0}, err));
            forget_key(lists, first);
            blank = 0;
        }
        SABOT_TRY(string_lists_add(lists, key, value, err));
        forget_key(lists, first);
    }
    return SABOT_OK;
}

static sabot_status map_rows(struct kernel_call *call, struct string_lists *lists, struct sabot_error *err) {
    FOR_ROWS(call, row, {
        struct regexp *pairs = NULL;
        struct regexp *values = NULL;
        const struct slice comma = call->n_args > 1 ? arg_string(call, 1, row) : (struct slice){",", 1};
        const struct slice equals = call->n_args > 2 ? arg_string(call, 2, row) : (struct slice){"=", 1};
        SABOT_TRY(pattern_of(call, 0, comma, false, 0, &pairs, err));
        SABOT_TRY(pattern_of(call, 1, equals, false, 0, &values, err));
        if (!pairs || !values) {
            return SABOT_FAIL(err, SABOT_ERR_DATA, "STR_TO_MAP: a delimiter is no regular expression");
        }
        string_lists_row(lists, row);
        SABOT_TRY(map_row(lists, arg_string(call, 0, row), pairs, values, err));
    })
    return SABOT_OK;
}

static sabot_status str_to_map_kernel(struct kernel_call *call, struct sabot_error *err) {
    struct string_lists lists;
    SABOT_TRY(string_lists_init(&lists, call, err));
    const sabot_status status = map_rows(call, &lists, err);
    if (status == SABOT_OK) { return string_lists_finish(&lists, call, true, err); }
    string_lists_clear(&lists);
    return status;
}

/* ---- binding ----------------------------------------------------------------------------------------------------- */

static const struct signature signatures[] = {
    {"REGEXP", "SS", 'B', false, regexp_kernel},
    {"RLIKE", "SS", 'B', false, regexp_kernel},
    {"REGEXP_EXTRACT", "SS|I", 'S', true, extract_kernel},
    {"REGEXP_SUBSTR", "SS", 'S', true, extract_kernel},
    {"REGEXP_REPLACE", "SSS", 'S', true, replace_kernel},
    {"REGEXP_COUNT", "SS", 'I', true, count_kernel},
    {"REGEXP_INSTR", "SS", 'I', true, instr_kernel},
};

sabot_status bind_regexp(const struct function *function, struct function_binding *binding, struct sabot_error *err) {
    SABOT_TRY(BIND_SIGNATURE(function, binding, signatures, err));
    return check_pattern(binding, 1, false, 0, err);
}

sabot_status bind_string_lists(const struct function *function, struct function_binding *binding,
                               struct sabot_error *err) {
    static const struct signature lists[] = {
        {"REGEXP_EXTRACT_ALL", "SS|I", 'S', true, extract_all_kernel},
        {"SPLIT", "SS", 'S', false, split_kernel},
        {"STR_TO_MAP", "S|SS", 'S', false, str_to_map_kernel},
    };
    SABOT_TRY(BIND_SIGNATURE(function, binding, lists, err));
    const bool nullable = binding->result.nullable;
    const bool is_map = function->name[1] == 'T';
    SABOT_TRY(string_lists_type(binding->arena, is_map, &binding->result, err));
    binding->result.nullable = nullable;
    for (int32_t i = 1; i < binding->n_args && function->name[1] != 'P'; i++) {
        if (binding->args[i]->type.kind == TYPE_STRING) { SABOT_TRY(check_pattern(binding, i, false, 0, err)); }
    }
    return SABOT_OK;
}
