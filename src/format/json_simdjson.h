/* JSON records into columns by simdjson: the C side of the C++ file beside it. Plain structs only, since C++ can't read
 * the headers of columns. */
#ifndef FORMAT_JSON_SIMDJSON_H
#define FORMAT_JSON_SIMDJSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#ifdef __cplusplus
extern "C" {
#endif

enum json_kind {
    JSON_INT64,  /* written here; all else through json_store_text */
    JSON_STRING, /* short strings are written here */
    JSON_SCALAR,
    JSON_ROW,
    JSON_ARRAY,
    JSON_MAP /* children[0] is a ROW of key and value */
};

/* What a field of the records becomes. */
struct json_column {
    const char *name;
    uint32_t name_size;
    uint8_t kind;            /* enum json_kind */
    void *vector;            /* struct vector */
    void *values;            /* of the vector; JSON_INT64, JSON_STRING */
    uint64_t seen;           /* the object in which it came last */
    int32_t n_children;
    struct json_column *children;
    struct json_order *order; /* ROW: which field came at which place in the object before */
};

struct json_order {
    int16_t child;  /* -1: no column of this name */
    uint8_t size;   /* 0: nothing learned yet */
    char name[29];
};
#define JSON_ORDER_MAX 64

struct json_parser;
struct json_parser *json_parser_new(void); /* NULL: no memory */
void json_parser_free(struct json_parser *parser);

struct json_record {
    const char *data;
    size_t size;
    size_t capacity; /* readable bytes at data: at least size + 64 */
    void *block;     /* struct buffer that holds data */
    int32_t row;
    bool fail_on_missing;
    bool ignore_errors; /* a field that is wrong becomes NULL */
};

/* Writes one record into row record->row of `root` (a JSON_ROW). reason[0] is set where the record is malformed (its
 * row then holds anything); the status is for memory and limits. */
sabot_status json_parse_record(struct json_parser *parser, struct json_column *root, const struct json_record *record,
                               char *reason, size_t reason_size, struct sabot_error *err);

/* --- hooks in json.c */
/* *reason: why the text is no value of the column's type, else NULL. `block` NULL: the text goes away. */
sabot_status json_store_text(struct json_column *column, int32_t row, const char *text, size_t size, bool quoted,
                             void *block, const char **reason, struct sabot_error *err);
void json_store_null(struct json_column *column, int32_t row);
void json_store_valid(struct json_column *column, int32_t row);
void json_list_begin(struct json_column *list, int32_t row);
sabot_status json_list_append(struct json_column *list, int32_t *row, struct sabot_error *err);
void json_list_end(struct json_column *list, int32_t row);

#ifdef __cplusplus
}
#endif
#endif
