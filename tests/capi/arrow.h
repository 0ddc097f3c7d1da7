/* Arrow arrays and streams made and read by hand, as a program without an Arrow library does it. */
#ifndef CAPI_ARROW_H
#define CAPI_ARROW_H

#include <sabot/sabot.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How many arrays, schemas and streams of ours are not released yet. */
extern atomic_long arrow_open;

/* --- arrays to give. They own malloc'ed buffers. */
struct ArrowArray arrow_fixed(const void *values, int64_t n, size_t width, const uint8_t *nulls);
struct ArrowArray arrow_text(const char *const *texts, int64_t n); /* NULL: SQL NULL */
struct ArrowArray arrow_struct(struct ArrowArray *children, int n_children, int64_t n);
/* "l:id" format and name; a struct of them */
struct ArrowSchema arrow_schema(const char *const *columns, int n);

/* A stream of n batches that make(arg, i, &array) fills; a message of it is the stream's error. */
struct ArrowArrayStream arrow_stream(const char *const *columns, int n_columns, int64_t n_batches,
                                     const char *(*make)(void *arg, int64_t i, struct ArrowArray *out), void *arg);

/* --- values to take: of a flat column */
bool arrow_is_null(const struct ArrowArray *array, int64_t row);
int64_t arrow_int64(const struct ArrowArray *array, int64_t row);
double arrow_double(const struct ArrowArray *array, int64_t row);
/* NUL-terminated, in a buffer that the next call reuses (per thread) */
const char *arrow_string(const struct ArrowArray *array, int64_t row);

#endif
