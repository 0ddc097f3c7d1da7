/* What most scalar functions share: argument types from a short text, values in, values out.
 *
 * A file with many functions keeps a table of `struct signature` and one bind that looks the function up in it. */
#ifndef EXPR_SIGNATURE_H
#define EXPR_SIGNATURE_H

#include "expr/function.h"
#include "expr/utf8.h"

/* args: one letter per argument, those behind '|' may be left out, '*' at the end repeats the last one.
 *   S string   X bytes   Y string or bytes as it is   I INT   L BIGINT   D DOUBLE   B BOOLEAN   A anything as it is
 * result: S X I L D B T (TIMESTAMP(3)) Z (TIMESTAMP_LTZ(3)) d (DATE) t (TIME), or Y: the type of argument 0. */
struct signature {
    const char *name, *args;
    char result;
    bool may_be_null; /* the kernel may make NULL of arguments that are not NULL */
    function_kernel kernel;
};
sabot_status bind_signature(const struct function *function, struct function_binding *binding,
                            const struct signature *table, size_t n, struct sabot_error *err);
#define BIND_SIGNATURE(function, binding, table, err)                                                                  \
    bind_signature((function), (binding), (table), sizeof(table) / sizeof(table)[0], (err))

/* The value of an argument that is constant (a literal, or computed from literals): *value is the physical value, NULL
 * for SQL NULL. false: it is no constant. Ask before the argument is cast or behind: casts of constants are constant.
 */
bool binding_constant(const struct function_binding *binding, int32_t arg, const void **value);

struct slice {
    const char *data;
    size_t size;
};
static inline struct slice slice_of(const struct string_view *view) {
    return (struct slice){.data = string_view_data(view), .size = view->size};
}
static inline struct slice arg_string(const struct kernel_call *call, int32_t arg, int32_t row) {
    return slice_of(kernel_string(call, arg, row));
}
static inline int32_t arg_int(const struct kernel_call *call, int32_t arg, int32_t row) {
    const struct column *column = call->args[arg];
    return ((const int32_t *)column->values)[column->constant ? 0 : row];
}
static inline int64_t arg_long(const struct kernel_call *call, int32_t arg, int32_t row) {
    const struct column *column = call->args[arg];
    return ((const int64_t *)column->values)[column->constant ? 0 : row];
}
static inline double arg_double(const struct kernel_call *call, int32_t arg, int32_t row) {
    const struct column *column = call->args[arg];
    return ((const double *)column->values)[column->constant ? 0 : row];
}

/* Makes the row NULL. */
sabot_status put_null(struct kernel_call *call, int32_t row, struct sabot_error *err);
/* Copies the bytes. */
sabot_status put_string(struct kernel_call *call, int32_t row, const char *data, size_t size, struct sabot_error *err);
/* Bytes that stand in an argument whose heaps the result shares (column_builder_share). */
static inline void put_part(struct kernel_call *call, int32_t row, const char *data, size_t size) {
    ((struct string_view *)call->result->values)[row] = string_view_of(data, (uint32_t)size);
}
/* Room for at most `size` bytes; then put_reserved with what was written: the rest is given back. */
sabot_status reserve_string(struct kernel_call *call, size_t size, char **out, struct sabot_error *err);
void put_reserved(struct kernel_call *call, int32_t row, char *data, size_t size);
static inline void put_int(struct kernel_call *call, int32_t row, int32_t value) {
    ((int32_t *)call->result->values)[row] = value;
}
static inline void put_long(struct kernel_call *call, int32_t row, int64_t value) {
    ((int64_t *)call->result->values)[row] = value;
}
static inline void put_double(struct kernel_call *call, int32_t row, double value) {
    ((double *)call->result->values)[row] = value;
}
static inline void put_bool(struct kernel_call *call, int32_t row, bool value) {
    ((uint8_t *)call->result->values)[row] = value;
}
/* The heaps of all string arguments stay alive with the result. */
sabot_status share_strings(struct kernel_call *call, struct sabot_error *err);

/* Runs the statement for each row of the call. */
#define FOR_ROWS(call, row, ...)                                                                                       \
    for (int32_t row##_i = 0; row##_i < (call)->n_rows; row##_i++) {                                                   \
        const int32_t row = kernel_row((call), row##_i);                                                               \
        __VA_ARGS__                                                                                                    \
    }

/* The byte at which character `n` (from 0) begins, or size where there are fewer. */
size_t utf8_offset(struct slice text, int64_t n);
/* As memmem, but quick for one byte and with an empty needle found at the start; NULL where it is not there. */
const char *slice_find(struct slice text, struct slice what);
bool slice_is_ascii(struct slice text);
static inline bool slice_equal(struct slice a, struct slice b) {
    return a.size == b.size && memcmp(a.data, b.data, a.size) == 0;
}

/* Letters beyond ASCII by the C library's Unicode tables, in every environment the same. */
uint32_t code_upper(uint32_t code);
uint32_t code_lower(uint32_t code);
bool code_is_letter(uint32_t code);
bool code_is_digit(uint32_t code);

#endif
