/* Arrow arrays by hand. */
#include "arrow.h"

#include <errno.h>

atomic_long arrow_open;

static void array_release(struct ArrowArray *array) {
    for (int64_t i = 0; i < array->n_buffers; i++) { free((void *)array->buffers[i]); }
    for (int64_t i = 0; i < array->n_children; i++) {
        if (array->children[i]->release) { array->children[i]->release(array->children[i]); }
        free(array->children[i]);
    }
    free(array->buffers);
    free(array->children);
    array->release = NULL;
    atomic_fetch_sub(&arrow_open, 1);
}

static void *copied(const void *data, size_t size) {
    void *copy = malloc(size ? size : 1);
    if (!copy) { abort(); }
    if (size) { memcpy(copy, data, size); }
    return copy;
}

static struct ArrowArray array_of(int64_t n, int n_buffers, int n_children) {
    atomic_fetch_add(&arrow_open, 1);
    struct ArrowArray array = {.length = n, .n_buffers = n_buffers, .n_children = n_children,
                               .release = array_release};
    array.buffers = calloc((size_t)n_buffers + 1, sizeof *array.buffers);
    array.children = calloc((size_t)n_children + 1, sizeof *array.children);
    if (!array.buffers || !array.children) { abort(); }
    return array;
}

static uint8_t *bits_of(const uint8_t *nulls, int64_t n) {
    uint8_t *bits = calloc((size_t)n / 8 + 1, 1);
    if (!bits) { abort(); }
    for (int64_t i = 0; i < n; i++) {
        if (!nulls[i]) { bits[i / 8] = (uint8_t)(bits[i / 8] | 1u << (i % 8)); }
    }
    return bits;
}

struct ArrowArray arrow_fixed(const void *values, int64_t n, size_t width, const uint8_t *nulls) {
    struct ArrowArray array = array_of(n, 2, 0);
    array.buffers[0] = nulls ? bits_of(nulls, n) : NULL;
    array.null_count = nulls ? -1 : 0;
    array.buffers[1] = copied(values, (size_t)n * width);
    return array;
}

struct ArrowArray arrow_text(const char *const *texts, int64_t n) {
    struct ArrowArray array = array_of(n, 3, 0);
    int32_t *offsets = calloc((size_t)n + 1, sizeof *offsets);
    uint8_t *nulls = calloc((size_t)n + 1, 1);
    size_t size = 0;
    if (!offsets || !nulls) { abort(); }
    for (int64_t i = 0; i < n; i++) {
        nulls[i] = !texts[i];
        size += texts[i] ? strlen(texts[i]) : 0;
        offsets[i + 1] = (int32_t)size;
    }
    char *bytes = malloc(size + 1);
    if (!bytes) { abort(); }
    for (int64_t i = 0; i < n; i++) {
        if (texts[i]) { memcpy(bytes + offsets[i], texts[i], (size_t)(offsets[i + 1] - offsets[i])); }
    }
    array.buffers[0] = bits_of(nulls, n);
    array.buffers[1] = offsets;
    array.buffers[2] = bytes;
    array.null_count = -1;
    free(nulls);
    return array;
}

struct ArrowArray arrow_struct(struct ArrowArray *children, int n_children, int64_t n) {
    struct ArrowArray array = array_of(n, 1, n_children);
    for (int i = 0; i < n_children; i++) { array.children[i] = copied(&children[i], sizeof children[i]); }
    return array;
}

/* --- schemas */

static void schema_release(struct ArrowSchema *schema) {
    for (int64_t i = 0; i < schema->n_children; i++) {
        if (schema->children[i]->release) { schema->children[i]->release(schema->children[i]); }
        free(schema->children[i]);
    }
    free(schema->children);
    free((void *)schema->format);
    free((void *)schema->name);
    schema->release = NULL;
    atomic_fetch_sub(&arrow_open, 1);
}

static struct ArrowSchema schema_of(const char *format, const char *name, int n_children) {
    atomic_fetch_add(&arrow_open, 1);
    struct ArrowSchema schema = {.format = strdup(format), .name = strdup(name), .flags = 2 /* nullable */,
                                 .n_children = n_children, .release = schema_release};
    schema.children = calloc((size_t)n_children + 1, sizeof *schema.children);
    if (!schema.format || !schema.name || !schema.children) { abort(); }
    return schema;
}

/* "tsm:|ts": the last '|' parts the format from the name. */
struct ArrowSchema arrow_schema(const char *const *columns, int n) {
    struct ArrowSchema schema = schema_of("+s", "", n);
    for (int i = 0; i < n; i++) {
        char format[64];
        const char *bar = strrchr(columns[i], '|');
        snprintf(format, sizeof format, "%.*s", (int)(bar - columns[i]), columns[i]);
        const struct ArrowSchema child = schema_of(format, bar + 1, 0);
        schema.children[i] = copied(&child, sizeof child);
    }
    return schema;
}

/* --- streams */

struct stream {
    const char *const *columns;
    int n_columns;
    int64_t i, n_batches;
    const char *(*make)(void *arg, int64_t i, struct ArrowArray *out);
    void *arg;
    const char *error;
};

static int stream_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out) {
    const struct stream *self = stream->private_data;
    *out = arrow_schema(self->columns, self->n_columns);
    return 0;
}

static int stream_next(struct ArrowArrayStream *stream, struct ArrowArray *out) {
    struct stream *self = stream->private_data;
    *out = (struct ArrowArray){0};
    if (self->i >= self->n_batches) { return 0; }
    self->error = self->make(self->arg, self->i++, out);
    return self->error ? EIO : 0;
}

static const char *stream_error(struct ArrowArrayStream *stream) {
    return ((struct stream *)stream->private_data)->error;
}

static void stream_release(struct ArrowArrayStream *stream) {
    free(stream->private_data);
    stream->release = NULL;
    atomic_fetch_sub(&arrow_open, 1);
}

struct ArrowArrayStream arrow_stream(const char *const *columns, int n_columns, int64_t n_batches,
                                     const char *(*make)(void *arg, int64_t i, struct ArrowArray *out), void *arg) {
    atomic_fetch_add(&arrow_open, 1);
    const struct stream self = {
        .columns = columns, .n_columns = n_columns, .n_batches = n_batches, .make = make, .arg = arg};
    return (struct ArrowArrayStream){.get_schema = stream_schema, .get_next = stream_next,
                                     .get_last_error = stream_error, .release = stream_release,
                                     .private_data = copied(&self, sizeof self)};
}

/* --- values */

bool arrow_is_null(const struct ArrowArray *array, int64_t row) {
    const uint8_t *bits = array->n_buffers ? array->buffers[0] : NULL;
    row += array->offset;
    return bits && !(bits[row / 8] >> (row % 8) & 1);
}

int64_t arrow_int64(const struct ArrowArray *array, int64_t row) {
    return ((const int64_t *)array->buffers[1])[array->offset + row];
}

double arrow_double(const struct ArrowArray *array, int64_t row) {
    return ((const double *)array->buffers[1])[array->offset + row];
}

const char *arrow_string(const struct ArrowArray *array, int64_t row) {
    static _Thread_local char text[4096];
    const int32_t *offsets = (const int32_t *)array->buffers[1] + array->offset + row;
    snprintf(text, sizeof text, "%.*s", (int)(offsets[1] - offsets[0]), (const char *)array->buffers[2] + offsets[0]);
    return text;
}
