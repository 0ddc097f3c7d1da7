/* Argument types from a short text, values in, values out: see signature.h. */
#include "expr/signature.h"

#include "expr/bytes.h"

#include <locale.h>
#include <stdatomic.h>
#include <strings.h>
#include <wctype.h>

/* ---- binding ----------------------------------------------------------------------------------------------------- */

static struct type letter_type(char letter) {
    switch (letter) {
    case 'S': return type_of(TYPE_STRING);
    case 'X': return type_of(TYPE_BINARY);
    case 'I': return type_of(TYPE_INT32);
    case 'L': return type_of(TYPE_INT64);
    case 'D': return type_of(TYPE_FLOAT64);
    case 'B': return type_of(TYPE_BOOL);
    case 'T': return type_timestamp(3);
    case 'd': return type_of(TYPE_DATE);
    case 't': return type_of(TYPE_TIME);
    case 'Z': {
        struct type type = type_timestamp(3);
        type.kind = TYPE_TIMESTAMP_LTZ;
        return type;
    }
    default: return type_of(TYPE_NULL);
    }
}

/* CHAR(n) and VARCHAR(n) results would promise a length: functions give STRING and BYTES. */
static sabot_status expect_text(const struct function *function, struct function_binding *binding, int32_t arg,
                                struct sabot_error *err) {
    const bool is_bytes = binding->args[arg]->type.kind == TYPE_BINARY;
    return binding_expect(function, binding, arg, type_of(is_bytes ? TYPE_BINARY : TYPE_STRING), err);
}

sabot_status bind_signature(const struct function *function, struct function_binding *binding,
                            const struct signature *table, size_t n, struct sabot_error *err) {
    const struct signature *found = NULL;
    for (size_t i = 0; i < n && !found; i++) {
        if (strcasecmp(table[i].name, function->name) == 0) { found = &table[i]; }
    }
    if (!found) { return SABOT_FAIL(err, SABOT_ERR_INTERNAL, "%s has no signature", function->name); }
    const char *letter = found->args;
    for (int32_t arg = 0; arg < binding->n_args; arg++) {
        if (*letter == '|') { letter++; }
        if (*letter == '*') { letter--; }
        if (*letter == 0) { return binding_refuse(function, binding, err); }
        if (*letter == 'Y') {
            SABOT_TRY(expect_text(function, binding, arg, err));
        } else if (*letter != 'A') {
            SABOT_TRY(binding_expect(function, binding, arg, letter_type(*letter), err));
        }
        letter++;
    }
    const bool nullable = binding->result.nullable;
    binding->result = found->result == 'Y' ? type_of(binding->args[0]->type.kind) : letter_type(found->result);
    binding->result.nullable = nullable || found->may_be_null;
    binding->kernel = found->kernel;
    return SABOT_OK;
}

bool binding_constant(const struct function_binding *binding, int32_t arg, const void **value) {
    *value = NULL;
    const struct expr *expr = binding->args[arg];
    if (expr_literal_value(expr, value)) { return true; }
    if (!expr_is_constant(expr)) { return false; }
    struct sabot_error ignored = {0};
    const bool known = expr_evaluate_constant(binding->arena, expr, value, &ignored) == SABOT_OK;
    error_clear(&ignored);
    return known;
}

/* ---- results ----------------------------------------------------------------------------------------------------- */

sabot_status put_null(struct kernel_call *call, int32_t row, struct sabot_error *err) {
    if (!call->result->validity) { SABOT_TRY(column_builder_add_validity(call->result, err)); }
    column_builder_set_null(call->result, row);
    return SABOT_OK;
}

sabot_status reserve_string(struct kernel_call *call, size_t size, char **out, struct sabot_error *err) {
    if (size > INT32_MAX) {
        return SABOT_FAIL(err, SABOT_ERR_DATA, "a result of %s would be longer than 2 GiB", call->expr->function->name);
    }
    return column_builder_reserve(call->result, size, out, err);
}

void put_reserved(struct kernel_call *call, int32_t row, char *data, size_t size) {
    ((struct string_view *)call->result->values)[row] = string_view_of(data, (uint32_t)size);
    call->result->heaps.at = data + (size > STRING_VIEW_INLINE ? size : 0);
}

sabot_status put_string(struct kernel_call *call, int32_t row, const char *data, size_t size, struct sabot_error *err) {
    if (size <= STRING_VIEW_INLINE) {
        put_part(call, row, data, size);
        return SABOT_OK;
    }
    char *bytes = NULL;
    SABOT_TRY(reserve_string(call, size, &bytes, err));
    memcpy(bytes, data, size);
    put_part(call, row, bytes, size);
    return SABOT_OK;
}

sabot_status share_strings(struct kernel_call *call, struct sabot_error *err) {
    for (int32_t i = 0; i < call->n_args; i++) {
        if (call->args[i]->phys == PHYS_VIEW) { SABOT_TRY(column_builder_share(call->result, call->args[i], err)); }
    }
    return SABOT_OK;
}

/* ---- text -------------------------------------------------------------------------------------------------------- */

bool slice_is_ascii(struct slice text) {
    uint64_t seen = 0, word;
    size_t i = 0;
    for (; i + 8 <= text.size; i += 8) {
        memcpy(&word, text.data + i, 8);
        seen |= word;
    }
    for (; i < text.size; i++) { seen |= (unsigned char)text.data[i]; }
    return (seen & UINT64_C(0x8080808080808080)) == 0;
}

size_t utf8_offset(struct slice text, int64_t n) {
    size_t at = 0;
    /* eight ASCII bytes at a time */
    while (n >= 8 && at + 8 <= text.size) {
        uint64_t word;
        memcpy(&word, text.data + at, 8);
        if (word & UINT64_C(0x8080808080808080)) { break; }
        at += 8;
        n -= 8;
    }
    for (; n > 0 && at < text.size; n--) { at += utf8_step(text.data + at, text.size - at); }
    return at;
}

#define SHORT_TEXT 512

/* The first and the last byte of `what` are looked for at their distance, 16 places at once; what lies between is
 * compared where
 * both stand. Both have at least two bytes here, and `text` is not shorter than `what`. */
static const char *find_short(struct slice text, struct slice what) {
    const size_t places = text.size - what.size + 1, last = what.size - 1;
    const byte_vector first_byte = (byte_vector){0} + what.data[0], last_byte = (byte_vector){0} + what.data[last];
    size_t at = 0;
    for (; at + 16 <= places; at += 16) {
        uint32_t bits = bytes_equal(text.data + at, first_byte) & bytes_equal(text.data + at + last, last_byte);
        for (; bits; bits &= bits - 1) {
            const char *place = text.data + at + __builtin_ctz(bits);
            if (memcmp(place + 1, what.data + 1, last - 1) == 0) { return place; }
        }
    }
    for (; at < places; at++) {
        const char *place = text.data + at;
        if (*place == what.data[0] && memcmp(place + 1, what.data + 1, last) == 0) { return place; }
    }
    return NULL;
}

const char *slice_find(struct slice text, struct slice what) {
    if (what.size == 0) { return text.data; }
    if (what.size > text.size) { return NULL; }
    if (what.size == 1) { return memchr(text.data, what.data[0], text.size); }
    /* The C library prepares a table for every call, which costs more than a short text. Long ones keep its bound:
     * the pairs
     * below could be looked at once per byte of `what`. */
    if (text.size > SHORT_TEXT) { return memmem(text.data, text.size, what.data, what.size); }
    return find_short(text, what);
}

static locale_t unicode_locale(void) {
    static _Atomic(locale_t) known;
    locale_t locale = atomic_load(&known);
    if (locale) { return locale; }
    locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    locale_t expected = (locale_t)0;
    if (locale && !atomic_compare_exchange_strong(&known, &expected, locale)) {
        freelocale(locale);
        return expected;
    }
    return locale;
}

uint32_t code_upper(uint32_t code) {
    if (code < 0x80) { return code >= 'a' && code <= 'z' ? code - 32 : code; }
    const locale_t locale = unicode_locale();
    return locale ? (uint32_t)towupper_l((wint_t)code, locale) : code;
}

uint32_t code_lower(uint32_t code) {
    if (code < 0x80) { return code >= 'A' && code <= 'Z' ? code + 32 : code; }
    const locale_t locale = unicode_locale();
    return locale ? (uint32_t)towlower_l((wint_t)code, locale) : code;
}

/* Java counts the digits of other scripts too; here they are letters, as the C library has them. */
bool code_is_digit(uint32_t code) { return code >= '0' && code <= '9'; }

bool code_is_letter(uint32_t code) {
    if (code < 0x80) { return (code | 32) >= 'a' && (code | 32) <= 'z'; }
    const locale_t locale = unicode_locale();
    return code != UTF8_INVALID && locale && iswalpha_l((wint_t)code, locale);
}
