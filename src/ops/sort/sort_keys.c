/* Sort keys as numbers, and sorting by them: see sort_keys.h. */
#include "ops/sort/sort_keys.h"

#include <math.h>
#include <string.h>

#define PLACE_BITS 128
#define TEXT_BITS 128
#define RADIX_ROWS_MIN 64 /* fewer are sorted by insertion */

/* ---- numbers from values ---- */

/* Bits that decide the order of two values; -1: no number of them does. */
static int32_t value_bits(enum phys phys) {
    switch (phys) {
    case PHYS_NULL: return 0;
    case PHYS_BOOL: return 1;
    case PHYS_I8: return 8;
    case PHYS_I16: return 16;
    case PHYS_I32:
    case PHYS_F32: return 32;
    case PHYS_I64:
    case PHYS_F64: return 64;
    case PHYS_I128: return 128;
    default: return -1;
    }
}

void sort_order_init(struct sort_order *order, const struct sort_key *keys, int32_t n_keys,
                     const struct schema *schema) {
    *order = (struct sort_order){.keys = keys, .n_keys = n_keys, .schema = schema, .exact = true};
    for (int32_t k = 0; k < n_keys && order->exact; k++) {
        const struct type type = schema->fields[keys[k].column].type;
        const int32_t bits = value_bits(type_phys(type));
        const int32_t needed = order->n_bits + type.nullable + (bits < 0 ? 1 : bits);
        order->exact = bits >= 0 && needed <= PLACE_BITS;
        order->n_bits = bits < 0 || needed > PLACE_BITS ? PLACE_BITS : needed;
    }
}

/* The lowest `width` bits of `value` behind the first `at` bits; what is left of the place may be less. */
static inline void bits_put(struct sort_place *place, int32_t at, int32_t width, uint64_t value) {
    if (at >= PLACE_BITS) { return; }
    if (at + width > PLACE_BITS) {
        value >>= at + width - PLACE_BITS;
        width = PLACE_BITS - at;
    }
    if (at + width <= 64) {
        place->high |= value << (64 - at - width);
    } else if (at >= 64) {
        place->low |= value << (128 - at - width);
    } else {
        place->high |= value >> (at + width - 64);
        place->low |= value << (128 - at - width);
    }
}

static uint64_t float_number(double value) {
    if (isnan(value)) { return UINT64_MAX; } /* behind every number */
    value += 0.0;                            /* -0 is 0 */
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
}

static uint64_t float32_number(float value) {
    if (isnan(value)) { return UINT32_MAX; }
    value += 0.0F;
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits >> 31 ? ~bits & UINT32_MAX : bits | UINT32_C(1) << 31;
}

/* The first 16 bytes. */
static void text_numbers(const struct string_view *view, uint64_t out[2]) {
    char bytes[16] = {0};
    memcpy(bytes, string_view_data(view), view->size < sizeof bytes ? view->size : sizeof bytes);
    memcpy(out, bytes, sizeof bytes);
    out[0] = __builtin_bswap64(out[0]);
    out[1] = __builtin_bswap64(out[1]);
}

/* The value at `at` as one number, or as two of 64 bits. */
static inline void value_numbers(const struct column *column, int64_t at, uint64_t out[2]) {
    const void *values = column->values;
    switch ((enum phys)column->phys) {
    case PHYS_BOOL: out[0] = ((const uint8_t *)values)[at]; break;
    case PHYS_I8: out[0] = (uint8_t)(((const uint8_t *)values)[at] ^ 0x80U); break;
    case PHYS_I16: out[0] = (uint16_t)(((const uint16_t *)values)[at] ^ 0x8000U); break;
    case PHYS_I32: out[0] = ((const uint32_t *)values)[at] ^ UINT32_C(0x80000000); break;
    case PHYS_I64: out[0] = ((const uint64_t *)values)[at] ^ UINT64_C(1) << 63; break;
    case PHYS_F32: out[0] = float32_number(((const float *)values)[at]); break;
    case PHYS_F64: out[0] = float_number(((const double *)values)[at]); break;
    case PHYS_I128: {
        const unsigned __int128 value = ((const unsigned __int128 *)values)[at];
        out[0] = (uint64_t)(value >> 64) ^ UINT64_C(1) << 63;
        out[1] = (uint64_t)value;
        break;
    }
    case PHYS_VIEW: text_numbers((const struct string_view *)values + at, out); break;
    default: break;
    }
}

static void column_fill(const struct sort_key *key, const struct column *column, bool nullable, int32_t at,
                        int32_t bits, const int32_t *rows, int32_t n, struct sort_place *places) {
    const int32_t width = bits < 64 ? bits : 64;
    const uint64_t flip = !key->descending ? 0 : width == 64 ? UINT64_MAX : (UINT64_C(1) << width) - 1;
    for (int32_t i = 0; i < n; i++) {
        const int32_t row = rows ? rows[i] : i;
        const bool is_null = column_is_null(column, row);
        if (nullable) { bits_put(&places[i], at, 1, is_null != key->nulls_first); }
        if (is_null || width == 0) { continue; }
        uint64_t numbers[2] = {0, 0};
        value_numbers(column, column_at(column, row), numbers);
        bits_put(&places[i], at + nullable, width, numbers[0] ^ flip);
        if (bits > 64) { bits_put(&places[i], at + nullable + 64, 64, numbers[1] ^ flip); }
    }
}

void sort_places_fill(const struct sort_order *order, const struct batch *batch, const int32_t *rows, int32_t n,
                      struct sort_place *places) {
    for (int32_t i = 0; i < n; i++) { places[i] = (struct sort_place){.row = rows ? rows[i] : i}; }
    int32_t at = 0;
    for (int32_t k = 0; k < order->n_keys && at < order->n_bits; k++) {
        const struct sort_key *key = &order->keys[k];
        const struct column *column = batch->columns[key->column];
        const struct type type = order->schema->fields[key->column].type;
        const enum phys phys = type_phys(type);
        if (phys == PHYS_LIST || phys == PHYS_ROW) { return; }
        const int32_t bits = phys == PHYS_VIEW ? TEXT_BITS : value_bits(phys);
        column_fill(key, column, type.nullable, at, bits, rows, n, places);
        if (phys == PHYS_VIEW) { return; } /* what follows would count before the rest of the text */
        at += type.nullable + bits;
    }
}

int sort_rows_compare(const struct sort_order *order, const struct batch *a, int32_t row_a, const struct batch *b,
                      int32_t row_b) {
    for (int32_t k = 0; k < order->n_keys; k++) {
        const struct sort_key *key = &order->keys[k];
        const struct column *column_a = a->columns[key->column], *column_b = b->columns[key->column];
        const bool a_null = column_is_null(column_a, row_a), b_null = column_is_null(column_b, row_b);
        if (a_null != b_null) { return a_null == key->nulls_first ? -1 : 1; }
        if (a_null) { continue; }
        const int found = column_compare(column_a, row_a, column_b, row_b, order->schema->fields[key->column].type);
        if (found) { return key->descending ? -found : found; }
    }
    return 0;
}

/* ---- sorting ---- */

/* Stable, with full comparisons: for rows that agree in their numbers, and for few. */
static int full_compare(const struct sort_order *order, const struct batch *batch, const struct sort_place *a,
                        const struct sort_place *b) {
    const int found = sort_place_compare(a, b);
    return found || !batch || order->exact ? found : sort_rows_compare(order, batch, a->row, batch, b->row);
}

static void merge_sort(const struct sort_order *order, const struct batch *batch, struct sort_place *places,
                       struct sort_place *spare, int32_t n) {
    for (int32_t start = 0; start < n; start += 16) { /* short runs by insertion */
        const int32_t end = start + 16 < n ? start + 16 : n;
        for (int32_t i = start + 1; i < end; i++) {
            const struct sort_place place = places[i];
            int32_t at = i;
            for (; at > start && full_compare(order, batch, &place, &places[at - 1]) < 0; at--) {
                places[at] = places[at - 1];
            }
            places[at] = place;
        }
    }
    struct sort_place *from = places, *to = spare;
    for (int64_t width = 16; width < n; width *= 2) {
        for (int64_t start = 0; start < n; start += 2 * width) {
            const int64_t middle = start + width < n ? start + width : n,
                          end = start + 2 * width < n ? start + 2 * width : n;
            int64_t a = start, b = middle;
            for (int64_t at = start; at < end; at++) {
                const bool take_b = a == middle || (b < end && full_compare(order, batch, &from[b], &from[a]) < 0);
                to[at] = take_b ? from[b++] : from[a++];
            }
        }
        struct sort_place *other = from;
        from = to;
        to = other;
    }
    if (from != places) { memcpy(places, from, (size_t)n * sizeof *places); }
}

/* Byte d of 16, the last one first. */
static inline uint32_t digit_of(const struct sort_place *place, int32_t d) {
    return (uint8_t)(d < 8 ? place->low >> (8 * d) : place->high >> (8 * (d - 8)));
}

void sort_places_radix(struct sort_place *places, struct sort_place *spare, int32_t n, int32_t n_bits) {
    const int32_t first = (PLACE_BITS - n_bits) / 8;
    struct sort_place *from = places, *to = spare;
    for (int32_t d = first; d < 16; d++) {
        int32_t starts[257] = {0};
        for (int32_t i = 0; i < n; i++) { starts[digit_of(&from[i], d) + 1]++; }
        if (starts[digit_of(&from[0], d) + 1] == n) { continue; } /* they all agree here */
        for (int32_t b = 0; b < 256; b++) { starts[b + 1] += starts[b]; }
        for (int32_t i = 0; i < n; i++) { to[starts[digit_of(&from[i], d)]++] = from[i]; }
        struct sort_place *other = from;
        from = to;
        to = other;
    }
    if (from != places) { memcpy(places, from, (size_t)n * sizeof *places); }
}

void sort_places(const struct sort_order *order, const struct batch *batch, struct sort_place *places,
                 struct sort_place *spare, int32_t n) {
    if (n < RADIX_ROWS_MIN) {
        merge_sort(order, batch, places, spare, n);
        return;
    }
    sort_places_radix(places, spare, n, order->n_bits);
    for (int32_t begin = 0, end; begin < n && !order->exact; begin = end) {
        for (end = begin + 1; end < n && sort_place_compare(&places[begin], &places[end]) == 0;) { end++; }
        if (end - begin > 1) { merge_sort(order, batch, places + begin, spare, end - begin); }
    }
}
