/* Binding: syntax tree (ast.h) -> logical plan (plan/plan.h). Names are looked up, types derived, constructs that this
 * version can't run are refused with a sentence and the place where they stand. */
#ifndef SQL_BIND_H
#define SQL_BIND_H

#include "plan/plan.h"
#include "sql/ast.h"
#include "sql/catalog.h"
#include "sql/settings.h"

struct cte_frame;

/* What one statement is bound with. Zero-initialise, set the first three, call binder_clear at the end (it gives back
 * the references to the tables that the plan reads: keep it as long as the plan). */
struct binder {
    struct catalog *catalog;
    const struct settings *settings;
    struct plan_arena *plans;
    struct catalog_object **used; /* owned references */
    int32_t n_used, used_capacity;
    const struct cte_frame *ctes;
    int32_t view_depth;
};
void binder_clear(struct binder *binder);
/* Keeps the object alive as long as the binder. */
sabot_status binder_use(struct binder *binder, struct catalog_object *object, struct sabot_error *err);

sabot_status bind_query(struct binder *binder, const struct sql_query *query, struct plan **out,
                        struct sabot_error *err);
/* A SINK over the query, with casts to the target's columns. */
sabot_status bind_insert(struct binder *binder, const struct sql_insert *insert, struct plan **out,
                         struct sabot_error *err);
/* A SINK over a plan whose columns are meant for the table's columns by position (CREATE TABLE AS). */
sabot_status bind_sink(struct binder *binder, struct plan *input, struct catalog_object *target,
                       const struct sql_path *columns, struct sql_span span, struct plan **out,
                       struct sabot_error *err);

sabot_status bind_type(struct arena *arena, const struct sql_type *type, struct type *out, struct sabot_error *err);
/* The type that a text names: "DECIMAL(10, 2)". */
sabot_status bind_type_text(struct arena *arena, const char *text, struct type *out, struct sabot_error *err);

/* ddl.c: new objects, not yet in the catalogue. text: the script, of which views keep their query's part. */
sabot_status bind_create_table(struct binder *binder, const struct sql_create_table *create, const char *text,
                               const struct plan *as, struct catalog_object **out, struct sabot_error *err);
sabot_status bind_create_view(struct binder *binder, const struct sql_create_view *create, const char *text,
                              struct catalog_object **out, struct sabot_error *err);
/* Checks the options of a table for reading (or writing) by its connector and format. */
sabot_status table_check(const struct plan_table *table, bool reads, bool writes, struct sql_span span,
                         struct sabot_error *err);
/* Fills `view` with the table as its connector sees it, all declared columns (no pruning). */
sabot_status table_view(struct arena *arena, const struct plan_table *table, struct connector_table *view,
                        struct sabot_error *err);

#endif
