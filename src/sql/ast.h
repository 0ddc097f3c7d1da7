/* The syntax tree of Flink SQL: what parse.h makes of a script and what the binder reads.
 *
 * All nodes live in the arena of one `struct sql_script` and die with it. Text is UTF-8, NUL-terminated, never NULL
 * unless said so. Identifiers keep their spelling (Flink: case-sensitive); keywords and function names in `call.name`
 * keep it too, compare them with strcasecmp. Every node carries the place in the source it came from.
 * A list is {items, count}; an empty one has items == NULL.
 * The tree is at most SQL_DEPTH_MAX high, so walking it by recursion is safe.
 * The parser decides syntax only: whether a table exists, an option is known or a type fits is the binder's part. */
#ifndef SQL_AST_H
#define SQL_AST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "sabot/error.h"

#define SQL_DEPTH_MAX 256                        /* nested expressions, queries, types */
#define SQL_STATEMENT_BYTES_MAX (1024u * 1024u)  /* one statement */
#define SQL_SCRIPT_BYTES_MAX (16u * 1024u * 1024u)
#define SQL_TOKENS_MAX (512u * 1024u)            /* in one statement */

/* A place in the source. `line` 0: none (the node was made up). */
struct sql_span {
    uint32_t offset;   /* first byte in the script */
    uint32_t size;     /* bytes */
    uint32_t position; /* first character in the script, 0-based */
    uint32_t length;   /* characters */
    uint32_t line;     /* 1-based */
    uint32_t column;   /* 1-based, in characters */
};

struct sql_name {
    const char *text; /* without the back quotes */
    struct sql_span span;
    bool quoted;
};

/* [catalog.][database.]object, or table.column.field. */
struct sql_path {
    struct sql_name *items;
    unsigned count;
    unsigned capacity;
};

struct sql_expr;
struct sql_query;
struct sql_table;
struct sql_type;
struct sql_statement;

struct sql_exprs {
    struct sql_expr **items;
    unsigned count;
    unsigned capacity;
};

/* ---- units ------------------------------------------------------------------------------------------------------ */

enum sql_unit {
    SQL_UNIT_NONE,
    SQL_UNIT_YEAR,
    SQL_UNIT_QUARTER,
    SQL_UNIT_MONTH,
    SQL_UNIT_WEEK,
    SQL_UNIT_DAY,
    SQL_UNIT_HOUR,
    SQL_UNIT_MINUTE,
    SQL_UNIT_SECOND,
    SQL_UNIT_MILLISECOND,
    SQL_UNIT_MICROSECOND,
    SQL_UNIT_NANOSECOND,
    SQL_UNIT_DOW,
    SQL_UNIT_ISODOW,
    SQL_UNIT_DOY,
    SQL_UNIT_ISOYEAR,
    SQL_UNIT_EPOCH,
    SQL_UNIT_DECADE,
    SQL_UNIT_CENTURY,
    SQL_UNIT_MILLENNIUM,
};

/* ---- types ------------------------------------------------------------------------------------------------------ */

enum sql_type_kind {
    SQL_TYPE_CHAR,
    SQL_TYPE_VARCHAR,
    SQL_TYPE_STRING, /* VARCHAR(2147483647) */
    SQL_TYPE_BOOLEAN,
    SQL_TYPE_BINARY,
    SQL_TYPE_VARBINARY,
    SQL_TYPE_BYTES, /* VARBINARY(2147483647) */
    SQL_TYPE_DECIMAL,
    SQL_TYPE_TINYINT,
    SQL_TYPE_SMALLINT,
    SQL_TYPE_INT,
    SQL_TYPE_BIGINT,
    SQL_TYPE_FLOAT,
    SQL_TYPE_DOUBLE,
    SQL_TYPE_DATE,
    SQL_TYPE_TIME,
    SQL_TYPE_TIMESTAMP,     /* WITHOUT TIME ZONE */
    SQL_TYPE_TIMESTAMP_TZ,  /* WITH TIME ZONE */
    SQL_TYPE_TIMESTAMP_LTZ, /* WITH LOCAL TIME ZONE */
    SQL_TYPE_INTERVAL,
    SQL_TYPE_ARRAY,
    SQL_TYPE_MULTISET,
    SQL_TYPE_MAP,
    SQL_TYPE_ROW,
    SQL_TYPE_RAW,
    SQL_TYPE_NULL,
    SQL_TYPE_VARIANT,
    SQL_TYPE_NAMED, /* a user-defined type */
};

/* A field of ROW<..>. */
struct sql_field {
    struct sql_name name;
    struct sql_type *type;
    const char *comment; /* NULL: none */
};

struct sql_fields {
    struct sql_field *items;
    unsigned count;
    unsigned capacity;
};

struct sql_type {
    enum sql_type_kind kind;
    struct sql_span span;
    uint16_t height;
    bool not_null;
    bool has_precision;
    bool has_scale;
    uint32_t precision; /* or length: DECIMAL(p, s), VARCHAR(n), TIMESTAMP(p), INTERVAL DAY(p) */
    uint32_t scale;     /* INTERVAL .. TO SECOND(s) too */
    enum sql_unit unit_from; /* INTERVAL */
    enum sql_unit unit_to;   /* SQL_UNIT_NONE: as unit_from */
    struct sql_type *key;     /* MAP */
    struct sql_type *element; /* ARRAY, MULTISET; the value of MAP */
    struct sql_fields fields; /* ROW */
    struct sql_path name;     /* NAMED */
    const char *raw_class;      /* RAW('class', 'serializer') */
    const char *raw_serializer;
};

/* ---- expressions ------------------------------------------------------------------------------------------------ */

enum sql_expr_kind {
    SQL_EXPR_NULL,
    SQL_EXPR_BOOL,      /* .boolean */
    SQL_EXPR_INTEGER,   /* .text: digits only */
    SQL_EXPR_DECIMAL,   /* .text: digits with a point */
    SQL_EXPR_DOUBLE,    /* .text: with an exponent */
    SQL_EXPR_STRING,    /* .text, quotes and escapes removed */
    SQL_EXPR_BYTES,     /* .text: hexadecimal digits, X'CAFE' */
    SQL_EXPR_DATE,      /* .text: DATE '2020-01-01' */
    SQL_EXPR_TIME,      /* .text */
    SQL_EXPR_TIMESTAMP, /* .text */
    SQL_EXPR_INTERVAL,  /* .interval */
    SQL_EXPR_COLUMN,    /* .path: a, t.a, t.a.field, db.t.a */
    SQL_EXPR_STAR,      /* .path: *, t.*; in a select list, and COUNT's argument */
    SQL_EXPR_UNARY,     /* .unary */
    SQL_EXPR_BINARY,    /* .binary */
    SQL_EXPR_LOGIC,     /* .logic: AND, OR with two or more operands */
    SQL_EXPR_IS,        /* .is: IS [NOT] NULL, TRUE, .. */
    SQL_EXPR_LIKE,      /* .like: LIKE, SIMILAR TO */
    SQL_EXPR_BETWEEN,   /* .between */
    SQL_EXPR_IN,        /* .in: list or query */
    SQL_EXPR_QUANTIFIED, /* .quantified: x > ANY (query) */
    SQL_EXPR_EXISTS,    /* .query */
    SQL_EXPR_SUBQUERY,  /* .query: as a value */
    SQL_EXPR_CASE,      /* .cases */
    SQL_EXPR_CAST,      /* .cast */
    SQL_EXPR_CALL,      /* .call: functions of every syntax, see below */
    SQL_EXPR_FIELD,     /* .field: (x).f where x is no plain name; a plain chain of names is COLUMN */
    SQL_EXPR_INDEX,     /* .binary: left[right] */
    SQL_EXPR_ARRAY,     /* .list: ARRAY[..] */
    SQL_EXPR_ARRAY_QUERY, /* .query: ARRAY(SELECT ..) */
    SQL_EXPR_MAP,       /* .list: MAP[k, v, k, v], an even number */
    SQL_EXPR_ROW,       /* .list: ROW(..) or (a, b) */
    SQL_EXPR_SYMBOL,    /* .symbol: a keyword as an argument: a unit, BOTH */
    SQL_EXPR_NAMED_ARG, /* .named: f(a => 1) */
    SQL_EXPR_TABLE_ARG, /* .table_arg: TABLE t [PARTITION BY ..] [ORDER BY ..] of a table function */
    SQL_EXPR_DESCRIPTOR, /* .path: DESCRIPTOR(a, b) */
    SQL_EXPR_DEFAULT,   /* DEFAULT as an argument */
};

enum sql_op {
    SQL_OP_PLUS,  /* unary */
    SQL_OP_MINUS, /* unary */
    SQL_OP_NOT,   /* unary */
    SQL_OP_ADD,
    SQL_OP_SUB,
    SQL_OP_MUL,
    SQL_OP_DIV,
    SQL_OP_MOD,    /* % */
    SQL_OP_CONCAT, /* || */
    SQL_OP_EQ,
    SQL_OP_NE,
    SQL_OP_LT,
    SQL_OP_LE,
    SQL_OP_GT,
    SQL_OP_GE,
    SQL_OP_DISTINCT,     /* IS DISTINCT FROM */
    SQL_OP_NOT_DISTINCT, /* IS NOT DISTINCT FROM */
    SQL_OP_OVERLAPS,
    SQL_OP_AND, /* logic */
    SQL_OP_OR,  /* logic */
};

enum sql_is {
    SQL_IS_NULL,
    SQL_IS_TRUE,
    SQL_IS_FALSE,
    SQL_IS_UNKNOWN,
    SQL_IS_JSON, /* IS JSON [VALUE] */
    SQL_IS_JSON_OBJECT,
    SQL_IS_JSON_ARRAY,
    SQL_IS_JSON_SCALAR,
};

struct sql_interval {
    const char *text; /* '10', '1-2', '1 10:00:00.5' */
    bool negative;    /* INTERVAL -'1' DAY */
    enum sql_unit from;
    enum sql_unit to;        /* SQL_UNIT_NONE: as from */
    bool has_precision;
    uint32_t precision;      /* of the leading field: DAY(3) */
    bool has_scale;
    uint32_t scale;          /* of SECOND */
};

struct sql_when {
    struct sql_expr *condition; /* WHEN: a value to compare with where there is an operand */
    struct sql_expr *result;
};

struct sql_whens {
    struct sql_when *items;
    unsigned count;
    unsigned capacity;
};

struct sql_order {
    struct sql_expr *expr;
    bool descending;
    enum { SQL_NULLS_DEFAULT, SQL_NULLS_FIRST, SQL_NULLS_LAST } nulls;
};

struct sql_orders {
    struct sql_order *items;
    unsigned count;
    unsigned capacity;
};

enum sql_bound_kind {
    SQL_BOUND_UNBOUNDED_PRECEDING,
    SQL_BOUND_PRECEDING, /* .offset */
    SQL_BOUND_CURRENT_ROW,
    SQL_BOUND_FOLLOWING, /* .offset */
    SQL_BOUND_UNBOUNDED_FOLLOWING,
};

struct sql_bound {
    enum sql_bound_kind kind;
    struct sql_expr *offset;
};

/* What stands in OVER (..) and in WINDOW w AS (..). */
struct sql_window {
    struct sql_span span;
    struct sql_name base; /* text NULL: none; OVER w gives a window with only a base */
    bool only_name;       /* OVER w, without parentheses */
    struct sql_exprs partition_by;
    struct sql_orders order_by;
    bool has_frame;
    bool frame_is_rows; /* ROWS, else RANGE */
    struct sql_bound start;
    struct sql_bound end; /* CURRENT ROW where the text gives only a start */
};

enum sql_json_behaviour {
    SQL_JSON_UNSET,
    SQL_JSON_NULL,
    SQL_JSON_ERROR,
    SQL_JSON_DEFAULT, /* with an expression */
    SQL_JSON_EMPTY_ARRAY,
    SQL_JSON_EMPTY_OBJECT,
    SQL_JSON_TRUE,
    SQL_JSON_FALSE,
    SQL_JSON_UNKNOWN,
};

enum sql_json_wrapper {
    SQL_JSON_WRAPPER_UNSET,
    SQL_JSON_WITHOUT_WRAPPER,
    SQL_JSON_WITH_CONDITIONAL_WRAPPER,
    SQL_JSON_WITH_WRAPPER, /* UNCONDITIONAL */
};

/* The clauses of JSON_VALUE, JSON_QUERY, JSON_EXISTS, JSON_OBJECT, JSON_ARRAY and their aggregates. */
struct sql_json {
    struct sql_type *returning; /* NULL: none */
    enum sql_json_behaviour on_empty;
    enum sql_json_behaviour on_error;
    struct sql_expr *default_on_empty;
    struct sql_expr *default_on_error;
    enum sql_json_wrapper wrapper;
    enum { SQL_JSON_NULLS_UNSET, SQL_JSON_NULL_ON_NULL, SQL_JSON_ABSENT_ON_NULL } nulls;
};

/* A call. Special syntaxes become plain arguments:
 *   EXTRACT(DAY FROM x)              EXTRACT    [symbol DAY, x]
 *   SUBSTRING(x FROM n FOR m)        SUBSTRING  [x, n, m]
 *   TRIM(BOTH 'c' FROM x)            TRIM       [symbol BOTH, 'c', x]; TRIM(x): [x]; TRIM(LEADING FROM x): [symbol, x]
 *   POSITION(a IN b)                 POSITION   [a, b]
 *   OVERLAY(x PLACING y FROM n FOR m) OVERLAY   [x, y, n, m]
 *   TIMESTAMPADD(DAY, n, t)          TIMESTAMPADD [symbol DAY, n, t]; TIMESTAMPDIFF alike
 *   FLOOR(t TO DAY), CEIL            FLOOR      [t, symbol DAY]
 *   x AT TIME ZONE z                 AT_TIME_ZONE [x, z]
 *   CURRENT_TIMESTAMP                no arguments, without_parens
 *   JSON_OBJECT(KEY k VALUE v, ..)   JSON_OBJECT [k, v, ..]
 *   COUNT(*)                         COUNT      [star] */
struct sql_call {
    struct sql_path name;
    struct sql_exprs args;
    bool without_parens;
    bool distinct;
    bool ignore_nulls;
    bool respect_nulls;
    struct sql_orders order_by;     /* AGG(x ORDER BY y) and WITHIN GROUP (ORDER BY y) */
    struct sql_expr *filter;        /* NULL: none */
    struct sql_window *over;        /* NULL: none */
    struct sql_json *json;          /* NULL: none */
};

/* An argument of a table function: TABLE t or (query), with PARTITION BY / ORDER BY. */
struct sql_table_arg {
    struct sql_table *table; /* SQL_TABLE_NAME or SQL_TABLE_QUERY */
    struct sql_exprs partition_by;
    struct sql_orders order_by;
};

struct sql_expr {
    enum sql_expr_kind kind;
    uint16_t height; /* 1 for a leaf */
    bool in_parens;  /* written in parentheses of its own */
    struct sql_span span;
    union {
        bool boolean;
        struct {
            const char *text;
            uint32_t text_size; /* bytes */
        };
        struct sql_interval interval;
        struct sql_path path;
        struct {
            enum sql_op op;
            struct sql_expr *operand;
        } unary;
        struct {
            enum sql_op op;
            struct sql_expr *left;
            struct sql_expr *right;
        } binary;
        struct {
            enum sql_op op;
            struct sql_exprs operands;
        } logic;
        struct {
            struct sql_expr *operand;
            enum sql_is what;
            bool negated;
        } is;
        struct {
            struct sql_expr *operand;
            struct sql_expr *pattern;
            struct sql_expr *escape; /* NULL: none */
            bool similar;            /* SIMILAR TO */
            bool negated;
        } like;
        struct {
            struct sql_expr *operand;
            struct sql_expr *low;
            struct sql_expr *high;
            bool symmetric;
            bool negated;
        } between;
        struct {
            struct sql_expr *operand;
            struct sql_exprs list;
            struct sql_query *query; /* NULL: the list is meant */
            bool negated;
        } in;
        struct {
            enum sql_op op;
            bool all; /* ALL, else ANY = SOME */
            struct sql_expr *operand;
            struct sql_query *query;
        } quantified;
        struct sql_query *query;
        struct {
            struct sql_expr *operand;  /* NULL: CASE WHEN */
            struct sql_whens whens;
            struct sql_expr *otherwise; /* NULL: none */
        } cases;
        struct {
            struct sql_expr *operand;
            struct sql_type *type;
            bool try_cast;
        } cast;
        struct sql_call call;
        struct {
            struct sql_expr *operand;
            struct sql_name name;
        } field;
        struct sql_exprs list;
        struct {
            enum sql_unit unit; /* SQL_UNIT_NONE: another word */
            const char *word;   /* as written */
        } symbol;
        struct {
            struct sql_name name;
            struct sql_expr *value;
        } named;
        struct sql_table_arg table_arg;
    };
};

/* ---- tables in FROM --------------------------------------------------------------------------------------------- */

enum sql_table_kind {
    SQL_TABLE_NAME,     /* .name */
    SQL_TABLE_QUERY,    /* .query: (SELECT ..) */
    SQL_TABLE_FUNCTION, /* .function: TABLE(f(..)), LATERAL TABLE(f(..)), f(..); window TVFs are such functions */
    SQL_TABLE_UNNEST,   /* .unnest */
    SQL_TABLE_JOIN,     /* .join */
    SQL_TABLE_MATCH,    /* .match: table MATCH_RECOGNIZE (..) */
};

enum sql_join_kind { SQL_JOIN_INNER, SQL_JOIN_LEFT, SQL_JOIN_RIGHT, SQL_JOIN_FULL, SQL_JOIN_CROSS };

/* 'k' = 'v' of WITH (..), SET, hints. */
struct sql_option {
    const char *key;
    const char *value;
    struct sql_span key_span;
    struct sql_span value_span;
};

struct sql_options {
    struct sql_option *items;
    unsigned count;
    unsigned capacity;
};

/* A hint: OPTIONS('k'='v'), LOOKUP('table'='t'), BROADCAST(t), STATE_TTL('t'='1d'). */
struct sql_hint {
    struct sql_name name;
    struct sql_options options; /* key = value arguments */
    struct sql_path args;       /* plain arguments */
};

struct sql_hints {
    struct sql_hint *items;
    unsigned count;
    unsigned capacity;
};

enum sql_pattern_kind {
    SQL_PATTERN_VARIABLE,    /* .name */
    SQL_PATTERN_SEQUENCE,    /* .children */
    SQL_PATTERN_ALTERNATION, /* .children */
    SQL_PATTERN_REPEAT,      /* .children[0], {min, max}, reluctant */
    SQL_PATTERN_EXCLUDE,     /* {- .. -} */
    SQL_PATTERN_PERMUTE,
};

struct sql_pattern;

struct sql_patterns {
    struct sql_pattern **items;
    unsigned count;
    unsigned capacity;
};

struct sql_pattern {
    enum sql_pattern_kind kind;
    uint16_t height;
    struct sql_span span;
    struct sql_name name;
    struct sql_patterns children;
    uint32_t min;
    uint32_t max; /* UINT32_MAX: unbounded */
    bool reluctant;
};

/* A named expression: a select item, a measure, a DEFINE. */
struct sql_item {
    struct sql_expr *expr;
    struct sql_name alias; /* text NULL: none */
};

struct sql_items {
    struct sql_item *items;
    unsigned count;
    unsigned capacity;
};

enum sql_match_skip {
    SQL_SKIP_DEFAULT,
    SQL_SKIP_PAST_LAST_ROW,
    SQL_SKIP_TO_NEXT_ROW,
    SQL_SKIP_TO_FIRST, /* .skip_to */
    SQL_SKIP_TO_LAST,  /* .skip_to */
};

struct sql_match {
    struct sql_exprs partition_by;
    struct sql_orders order_by;
    struct sql_items measures;
    bool all_rows; /* ALL ROWS PER MATCH, else ONE ROW (the default) */
    enum sql_match_skip skip;
    struct sql_name skip_to;
    struct sql_pattern *pattern;
    struct sql_expr *within; /* NULL: none */
    struct sql_items define;
};

struct sql_table {
    enum sql_table_kind kind;
    uint16_t height;
    struct sql_span span;
    struct sql_name alias;    /* text NULL: none */
    struct sql_path columns;  /* AS t (a, b) */
    struct sql_expr *as_of;   /* FOR SYSTEM_TIME AS OF; NULL: none */
    struct sql_hints hints;
    bool lateral;
    union {
        struct sql_path name;
        struct sql_query *query;
        struct sql_expr *function; /* SQL_EXPR_CALL */
        struct {
            struct sql_exprs exprs;
            bool with_ordinality;
        } unnest;
        struct {
            enum sql_join_kind kind;
            bool comma; /* FROM a, b */
            bool natural;
            struct sql_table *left;
            struct sql_table *right;
            struct sql_expr *on;    /* NULL: none */
            struct sql_path columns; /* USING (..) */
        } join;
        struct {
            struct sql_table *input;
            struct sql_match *spec;
        } match;
    };
};

/* ---- queries ---------------------------------------------------------------------------------------------------- */

enum sql_query_kind {
    SQL_QUERY_SELECT, /* .select */
    SQL_QUERY_VALUES, /* .rows: each a SQL_EXPR_ROW */
    SQL_QUERY_SET,    /* .set */
    SQL_QUERY_TABLE,  /* .table: TABLE t = SELECT * FROM t */
    SQL_QUERY_NESTED, /* .nested: (query) with clauses of its own outside */
};

enum sql_set_op { SQL_SET_UNION, SQL_SET_INTERSECT, SQL_SET_EXCEPT };

enum sql_group_kind {
    SQL_GROUP_EXPR, /* .expr */
    SQL_GROUP_SETS, /* GROUPING SETS: .children */
    SQL_GROUP_ROLLUP,
    SQL_GROUP_CUBE,
    SQL_GROUP_LIST, /* (a, b) or () inside of the above: .children are EXPR */
};

struct sql_group;

struct sql_groups {
    struct sql_group *items;
    unsigned count;
    unsigned capacity;
};

struct sql_group {
    enum sql_group_kind kind;
    uint16_t height;
    struct sql_span span;
    struct sql_expr *expr;
    struct sql_groups children;
};

struct sql_named_window {
    struct sql_name name;
    struct sql_window *window;
};

struct sql_named_windows {
    struct sql_named_window *items;
    unsigned count;
    unsigned capacity;
};

struct sql_select {
    bool distinct;
    struct sql_hints hints;
    struct sql_items items;
    struct sql_table *from; /* NULL: none; FROM a, b is a JOIN with `comma` */
    struct sql_expr *where;
    bool has_group_by;
    struct sql_groups group_by;
    struct sql_expr *having;
    struct sql_named_windows windows;
    struct sql_expr *qualify;
};

struct sql_cte {
    struct sql_name name;
    struct sql_path columns;
    struct sql_query *query;
};

struct sql_ctes {
    struct sql_cte *items;
    unsigned count;
    unsigned capacity;
};

struct sql_query {
    enum sql_query_kind kind;
    uint16_t height;
    bool in_parens;
    struct sql_span span;
    bool recursive; /* WITH RECURSIVE */
    struct sql_ctes with;
    struct sql_orders order_by;
    struct sql_expr *limit;  /* NULL: none, LIMIT ALL; FETCH FIRST n ROWS ONLY too */
    struct sql_expr *offset; /* NULL: none */
    union {
        struct sql_select select;
        struct sql_exprs rows;
        struct {
            enum sql_set_op op;
            bool all;
            struct sql_query *left;
            struct sql_query *right;
        } set;
        struct sql_table *table;
        struct sql_query *nested;
    };
};

/* ---- statements ------------------------------------------------------------------------------------------------- */

enum sql_column_kind { SQL_COLUMN_PHYSICAL, SQL_COLUMN_COMPUTED, SQL_COLUMN_METADATA };

struct sql_column {
    enum sql_column_kind kind;
    struct sql_span span;
    struct sql_name name;
    struct sql_type *type;       /* PHYSICAL, METADATA; NULL for a bare name in CREATE TABLE t (a, b) AS SELECT */
    struct sql_expr *expr;       /* COMPUTED */
    const char *metadata_key;    /* METADATA FROM 'key'; NULL: the column's name */
    bool is_virtual;             /* METADATA VIRTUAL */
    bool is_primary_key;         /* column-level PRIMARY KEY */
    const char *comment;         /* NULL: none */
    enum { SQL_PLACE_DEFAULT, SQL_PLACE_FIRST, SQL_PLACE_AFTER } place; /* ALTER TABLE ADD / MODIFY */
    struct sql_name after;
};

struct sql_columns {
    struct sql_column *items;
    unsigned count;
    unsigned capacity;
};

/* PRIMARY KEY (..) or UNIQUE (..) at table level. */
struct sql_constraint {
    struct sql_span span;
    struct sql_name name; /* text NULL: none */
    bool unique;          /* UNIQUE, else PRIMARY KEY */
    bool enforced;        /* anything but NOT ENFORCED */
    struct sql_path columns;
};

struct sql_constraints {
    struct sql_constraint *items;
    unsigned count;
    unsigned capacity;
};

struct sql_watermark {
    struct sql_span span;
    struct sql_path column; /* a.b: a field of a row */
    struct sql_expr *expr;
};

struct sql_watermarks {
    struct sql_watermark *items;
    unsigned count;
    unsigned capacity;
};

/* The clause of CREATE TABLE .. LIKE t (EXCLUDING OPTIONS ..). */
struct sql_like_option {
    enum { SQL_LIKE_INCLUDING, SQL_LIKE_EXCLUDING, SQL_LIKE_OVERWRITING } mode;
    enum {
        SQL_LIKE_ALL,
        SQL_LIKE_CONSTRAINTS,
        SQL_LIKE_DISTRIBUTION,
        SQL_LIKE_GENERATED,
        SQL_LIKE_METADATA,
        SQL_LIKE_OPTIONS,
        SQL_LIKE_PARTITIONS,
        SQL_LIKE_WATERMARKS,
    } what;
    struct sql_span span;
};

struct sql_like_options {
    struct sql_like_option *items;
    unsigned count;
    unsigned capacity;
};

/* The part in parentheses of CREATE TABLE and ALTER TABLE ADD / MODIFY. */
struct sql_table_elements {
    struct sql_columns columns;
    struct sql_constraints constraints;
    struct sql_watermarks watermarks;
};

enum sql_object_kind {
    SQL_OBJECT_TABLE,
    SQL_OBJECT_VIEW,
    SQL_OBJECT_FUNCTION,
    SQL_OBJECT_CATALOG,
    SQL_OBJECT_DATABASE,
    SQL_OBJECT_COLUMN,
    SQL_OBJECT_JOB,
    SQL_OBJECT_CONNECTOR,
    SQL_OBJECT_PARTITION,
    SQL_OBJECT_MODULE,
    SQL_OBJECT_JAR,
};

struct sql_create_table {
    struct sql_path name;
    bool temporary;
    bool if_not_exists;
    bool or_replace;
    struct sql_table_elements elements;
    const char *comment; /* NULL: none */
    struct sql_path partitioned_by;
    bool has_distribution; /* DISTRIBUTED [BY [HASH|RANGE] (..)] [INTO n BUCKETS] */
    const char *distribution_kind; /* NULL, "HASH", "RANGE" */
    struct sql_path distributed_by;
    uint32_t buckets; /* 0: not given */
    struct sql_options options;
    bool has_like;
    struct sql_path like;
    struct sql_like_options like_options;
    struct sql_query *as; /* AS SELECT; NULL: none */
};

struct sql_create_view {
    struct sql_path name;
    bool temporary;
    bool if_not_exists;
    bool or_replace;
    struct sql_path columns;
    const char *comment;
    struct sql_query *query;
    struct sql_span query_span; /* the query's text, for SHOW CREATE VIEW */
};

enum sql_language { SQL_LANGUAGE_DEFAULT, SQL_LANGUAGE_JAVA, SQL_LANGUAGE_SCALA, SQL_LANGUAGE_PYTHON, SQL_LANGUAGE_C };

/* USING JAR 'path', FILE, ARCHIVE. */
struct sql_resource {
    const char *kind; /* "JAR", "FILE", "ARCHIVE" */
    const char *path;
    struct sql_span span;
};

struct sql_resources {
    struct sql_resource *items;
    unsigned count;
    unsigned capacity;
};

/* CREATE FUNCTION and ALTER FUNCTION. */
struct sql_create_function {
    struct sql_path name;
    bool temporary;
    bool system;
    bool if_not_exists; /* ALTER: IF EXISTS */
    const char *class_name;
    struct sql_span class_span;
    enum sql_language language;
    struct sql_resources resources;
};

/* CREATE CATALOG / DATABASE. */
struct sql_create_catalog {
    struct sql_path name;
    bool if_not_exists;
    const char *comment;
    struct sql_options options;
};

struct sql_drop {
    enum sql_object_kind object;
    struct sql_path name;
    bool temporary;
    bool system; /* DROP TEMPORARY SYSTEM FUNCTION */
    bool if_exists;
    bool cascade; /* DROP DATABASE .. CASCADE */
    bool restrict_given;
};

enum sql_alter_kind {
    SQL_ALTER_RENAME,          /* .new_name */
    SQL_ALTER_SET_OPTIONS,     /* .options */
    SQL_ALTER_RESET_OPTIONS,   /* .options, keys only */
    SQL_ALTER_ADD,             /* .elements */
    SQL_ALTER_MODIFY,          /* .elements */
    SQL_ALTER_RENAME_COLUMN,   /* .column, .new_name */
    SQL_ALTER_DROP_COLUMNS,    /* .columns */
    SQL_ALTER_DROP_PRIMARY_KEY,
    SQL_ALTER_DROP_CONSTRAINT, /* .columns[0] */
    SQL_ALTER_DROP_WATERMARK,
    SQL_ALTER_VIEW_AS,         /* .query */
};

struct sql_alter {
    enum sql_object_kind object; /* TABLE, VIEW, DATABASE */
    enum sql_alter_kind kind;
    struct sql_path name;
    bool if_exists;
    struct sql_path new_name;
    struct sql_path column;
    struct sql_path columns;
    struct sql_options options;
    struct sql_table_elements elements;
    struct sql_query *query;
};

enum sql_show_kind {
    SQL_SHOW_TABLES,
    SQL_SHOW_VIEWS,
    SQL_SHOW_FUNCTIONS, /* .user: USER FUNCTIONS */
    SQL_SHOW_CONNECTORS,
    SQL_SHOW_CATALOGS,
    SQL_SHOW_DATABASES,
    SQL_SHOW_MODULES, /* .full */
    SQL_SHOW_JARS,
    SQL_SHOW_JOBS,
    SQL_SHOW_COLUMNS,       /* .name */
    SQL_SHOW_PARTITIONS,    /* .name */
    SQL_SHOW_CREATE_TABLE,  /* .name */
    SQL_SHOW_CREATE_VIEW,   /* .name */
    SQL_SHOW_CREATE_CATALOG, /* .name */
    SQL_SHOW_CURRENT_CATALOG,
    SQL_SHOW_CURRENT_DATABASE,
};

struct sql_show {
    enum sql_show_kind kind;
    struct sql_path name; /* also FROM / IN db; count 0: none */
    bool user;
    bool full;
    bool negated;     /* NOT LIKE */
    bool ignore_case; /* ILIKE */
    const char *like; /* NULL: none */
};

struct sql_describe {
    enum sql_object_kind object; /* TABLE (tables and views), FUNCTION, CATALOG, DATABASE, JOB */
    struct sql_path name;
    const char *job; /* DESCRIBE JOB 'id' */
    bool extended;
};

enum sql_explain_detail {
    SQL_EXPLAIN_ESTIMATED_COST = 1,
    SQL_EXPLAIN_CHANGELOG_MODE = 2,
    SQL_EXPLAIN_JSON_EXECUTION_PLAN = 4,
    SQL_EXPLAIN_PLAN_ADVICE = 8,
};

struct sql_explain {
    unsigned details; /* bits of sql_explain_detail */
    struct sql_statement *statement;
};

/* Statements of a list: a script or a statement set. */
struct sql_statements {
    struct sql_statement **items;
    unsigned count;
    unsigned capacity;
};

struct sql_insert {
    struct sql_path target;
    struct sql_hints hints; /* INSERT INTO t OPTIONS('k'='v') as a hint */
    bool overwrite;
    struct sql_options partition; /* PARTITION (k = 'v'): keys are columns, value NULL for a dynamic one */
    struct sql_exprs partition_values; /* the same, as literals; NULL where dynamic */
    bool has_columns;
    struct sql_path columns;
    struct sql_query *query;
};

enum sql_statement_kind {
    SQL_STATEMENT_QUERY, /* .query */
    SQL_STATEMENT_INSERT,
    SQL_STATEMENT_SET_OF_STATEMENTS, /* .statements: EXECUTE STATEMENT SET BEGIN .. END */
    SQL_STATEMENT_CREATE_TABLE,
    SQL_STATEMENT_CREATE_VIEW,
    SQL_STATEMENT_CREATE_FUNCTION,
    SQL_STATEMENT_ALTER_FUNCTION, /* .create_function */
    SQL_STATEMENT_CREATE_CATALOG,
    SQL_STATEMENT_CREATE_DATABASE, /* .create_catalog */
    SQL_STATEMENT_DROP,
    SQL_STATEMENT_ALTER,
    SQL_STATEMENT_USE_CATALOG,  /* .name */
    SQL_STATEMENT_USE_DATABASE, /* .name */
    SQL_STATEMENT_SHOW,
    SQL_STATEMENT_DESCRIBE,
    SQL_STATEMENT_SET,           /* .set: one option; none: list all */
    SQL_STATEMENT_RESET,         /* .set: one key; none: all */
    SQL_STATEMENT_EXPLAIN,       /* .explain */
    SQL_STATEMENT_EXPLAIN_STALL, /* .job: id or name; NULL: all jobs */
    SQL_STATEMENT_STOP_JOB,      /* .stop */
    SQL_STATEMENT_ADD_JAR,       /* .text */
    SQL_STATEMENT_REMOVE_JAR,    /* .text */
};

struct sql_statement {
    enum sql_statement_kind kind;
    uint16_t height;
    bool execute; /* EXECUTE INSERT .., EXECUTE SELECT .. */
    struct sql_span span; /* without the semicolon */
    union {
        struct sql_query *query;
        struct sql_insert insert;
        struct sql_statements statements;
        struct sql_create_table create_table;
        struct sql_create_view create_view;
        struct sql_create_function create_function;
        struct sql_create_catalog create_catalog;
        struct sql_drop drop;
        struct sql_alter alter;
        struct sql_path name;
        struct sql_show show;
        struct sql_describe describe;
        struct sql_options set; /* RESET: value NULL */
        struct sql_explain explain;
        const char *job; /* NULL: none */
        struct {
            const char *job;
            bool with_savepoint;
            bool with_drain;
        } stop;
        const char *text;
    };
};

/* A parsed script. `text` is a copy that spans point into. */
struct sql_script {
    struct arena arena;
    const char *text;
    size_t text_size;
    struct sql_statements statements;
};

/* Sets line, column and length of an error from a span, unless it has a place already; then the status and message:
 * return SQL_FAIL(err, SABOT_ERR_PLAN, expr->span, "no column named %s", name); */
sabot_status sql_error_set(struct sabot_error *err, sabot_status status, struct sql_span span, const char *file,
                           int line, const char *format, ...) __attribute__((format(printf, 6, 7)));

#define SQL_FAIL(err, status, span, ...) sql_error_set((err), (status), (span), __FILE__, __LINE__, __VA_ARGS__)

/* "SECOND" for SQL_UNIT_SECOND; "" for NONE. Static. */
const char *sql_unit_name(enum sql_unit unit);
/* The unit that a word means, singular or plural, any case; SQL_UNIT_NONE if it is none. */
enum sql_unit sql_unit_find(const char *word);
/* "+", "AND", "IS DISTINCT FROM". Static. */
const char *sql_op_name(enum sql_op op);
/* "TIMESTAMP_LTZ", "ROW". Static. */
const char *sql_type_kind_name(enum sql_type_kind kind);
/* The span from the start of one to the end of the other. */
struct sql_span sql_span_join(struct sql_span first, struct sql_span last);

#endif
