/* Functions that measure a string, look into it, or give a part of it. Parts share the argument's bytes.
 * Positions count characters from 1, as in SQL. */
#include "expr/bytes.h"
#include "expr/signature.h"

/* ---- lengths ----------------------------------------------------------------------------------------------------- */

static sabot_status char_length_kernel(struct kernel_call *call, struct sabot_error *err) {
    (void)err;
    FOR_ROWS(call, row, {
        const struct slice text = arg_string(call, 0, row);
        put_int(call, row, (int32_t)utf8_length(text.data, text.size));
    })
    return SABOT_OK;
}

static sabot_status octet_length_kernel(struct kernel_call *call, struct sabot_error *err) {
    (void)err;
    FOR_ROWS(call, row, { put_int(call, row, (int32_t)kernel_string(call, 0, row)->size); })
    return SABOT_OK;
}

/* ---- SUBSTRING, LEFT, RIGHT -------------------------------------------------------------------------------------- */

/* Flink's rule: position 0 is 1, a negative one counts from the end, and one before the start gives ''. */
static struct slice substring(struct slice text, int64_t position, int64_t length) {
    if (position < 0) {
        position += utf8_length(text.data, text.size);
        if (position < 0) { return (struct slice){text.data, 0}; }
    } else if (position > 0) {
        position--;
    }
    const size_t from = utf8_offset(text, position);
    const struct slice rest = {text.data + from, text.size - from};
    return (struct slice){rest.data, length >= (int64_t)rest.size ? rest.size : utf8_offset(rest, length)};
}

static sabot_status substring_kernel(struct kernel_call *call, struct sabot_error *err) {
    SABOT_TRY(column_builder_share(call->result, call->args[0], err));
    const bool has_length = call->n_args == 3;
    FOR_ROWS(call, row, {
        const int64_t length = has_length ? arg_int(call, 2, row) : INT64_MAX;
        if (length < 0) {
            SABOT_TRY(put_null(call, row, err));
            continue;
        }
        const struct slice part = substring(arg_string(call, 0, row), arg_int(call, 1, row), length);
        put_part(call, row, part.data, part.size);
    })
    return SABOT_OK;
}

/* Of bytes: positions are bytes. */
static sabot_status substring_bytes_kernel(struct kernel_call *call, struct sabot_error *err) {
    SABOT_TRY(column_builder_share(call->result, call->args[0], err));
    FOR_ROWS(call, row, {
        const struct slice text = arg_string(call, 0, row);
        const int64_t length = call->n_args == 3 ? arg_int(call, 2, row) : INT64_MAX;
        int64_t from = arg_int(call, 1, row);
        if (length < 0) {
            SABOT_TRY(put_null(call, row, err));
            continue;
        }
        from = from > 0 ? from - 1 : from < 0 ? (int64_t)text.size + from : 0;
        const bool outside = from < 0 || from >= (int64_t)text.size;
        const int64_t rest = outside ? 0 : (int64_t)text.size - from;
        put_part(call, row, text.data + (outside ? 0 : from), (size_t)(length < rest ? length : rest));
    })
    return SABOT_OK;
}

static sabot_status left_kernel(struct kernel_call *call, struct sabot_error *err) {
    SABOT_TRY(column_builder_share(call->result, call->args[0], err));
    FOR_ROWS(call, row, {
        const struct slice text = arg_string(call, 0, row);
        put_part(call, row, text.data, utf8_offset(text, arg_int(call, 1, row)));
    })
    return SABOT_OK;
}

static sabot_status right_kernel(struct kernel_call *call, struct sabot_error *err) {
    SABOT_TRY(column_builder_share(call->result, call->args[0], err));
    FOR_ROWS(call, row, {
        const struct slice text = arg_string(call, 0, row);
        const int64_t n = arg_int(call, 1, row);
        const int64_t length = utf8_length(text.data, text.size);
        const size_t from = n <= 0 ? text.size : utf8_offset(text, length - n);
        put_part(call, row, text.data + from, text.size - from);
    })
    return SABOT_OK;
}

/* ---- POSITION, LOCATE, INSTR ------------------------------------------------------------------------------------- */

/* An empty text is found at 1, wherever the search begins: so Flink has it. */
static int32_t position_of(struct slice what, struct slice text, int64_t from) {
    if (what.size == 0) { return 1; }
    const size_t skipped = utf8_offset(text, from - 1);
    const char *found = slice_find((struct slice){text.data + skipped, text.size - skipped}, what);
    return found ? (int32_t)utf8_length(text.data, (size_t)(found - text.data)) + 1 : 0;
}

static sabot_status position_kernel(struct kernel_call *call, struct sabot_error *err) {
    (void)err;
    FOR_ROWS(call, row, {
        const int64_t from = call->n_args == 3 ? arg_int(call, 2, row) : 1;
        put_int(call, row, position_of(arg_string(call, 0, row), arg_string(call, 1, row), from));
    })
    return SABOT_OK;
}

static sabot_status instr_kernel(struct kernel_call *call, struct sabot_error *err) {
    (void)err;
    FOR_ROWS(call, row, { put_int(call, row, position_of(arg_string(call, 1, row), arg_string(call, 0, row), 1)); })
    return SABOT_OK;
}

static sabot_status starts_kernel(struct kernel_call *call, struct sabot_error *err) {
    (void)err;
    FOR_ROWS(call, row, {
        const struct slice text = arg_string(call, 0, row);
        const struct slice part = arg_string(call, 1, row);
        put_bool(call, row, part.size <= text.size && memcmp(text.data, part.data, part.size) == 0);
    })
    return SABOT_OK;
}

static sabot_status ends_kernel(struct kernel_call *call, struct sabot_error *err) {
    (void)err;
    FOR_ROWS(call, row, {
        const struct slice text = arg_string(call, 0, row);
        const struct slice part = arg_string(call, 1, row);
        put_bool(call, row, part.size <= text.size &&
                                memcmp(text.data + text.size - part.size, part.data, part.size) == 0);
    })
    return SABOT_OK;
}

/* ---- SPLIT_INDEX ------------------------------------------------------------------------------------------------- */

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1c && c <= 0x1f); }

/* Where the separator stands in 16 bytes from `at` on, of which only those before `size` count. The last bytes of a
 * text are
 * read as the end of the 16 that end with it, so that nothing behind the text is touched. */
static inline uint32_t separators_at(struct slice text, size_t at, char separator, byte_vector wanted) {
    if (at + 16 <= text.size) { return bytes_equal(text.data + at, wanted); }
    if (text.size >= 16) { return bytes_equal(text.data + text.size - 16, wanted) >> (16 - (text.size - at)); }
    uint32_t bits = 0;
    for (size_t i = at; i < text.size; i++) { bits |= (uint32_t)(text.data[i] == separator) << (i - at); }
    return bits;
}

/* Part `index` of a text that is cut at one byte. The parts of a URL are a few bytes long: a call of memchr for each
 * costs more
 * than looking at 16 bytes at once and counting. */
static bool split_at_byte(struct slice text, char separator, int64_t index, struct slice *part) {
    const byte_vector wanted = (byte_vector){0} + separator;
    size_t from = 0; /* where the part begins, once index is 0 */
    for (size_t at = 0; at < text.size; at += 16) {
        uint32_t bits = separators_at(text, at, separator, wanted);
        for (; bits; bits &= bits - 1) {
            const size_t found = at + (size_t)__builtin_ctz(bits);
            if (index-- == 0) {
                *part = (struct slice){text.data + from, found - from};
                return true;
            }
            from = found + 1;
        }
    }
    *part = (struct slice){text.data + from, text.size - from};
    return index == 0;
}

static bool split_at_text(struct slice text, struct slice separator, int64_t index, struct slice *part) {
    for (;; index--) {
        const char *found = slice_find(text, separator);
        if (index == 0) {
            *part = (struct slice){text.data, found ? (size_t)(found - text.data) : text.size};
            return true;
        }
        if (!found) { return false; }
        const size_t used = (size_t)(found - text.data) + separator.size;
        text = (struct slice){text.data + used, text.size - used};
    }
}

/* With an empty separator the text is cut at every blank, as Java's StringUtils does it. */
static bool split_at_blanks(struct slice text, int64_t index, struct slice *part) {
    size_t from = 0;
    for (size_t i = 0; i <= text.size; i++) {
        if (i < text.size && !is_blank(text.data[i])) { continue; }
        if (index-- == 0) {
            *part = (struct slice){text.data + from, i - from};
            return true;
        }
        from = i + 1;
    }
    return false;
}

static sabot_status split_index_kernel(struct kernel_call *call, struct sabot_error *err) {
    SABOT_TRY(column_builder_share(call->result, call->args[0], err));
    FOR_ROWS(call, row, {
        const struct slice text = arg_string(call, 0, row);
        const struct slice separator = arg_string(call, 1, row);
        const int32_t index = arg_int(call, 2, row);
        struct slice part = {NULL, 0};
        const bool found = index >= 0 && text.size > 0 &&
                           (separator.size == 1   ? split_at_byte(text, separator.data[0], index, &part)
                            : separator.size == 0 ? split_at_blanks(text, index, &part)
                                                  : split_at_text(text, separator, index, &part));
        if (found) {
            put_part(call, row, part.data, part.size);
        } else {
            SABOT_TRY(put_null(call, row, err));
        }
    })
    return SABOT_OK;
}

/* The separator as the code of a character, 1..255. */
static sabot_status split_code_kernel(struct kernel_call *call, struct sabot_error *err) {
    SABOT_TRY(column_builder_share(call->result, call->args[0], err));
    FOR_ROWS(call, row, {
        const struct slice text = arg_string(call, 0, row);
        const int32_t code = arg_int(call, 1, row);
        const int32_t index = arg_int(call, 2, row);
        struct slice part = {NULL, 0};
        char separator[4];
        const int size = code >= 1 && code <= 255 ? utf8_encode((uint32_t)code, separator) : 0;
        const bool found = size > 0 && index >= 0 && text.size > 0 &&
                           split_at_text(text, (struct slice){separator, (size_t)size}, index, &part);
        if (found) {
            put_part(call, row, part.data, part.size);
        } else {
            SABOT_TRY(put_null(call, row, err));
        }
    })
    return SABOT_OK;
}

/* ---- TRIM -------------------------------------------------------------------------------------------------------- */

#define TRIM_LEFT 1u
#define TRIM_RIGHT 2u

struct trim {
    unsigned sides;
    int32_t text, set; /* arguments; set -1: blanks */
};

static bool set_has(struct slice set, const char *at, size_t size) {
    for (size_t i = 0; i < set.size;) {
        const size_t step = utf8_step(set.data + i, set.size - i);
        if (step == size && memcmp(set.data + i, at, size) == 0) { return true; }
        i += step;
    }
    return false;
}

static struct slice trim(struct slice text, struct slice set, unsigned sides) {
    while ((sides & TRIM_LEFT) && text.size > 0) {
        const size_t step = utf8_step(text.data, text.size);
        if (!set_has(set, text.data, step)) { break; }
        text.data += step;
        text.size -= step;
    }
    while ((sides & TRIM_RIGHT) && text.size > 0) {
        size_t step = 1;
        while (step < text.size && step < 4 && ((unsigned char)text.data[text.size - step] & 0xc0) == 0x80) { step++; }
        if (!set_has(set, text.data + text.size - step, step)) { break; }
        text.size -= step;
    }
    return text;
}

static sabot_status trim_kernel(struct kernel_call *call, struct sabot_error *err) {
    const struct trim *how = call->expr->bound;
    SABOT_TRY(column_builder_share(call->result, call->args[how->text], err));
    const struct slice blank = {" ", 1};
    FOR_ROWS(call, row, {
        const struct slice set = how->set < 0 ? blank : arg_string(call, how->set, row);
        const struct slice part = trim(arg_string(call, how->text, row), set, how->sides);
        put_part(call, row, part.data, part.size);
    })
    return SABOT_OK;
}

static sabot_status bind_trim_args(const struct function *function, struct function_binding *binding, struct trim how,
                                   struct sabot_error *err) {
    for (int32_t i = 0; i < binding->n_args; i++) {
        SABOT_TRY(binding_expect(function, binding, i, type_of(TYPE_STRING), err));
    }
    struct trim *kept = ARENA_NEW(binding->arena, struct trim);
    if (!kept) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the query is too big"); }
    *kept = how;
    const bool nullable = binding->result.nullable;
    binding->result = type_of(TYPE_STRING);
    binding->result.nullable = nullable;
    binding->bound = kept;
    binding->kernel = trim_kernel;
    return SABOT_OK;
}

/* TRIM(BOTH set FROM text) comes as [BOTH, set, text], TRIM(LEADING FROM text) as [LEADING, text], TRIM(text) as it is.
 */
sabot_status bind_trim(const struct function *function, struct function_binding *binding, struct sabot_error *err) {
    const int32_t n = binding->n_args;
    struct trim how = {.sides = TRIM_LEFT | TRIM_RIGHT, .text = n - 1, .set = n == 3 ? 1 : -1};
    const void *side = NULL;
    if (n > 1) {
        if (!expr_literal_value(binding->args[0], &side) || !side || binding->args[0]->type.kind != TYPE_STRING) {
            return binding_refuse(function, binding, err);
        }
        const char *word = string_view_data(side);
        how.sides = word[0] == 'L' || word[0] == 'l'   ? TRIM_LEFT
                    : word[0] == 'T' || word[0] == 't' ? TRIM_RIGHT
                                                       : TRIM_LEFT | TRIM_RIGHT;
    }
    return bind_trim_args(function, binding, how, err);
}

sabot_status bind_trim_side(const struct function *function, struct function_binding *binding,
                            struct sabot_error *err) {
    const char side = function->name[0]; /* LTRIM, RTRIM, BTRIM */
    const struct trim how = {
        .sides = side == 'L' ? TRIM_LEFT : side == 'R' ? TRIM_RIGHT : TRIM_LEFT | TRIM_RIGHT,
        .text = 0,
        .set = binding->n_args == 2 ? 1 : -1,
    };
    return bind_trim_args(function, binding, how, err);
}

/* ---- COUNT_CHAR -------------------------------------------------------------------------------------------------- */

/* How many bytes of a text are `byte`: 16 at a time. */
static int64_t count_byte(struct slice text, unsigned char byte) {
    typedef unsigned char lanes __attribute__((vector_size(16)));
    const unsigned char *at = (const unsigned char *)text.data;
    const unsigned char *const end = at + text.size;
    lanes wanted;
    memset(&wanted, byte, sizeof wanted);
    int64_t total = 0;
    while (end - at >= 16) {
        lanes counts = {0};
        for (int i = 0; i < 255 && end - at >= 16; i++, at += 16) {
            lanes block;
            memcpy(&block, at, sizeof block);
            counts -= (lanes)(block == wanted);
        }
        for (size_t i = 0; i < sizeof counts; i++) { total += counts[i]; }
    }
    for (; at < end; at++) { total += *at == byte; }
    return total;
}

static int64_t count_text(struct slice text, struct slice what) {
    int64_t n = 0;
    for (const char *found; what.size > 0 && (found = slice_find(text, what)) != NULL; n++) {
        const size_t used = (size_t)(found - text.data) + what.size;
        text = (struct slice){text.data + used, text.size - used};
    }
    return n;
}

/* As Nexmark's Java function has it: 0 where there is no text. */
static sabot_status count_char_kernel(struct kernel_call *call, struct sabot_error *err) {
    (void)err;
    FOR_ROWS(call, row, {
        if (column_is_null(call->args[0], row) || column_is_null(call->args[1], row)) {
            put_long(call, row, 0);
            continue;
        }
        const struct slice text = arg_string(call, 0, row);
        struct slice what = arg_string(call, 1, row);
        what.size = what.size ? utf8_step(what.data, what.size) : 0;
        put_long(call, row, what.size == 1 ? count_byte(text, (unsigned char)what.data[0]) : count_text(text, what));
    })
    return SABOT_OK;
}

/* ---- IS_ALPHA, IS_DIGIT, IS_DECIMAL ------------------------------------------------------------------------------ */

static bool all_codes(struct slice text, bool (*is)(uint32_t code)) {
    for (size_t i = 0; i < text.size;) {
        uint32_t code;
        i += (size_t)utf8_decode(text.data + i, text.size - i, &code);
        if (!is(code)) { return false; }
    }
    return text.size > 0;
}

static bool is_decimal(struct slice text) {
    size_t i = 0, digits = 0;
    const char *at = text.data;
    i += text.size > 0 && (at[0] == '-' || at[0] == '+');
    for (bool point = false; i < text.size; i++) {
        if (at[i] == '.' && !point) {
            point = true;
        } else if (at[i] >= '0' && at[i] <= '9') {
            digits++;
        } else {
            break;
        }
    }
    if (digits > 0 && i < text.size && (at[i] | 32) == 'e') {
        i++;
        i += i < text.size && (at[i] == '-' || at[i] == '+');
        for (digits = 0; i < text.size && at[i] >= '0' && at[i] <= '9'; i++) { digits++; }
    }
    return digits > 0 && i == text.size;
}

static sabot_status is_kind_kernel(struct kernel_call *call, struct sabot_error *err) {
    (void)err;
    const char *name = call->expr->function->name;
    const char kind = name[3] == 'A' ? 'a' : name[4] == 'I' ? 'i' : 'e'; /* IS_ALPHA IS_DIGIT IS_DECIMAL */
    FOR_ROWS(call, row, {
        if (column_is_null(call->args[0], row)) {
            put_bool(call, row, false);
            continue;
        }
        const struct slice text = arg_string(call, 0, row);
        put_bool(call, row,
                 kind == 'e' ? is_decimal(text) : all_codes(text, kind == 'a' ? code_is_letter : code_is_digit));
    })
    return SABOT_OK;
}

/* Numbers are numbers: IS_DECIMAL(5) is true, IS_ALPHA(5) is not. */
static sabot_status is_kind_number_kernel(struct kernel_call *call, struct sabot_error *err) {
    (void)err;
    const bool yes = call->expr->function->name[3] == 'D';
    FOR_ROWS(call, row, { put_bool(call, row, yes && !column_is_null(call->args[0], row)); })
    return SABOT_OK;
}

sabot_status bind_is_kind(const struct function *function, struct function_binding *binding, struct sabot_error *err) {
    const bool is_number = type_is_numeric(binding->args[0]->type);
    if (!is_number) { SABOT_TRY(binding_expect(function, binding, 0, type_of(TYPE_STRING), err)); }
    binding->result = type_not_null(type_of(TYPE_BOOL));
    binding->kernel = is_number ? is_kind_number_kernel : is_kind_kernel;
    return SABOT_OK;
}

/* ---- binding ----------------------------------------------------------------------------------------------------- */

static const struct signature signatures[] = {
    {"CHAR_LENGTH", "S", 'I', false, char_length_kernel},
    {"CHARACTER_LENGTH", "S", 'I', false, char_length_kernel},
    {"OCTET_LENGTH", "Y", 'I', false, octet_length_kernel},
    {"LEFT", "SI", 'S', false, left_kernel},
    {"RIGHT", "SI", 'S', false, right_kernel},
    {"POSITION", "SS", 'I', false, position_kernel},
    {"LOCATE", "SS|I", 'I', false, position_kernel},
    {"INSTR", "SS", 'I', false, instr_kernel},
    {"STARTSWITH", "YY", 'B', false, starts_kernel},
    {"ENDSWITH", "YY", 'B', false, ends_kernel},
    {"SUBSTRING", "YI|I", 'Y', true, substring_kernel},
    {"SUBSTR", "YI|I", 'Y', true, substring_kernel},
    {"SPLIT_INDEX", "SSI", 'S', true, split_index_kernel},
};

sabot_status bind_substring(const struct function *function, struct function_binding *binding,
                            struct sabot_error *err) {
    SABOT_TRY(BIND_SIGNATURE(function, binding, signatures, err));
    const void *length = NULL;
    if (binding->result.kind == TYPE_BINARY) { binding->kernel = substring_bytes_kernel; }
    if (binding->n_args == 2 || (binding_constant(binding, 2, &length) && length && *(const int32_t *)length >= 0)) {
        binding->result.nullable = binding->args[0]->type.nullable || binding->args[1]->type.nullable;
    }
    return SABOT_OK;
}

sabot_status bind_substring_function(const struct function *function, struct function_binding *binding,
                                     struct sabot_error *err) {
    return BIND_SIGNATURE(function, binding, signatures, err);
}

sabot_status bind_split_index(const struct function *function, struct function_binding *binding,
                              struct sabot_error *err) {
    if (!type_is_integer(binding->args[1]->type)) { return BIND_SIGNATURE(function, binding, signatures, err); }
    static const struct signature by_code[] = {{"SPLIT_INDEX", "SII", 'S', true, split_code_kernel}};
    return BIND_SIGNATURE(function, binding, by_code, err);
}

sabot_status bind_count_char(const struct function *function, struct function_binding *binding,
                             struct sabot_error *err) {
    SABOT_TRY(binding_expect(function, binding, 0, type_of(TYPE_STRING), err));
    SABOT_TRY(binding_expect(function, binding, 1, type_of(TYPE_STRING), err));
    binding->result = type_not_null(type_of(TYPE_INT64));
    binding->kernel = count_char_kernel;
    return SABOT_OK;
}
