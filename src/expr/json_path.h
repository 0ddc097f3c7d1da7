/* Paths into JSON texts by simdjson: the C side of the C++ file beside it. */
#ifndef EXPR_JSON_PATH_H
#define EXPR_JSON_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define JSON_PATH_STEPS_MAX 32

struct json_step {
    enum { JSON_STEP_MEMBER, JSON_STEP_INDEX, JSON_STEP_ALL } kind;
    const char *name; /* MEMBER */
    size_t name_size;
    size_t index; /* INDEX */
};

struct json_steps {
    struct json_step steps[JSON_PATH_STEPS_MAX];
    int32_t n;
    bool strict; /* what is missing is an error, else empty */
};

enum json_hit_kind {
    JSON_HIT_ERROR, /* no JSON, or missing in strict mode */
    JSON_HIT_EMPTY, /* nothing there */
    JSON_HIT_NULL,
    JSON_HIT_SCALAR, /* text: a string without quotes and escapes, else as in JSON */
    JSON_HIT_OBJECT, /* text: JSON without blanks */
    JSON_HIT_ARRAY
};

struct json_hit {
    enum json_hit_kind kind;
    const char *text; /* until the next call */
    size_t size;
};

struct json_path_reader;
struct json_path_reader *json_path_reader_new(void); /* NULL: no memory */
void json_path_reader_free(struct json_path_reader *reader);
/* with_text false: only the kind is wanted. False: no memory. */
bool json_path_find(struct json_path_reader *reader, const char *text, size_t size, const struct json_steps *steps,
                    bool with_text, struct json_hit *hit);

#ifdef __cplusplus
}
#endif
#endif
