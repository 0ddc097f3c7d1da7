/* LIKE: patterns are compiled into the texts between the % signs; each is then looked for in turn. */
#include <stdlib.h>
#if defined(__SSE2__)
#include <emmintrin.h>
#endif

#include "expr/function.h"
#include "expr/utf8.h"

/* What stands between two %: bytes, and places where _ takes one character. */
struct segment {
    const char *bytes; /* where there is no _: all of it */
    const uint16_t *elements; /* a byte, or ANY */
    uint32_t size;     /* of elements */
    uint32_t leading;  /* bytes before the first _ */
    bool has_any;
};
#define ANY 256

struct pattern {
    struct segment *segments;
    int32_t n;
    bool open_start, open_end; /* begins, ends with % */
};

static sabot_status pattern_fail(const char *text, size_t size, struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_DATA,
                      "the LIKE pattern '%.*s' is wrong: behind the escape character there must be %%, _ or itself",
                      (int)(size < 200 ? size : 200), text);
}

/* Needs room for size elements, size bytes and size + 1 segments. escape: -1 = none. */
static sabot_status pattern_compile(const char *text, size_t size, int escape, uint16_t *elements, char *bytes,
                                    struct segment *segments, struct pattern *out, struct sabot_error *err) {
    *out = (struct pattern){.segments = segments};
    struct segment *segment = NULL;
    size_t used = 0;
    bool after_percent = false;
    for (size_t i = 0; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        uint16_t element = c;
        if (c == escape) {
            if (++i == size) { return pattern_fail(text, size, err); }
            c = (unsigned char)text[i];
            if (c != '%' && c != '_' && c != escape) { return pattern_fail(text, size, err); }
            element = c;
        } else if (c == '%') {
            if (!segment && out->n == 0) { out->open_start = true; }
            after_percent = true;
            segment = NULL;
            continue;
        } else if (c == '_') {
            element = ANY;
        }
        if (!segment) {
            segment = &segments[out->n++];
            *segment = (struct segment){.bytes = bytes + used, .elements = elements + used};
        }
        after_percent = false;
        elements[used] = element;
        bytes[used++] = (char)c;
        segment->size++;
        segment->has_any = segment->has_any || element == ANY;
        if (!segment->has_any) { segment->leading++; }
    }
    out->open_end = after_percent;
    return SABOT_OK;
}

/* Whether the segment matches at the start of the text; *used gets the bytes that it takes. */
static bool segment_at(const struct segment *segment, const char *text, size_t size, size_t *used) {
    if (!segment->has_any) {
        *used = segment->size;
        return segment->size <= size && memcmp(text, segment->bytes, segment->size) == 0;
    }
    size_t at = 0;
    for (uint32_t i = 0; i < segment->size; i++) {
        if (at >= size) { return false; }
        if (segment->elements[i] == ANY) {
            at += utf8_step(text + at, size - at);
        } else if ((unsigned char)text[at] == segment->elements[i]) {
            at++;
        } else {
            return false;
        }
    }
    *used = at;
    return true;
}

/* The first place of `wanted` (n > 0 bytes), or NULL. 16 places at a time: only where its first and its last byte stand
 * is the rest looked at. */
static const char *bytes_find(const char *text, size_t size, const char *wanted, size_t n) {
    if (n > size) { return NULL; }
    const size_t places = size - n + 1;
    size_t i = 0;
#if defined(__SSE2__)
    const __m128i first = _mm_set1_epi8(wanted[0]), last = _mm_set1_epi8(wanted[n - 1]);
    for (; i + 16 <= places; i += 16) {
        const __m128i heads = _mm_loadu_si128((const __m128i *)(const void *)(text + i));
        const __m128i tails = _mm_loadu_si128((const __m128i *)(const void *)(text + i + n - 1));
        unsigned found =
            (unsigned)_mm_movemask_epi8(_mm_and_si128(_mm_cmpeq_epi8(heads, first), _mm_cmpeq_epi8(tails, last)));
        for (; found; found &= found - 1) {
            const char *at = text + i + __builtin_ctz(found);
            if (memcmp(at, wanted, n) == 0) { return at; }
        }
    }
#endif
    for (; i < places; i++) {
        if (text[i] == wanted[0] && text[i + n - 1] == wanted[n - 1] && memcmp(text + i, wanted, n) == 0) {
            return text + i;
        }
    }
    return NULL;
}

/* The first place where the segment matches, or NULL. */
static const char *segment_find(const struct segment *segment, const char *text, size_t size, size_t *used) {
    if (!segment->has_any) {
        *used = segment->size;
        return bytes_find(text, size, segment->bytes, segment->size);
    }
    if (segment->leading > 0) {
        const char *end = text + size;
        while ((text = bytes_find(text, (size_t)(end - text), segment->bytes, segment->leading))) {
            if (segment_at(segment, text, (size_t)(end - text), used)) { return text; }
            text++;
        }
        return NULL;
    }
    for (size_t i = 0; i < size; i += utf8_step(text + i, size - i)) {
        if (segment_at(segment, text + i, size - i, used)) { return text + i; }
    }
    return NULL;
}

/* Whether the segment matches so that it ends with the text. */
static bool segment_at_end(const struct segment *segment, const char *text, size_t size) {
    if (!segment->has_any) {
        return segment->size <= size && memcmp(text + size - segment->size, segment->bytes, segment->size) == 0;
    }
    size_t used;
    for (size_t i = 0; i < size; i += utf8_step(text + i, size - i)) {
        if (segment_at(segment, text + i, size - i, &used) && i + used == size) { return true; }
    }
    return false;
}

static bool pattern_matches(const struct pattern *pattern, const char *text, size_t size) {
    if (pattern->n == 0) { return size == 0 || pattern->open_start; }
    int32_t first = 0, last = pattern->n - 1;
    size_t used;
    if (!pattern->open_start) {
        if (!segment_at(&pattern->segments[0], text, size, &used)) { return false; }
        text += used;
        size -= used;
        if (first++ == last) { return pattern->open_end || size == 0; }
    }
    for (; first < last || (first == last && pattern->open_end); first++) {
        const char *at = segment_find(&pattern->segments[first], text, size, &used);
        if (!at) { return false; }
        size -= (size_t)(at - text) + used;
        text = at + used;
    }
    return pattern->open_end || segment_at_end(&pattern->segments[last], text, size);
}

static sabot_status like_literal_kernel(struct kernel_call *call, struct sabot_error *err) {
    (void)err;
    const struct pattern *pattern = call->expr->bound;
    uint8_t *target = call->result->values;
    if (pattern->n == 1 && pattern->open_start && pattern->open_end && !pattern->segments[0].has_any) { /* contains */
        size_t used;
        for (int32_t i = 0; i < call->n_rows; i++) {
            const int32_t row = kernel_row(call, i);
            const struct string_view *view = kernel_string(call, 0, row);
            target[row] = segment_find(&pattern->segments[0], string_view_data(view), view->size, &used) != NULL;
        }
        return SABOT_OK;
    }
    for (int32_t i = 0; i < call->n_rows; i++) {
        const int32_t row = kernel_row(call, i);
        const struct string_view *view = kernel_string(call, 0, row);
        target[row] = pattern_matches(pattern, string_view_data(view), view->size);
    }
    return SABOT_OK;
}

/* The pattern is a column: compiled again wherever it changes. */
static sabot_status like_kernel(struct kernel_call *call, struct sabot_error *err) {
    uint8_t *target = call->result->values;
    struct pattern pattern = {0};
    const struct string_view *compiled = NULL;
    int compiled_escape = -1;
    char *memory = NULL;
    sabot_status status = SABOT_OK;
    for (int32_t i = 0; i < call->n_rows && status == SABOT_OK; i++) {
        const int32_t row = kernel_row(call, i);
        const struct string_view *text = kernel_string(call, 0, row), *view = kernel_string(call, 1, row);
        int escape = -1;
        if (call->n_args == 3) {
            const struct string_view *given = kernel_string(call, 2, row);
            if (given->size != 1) {
                status = SABOT_FAIL(err, SABOT_ERR_DATA, "the ESCAPE of LIKE must be one character");
                break;
            }
            escape = (unsigned char)string_view_data(given)[0];
        }
        if (!compiled || compiled_escape != escape || !string_view_equal(compiled, view)) {
            const size_t n = view->size;
            free(memory);
            memory = malloc((n + 1) * (sizeof(struct segment) + sizeof(uint16_t) + 1));
            if (!memory) {
                status = SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a LIKE pattern");
                break;
            }
            struct segment *segments = (struct segment *)(void *)memory;
            uint16_t *elements = (uint16_t *)(void *)(segments + n + 1);
            status = pattern_compile(string_view_data(view), n, escape, elements, (char *)(elements + n + 1), segments,
                                     &pattern, err);
            compiled = view;
            compiled_escape = escape;
        }
        if (status == SABOT_OK) { target[row] = pattern_matches(&pattern, string_view_data(text), text->size); }
    }
    free(memory);
    return status;
}

sabot_status bind_like(const struct function *function, struct function_binding *binding, struct sabot_error *err) {
    for (int32_t i = 0; i < binding->n_args; i++) {
        SABOT_TRY(binding_expect(function, binding, i, type_of(TYPE_STRING), err));
    }
    const bool nullable = binding->result.nullable;
    binding->result = type_of(TYPE_BOOL);
    binding->result.nullable = nullable;
    binding->kernel = like_kernel;
    const void *value, *escape_value = NULL;
    int escape = -1;
    if (!expr_literal_value(binding->args[1], &value) || !value) { return SABOT_OK; }
    if (binding->n_args == 3) {
        if (!expr_literal_value(binding->args[2], &escape_value) || !escape_value) { return SABOT_OK; }
        const struct string_view *view = escape_value;
        if (view->size != 1) {
            return EXPR_FAIL(err, SABOT_ERR_PLAN, binding->args[2]->span, "the ESCAPE of LIKE must be one character");
        }
        escape = (unsigned char)string_view_data(view)[0];
    }
    const struct string_view *view = value;
    const size_t n = view->size;
    struct pattern *pattern = ARENA_NEW(binding->arena, struct pattern);
    struct segment *segments = arena_alloc(binding->arena, (n + 1) * sizeof *segments);
    uint16_t *elements = arena_alloc(binding->arena, (n + 1) * sizeof *elements);
    char *bytes = arena_alloc(binding->arena, n + 1);
    if (!pattern || !segments || !elements || !bytes) {
        return EXPR_FAIL(err, SABOT_ERR_MEMORY, binding->span, "the query is too big");
    }
    if (pattern_compile(string_view_data(view), n, escape, elements, bytes, segments, pattern, err) != SABOT_OK) {
        if (err) { err->status = SABOT_ERR_PLAN; }
        return expr_fail_at(SABOT_ERR_PLAN, err, binding->args[1]->span);
    }
    binding->bound = pattern;
    binding->kernel = like_literal_kernel;
    return SABOT_OK;
}
