/* CREATE TABLE and CREATE VIEW: from the syntax tree to an object of the catalogue. */
#include "sql/bind_internal.h"

#include "base/nearest.h"
#include "expr/function.h"
#include "format/format.h"

#include <strings.h>

#define TABLE_COLUMNS_MAX 2048

/* A table under construction; everything lives in the object's arena. */
struct table_draft {
    struct binder *binder;
    struct catalog_object *object;
    struct table_column *columns;
    int32_t n_columns;
    unsigned capacity;
    struct table_option *options;
    int32_t n_options;
    unsigned options_capacity;
    struct plan_arena plans; /* its arena is the object's: lent for the time of binding */
};

static sabot_status keep(struct arena *arena, const char *text, const char **out, struct sabot_error *err) {
    *out = NULL;
    if (!text) { return SABOT_OK; }
    *out = arena_copy(arena, text, strlen(text));
    return *out ? SABOT_OK : PLAN_NO_MEMORY(err);
}

/* The text that a span covers. */
static sabot_status keep_span(struct arena *arena, const char *script, struct sql_span span, const char **out,
                              struct sabot_error *err) {
    *out = arena_copy(arena, script + span.offset, span.size);
    return *out ? SABOT_OK : PLAN_NO_MEMORY(err);
}

static struct arena *arena_of(struct table_draft *draft) { return &draft->object->arena; }

static int32_t find_column(const struct table_draft *draft, const char *name) {
    for (int32_t i = 0; i < draft->n_columns; i++) {
        if (strcmp(draft->columns[i].name, name) == 0) { return i; }
    }
    return -1;
}

static sabot_status add_column(struct table_draft *draft, struct table_column column, struct sql_span span,
                               struct sabot_error *err) {
    if (find_column(draft, column.name) >= 0) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, span, "there are two columns \"%s\"", column.name);
    }
    if (draft->n_columns >= TABLE_COLUMNS_MAX) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, span, "a table may have at most %d columns", TABLE_COLUMNS_MAX);
    }
    draft->columns = arena_grow(arena_of(draft), draft->columns, (size_t)draft->n_columns, sizeof *draft->columns,
                                &draft->capacity);
    if (!draft->columns) { return PLAN_NO_MEMORY(err); }
    draft->columns[draft->n_columns++] = column;
    return SABOT_OK;
}

/* A copy of a type with all that it points to. */
static sabot_status copy_type(struct arena *arena, struct type type, struct type *out, struct sabot_error *err) {
    *out = type;
    if (type.n_fields == 0) { return SABOT_OK; }
    struct field *fields = arena_alloc(arena, (size_t)type.n_fields * sizeof *fields);
    if (!fields) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < type.n_fields; i++) {
        SABOT_TRY(keep(arena, type.fields[i].name, &fields[i].name, err));
        SABOT_TRY(copy_type(arena, type.fields[i].type, &fields[i].type, err));
    }
    out->fields = fields;
    return SABOT_OK;
}

/* ---- options ----------------------------------------------------------------------------------------------------- */

static sabot_status set_option(struct table_draft *draft, struct table_option given, struct sabot_error *err) {
    struct table_option option = given;
    SABOT_TRY(keep(arena_of(draft), given.key, &option.key, err));
    SABOT_TRY(keep(arena_of(draft), given.value, &option.value, err));
    for (int32_t i = 0; i < draft->n_options; i++) {
        if (strcmp(draft->options[i].key, option.key) == 0) {
            draft->options[i] = option;
            return SABOT_OK;
        }
    }
    draft->options = arena_grow(arena_of(draft), draft->options, (size_t)draft->n_options, sizeof *draft->options,
                                &draft->options_capacity);
    if (!draft->options) { return PLAN_NO_MEMORY(err); }
    draft->options[draft->n_options++] = option;
    return SABOT_OK;
}

static const char *option_of(const struct table_option *options, int32_t n, const char *key) {
    for (int32_t i = 0; i < n; i++) {
        if (strcmp(options[i].key, key) == 0) { return options[i].value; }
    }
    return NULL;
}

static sabot_status unknown_name(const char *what, const char *name, const char *(*at)(size_t), struct sql_span span,
                                 struct sabot_error *err) {
    struct nearest nearest = {.wanted = name};
    struct text all = {0};
    for (size_t i = 0; at(i); i++) {
        nearest_offer(&nearest, at(i));
        text_format(&all, "%s%s", i ? ", " : "", at(i));
    }
    char hint[128];
    const sabot_status status = SQL_FAIL(err, SABOT_ERR_PLAN, span, "there is no %s '%s'%s (known: %s)", what, name,
                                         nearest_hint(&nearest, hint, sizeof hint), text_string(&all));
    text_clear(&all);
    return status;
}

/* Connectors that the engine makes tables of: no options lead to them. */
static bool connector_is_internal(const struct connector *connector) {
    return (!connector->source || connector->source->is_internal) && (!connector->sink || connector->sink->is_internal);
}

/* The i-th that SQL can name. */
static const char *connector_name_at(size_t i) {
    for (size_t at = 0; connector_at(at); at++) {
        if (!connector_is_internal(connector_at(at)) && i-- == 0) { return connector_at(at)->name; }
    }
    return NULL;
}

static const char *format_name_at(size_t i) {
    const struct format_type *format = format_at(i);
    return format ? format->name : NULL;
}

static sabot_status find_connector(struct table_draft *draft, const struct sql_create_table *create,
                                   struct sabot_error *err) {
    const char *name = option_of(draft->options, draft->n_options, "connector");
    struct sql_span span = create->name.items[create->name.count - 1].span;
    if (!name) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, span,
                        "table \"%s\" has no connector: add WITH ('connector' = '..'); `sabot connectors` lists them",
                        draft->object->name);
    }
    for (unsigned i = 0; i < create->options.count; i++) {
        if (strcmp(create->options.items[i].key, "connector") == 0) { span = create->options.items[i].value_span; }
    }
    const struct connector *connector = connector_find(name);
    if (connector && connector_is_internal(connector)) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, span, "connector '%s' is for the embedding program, not for SQL", name);
    }
    draft->object->table.connector = connector;
    return connector ? SABOT_OK : unknown_name("connector", name, connector_name_at, span, err);
}

static bool is_physical(const struct table_column *column) { return column->kind != TABLE_COLUMN_COMPUTED; }

sabot_status table_view(struct arena *arena, const struct plan_table *table, struct connector_table *view,
                        struct sabot_error *err) {
    struct schema *schema = ARENA_NEW(arena, struct schema);
    struct field *fields = arena_alloc(arena, ((size_t)table->n_columns + 1) * sizeof *fields);
    const char **metadata = arena_alloc(arena, ((size_t)table->n_columns + 1) * sizeof *metadata);
    if (!schema || !fields || !metadata) { return PLAN_NO_MEMORY(err); }
    int32_t n = 0;
    for (int32_t i = 0; i < table->n_columns; i++) {
        if (!is_physical(&table->columns[i])) { continue; }
        fields[n] = (struct field){.name = table->columns[i].name, .type = table->columns[i].type};
        metadata[n++] = table->columns[i].metadata_key;
    }
    atomic_init(&schema->refs, 1);
    schema->n_fields = n;
    schema->fields = fields;
    *view = (struct connector_table){
        .name = table->name, .options = table->options, .n_options = table->n_options, .schema = schema,
        .metadata = metadata, .declared = schema,
    };
    return SABOT_OK;
}

static sabot_status place_error(sabot_status status, struct sql_span span, struct sabot_error *err) {
    if (status != SABOT_OK && err && err->sql_line == 0 && span.line) {
        err->sql_line = span.line;
        err->sql_column = span.column;
        err->sql_length = span.length ? span.length : 1;
    }
    return status;
}

static sabot_status check_options(const struct plan_table *table, const struct connector_option *const *known,
                                  int32_t n_known, struct sql_span span, struct sabot_error *err) {
    const struct connector_table view = {
        .name = table->name, .options = table->options, .n_options = table->n_options,
    };
    return place_error(options_check(&view, known, n_known, err), span, err);
}

static sabot_status find_format(const struct plan_table *table, bool takes, struct sql_span span,
                                const struct format_type **out, struct sabot_error *err) {
    const char *name = option_of(table->options, table->n_options, "format");
    *out = NULL;
    if (!name) { return SABOT_OK; }
    if (!takes) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, span, "table \"%s\": connector '%s' takes no 'format'", table->name,
                        table->connector->name);
    }
    *out = format_find(name);
    return *out ? SABOT_OK : unknown_name("format", name, format_name_at, span, err);
}

sabot_status table_check(const struct plan_table *table, bool reads, bool writes, struct sql_span span,
                         struct sabot_error *err) {
    const struct source_type *source = table->connector->source;
    const struct sink_type *sink = table->connector->sink;
    if (reads && !source) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, span, "\"%s\" can't be read: connector '%s' only writes", table->name,
                        table->connector->name);
    }
    if (writes && !sink) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, span, "\"%s\" can't be written: connector '%s' only reads", table->name,
                        table->connector->name);
    }
    return SABOT_OK;
}

/* All options at once when the table is made, so that a mistake shows where it is written. */
static sabot_status check_at_creation(const struct plan_table *table, struct sql_span span, struct sabot_error *err) {
    const struct source_type *source = table->connector->source;
    const struct sink_type *sink = table->connector->sink;
    const struct connector_option *known[3];
    const struct format_type *format = NULL;
    int32_t n = 0;
    SABOT_TRY(find_format(table, (source && source->takes_format) || (sink && sink->takes_format), span, &format, err));
    if (source) { known[n++] = source->options; }
    if (sink && (!source || sink->options != source->options)) { known[n++] = sink->options; }
    if (format) { known[n++] = format->options; }
    return check_options(table, known, n, span, err);
}

/* ---- columns ----------------------------------------------------------------------------------------------------- */

static sabot_status add_physical(struct table_draft *draft, const struct sql_column *column, struct sabot_error *err) {
    struct table_column added = {.kind = TABLE_COLUMN_PHYSICAL};
    if (!column->type) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, column->span, "column \"%s\" has no type", column->name.text);
    }
    SABOT_TRY(keep(arena_of(draft), column->name.text, &added.name, err));
    SABOT_TRY(keep(arena_of(draft), column->comment, &added.comment, err));
    SABOT_TRY(bind_type(arena_of(draft), column->type, &added.type, err));
    return add_column(draft, added, column->name.span, err);
}

static sabot_status add_metadata(struct table_draft *draft, const struct sql_column *column, struct sabot_error *err) {
    const struct source_type *source = draft->object->table.connector->source;
    struct table_column added = {.kind = TABLE_COLUMN_METADATA, .is_virtual = column->is_virtual};
    struct type known;
    SABOT_TRY(keep(arena_of(draft), column->name.text, &added.name, err));
    SABOT_TRY(keep(arena_of(draft), column->comment, &added.comment, err));
    SABOT_TRY(keep(arena_of(draft), column->metadata_key ? column->metadata_key : column->name.text,
                   &added.metadata_key, err));
    SABOT_TRY(bind_type(arena_of(draft), column->type, &added.type, err));
    if (source && (!source->metadata_type || !source->metadata_type(added.metadata_key, &known))) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, column->span, "connector '%s' has no metadata '%s'",
                        draft->object->table.connector->name, added.metadata_key);
    }
    return add_column(draft, added, column->name.span, err);
}

/* The columns so far as a scope, for computed columns and the watermark. */
static sabot_status draft_scope(struct table_draft *draft, struct plan *node, struct scope_table *all,
                                struct scope *out, struct sabot_error *err) {
    struct schema *schema = ARENA_NEW(arena_of(draft), struct schema);
    struct field *fields = arena_alloc(arena_of(draft), ((size_t)draft->n_columns + 1) * sizeof *fields);
    if (!schema || !fields) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < draft->n_columns; i++) {
        fields[i] = (struct field){.name = draft->columns[i].name, .type = draft->columns[i].type};
    }
    schema->n_fields = draft->n_columns;
    schema->fields = fields;
    *node = (struct plan){.kind = PLAN_VALUES, .schema = schema};
    *all = (struct scope_table){.name = draft->object->name, .first = 0, .count = draft->n_columns};
    *out = (struct scope){.plan = node, .tables = all, .n_tables = 1};
    return SABOT_OK;
}

/* Binds over the table's columns with the object's arena. */
static sabot_status bind_over(struct table_draft *draft, const struct sql_expr *written, const char *clause,
                              struct expr **out, struct sabot_error *err) {
    struct plan node;
    struct scope_table all;
    struct scope scope;
    struct binder inner = *draft->binder;
    struct plan_arena *plans = &draft->plans;
    SABOT_TRY(draft_scope(draft, &node, &all, &scope, err));
    plans->arena = draft->object->arena;
    inner.plans = plans;
    const struct expr_scope in = {.binder = &inner, .scope = &scope, .clause = clause};
    const sabot_status status = bind_expr(&in, written, out, err);
    draft->object->arena = plans->arena;
    return status;
}

static bool is_proctime_call(const struct expr *expr) {
    return expr->kind == EXPR_CALL && expr->function && strcasecmp(expr->function->name, "PROCTIME") == 0;
}

/* Replaces earlier computed columns by what they are computed from. */
static sabot_status inline_computed(struct table_draft *draft, struct expr **in_out, struct sabot_error *err) {
    struct expr **replacements = arena_alloc(arena_of(draft), ((size_t)draft->n_columns + 1) * sizeof *replacements);
    if (!replacements) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < draft->n_columns; i++) {
        replacements[i] = draft->columns[i].computed;
    }
    draft->plans.arena = draft->object->arena;
    const sabot_status status = expr_rewrite(&draft->plans, *in_out, replacements, draft->n_columns, in_out, err);
    draft->object->arena = draft->plans.arena;
    return status;
}

static sabot_status add_computed(struct table_draft *draft, const struct sql_column *column, const char *script,
                                 struct sabot_error *err) {
    struct table_column added = {.kind = TABLE_COLUMN_COMPUTED};
    SABOT_TRY(bind_over(draft, column->expr, "a computed column", &added.computed, err));
    SABOT_TRY(inline_computed(draft, &added.computed, err));
    if (expr_size(added.computed, 10000) >= 10000) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, column->span, "the expression of column \"%s\" is too large",
                        column->name.text);
    }
    SABOT_TRY(keep(arena_of(draft), column->name.text, &added.name, err));
    SABOT_TRY(keep(arena_of(draft), column->comment, &added.comment, err));
    SABOT_TRY(keep_span(arena_of(draft), script, column->expr->span, &added.text, err));
    added.type = added.computed->type;
    added.is_proctime = is_proctime_call(added.computed);
    return add_column(draft, added, column->name.span, err);
}

/* The columns in the order of the text; a computed one may read any physical one, so those are bound first. */
static sabot_status add_columns(struct table_draft *draft, const struct sql_columns *columns, const char *script,
                                struct sabot_error *err) {
    const int32_t before = draft->n_columns;
    for (unsigned i = 0; i < columns->count; i++) {
        const struct sql_column *column = &columns->items[i];
        if (column->kind == SQL_COLUMN_PHYSICAL) { SABOT_TRY(add_physical(draft, column, err)); }
        if (column->kind == SQL_COLUMN_METADATA) { SABOT_TRY(add_metadata(draft, column, err)); }
    }
    for (unsigned i = 0; i < columns->count; i++) {
        if (columns->items[i].kind == SQL_COLUMN_COMPUTED) {
            SABOT_TRY(add_computed(draft, &columns->items[i], script, err));
        }
    }
    /* Back into the text's order; expressions follow their columns. */
    const int32_t n = draft->n_columns;
    int32_t *map = arena_alloc(arena_of(draft), ((size_t)n + 1) * sizeof *map);
    struct table_column *sorted = arena_alloc(arena_of(draft), ((size_t)n + 1) * sizeof *sorted);
    if (!map || !sorted) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < before; i++) {
        map[i] = i;
        sorted[i] = draft->columns[i];
    }
    for (unsigned i = 0; i < columns->count; i++) {
        const int32_t from = find_column(draft, columns->items[i].name.text);
        map[from] = before + (int32_t)i;
        sorted[before + (int32_t)i] = draft->columns[from];
    }
    draft->plans.arena = draft->object->arena;
    sabot_status status = SABOT_OK;
    for (int32_t i = 0; i < n && status == SABOT_OK; i++) {
        if (sorted[i].computed) {
            status = expr_remap(&draft->plans, sorted[i].computed, map, &sorted[i].computed, err);
        }
    }
    draft->object->arena = draft->plans.arena;
    draft->columns = sorted;
    draft->capacity = (unsigned)n;
    return status;
}

/* ---- keys and watermark ------------------------------------------------------------------------------------------ */

static sabot_status no_such_column(const struct table_draft *draft, const struct sql_name *name, const char *clause,
                                   struct sabot_error *err) {
    struct nearest nearest = {.wanted = name->text};
    for (int32_t i = 0; i < draft->n_columns; i++) {
        nearest_offer(&nearest, draft->columns[i].name);
    }
    char hint[128];
    return SQL_FAIL(err, SABOT_ERR_PLAN, name->span, "%s: table \"%s\" has no column \"%s\"%s", clause,
                    draft->object->name, name->text, nearest_hint(&nearest, hint, sizeof hint));
}

static sabot_status set_primary_key(struct table_draft *draft, const struct sql_name *names, unsigned n,
                                    struct sabot_error *err) {
    int32_t *key = arena_alloc(arena_of(draft), ((size_t)n + 1) * sizeof *key);
    if (!key) { return PLAN_NO_MEMORY(err); }
    if (draft->object->table.n_primary_key) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, names[0].span, "a table can have one PRIMARY KEY only");
    }
    for (unsigned i = 0; i < n; i++) {
        key[i] = find_column(draft, names[i].text);
        if (key[i] < 0) { return no_such_column(draft, &names[i], "PRIMARY KEY", err); }
        if (draft->columns[key[i]].kind != TABLE_COLUMN_PHYSICAL) {
            return SQL_FAIL(err, SABOT_ERR_PLAN, names[i].span, "PRIMARY KEY: \"%s\" is no physical column",
                            names[i].text);
        }
        draft->columns[key[i]].type.nullable = false;
    }
    draft->object->table.primary_key = key;
    draft->object->table.n_primary_key = (int32_t)n;
    return SABOT_OK;
}

static sabot_status set_constraints(struct table_draft *draft, const struct sql_table_elements *elements,
                                    struct sabot_error *err) {
    for (unsigned i = 0; i < elements->columns.count; i++) {
        const struct sql_column *column = &elements->columns.items[i];
        if (column->is_primary_key) { SABOT_TRY(set_primary_key(draft, &column->name, 1, err)); }
    }
    for (unsigned i = 0; i < elements->constraints.count; i++) {
        const struct sql_constraint *constraint = &elements->constraints.items[i];
        if (constraint->unique) {
            return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, constraint->span, "UNIQUE can't be used; PRIMARY KEY can");
        }
        if (constraint->enforced) {
            return SQL_FAIL(err, SABOT_ERR_PLAN, constraint->span,
                            "a PRIMARY KEY is a promise about the data and can't be enforced: add NOT ENFORCED");
        }
        SABOT_TRY(set_primary_key(draft, constraint->columns.items, constraint->columns.count, err));
    }
    return SABOT_OK;
}

static bool is_timestamp(struct type type) {
    return type.kind == TYPE_TIMESTAMP || type.kind == TYPE_TIMESTAMP_LTZ;
}

static sabot_status set_watermark(struct table_draft *draft, const struct sql_watermark *watermark, const char *script,
                                  struct sabot_error *err) {
    struct plan_table *table = &draft->object->table;
    const struct sql_name *name = &watermark->column.items[0];
    char text[160];
    if (table->rowtime >= 0) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, watermark->span, "a table can have one WATERMARK only");
    }
    if (watermark->column.count != 1) {
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, watermark->span,
                        "WATERMARK FOR a field of a ROW can't be used; declare a computed column for it");
    }
    const int32_t column = find_column(draft, name->text);
    if (column < 0) { return no_such_column(draft, name, "WATERMARK", err); }
    type_print(draft->columns[column].type, text, sizeof text);
    if (!is_timestamp(draft->columns[column].type)) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, name->span,
                        "WATERMARK FOR needs a TIMESTAMP or TIMESTAMP_LTZ column, \"%s\" is %s", name->text, text);
    }
    SABOT_TRY(bind_over(draft, watermark->expr, "WATERMARK", &table->watermark, err));
    if (!is_timestamp(table->watermark->type)) {
        type_print(table->watermark->type, text, sizeof text);
        return SQL_FAIL(err, SABOT_ERR_PLAN, watermark->expr->span, "a watermark must be a TIMESTAMP, this is %s",
                        text);
    }
    SABOT_TRY(keep_span(arena_of(draft), script, watermark->expr->span, &table->watermark_text, err));
    table->rowtime = column;
    return SABOT_OK;
}

/* ---- LIKE -------------------------------------------------------------------------------------------------------- */

static bool like_takes(const struct sql_create_table *create, int what) {
    bool takes = true; /* Flink's default: INCLUDING ALL, options OVERWRITING */
    for (unsigned i = 0; i < create->like_options.count; i++) {
        const struct sql_like_option *option = &create->like_options.items[i];
        if ((int)option->what == what || option->what == SQL_LIKE_ALL) { takes = option->mode != SQL_LIKE_EXCLUDING; }
    }
    return takes;
}

static sabot_status copy_like(struct table_draft *draft, const struct sql_create_table *create,
                              struct sabot_error *err) {
    struct catalog_object *from = NULL;
    SABOT_TRY(catalog_get(draft->binder->catalog, &create->like, &from, err));
    const struct sql_span span = create->like.items[create->like.count - 1].span;
    if (from->kind != CATALOG_TABLE) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, span, "LIKE takes a table, \"%s\" is a view", from->name);
    }
    const struct plan_table *table = &from->table;
    for (int32_t i = 0; i < table->n_columns; i++) {
        struct table_column column = table->columns[i];
        if (column.kind == TABLE_COLUMN_COMPUTED && !like_takes(create, SQL_LIKE_GENERATED)) { continue; }
        if (column.kind == TABLE_COLUMN_METADATA && !like_takes(create, SQL_LIKE_METADATA)) { continue; }
        SABOT_TRY(keep(arena_of(draft), column.name, &column.name, err));
        SABOT_TRY(keep(arena_of(draft), column.metadata_key, &column.metadata_key, err));
        SABOT_TRY(keep(arena_of(draft), column.text, &column.text, err));
        SABOT_TRY(keep(arena_of(draft), column.comment, &column.comment, err));
        SABOT_TRY(copy_type(arena_of(draft), column.type, &column.type, err));
        SABOT_TRY(add_column(draft, column, span, err));
    }
    if (table->rowtime >= 0 && like_takes(create, SQL_LIKE_WATERMARKS) && create->elements.watermarks.count == 0 &&
        find_column(draft, table->columns[table->rowtime].name) >= 0 && draft->n_columns == table->n_columns) {
        draft->object->table.rowtime = table->rowtime;
        draft->object->table.watermark = table->watermark;
        SABOT_TRY(keep(arena_of(draft), table->watermark_text, &draft->object->table.watermark_text, err));
    }
    if (table->n_primary_key && like_takes(create, SQL_LIKE_CONSTRAINTS) && draft->n_columns == table->n_columns) {
        int32_t *key = arena_alloc(arena_of(draft), (size_t)table->n_primary_key * sizeof *key);
        if (!key) { return PLAN_NO_MEMORY(err); }
        memcpy(key, table->primary_key, (size_t)table->n_primary_key * sizeof *key);
        draft->object->table.primary_key = key;
        draft->object->table.n_primary_key = table->n_primary_key;
    }
    for (int32_t i = 0; like_takes(create, SQL_LIKE_OPTIONS) && i < table->n_options; i++) {
        SABOT_TRY(set_option(draft, table->options[i], err));
    }
    /* Expressions are shared with the other table: it must live as long as this one. */
    draft->object->release = (void (*)(void *))catalog_object_unref;
    draft->object->owner = catalog_object_ref(from);
    return SABOT_OK;
}

/* ---- the whole ----------------------------------------------------------------------------------------------------
 */

/* Columns that the connector knows by itself (nexmark), or those of CREATE TABLE AS. */
static sabot_status add_from_schema(struct table_draft *draft, const struct schema *schema, struct sql_span span,
                                    struct sabot_error *err) {
    for (int32_t i = 0; i < schema->n_fields; i++) {
        struct table_column column = {.kind = TABLE_COLUMN_PHYSICAL};
        SABOT_TRY(keep(arena_of(draft), schema->fields[i].name, &column.name, err));
        SABOT_TRY(copy_type(arena_of(draft), schema->fields[i].type, &column.type, err));
        SABOT_TRY(add_column(draft, column, span, err));
    }
    return SABOT_OK;
}

static sabot_status fixed_schema(struct table_draft *draft, struct sql_span span, struct sabot_error *err) {
    const struct source_type *source = draft->object->table.connector->source;
    if (!source || !source->schema) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, span, "table \"%s\" declares no columns, and connector '%s' knows none",
                        draft->object->name, draft->object->table.connector->name);
    }
    const struct connector_table view = {
        .name = draft->object->name, .options = draft->options, .n_options = draft->n_options,
    };
    struct schema *schema = NULL;
    SABOT_TRY(place_error(source->schema(&view, &schema, err), span, err));
    const sabot_status status = add_from_schema(draft, schema, span, err);
    schema_unref(schema);
    return status;
}

static bool has_physical(const struct table_draft *draft, const struct sql_table_elements *elements) {
    for (unsigned i = 0; i < elements->columns.count; i++) {
        if (elements->columns.items[i].kind == SQL_COLUMN_PHYSICAL) { return true; }
    }
    return draft->n_columns > 0;
}

static sabot_status fill_table(struct table_draft *draft, const struct sql_create_table *create, const char *script,
                               const struct plan *as, struct sabot_error *err) {
    const struct sql_name *name = NULL;
    struct catalog_object *object = draft->object;
    SABOT_TRY(catalog_resolve(&create->name, &name, err));
    object->temporary = create->temporary;
    SABOT_TRY(keep(&object->arena, name->text, &object->name, err));
    SABOT_TRY(keep(&object->arena, create->comment, &object->table.comment, err));
    object->table.name = object->name;
    object->table.full_name = arena_format(&object->arena, CATALOG_NAME "." DATABASE_NAME ".%s", object->name);
    if (!object->table.full_name) { return PLAN_NO_MEMORY(err); }
    if (create->has_distribution) {
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, name->span, "DISTRIBUTED BY can't be used yet");
    }
    if (create->has_like) { SABOT_TRY(copy_like(draft, create, err)); }
    for (unsigned i = 0; i < create->options.count; i++) {
        const struct sql_option *option = &create->options.items[i];
        SABOT_TRY(set_option(draft, (struct table_option){.key = option->key, .value = option->value,
                                                          .line = option->value_span.line,
                                                          .column = option->value_span.column}, err));
    }
    if (create->partitioned_by.count) {
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, create->partitioned_by.items[0].span,
                        "PARTITIONED BY can't be used yet: files would all be written into one folder");
    }
    SABOT_TRY(find_connector(draft, create, err));
    if (as) { SABOT_TRY(add_from_schema(draft, as->schema, name->span, err)); }
    if (!has_physical(draft, &create->elements)) { SABOT_TRY(fixed_schema(draft, name->span, err)); }
    SABOT_TRY(add_columns(draft, &create->elements.columns, script, err));
    SABOT_TRY(set_constraints(draft, &create->elements, err));
    for (unsigned i = 0; i < create->elements.watermarks.count; i++) {
        SABOT_TRY(set_watermark(draft, &create->elements.watermarks.items[i], script, err));
    }
    object->table.columns = draft->columns;
    object->table.n_columns = draft->n_columns;
    object->table.options = draft->options;
    object->table.n_options = draft->n_options;
    return check_at_creation(&object->table, name->span, err);
}

sabot_status bind_create_table(struct binder *binder, const struct sql_create_table *create, const char *text,
                               const struct plan *as, struct catalog_object **out, struct sabot_error *err) {
    struct table_draft draft = {.binder = binder, .object = catalog_object_new(CATALOG_TABLE)};
    if (!draft.object) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a table"); }
    const sabot_status status = fill_table(&draft, create, text, as, err);
    if (status != SABOT_OK) {
        catalog_object_unref(draft.object);
        return status;
    }
    *out = draft.object;
    return SABOT_OK;
}

static sabot_status fill_view(struct catalog_object *object, const struct sql_create_view *create, const char *text,
                              const struct plan *plan, struct sabot_error *err) {
    const struct sql_name *name = NULL;
    struct arena *arena = &object->arena;
    SABOT_TRY(catalog_resolve(&create->name, &name, err));
    object->temporary = create->temporary;
    SABOT_TRY(keep(arena, name->text, &object->name, err));
    SABOT_TRY(keep(arena, create->comment, &object->comment, err));
    SABOT_TRY(keep_span(arena, text, create->query_span, &object->query, err));
    const unsigned n = create->columns.count;
    if (n && n != (unsigned)plan->schema->n_fields) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, create->columns.items[0].span,
                        "the view names %u columns, its query has %d", n, plan->schema->n_fields);
    }
    struct field *fields = arena_alloc(arena, ((size_t)plan->schema->n_fields + 1) * sizeof *fields);
    const char **names = arena_alloc(arena, (n + 1) * sizeof *names);
    if (!fields || !names) { return PLAN_NO_MEMORY(err); }
    for (int32_t i = 0; i < plan->schema->n_fields; i++) {
        fields[i] = plan->schema->fields[i];
        if (n) {
            SABOT_TRY(keep(arena, create->columns.items[i].text, &names[i], err));
            fields[i].name = names[i];
        }
        for (int32_t j = 0; j < i; j++) {
            if (strcmp(fields[i].name, fields[j].name) == 0) {
                return SQL_FAIL(err, SABOT_ERR_PLAN, create->query->span,
                                "the view would have two columns \"%s\"; name them with AS", fields[i].name);
            }
        }
    }
    object->view_columns = names;
    object->n_view_columns = (int32_t)n;
    return schema_new(fields, plan->schema->n_fields, &object->view_schema, err);
}

sabot_status bind_create_view(struct binder *binder, const struct sql_create_view *create, const char *text,
                              struct catalog_object **out, struct sabot_error *err) {
    struct plan *plan = NULL;
    SABOT_TRY(bind_query(binder, create->query, &plan, err)); /* so that its mistakes show now */
    struct catalog_object *object = catalog_object_new(CATALOG_VIEW);
    if (!object) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a view"); }
    const sabot_status status = fill_view(object, create, text, plan, err);
    if (status != SABOT_OK) {
        catalog_object_unref(object);
        return status;
    }
    *out = object;
    return SABOT_OK;
}
