/* The catalogue: tables, views and functions of a session, by name.
 *
 * There is one catalogue and one database, default_catalog.default_database; names may be qualified with them. Objects
 * are immutable and reference-counted: a job keeps the tables that it reads, DROP TABLE takes away the name only. A
 * temporary object hides a permanent one of the same name, as in Flink. One thread at a time. */
#ifndef SQL_CATALOG_H
#define SQL_CATALOG_H

#include "plan/plan.h"
#include "sql/ast.h"

#define CATALOG_NAME "default_catalog"
#define DATABASE_NAME "default_database"
#define CATALOG_OBJECTS_MAX 65536

enum catalog_kind { CATALOG_TABLE, CATALOG_VIEW };

struct catalog_object {
    _Atomic int32_t refs;
    enum catalog_kind kind;
    bool temporary;
    struct arena arena; /* owns everything below */
    const char *name;
    struct plan_table table; /* TABLE */
    const char *query;       /* VIEW: its text */
    const char *const *view_columns; /* VIEW (a, b) AS; NULL: those of the query */
    int32_t n_view_columns;
    struct schema *view_schema;      /* VIEW: owned reference, for DESCRIBE */
    const char *comment;             /* NULL: none */
    void (*release)(void *owner);    /* TABLE of a stream: called when the last reference goes; NULL: none */
    void *owner;
};
struct catalog_object *catalog_object_new(enum catalog_kind kind); /* NULL: no memory */
struct catalog_object *catalog_object_ref(struct catalog_object *object);
void catalog_object_unref(struct catalog_object *object); /* NULL is allowed */

struct catalog_function {
    char *name;
    const struct function *function; /* built in under another name, or registered through the C API; NULL: */
    const struct process_function *process; /* a process function */
    char *class_name;                /* as in CREATE FUNCTION; NULL: registered */
    bool temporary;
};

struct catalog {
    struct catalog_object **objects;
    size_t n_objects, objects_capacity;
    struct catalog_function *functions;
    size_t n_functions, functions_capacity;
    struct process_function *processes; /* all that there were: plans may use those that were dropped */
};
void catalog_clear(struct catalog *catalog);

/* The last part of a name, after checking that the parts before it are those of the one catalogue and database. */
sabot_status catalog_resolve(const struct sql_path *path, const struct sql_name **out, struct sabot_error *err);
/* Borrowed; NULL: there is none. */
struct catalog_object *catalog_find(const struct catalog *catalog, const char *name);
/* ERR_PLAN with the nearest name where there is none. Borrowed. */
sabot_status catalog_get(const struct catalog *catalog, const struct sql_path *path, struct catalog_object **out,
                         struct sabot_error *err);
/* Takes over the reference on every path. replace: an object of this name and temporariness is replaced. */
sabot_status catalog_add(struct catalog *catalog, struct catalog_object *object, bool replace, struct sql_span span,
                         struct sabot_error *err);
/* False: there was none. */
bool catalog_remove(struct catalog *catalog, const char *name, enum catalog_kind kind, bool temporary);

const struct catalog_function *catalog_function_find(const struct catalog *catalog, const char *name);
sabot_status catalog_function_add(struct catalog *catalog, const char *name, const struct function *function,
                                  const char *class_name, bool temporary, struct sabot_error *err);
/* Takes over the function on every path. */
sabot_status catalog_process_add(struct catalog *catalog, const char *name, struct process_function *process,
                                 const char *class_name, bool temporary, struct sabot_error *err);
bool catalog_function_remove(struct catalog *catalog, const char *name);

#endif
