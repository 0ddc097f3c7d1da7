/* String functions. */
#include "expr/function.h"
#include "expr/signature.h"
#include "expr/utf8.h"

#define ALL_BYTES(byte) (UINT64_C(0x0101010101010101) * (byte))

/* --- UPPER, LOWER */
/* Changes the case of the letters in 8 ASCII bytes; `first` is 'a' or 'A'. */
static inline uint64_t swap_case(uint64_t word, unsigned char first) {
    const uint64_t from = word + ALL_BYTES(0x80u - first);        /* high bit: byte >= first */
    const uint64_t behind = word + ALL_BYTES(0x80u - first - 26); /* high bit: byte >= first + 26 */
    return word ^ ((from & ~behind & ALL_BYTES(0x80)) >> 2);
}

/* Converts while all is ASCII; false at the first byte that is not. */
static bool swap_case_ascii(const char *from, size_t size, unsigned char first, char *to) {
    size_t i = 0;
    uint64_t word, seen = 0;
    for (; i + 8 <= size; i += 8) {
        memcpy(&word, from + i, 8);
        seen |= word;
        word = swap_case(word, first);
        memcpy(to + i, &word, 8);
    }
    word = 0;
    memcpy(&word, from + i, size - i);
    seen |= word;
    word = swap_case(word, first);
    memcpy(to + i, &word, size - i);
    return (seen & ALL_BYTES(0x80)) == 0;
}

/* At most 2 bytes become 3 (and U+00DF two letters), so 2 * size + 4 bytes are enough. */
static size_t swap_case_unicode(const char *from, size_t size, bool upper, char *to) {
    size_t used = 0;
    for (size_t i = 0; i < size;) {
        uint32_t code;
        const int length = utf8_decode(from + i, size - i, &code);
        if (code == UTF8_INVALID) {
            to[used++] = from[i]; /* kept as it is */
        } else if (upper && code == 0xdf) {
            to[used++] = 'S';
            to[used++] = 'S';
        } else {
            used += (size_t)utf8_encode(upper ? code_upper(code) : code_lower(code), to + used);
        }
        i += (size_t)length;
    }
    return used;
}

/* A short ASCII string changes within its view. */
static inline bool change_inline(const struct string_view *view, unsigned char first, struct string_view *target) {
    uint64_t words[2]; /* size and prefix, rest */
    uint32_t prefix;
    memcpy(words, view, sizeof words);
    memcpy(&prefix, view->prefix, sizeof prefix);
    if (view->size > STRING_VIEW_INLINE || ((words[1] | prefix) & ALL_BYTES(0x80))) { return false; }
    prefix = (uint32_t)swap_case(prefix, first);
    words[1] = swap_case(words[1], first);
    memcpy(target, words, sizeof words);
    memcpy(target->prefix, &prefix, sizeof prefix);
    return true;
}

static sabot_status change_case(struct kernel_call *call, bool upper, struct sabot_error *err) {
    const unsigned char first = upper ? 'a' : 'A';
    struct string_view *target = call->result->values;
    for (int32_t i = 0; i < call->n_rows; i++) {
        const int32_t row = kernel_row(call, i);
        const struct string_view *view = kernel_string(call, 0, row);
        if (change_inline(view, first, &target[row])) { continue; }
        char small[STRING_VIEW_INLINE], *bytes = small;
        const char *from = string_view_data(view);
        if (view->size > STRING_VIEW_INLINE) {
            SABOT_TRY(column_builder_reserve(call->result, view->size, &bytes, err));
        }
        size_t size = view->size;
        if (!swap_case_ascii(from, size, first, bytes)) {
            SABOT_TRY(column_builder_reserve(call->result, 2 * size + 4, &bytes, err));
            size = swap_case_unicode(from, size, upper, bytes);
            if (size > INT32_MAX) { return SABOT_FAIL(err, SABOT_ERR_DATA, "a string would be longer than 2 GiB"); }
        }
        target[row] = string_view_of(bytes, (uint32_t)size);
    }
    return SABOT_OK;
}

static sabot_status upper_kernel(struct kernel_call *call, struct sabot_error *err) {
    return change_case(call, true, err);
}
static sabot_status lower_kernel(struct kernel_call *call, struct sabot_error *err) {
    return change_case(call, false, err);
}

sabot_status bind_upper_lower(const struct function *function, struct function_binding *binding,
                              struct sabot_error *err) {
    SABOT_TRY(binding_expect(function, binding, 0, type_of(TYPE_STRING), err));
    binding->result = type_of(TYPE_STRING);
    binding->result.nullable = binding->args[0]->type.nullable;
    binding->kernel = function->name[0] == 'U' ? upper_kernel : lower_kernel;
    return SABOT_OK;
}
