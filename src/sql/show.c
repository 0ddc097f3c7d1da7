/* SHOW, DESCRIBE, SET: Flink's column names and layout. */
#include "sql/show.h"

#include "expr/function.h"
#include "sql/rows.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

/* SQL LIKE with % and _. */
static bool like_matches(const char *text, const char *pattern, bool ignore_case) {
    while (*pattern) {
        if (*pattern == '%') {
            for (const char *at = text;; at++) {
                if (like_matches(at, pattern + 1, ignore_case)) { return true; }
                if (!*at) { return false; }
            }
        }
        if (!*text) { return false; }
        const int a = ignore_case ? tolower((unsigned char)*text) : *text;
        const int b = ignore_case ? tolower((unsigned char)*pattern) : *pattern;
        if (*pattern != '_' && a != b) { return false; }
        text++;
        pattern++;
    }
    return !*text;
}

static bool is_shown(const struct sql_show *show, const char *name) {
    return !show->like || like_matches(name, show->like, show->ignore_case) != show->negated;
}

static int by_name(const void *a, const void *b) { return strcmp(*(const char *const *)a, *(const char *const *)b); }

/* Names as one sorted column. */
static sabot_status one_column(const struct statement_context *context, const char *title, const char **names, size_t n,
                               struct batch **out, struct sabot_error *err) {
    struct rows rows;
    rows_init(&rows, &title, 1);
    if (n > 0) { qsort(names, n, sizeof *names, by_name); }
    for (size_t i = 0; i < n; i++) {
        rows_add(&rows, &names[i]);
    }
    return rows_finish(&rows, context->pool, out, err);
}

static sabot_status show_objects(const struct statement_context *context, const struct sql_show *show,
                                 struct batch **out, struct sabot_error *err) {
    const bool views = show->kind == SQL_SHOW_VIEWS;
    const struct sql_name *of = show->name.count ? &show->name.items[show->name.count - 1] : NULL;
    if (of && strcmp(of->text, DATABASE_NAME) != 0) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, of->span, "there is no database \"%s\"; the only one is %s", of->text,
                        DATABASE_NAME);
    }
    const char **names = calloc(context->catalog->n_objects + 1, sizeof *names);
    size_t n = 0;
    if (!names) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for the list of tables"); }
    for (size_t i = 0; i < context->catalog->n_objects; i++) {
        const struct catalog_object *object = context->catalog->objects[i];
        /* SHOW TABLES lists views too, as in Flink. */
        if ((views && object->kind != CATALOG_VIEW) || !is_shown(show, object->name)) { continue; }
        names[n++] = object->name;
    }
    const sabot_status status = one_column(context, views ? "view name" : "table name", names, n, out, err);
    free(names);
    return status;
}

static sabot_status show_functions(const struct statement_context *context, const struct sql_show *show,
                                   struct batch **out, struct sabot_error *err) {
    static const char *const aggregates[] = {"COUNT", "SUM", "AVG", "MIN", "MAX"};
    size_t n = 0, built_in = 0;
    while (function_at(built_in)) {
        built_in++;
    }
    const size_t most = built_in + context->catalog->n_functions + sizeof aggregates / sizeof aggregates[0];
    const char **names = calloc(most, sizeof *names);
    if (!names) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for the list of functions"); }
    for (size_t i = 0; i < context->catalog->n_functions; i++) {
        if (is_shown(show, context->catalog->functions[i].name)) { names[n++] = context->catalog->functions[i].name; }
    }
    for (size_t i = 0; !show->user && function_at(i); i++) {
        if (is_shown(show, function_at(i)->name)) { names[n++] = function_at(i)->name; }
    }
    for (size_t i = 0; !show->user && i < sizeof aggregates / sizeof aggregates[0]; i++) {
        if (is_shown(show, aggregates[i])) { names[n++] = aggregates[i]; }
    }
    const sabot_status status = one_column(context, "function name", names, n, out, err);
    free(names);
    return status;
}

static sabot_status show_connectors(const struct statement_context *context, struct batch **out,
                                    struct sabot_error *err) {
    static const char *const names[] = {"connector name", "reads", "writes"};
    struct rows rows;
    rows_init(&rows, names, 3);
    for (size_t i = 0; connector_at(i); i++) {
        const struct connector *connector = connector_at(i);
        const bool internal = (connector->source && connector->source->is_internal) ||
                              (connector->sink && connector->sink->is_internal);
        if (internal) { continue; }
        rows_add(&rows, (const char *const[]){connector->name, connector->source ? connector->source->summary : NULL,
                                              connector->sink ? connector->sink->summary : NULL});
    }
    return rows_finish(&rows, context->pool, out, err);
}

static sabot_status one_value(const struct statement_context *context, const char *title, const char *value,
                              struct batch **out, struct sabot_error *err) {
    return one_column(context, title, &value, value ? 1 : 0, out, err);
}

sabot_status statement_text_rows(struct memory_pool *pool, const char *title, const char *text, struct batch **out,
                                 struct sabot_error *err) {
    const struct statement_context context = {.pool = pool};
    return one_value(&context, title, text, out, err);
}

/* ---- SHOW CREATE ----------------------------------------------------------------------------------------------------
 */

static void quote(const char *text, char mark, struct text *target) {
    text_append(target, &mark, 1);
    for (const char *at = text; *at; at++) {
        text_append(target, at, 1);
        if (*at == mark) { text_append(target, at, 1); }
    }
    text_append(target, &mark, 1);
}

static void print_column(const struct table_column *column, struct text *target) {
    char type[4096];
    text_add(target, "  ");
    quote(column->name, '`', target);
    if (column->kind == TABLE_COLUMN_COMPUTED) {
        text_format(target, " AS %s", column->text);
    } else {
        type_print(column->type, type, sizeof type);
        text_format(target, " %s", type);
    }
    if (column->kind == TABLE_COLUMN_METADATA) {
        text_add(target, " METADATA FROM ");
        quote(column->metadata_key, '\'', target);
        if (column->is_virtual) { text_add(target, " VIRTUAL"); }
    }
    if (column->comment) {
        text_add(target, " COMMENT ");
        quote(column->comment, '\'', target);
    }
}

static void print_create_table(const struct catalog_object *object, struct text *target) {
    const struct plan_table *table = &object->table;
    text_format(target, "CREATE %sTABLE `" CATALOG_NAME "`.`" DATABASE_NAME "`.",
                object->temporary ? "TEMPORARY " : "");
    quote(table->name, '`', target);
    text_add(target, " (\n");
    for (int32_t i = 0; i < table->n_columns; i++) {
        if (i > 0) { text_add(target, ",\n"); }
        print_column(&table->columns[i], target);
    }
    if (table->rowtime >= 0) {
        text_add(target, ",\n  WATERMARK FOR ");
        quote(table->columns[table->rowtime].name, '`', target);
        text_format(target, " AS %s", table->watermark_text);
    }
    if (table->n_primary_key > 0) {
        text_add(target, ",\n  PRIMARY KEY (");
        for (int32_t i = 0; i < table->n_primary_key; i++) {
            text_add(target, i ? ", " : "");
            quote(table->columns[table->primary_key[i]].name, '`', target);
        }
        text_add(target, ") NOT ENFORCED");
    }
    text_add(target, "\n)");
    if (table->comment) {
        text_add(target, " COMMENT ");
        quote(table->comment, '\'', target);
    }
    text_add(target, " WITH (");
    for (int32_t i = 0; i < table->n_options; i++) {
        text_add(target, i ? ",\n  " : "\n  ");
        quote(table->options[i].key, '\'', target);
        text_add(target, " = ");
        /* Flink hides what may be a secret. */
        const bool secret = strstr(table->options[i].key, "password") || strstr(table->options[i].key, "secret");
        quote(secret ? "******" : table->options[i].value, '\'', target);
    }
    text_add(target, "\n)\n");
}

static sabot_status show_create(const struct statement_context *context, const struct sql_show *show,
                                struct batch **out, struct sabot_error *err) {
    struct catalog_object *object = NULL;
    struct text text = {0};
    SABOT_TRY(catalog_get(context->catalog, &show->name, &object, err));
    const struct sql_span span = show->name.items[show->name.count - 1].span;
    if ((object->kind == CATALOG_VIEW) != (show->kind == SQL_SHOW_CREATE_VIEW)) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, span, "\"%s\" is a %s: write SHOW CREATE %s", object->name,
                        object->kind == CATALOG_VIEW ? "view" : "table",
                        object->kind == CATALOG_VIEW ? "VIEW" : "TABLE");
    }
    if (object->kind == CATALOG_VIEW) {
        text_format(&text, "CREATE %sVIEW `" CATALOG_NAME "`.`" DATABASE_NAME "`.",
                    object->temporary ? "TEMPORARY " : "");
        quote(object->name, '`', &text);
        for (int32_t i = 0; i < object->n_view_columns; i++) {
            text_add(&text, i ? ", " : " (");
            quote(object->view_columns[i], '`', &text);
        }
        text_format(&text, "%s AS\n%s\n", object->n_view_columns ? ")" : "", object->query);
    } else {
        print_create_table(object, &text);
    }
    const sabot_status status = one_value(context, "result", text_string(&text), out, err);
    text_clear(&text);
    return status;
}

/* ---- DESCRIBE -------------------------------------------------------------------------------------------------------
 */

static void describe_column(struct rows *rows, const struct table_column *column, const struct plan_table *table,
                            bool is_rowtime, const char *key) {
    char type[4096], extras[600];
    type_print(type_nullable(column->type), type, sizeof type);
    if (is_rowtime || column->is_proctime) {
        const size_t size = strlen(type);
        snprintf(type + size, sizeof type - size, "%s", is_rowtime ? " *ROWTIME*" : " *PROCTIME*");
    }
    const char *extra = NULL;
    if (column->kind == TABLE_COLUMN_COMPUTED) {
        snprintf(extras, sizeof extras, "AS %s", column->text);
        extra = extras;
    } else if (column->kind == TABLE_COLUMN_METADATA) {
        snprintf(extras, sizeof extras, "METADATA FROM '%s'%s", column->metadata_key,
                 column->is_virtual ? " VIRTUAL" : "");
        extra = extras;
    }
    rows_add(rows, (const char *const[]){column->name, type, column->type.nullable ? "TRUE" : "FALSE", key, extra,
                                         is_rowtime && table ? table->watermark_text : NULL, column->comment});
}

static bool in_key(const struct plan_table *table, int32_t column) {
    for (int32_t i = 0; i < table->n_primary_key; i++) {
        if (table->primary_key[i] == column) { return true; }
    }
    return false;
}

static sabot_status describe_object(const struct statement_context *context, const struct catalog_object *object,
                                    const struct sql_show *show, struct batch **out, struct sabot_error *err) {
    static const char *const names[] = {"name", "type", "null", "key", "extras", "watermark", "comment"};
    struct rows rows;
    bool has_comment = false;
    const bool is_view = object->kind == CATALOG_VIEW;
    for (int32_t i = 0; !is_view && i < object->table.n_columns; i++) {
        has_comment = has_comment || object->table.columns[i].comment;
    }
    rows_init(&rows, names, has_comment ? 7 : 6);
    struct text key = {0};
    for (int32_t i = 0; !is_view && i < object->table.n_primary_key; i++) {
        text_format(&key, "%s%s", i ? ", " : "PRI(", object->table.columns[object->table.primary_key[i]].name);
    }
    if (key.size > 0) { text_add(&key, ")"); }
    for (int32_t i = 0; is_view && i < object->view_schema->n_fields; i++) {
        const struct table_column column = {.name = object->view_schema->fields[i].name,
                                            .type = object->view_schema->fields[i].type};
        if (!show || is_shown(show, column.name)) { describe_column(&rows, &column, NULL, false, NULL); }
    }
    for (int32_t i = 0; !is_view && i < object->table.n_columns; i++) {
        const struct table_column *column = &object->table.columns[i];
        if (show && !is_shown(show, column->name)) { continue; }
        describe_column(&rows, column, &object->table, i == object->table.rowtime,
                        in_key(&object->table, i) ? text_string(&key) : NULL);
    }
    text_clear(&key);
    return rows_finish(&rows, context->pool, out, err);
}

static void list_fields(const struct field *fields, int32_t n, struct text *target) {
    char type[160];
    for (int32_t i = 0; i < n; i++) {
        type_print(fields[i].type, type, sizeof type);
        text_format(target, "%s%s %s", i ? ", " : "", fields[i].name, type);
    }
}

static sabot_status describe_process(const struct statement_context *context, const struct catalog_function *user,
                                     struct batch **out, struct sabot_error *err) {
    static const char *const names[] = {"info name", "info value"};
    const struct process_function *process = user->process;
    const struct sabot_process_function *definition = &process->definition;
    struct text inputs = {0}, columns = {0}, arguments = {0}, state = {0};
    struct rows rows;
    list_fields(process->inputs, definition->n_inputs, &inputs);
    list_fields(process->columns, definition->n_columns, &columns);
    for (int32_t i = 0; i < definition->n_arguments; i++) {
        const struct process_argument *argument = &process->arguments[i];
        const struct field field = {argument->name, argument->type};
        text_add(&arguments, i ? ", " : "");
        list_fields(&field, 1, &arguments);
        if (argument->otherwise) { text_format(&arguments, " DEFAULT %s", argument->otherwise); }
    }
    for (int32_t i = 0; i < definition->n_states; i++) {
        static const char *const kinds[] = {"VALUE", "LIST", "MAP", "COUNTER"};
        text_format(&state, "%s%s %s", i ? ", " : "", definition->states[i].name, kinds[definition->states[i].kind]);
    }
    for (int32_t i = 0; i < definition->n_timers; i++) {
        text_format(&state, "%s%s TIMER", state.size ? ", " : "", definition->timers[i].name);
    }
    rows_init(&rows, names, 2);
    rows_add(&rows, (const char *const[]){"name", user->name});
    rows_add(&rows, (const char *const[]){"kind", "PROCESS_TABLE"});
    rows_add(&rows, (const char *const[]){"system function", "false"});
    rows_add(&rows, (const char *const[]){"temporary", user->temporary ? "true" : "false"});
    rows_add(&rows, (const char *const[]){"reads", definition->n_inputs ? text_string(&inputs) : "any columns"});
    rows_add(&rows, (const char *const[]){"gives", text_string(&columns)});
    rows_add(&rows, (const char *const[]){"arguments", text_string(&arguments)});
    rows_add(&rows, (const char *const[]){"state", text_string(&state)});
    text_clear(&inputs);
    text_clear(&columns);
    text_clear(&arguments);
    text_clear(&state);
    return rows_finish(&rows, context->pool, out, err);
}

static sabot_status describe_function(const struct statement_context *context, const struct sql_describe *describe,
                                      struct batch **out, struct sabot_error *err) {
    static const char *const names[] = {"info name", "info value"};
    const struct sql_name *name = &describe->name.items[describe->name.count - 1];
    const struct catalog_function *user = catalog_function_find(context->catalog, name->text);
    const struct function *function = user ? user->function : function_find(name->text);
    struct rows rows;
    if (user && user->process) { return describe_process(context, user, out, err); }
    if (!function) { return SQL_FAIL(err, SABOT_ERR_PLAN, name->span, "there is no function \"%s\"", name->text); }
    rows_init(&rows, names, 2);
    rows_add(&rows, (const char *const[]){"name", user ? user->name : function->name});
    rows_add(&rows, (const char *const[]){"kind", "SCALAR"});
    rows_add(&rows, (const char *const[]){"system function", user ? "false" : "true"});
    rows_add(&rows, (const char *const[]){"temporary", user && user->temporary ? "true" : "false"});
    rows_add(&rows, (const char *const[]){"signature", function->signature});
    rows_add(&rows, (const char *const[]){"summary", function->summary});
    rows_add(&rows, (const char *const[]){"deterministic",
                                          function->flags & FUNCTION_NOT_DETERMINISTIC ? "false" : "true"});
    return rows_finish(&rows, context->pool, out, err);
}

sabot_status describe_execute(const struct statement_context *context, const struct sql_describe *describe,
                              struct sql_span span, struct batch **out, struct sabot_error *err) {
    static const char *const names[] = {"info name", "info value"};
    struct catalog_object *object = NULL;
    const struct sql_name *last = NULL;
    struct rows rows;
    switch (describe->object) {
    case SQL_OBJECT_TABLE:
    case SQL_OBJECT_VIEW:
        SABOT_TRY(catalog_get(context->catalog, &describe->name, &object, err));
        return describe_object(context, object, NULL, out, err);
    case SQL_OBJECT_FUNCTION: return describe_function(context, describe, out, err);
    case SQL_OBJECT_CATALOG:
    case SQL_OBJECT_DATABASE: {
        const bool catalog = describe->object == SQL_OBJECT_CATALOG;
        last = &describe->name.items[describe->name.count - 1];
        if (strcmp(last->text, catalog ? CATALOG_NAME : DATABASE_NAME) != 0) {
            return SQL_FAIL(err, SABOT_ERR_PLAN, last->span, "there is no %s \"%s\"; the only one is \"%s\"",
                            catalog ? "catalog" : "database", last->text, catalog ? CATALOG_NAME : DATABASE_NAME);
        }
        rows_init(&rows, names, 2);
        rows_add(&rows, (const char *const[]){"name", last->text});
        rows_add(&rows, (const char *const[]){"type", "in memory"});
        return rows_finish(&rows, context->pool, out, err);
    }
    default: return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, span, "this DESCRIBE can't run yet");
    }
}

sabot_status show_execute(const struct statement_context *context, const struct sql_show *show, struct batch **out,
                          struct sabot_error *err) {
    struct catalog_object *object = NULL;
    const struct sql_span nowhere = {0};
    switch (show->kind) {
    case SQL_SHOW_TABLES:
    case SQL_SHOW_VIEWS: return show_objects(context, show, out, err);
    case SQL_SHOW_FUNCTIONS: return show_functions(context, show, out, err);
    case SQL_SHOW_CONNECTORS: return show_connectors(context, out, err);
    case SQL_SHOW_CATALOGS: return one_value(context, "catalog name", CATALOG_NAME, out, err);
    case SQL_SHOW_DATABASES: return one_value(context, "database name", DATABASE_NAME, out, err);
    case SQL_SHOW_CURRENT_CATALOG: return one_value(context, "current catalog name", CATALOG_NAME, out, err);
    case SQL_SHOW_CURRENT_DATABASE: return one_value(context, "current database name", DATABASE_NAME, out, err);
    case SQL_SHOW_MODULES: return one_value(context, "module name", "core", out, err);
    case SQL_SHOW_JARS: return one_value(context, "jars", NULL, out, err);
    case SQL_SHOW_CREATE_TABLE:
    case SQL_SHOW_CREATE_VIEW: return show_create(context, show, out, err);
    case SQL_SHOW_COLUMNS:
        SABOT_TRY(catalog_get(context->catalog, &show->name, &object, err));
        return describe_object(context, object, show, out, err);
    case SQL_SHOW_JOBS: return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, nowhere, "SHOW JOBS can't run yet");
    case SQL_SHOW_PARTITIONS: return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, nowhere, "SHOW PARTITIONS can't run yet");
    case SQL_SHOW_CREATE_CATALOG:
        return SQL_FAIL(err, SABOT_ERR_UNSUPPORTED, nowhere,
                        "SHOW CREATE CATALOG can't run: the only catalog is built in");
    }
    return SABOT_FAIL(err, SABOT_ERR_INTERNAL, "SHOW of kind %d is not known", (int)show->kind);
}

sabot_status settings_show(const struct statement_context *context, struct batch **out, struct sabot_error *err) {
    static const char *const names[] = {"key", "value"};
    struct rows rows;
    rows_init(&rows, names, 2);
    for (int i = 0; i < SETTINGS_COUNT; i++) {
        rows_add(&rows, (const char *const[]){setting_infos[i].key, settings_text(context->settings, (enum setting)i)});
    }
    return rows_finish(&rows, context->pool, out, err);
}
