/* A split's position as it stands in a checkpoint: a row of two columns, split STRING and position BINARY. */
#include "connect/connector.h"

#include <string.h>

static const struct string_view *view_at(const struct column *column, int32_t row) {
    return (const struct string_view *)column->values + column_at(column, row);
}

struct split_position split_position_at(const struct batch *positions, int32_t i) {
    const int32_t row = batch_row(positions, i);
    const struct string_view *id = view_at(positions->columns[0], row), *bytes = view_at(positions->columns[1], row);
    return (struct split_position){
        .id = string_view_data(id), .id_size = id->size, .bytes = string_view_data(bytes), .size = bytes->size};
}

bool split_position_is_of(const struct split_position *position, const char *id) {
    return position->id_size == strlen(id) && memcmp(position->id, id, position->id_size) == 0;
}
