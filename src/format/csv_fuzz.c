/* Any bytes as CSV: no crash, no leak, and what was decoded can be written. */
#include "format/decode_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const struct field ints[] = {{"", type_of(TYPE_INT32)}};
    const struct field fields[] = {
        {"a", type_of(TYPE_INT64)},
        {"b", type_of(TYPE_STRING)},
        {"d", type_decimal(20, 4)},
        {"e", type_timestamp(3)},
        {"l", {.kind = TYPE_ARRAY, .nullable = true, .n_fields = 1, .fields = ints}},
    };
    decode_fuzz("csv", fields, sizeof fields / sizeof fields[0], data, size);
    return 0;
}
