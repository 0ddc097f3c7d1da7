/* Types: Flink's SQL types, the physical layout of each, and schemas.
 *
 * A `struct type` is a value; the fields of nested types are borrowed from an arena or a schema that outlives it. */
#ifndef ARROW_TYPE_H
#define ARROW_TYPE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum type_kind {
    TYPE_NULL, /* of the literal NULL; casts to anything */
    TYPE_BOOL,
    TYPE_INT8,
    TYPE_INT16,
    TYPE_INT32,
    TYPE_INT64,
    TYPE_FLOAT32,
    TYPE_FLOAT64,
    TYPE_DECIMAL,        /* precision 1..38, scale 0..precision */
    TYPE_STRING,         /* CHAR(n), VARCHAR(n), STRING: UTF-8 */
    TYPE_BINARY,         /* BINARY(n), VARBINARY(n), BYTES */
    TYPE_DATE,           /* days since 1970-01-01 */
    TYPE_TIME,           /* milliseconds of the day */
    TYPE_TIMESTAMP,      /* local date-time; unit by precision: 0..3 ms, 4..6 us, 7..9 ns since 1970-01-01T00:00 */
    TYPE_TIMESTAMP_LTZ,  /* an instant; same units, since the Unix epoch */
    TYPE_INTERVAL_MONTH, /* months */
    TYPE_INTERVAL_DAY,   /* milliseconds */
    TYPE_ARRAY,          /* fields[0] is the element */
    TYPE_MAP,            /* fields[0] key, fields[1] value */
    TYPE_ROW,
    TYPE_KINDS
};

/* How the values of a column lie in memory. */
enum phys {
    PHYS_NULL, /* no values */
    PHYS_BOOL, /* uint8_t 0 or 1 per value (bits only at the library's edge) */
    PHYS_I8,
    PHYS_I16,
    PHYS_I32,  /* INT, DATE, TIME, INTERVAL_MONTH */
    PHYS_I64,  /* BIGINT, TIMESTAMP*, INTERVAL_DAY, DECIMAL up to precision 18 (unscaled) */
    PHYS_I128, /* __int128: DECIMAL above precision 18 (unscaled) */
    PHYS_F32,
    PHYS_F64,
    PHYS_VIEW, /* struct string_view: STRING, BINARY */
    PHYS_LIST, /* int32_t offsets[length + 1] into child 0; MAP: child 0 is a ROW of key, value */
    PHYS_ROW   /* children only */
};

#define TYPE_LENGTH_MAX INT32_MAX /* STRING, BYTES */

struct field;

struct type {
    uint8_t kind;      /* enum type_kind */
    uint8_t precision; /* DECIMAL, TIME, TIMESTAMP*; 0 elsewhere */
    uint8_t scale;     /* DECIMAL */
    bool nullable;
    bool fixed_length;          /* CHAR(n), BINARY(n) rather than VARCHAR(n), VARBINARY(n) */
    int32_t length;             /* STRING, BINARY: n, or TYPE_LENGTH_MAX */
    int32_t n_fields;           /* ARRAY 1, MAP 2, ROW n, else 0 */
    const struct field *fields; /* borrowed */
};

struct field {
    const char *name;
    struct type type;
};

struct type type_of(enum type_kind kind); /* nullable, with default precision and length */
struct type type_decimal(int precision, int scale);
struct type type_timestamp(int precision);
struct type type_not_null(struct type type);
struct type type_nullable(struct type type);

enum phys type_phys(struct type type);
size_t phys_size(enum phys phys); /* bytes per value; 0 for NULL, LIST, ROW */
bool type_equal(struct type a, struct type b);               /* with nullability and names of fields */
bool type_same(struct type a, struct type b);                /* without nullability */
bool type_is_numeric(struct type type);
bool type_is_integer(struct type type);
int64_t timestamp_units_per_ms_num(struct type type); /* 1 (ms), 1000 (us), 1000000 (ns) */
/* Flink's way of writing it: "DECIMAL(24, 3)", "TIMESTAMP(3) NOT NULL". Writes at most size bytes, always terminated.
 */
void type_print(struct type type, char *target, size_t size);

/* Field names and types of a batch; reference counted, immutable, owns everything that it points to. */
struct schema {
    _Atomic int32_t refs;
    int32_t n_fields;
    struct field *fields;
    void *memory; /* arena that holds the nested fields and names */
};
/* Deep copy of fields. */
sabot_status schema_new(const struct field *fields, int32_t n_fields, struct schema **out, struct sabot_error *err);
struct schema *schema_ref(struct schema *schema);
void schema_unref(struct schema *schema); /* NULL is allowed */
int32_t schema_find(const struct schema *schema, const char *name); /* -1: none */
bool schema_equal(const struct schema *a, const struct schema *b);

#endif
