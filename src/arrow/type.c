/* Types and schemas. */
#include "arrow/type.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/text.h"

#define SCHEMA_MEMORY_MAX ((size_t)64 * 1024 * 1024)

struct type type_of(enum type_kind kind) {
    struct type type = {.kind = (uint8_t)kind, .nullable = true};
    switch (kind) {
    case TYPE_STRING:
    case TYPE_BINARY: type.length = TYPE_LENGTH_MAX; break;
    case TYPE_DECIMAL: type.precision = 10; break; /* DECIMAL is DECIMAL(10, 0) */
    case TYPE_TIMESTAMP:
    case TYPE_TIMESTAMP_LTZ: type.precision = 6; break;
    default: break;
    }
    return type;
}

struct type type_decimal(int precision, int scale) {
    struct type type = type_of(TYPE_DECIMAL);
    type.precision = (uint8_t)precision;
    type.scale = (uint8_t)scale;
    return type;
}

struct type type_timestamp(int precision) {
    struct type type = type_of(TYPE_TIMESTAMP);
    type.precision = (uint8_t)precision;
    return type;
}

struct type type_not_null(struct type type) {
    type.nullable = false;
    return type;
}

struct type type_nullable(struct type type) {
    type.nullable = true;
    return type;
}

enum phys type_phys(struct type type) {
    switch ((enum type_kind)type.kind) {
    case TYPE_NULL: return PHYS_NULL;
    case TYPE_BOOL: return PHYS_BOOL;
    case TYPE_INT8: return PHYS_I8;
    case TYPE_INT16: return PHYS_I16;
    case TYPE_INT32:
    case TYPE_DATE:
    case TYPE_TIME:
    case TYPE_INTERVAL_MONTH: return PHYS_I32;
    case TYPE_INT64:
    case TYPE_TIMESTAMP:
    case TYPE_TIMESTAMP_LTZ:
    case TYPE_INTERVAL_DAY: return PHYS_I64;
    case TYPE_FLOAT32: return PHYS_F32;
    case TYPE_FLOAT64: return PHYS_F64;
    case TYPE_DECIMAL: return type.precision <= 18 ? PHYS_I64 : PHYS_I128;
    case TYPE_STRING:
    case TYPE_BINARY: return PHYS_VIEW;
    case TYPE_ARRAY:
    case TYPE_MAP: return PHYS_LIST;
    case TYPE_ROW: return PHYS_ROW;
    case TYPE_KINDS: break;
    }
    return PHYS_NULL;
}

size_t phys_size(enum phys phys) {
    static const uint8_t sizes[] = {
        [PHYS_NULL] = 0, [PHYS_BOOL] = 1, [PHYS_I8] = 1,  [PHYS_I16] = 2,   [PHYS_I32] = 4,  [PHYS_I64] = 8,
        [PHYS_I128] = 16, [PHYS_F32] = 4, [PHYS_F64] = 8, [PHYS_VIEW] = 16, [PHYS_LIST] = 0, [PHYS_ROW] = 0,
    };
    return sizes[phys];
}

static bool types_match(struct type a, struct type b, bool with_nullability) {
    if (a.kind != b.kind || a.precision != b.precision || a.scale != b.scale || a.fixed_length != b.fixed_length ||
        a.length != b.length || a.n_fields != b.n_fields || (with_nullability && a.nullable != b.nullable)) {
        return false;
    }
    for (int32_t i = 0; i < a.n_fields; i++) {
        if (a.kind == TYPE_ROW && strcmp(a.fields[i].name, b.fields[i].name) != 0) { return false; }
        if (!types_match(a.fields[i].type, b.fields[i].type, with_nullability)) { return false; }
    }
    return true;
}

bool type_equal(struct type a, struct type b) { return types_match(a, b, true); }

bool type_same(struct type a, struct type b) { return types_match(a, b, false); }

bool type_is_integer(struct type type) { return type.kind >= TYPE_INT8 && type.kind <= TYPE_INT64; }

bool type_is_numeric(struct type type) { return type.kind >= TYPE_INT8 && type.kind <= TYPE_DECIMAL; }

int64_t timestamp_units_per_ms_num(struct type type) {
    return type.precision <= 3 ? 1 : type.precision <= 6 ? 1000 : 1000000;
}

static void print_length(struct text *text, const char *name, int32_t length) {
    text_format(text, "%s(%d)", name, length);
}

static void print_type(struct type type, struct text *text) {
    static const char *const names[TYPE_KINDS] = {
        [TYPE_NULL] = "NULL",
        [TYPE_BOOL] = "BOOLEAN",
        [TYPE_INT8] = "TINYINT",
        [TYPE_INT16] = "SMALLINT",
        [TYPE_INT32] = "INT",
        [TYPE_INT64] = "BIGINT",
        [TYPE_FLOAT32] = "FLOAT",
        [TYPE_FLOAT64] = "DOUBLE",
        [TYPE_DATE] = "DATE",
        [TYPE_INTERVAL_MONTH] = "INTERVAL YEAR TO MONTH",
        [TYPE_INTERVAL_DAY] = "INTERVAL DAY TO SECOND",
    };
    switch ((enum type_kind)type.kind) {
    case TYPE_DECIMAL: text_format(text, "DECIMAL(%d, %d)", type.precision, type.scale); break;
    case TYPE_STRING:
        if (type.fixed_length) {
            print_length(text, "CHAR", type.length);
        } else if (type.length == TYPE_LENGTH_MAX) {
            text_add(text, "STRING");
        } else {
            print_length(text, "VARCHAR", type.length);
        }
        break;
    case TYPE_BINARY:
        if (type.fixed_length) {
            print_length(text, "BINARY", type.length);
        } else if (type.length == TYPE_LENGTH_MAX) {
            text_add(text, "BYTES");
        } else {
            print_length(text, "VARBINARY", type.length);
        }
        break;
    case TYPE_TIME: text_format(text, "TIME(%d)", type.precision); break;
    case TYPE_TIMESTAMP: text_format(text, "TIMESTAMP(%d)", type.precision); break;
    case TYPE_TIMESTAMP_LTZ: text_format(text, "TIMESTAMP_LTZ(%d)", type.precision); break;
    case TYPE_ARRAY:
    case TYPE_MAP:
        text_add(text, type.kind == TYPE_ARRAY ? "ARRAY<" : "MAP<");
        for (int32_t i = 0; i < type.n_fields; i++) {
            text_add(text, i ? ", " : "");
            print_type(type.fields[i].type, text);
        }
        text_add(text, ">");
        break;
    case TYPE_ROW:
        text_add(text, "ROW<");
        for (int32_t i = 0; i < type.n_fields; i++) {
            text_format(text, "%s`%s` ", i ? ", " : "", type.fields[i].name);
            print_type(type.fields[i].type, text);
        }
        text_add(text, ">");
        break;
    default: text_add(text, type.kind < TYPE_KINDS && names[type.kind] ? names[type.kind] : "?"); break;
    }
    if (!type.nullable) { text_add(text, " NOT NULL"); }
}

void type_print(struct type type, char *target, size_t size) {
    if (size == 0) { return; }
    struct text text = {0};
    print_type(type, &text);
    snprintf(target, size, "%s", text_string(&text));
    text_clear(&text);
}

/* Copies fields and all below them into the arena. NULL where it is full. */
static struct field *fields_copy(struct arena *arena, const struct field *fields, int32_t n_fields, int depth) {
    if (depth > 100 || n_fields < 0) { return NULL; }
    struct field *copy = arena_alloc(arena, (size_t)(n_fields ? n_fields : 1) * sizeof *copy);
    for (int32_t i = 0; copy && i < n_fields; i++) {
        const char *name = fields[i].name ? fields[i].name : "";
        copy[i].type = fields[i].type;
        copy[i].name = arena_copy(arena, name, strlen(name));
        if (!copy[i].name) { return NULL; }
        copy[i].type.fields = NULL;
        if (copy[i].type.n_fields) {
            copy[i].type.fields = fields_copy(arena, fields[i].type.fields, fields[i].type.n_fields, depth + 1);
            if (!copy[i].type.fields) { return NULL; }
        }
    }
    return copy;
}

sabot_status schema_new(const struct field *fields, int32_t n_fields, struct schema **out, struct sabot_error *err) {
    *out = NULL;
    struct schema *schema = calloc(1, sizeof *schema);
    struct arena *arena = calloc(1, sizeof *arena);
    if (schema && arena) {
        arena_init(arena, SCHEMA_MEMORY_MAX);
        schema->memory = arena;
        schema->n_fields = n_fields;
        schema->fields = fields_copy(arena, fields, n_fields, 0);
        atomic_init(&schema->refs, 1);
    }
    if (!schema || !arena || !schema->fields) {
        if (arena) { arena_clear(arena); }
        free(arena);
        free(schema);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "a schema of %d fields is too big", n_fields);
    }
    *out = schema;
    return SABOT_OK;
}

struct schema *schema_ref(struct schema *schema) {
    if (schema) { atomic_fetch_add_explicit(&schema->refs, 1, memory_order_relaxed); }
    return schema;
}

void schema_unref(struct schema *schema) {
    if (!schema || atomic_fetch_sub_explicit(&schema->refs, 1, memory_order_acq_rel) != 1) { return; }
    arena_clear(schema->memory);
    free(schema->memory);
    free(schema);
}

int32_t schema_find(const struct schema *schema, const char *name) {
    for (int32_t i = 0; i < schema->n_fields; i++) {
        if (strcmp(schema->fields[i].name, name) == 0) { return i; }
    }
    return -1;
}

bool schema_equal(const struct schema *a, const struct schema *b) {
    if (a == b) { return true; }
    if (a->n_fields != b->n_fields) { return false; }
    for (int32_t i = 0; i < a->n_fields; i++) {
        if (strcmp(a->fields[i].name, b->fields[i].name) != 0 || !type_equal(a->fields[i].type, b->fields[i].type)) {
            return false;
        }
    }
    return true;
}
