/* Functions that make new strings: joining, replacing, padding, reversing, changing single characters. */
#include "expr/signature.h"

#include "base/env.h"

/* ---- CONCAT, CONCAT_WS, || --------------------------------------------------------------------------------------- */

static sabot_status concat_kernel(struct kernel_call *call, struct sabot_error *err) {
    FOR_ROWS(call, row, {
        size_t size = 0;
        for (int32_t a = 0; a < call->n_args; a++) { size += kernel_string(call, a, row)->size; }
        char small[STRING_VIEW_INLINE];
        char *bytes = small;
        if (size > STRING_VIEW_INLINE) { SABOT_TRY(reserve_string(call, size, &bytes, err)); }
        char *at = bytes;
        for (int32_t a = 0; a < call->n_args; a++) {
            const struct slice part = arg_string(call, a, row);
            memcpy(at, part.data, part.size);
            at += part.size;
        }
        put_part(call, row, bytes, size);
    })
    return SABOT_OK;
}

static sabot_status concat_ws_kernel(struct kernel_call *call, struct sabot_error *err) {
    FOR_ROWS(call, row, {
        if (column_is_null(call->args[0], row)) {
            SABOT_TRY(put_null(call, row, err));
            continue;
        }
        const struct slice separator = arg_string(call, 0, row);
        size_t size = 0;
        for (int32_t a = 1; a < call->n_args; a++) {
            if (!column_is_null(call->args[a], row)) { size += separator.size + kernel_string(call, a, row)->size; }
        }
        char *bytes = NULL;
        SABOT_TRY(reserve_string(call, size, &bytes, err));
        char *at = bytes;
        bool first = true;
        for (int32_t a = 1; a < call->n_args; a++) {
            if (column_is_null(call->args[a], row)) { continue; }
            if (!first) {
                memcpy(at, separator.data, separator.size);
                at += separator.size;
            }
            first = false;
            const struct slice part = arg_string(call, a, row);
            memcpy(at, part.data, part.size);
            at += part.size;
        }
        put_reserved(call, row, bytes, (size_t)(at - bytes));
    })
    return SABOT_OK;
}

/* ---- REPLACE, TRANSLATE, OVERLAY --------------------------------------------------------------------------------- */

/* Java's replace: an empty text stands before every character and at the end. */
static sabot_status replace_empty(struct kernel_call *call, int32_t row, struct slice text, struct slice by,
                                  struct sabot_error *err) {
    char *bytes = NULL;
    SABOT_TRY(reserve_string(call, text.size + (text.size + 1) * by.size, &bytes, err));
    char *at = bytes;
    for (size_t i = 0;;) {
        memcpy(at, by.data, by.size);
        at += by.size;
        if (i == text.size) { break; }
        const size_t step = utf8_step(text.data + i, text.size - i);
        memcpy(at, text.data + i, step);
        at += step;
        i += step;
    }
    put_reserved(call, row, bytes, (size_t)(at - bytes));
    return SABOT_OK;
}

static sabot_status replace_kernel(struct kernel_call *call, struct sabot_error *err) {
    SABOT_TRY(column_builder_share(call->result, call->args[0], err));
    FOR_ROWS(call, row, {
        struct slice text = arg_string(call, 0, row);
        const struct slice what = arg_string(call, 1, row);
        const struct slice by = arg_string(call, 2, row);
        if (what.size == 0) {
            SABOT_TRY(replace_empty(call, row, text, by, err));
            continue;
        }
        const char *found = slice_find(text, what);
        if (!found) {
            put_part(call, row, text.data, text.size);
            continue;
        }
        const size_t most =
            by.size <= what.size ? text.size : text.size + (text.size / what.size) * (by.size - what.size);
        char *bytes = NULL;
        SABOT_TRY(reserve_string(call, most, &bytes, err));
        char *at = bytes;
        for (; found; found = slice_find(text, what)) {
            const size_t before = (size_t)(found - text.data);
            memcpy(at, text.data, before);
            memcpy(at + before, by.data, by.size);
            at += before + by.size;
            text = (struct slice){found + what.size, text.size - before - what.size};
        }
        memcpy(at, text.data, text.size);
        put_reserved(call, row, bytes, (size_t)(at - bytes) + text.size);
    })
    return SABOT_OK;
}

/* The character of `to` at the place where `from` has this one; -1: `from` has it not; size 0: it is dropped. */
static int translate_one(struct slice from, struct slice to, const char *at, size_t size, struct slice *out) {
    size_t f = 0;
    size_t t = 0;
    while (f < from.size) {
        const size_t step = utf8_step(from.data + f, from.size - f);
        const size_t other = t < to.size ? utf8_step(to.data + t, to.size - t) : 0;
        if (step == size && memcmp(from.data + f, at, size) == 0) {
            *out = (struct slice){to.data + t, other};
            return 0;
        }
        f += step;
        t += other;
    }
    return -1;
}

static sabot_status translate_kernel(struct kernel_call *call, struct sabot_error *err) {
    FOR_ROWS(call, row, {
        const struct slice text = arg_string(call, 0, row);
        const struct slice from = arg_string(call, 1, row);
        const struct slice to = arg_string(call, 2, row);
        char *bytes = NULL;
        SABOT_TRY(reserve_string(call, 4 * text.size, &bytes, err));
        char *at = bytes;
        for (size_t i = 0; i < text.size;) {
            const size_t step = utf8_step(text.data + i, text.size - i);
            struct slice other = {text.data + i, step};
            (void)translate_one(from, to, text.data + i, step, &other);
            memcpy(at, other.data, other.size);
            at += other.size;
            i += step;
        }
        put_reserved(call, row, bytes, (size_t)(at - bytes));
    })
    return SABOT_OK;
}

static sabot_status overlay_kernel(struct kernel_call *call, struct sabot_error *err) {
    SABOT_TRY(column_builder_share(call->result, call->args[0], err));
    FOR_ROWS(call, row, {
        const struct slice text = arg_string(call, 0, row);
        const struct slice by = arg_string(call, 1, row);
        const int64_t start = arg_int(call, 2, row);
        const int64_t length = call->n_args == 4 ? arg_int(call, 3, row) : utf8_length(by.data, by.size);
        const int64_t characters = utf8_length(text.data, text.size);
        if (start <= 0 || start > characters) {
            put_part(call, row, text.data, text.size);
            continue;
        }
        const size_t before = utf8_offset(text, start - 1);
        const bool has_rest = length > 0 && start + length <= characters;
        const size_t rest = has_rest ? utf8_offset(text, start - 1 + length) : text.size;
        char *bytes = NULL;
        SABOT_TRY(reserve_string(call, text.size + by.size, &bytes, err));
        memcpy(bytes, text.data, before);
        memcpy(bytes + before, by.data, by.size);
        memcpy(bytes + before + by.size, text.data + rest, text.size - rest);
        put_reserved(call, row, bytes, before + by.size + text.size - rest);
    })
    return SABOT_OK;
}

/* ---- REPEAT, REVERSE, LPAD, RPAD --------------------------------------------------------------------------------- */

static sabot_status repeat_kernel(struct kernel_call *call, struct sabot_error *err) {
    FOR_ROWS(call, row, {
        const struct slice text = arg_string(call, 0, row);
        const int32_t n = arg_int(call, 1, row);
        const size_t times = n > 0 ? (size_t)n : 0;
        char *bytes = NULL;
        SABOT_TRY(reserve_string(call, text.size * times, &bytes, err));
        for (size_t i = 0; text.size > 0 && i < times; i++) { memcpy(bytes + i * text.size, text.data, text.size); }
        put_reserved(call, row, bytes, text.size * times);
    })
    return SABOT_OK;
}

static sabot_status reverse_kernel(struct kernel_call *call, struct sabot_error *err) {
    FOR_ROWS(call, row, {
        const struct slice text = arg_string(call, 0, row);
        char *bytes = NULL;
        SABOT_TRY(reserve_string(call, text.size, &bytes, err));
        for (size_t i = 0; i < text.size;) {
            const size_t step = utf8_step(text.data + i, text.size - i);
            memcpy(bytes + text.size - i - step, text.data + i, step);
            i += step;
        }
        put_reserved(call, row, bytes, text.size);
    })
    return SABOT_OK;
}

static sabot_status pad_kernel(struct kernel_call *call, struct sabot_error *err) {
    const bool left = call->expr->function->name[0] == 'L';
    FOR_ROWS(call, row, {
        const struct slice text = arg_string(call, 0, row);
        const int64_t length = arg_int(call, 1, row);
        const struct slice by = arg_string(call, 2, row);
        if (length < 0 || by.size == 0) {
            SABOT_TRY(put_null(call, row, err));
            continue;
        }
        const int64_t missing = length - utf8_length(text.data, text.size);
        if (missing <= 0) {
            SABOT_TRY(put_string(call, row, text.data, utf8_offset(text, length), err));
            continue;
        }
        const int64_t by_length = utf8_length(by.data, by.size);
        if (by_length == 0) { /* bytes that are no character */
            SABOT_TRY(put_null(call, row, err));
            continue;
        }
        const size_t whole = (size_t)(missing / by_length);
        const size_t rest = utf8_offset(by, missing % by_length);
        const size_t padding = whole * by.size + rest;
        char *bytes = NULL;
        SABOT_TRY(reserve_string(call, text.size + padding, &bytes, err));
        char *at = bytes + (left ? 0 : text.size);
        memcpy(bytes + (left ? padding : 0), text.data, text.size);
        for (size_t i = 0; i < whole; i++, at += by.size) { memcpy(at, by.data, by.size); }
        memcpy(at, by.data, rest);
        put_reserved(call, row, bytes, text.size + padding);
    })
    return SABOT_OK;
}

/* ---- single characters ------------------------------------------------------------------------------------------- */

static sabot_status initcap_kernel(struct kernel_call *call, struct sabot_error *err) {
    FOR_ROWS(call, row, {
        const struct slice text = arg_string(call, 0, row);
        char *bytes = NULL;
        SABOT_TRY(reserve_string(call, 2 * text.size + 4, &bytes, err));
        size_t used = 0;
        bool in_word = false;
        for (size_t i = 0; i < text.size;) {
            uint32_t code;
            const int step = utf8_decode(text.data + i, text.size - i, &code);
            if (code == UTF8_INVALID) {
                bytes[used++] = text.data[i];
                in_word = false;
            } else {
                used += (size_t)utf8_encode(in_word ? code_lower(code) : code_upper(code), bytes + used);
                in_word = code_is_letter(code) || code_is_digit(code);
            }
            i += (size_t)step;
        }
        put_reserved(call, row, bytes, used);
    })
    return SABOT_OK;
}

static sabot_status ascii_kernel(struct kernel_call *call, struct sabot_error *err) {
    (void)err;
    FOR_ROWS(call, row, {
        const struct slice text = arg_string(call, 0, row);
        uint32_t code = 0;
        if (text.size > 0 && utf8_decode(text.data, text.size, &code) == 1) { code = (unsigned char)text.data[0]; }
        put_int(call, row, (int32_t)code);
    })
    return SABOT_OK;
}

static sabot_status chr_kernel(struct kernel_call *call, struct sabot_error *err) {
    (void)err;
    FOR_ROWS(call, row, {
        const int64_t code = arg_long(call, 0, row);
        char bytes[4];
        const int size = code < 0 ? 0 : utf8_encode((uint32_t)(code & 0xff), bytes);
        put_part(call, row, bytes, (size_t)size);
    })
    return SABOT_OK;
}

/* ELT(2, 'a', 'b'): NULL only where the chosen one is. */
static sabot_status elt_kernel(struct kernel_call *call, struct sabot_error *err) {
    SABOT_TRY(share_strings(call, err));
    FOR_ROWS(call, row, {
        const bool known = !column_is_null(call->args[0], row);
        const int32_t index = known ? arg_int(call, 0, row) : 0;
        if (index < 1 || index >= call->n_args || column_is_null(call->args[index], row)) {
            SABOT_TRY(put_null(call, row, err));
            continue;
        }
        const struct slice chosen = arg_string(call, index, row);
        put_part(call, row, chosen.data, chosen.size);
    })
    return SABOT_OK;
}

/* ---- UUID -------------------------------------------------------------------------------------------------------- */

static sabot_status uuid_kernel(struct kernel_call *call, struct sabot_error *err) {
    static const char digits[] = "0123456789abcdef";
    FOR_ROWS(call, row, {
        uint64_t high = env_random(call->context->env);
        uint64_t low = env_random(call->context->env);
        high = (high & ~UINT64_C(0xf000)) | UINT64_C(0x4000);                             /* version 4 */
        low = (low & ~UINT64_C(0xc000000000000000)) | UINT64_C(0x8000000000000000);       /* variant 1 */
        char text[36];
        int at = 0;
        for (int i = 0; i < 32; i++) {
            if (i == 8 || i == 12 || i == 16 || i == 20) { text[at++] = '-'; }
            text[at++] = digits[(i < 16 ? high >> (60 - 4 * i) : low >> (124 - 4 * i)) & 15];
        }
        SABOT_TRY(put_string(call, row, text, sizeof text, err));
    })
    return SABOT_OK;
}

/* ---- binding ----------------------------------------------------------------------------------------------------- */

static const struct signature signatures[] = {
    {"CONCAT_WS", "SS*", 'S', false, concat_ws_kernel},
    {"REPLACE", "SSS", 'S', false, replace_kernel},
    {"TRANSLATE", "SSS", 'S', false, translate_kernel},
    {"OVERLAY", "SSI|I", 'S', false, overlay_kernel},
    {"REPEAT", "SI", 'S', false, repeat_kernel},
    {"REVERSE", "S", 'S', false, reverse_kernel},
    {"LPAD", "SIS", 'S', true, pad_kernel},
    {"RPAD", "SIS", 'S', true, pad_kernel},
    {"INITCAP", "S", 'S', false, initcap_kernel},
    {"ASCII", "S", 'I', false, ascii_kernel},
    {"CHR", "L", 'S', false, chr_kernel},
    {"UUID", "", 'S', false, uuid_kernel},
};

sabot_status bind_string_make(const struct function *function, struct function_binding *binding,
                              struct sabot_error *err) {
    return BIND_SIGNATURE(function, binding, signatures, err);
}

sabot_status bind_concat_ws(const struct function *function, struct function_binding *binding,
                            struct sabot_error *err) {
    SABOT_TRY(BIND_SIGNATURE(function, binding, signatures, err));
    binding->result.nullable = binding->args[0]->type.nullable;
    return SABOT_OK;
}

/* Strings or bytes, not both. */
sabot_status bind_concat(const struct function *function, struct function_binding *binding, struct sabot_error *err) {
    enum type_kind kind = TYPE_STRING;
    const bool nullable = binding->result.nullable;
    for (int32_t i = 0; i < binding->n_args; i++) {
        if (binding->args[i]->type.kind == TYPE_BINARY) { kind = TYPE_BINARY; }
    }
    for (int32_t i = 0; i < binding->n_args; i++) {
        SABOT_TRY(binding_expect(function, binding, i, type_of(kind), err));
    }
    binding->result = type_of(kind);
    binding->result.nullable = nullable;
    binding->kernel = concat_kernel;
    return SABOT_OK;
}

sabot_status bind_elt(const struct function *function, struct function_binding *binding, struct sabot_error *err) {
    const enum type_kind kind = binding->args[1]->type.kind == TYPE_BINARY ? TYPE_BINARY : TYPE_STRING;
    SABOT_TRY(binding_expect(function, binding, 0, type_of(TYPE_INT32), err));
    for (int32_t i = 1; i < binding->n_args; i++) {
        SABOT_TRY(binding_expect(function, binding, i, type_of(kind), err));
    }
    binding->result = type_of(kind);
    binding->kernel = elt_kernel;
    return SABOT_OK;
}
