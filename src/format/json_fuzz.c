/* Any bytes as JSON lines: no crash, no leak, and what was decoded can be written. */
#include "format/decode_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct field pair[] = {{"k", type_of(TYPE_STRING)}, {"v", type_of(TYPE_INT32)}};
    const struct field row[] = {{"", {.kind = TYPE_ROW, .nullable = true, .n_fields = 2, .fields = pair}}};
    const struct field fields[] = {
        {"a", type_of(TYPE_INT64)},   {"b", type_of(TYPE_STRING)}, {"c", type_of(TYPE_FLOAT64)},
        {"d", type_decimal(20, 4)},   {"e", type_timestamp(6)},    {"f", type_of(TYPE_BINARY)},
        {"g", type_of(TYPE_BOOL)},    {"h", type_of(TYPE_DATE)},   {"r", row[0].type},
        {"m", {.kind = TYPE_MAP, .nullable = true, .n_fields = 2, .fields = pair}},
        {"l", {.kind = TYPE_ARRAY, .nullable = true, .n_fields = 1, .fields = row}},
    };
    decode_fuzz("json", fields, sizeof fields / sizeof fields[0], data, size);
    return 0;
}
