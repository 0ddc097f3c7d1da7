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
    bool lax; /* what is missing or no JSON is empty, else an error */
};

enum json_hit_kind {
    JSON_HIT_ERROR, /* no JSON, or missing, unless the path is lax */
    JSON_HIT_EMPTY, /* nothing there */
    JSON_HIT_NULL,
    JSON_HIT_SCALAR,
    JSON_HIT_OBJECT, /* text: JSON without blanks */
    JSON_HIT_ARRAY
};

struct json_hit {
    enum json_hit_kind kind;
    const char *text; /* until the next call */
    size_t size;
};

enum json_text {
    JSON_TEXT_NONE,  /* only the kind is wanted */
    JSON_TEXT_PLAIN, /* a string without quotes and escapes, else as in JSON */
    JSON_TEXT_JSON
};

struct json_path_reader;
struct json_path_reader *json_path_reader_new(void); /* NULL: no memory */
void json_path_reader_free(struct json_path_reader *reader);
/* False: no memory. */
bool json_path_find(struct json_path_reader *reader, const char *text, size_t size, const struct json_steps *steps,
                    enum json_text form, struct json_hit *hit);

#ifdef __cplusplus
}
#endif
#endif
