/* The catalogue is a list in order of creation: sessions have tens of tables. */
#include "sql/catalog.h"

#include "sql/process_function.h"

#include "base/nearest.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define OBJECT_BYTES_MAX ((size_t)64 << 20)

struct catalog_object *catalog_object_new(enum catalog_kind kind) {
    struct catalog_object *object = calloc(1, sizeof *object);
    if (!object) { return NULL; }
    atomic_init(&object->refs, 1);
    object->kind = kind;
    object->table.rowtime = -1;
    arena_init(&object->arena, OBJECT_BYTES_MAX);
    return object;
}

struct catalog_object *catalog_object_ref(struct catalog_object *object) {
    atomic_fetch_add_explicit(&object->refs, 1, memory_order_relaxed);
    return object;
}

void catalog_object_unref(struct catalog_object *object) {
    if (!object || atomic_fetch_sub_explicit(&object->refs, 1, memory_order_acq_rel) > 1) { return; }
    if (object->release) { object->release(object->owner); }
    schema_unref(object->view_schema);
    arena_clear(&object->arena);
    free(object);
}

static void function_clear(struct catalog_function *function) {
    free(function->name);
    free(function->class_name);
}

void catalog_clear(struct catalog *catalog) {
    for (size_t i = 0; i < catalog->n_objects; i++) {
        catalog_object_unref(catalog->objects[i]);
    }
    free(catalog->objects);
    for (size_t i = 0; i < catalog->n_functions; i++) {
        function_clear(&catalog->functions[i]);
    }
    free(catalog->functions);
    while (catalog->processes) {
        struct process_function *process = catalog->processes;
        catalog->processes = process->next;
        process_function_free(process);
    }
    *catalog = (struct catalog){0};
}

sabot_status catalog_resolve(const struct sql_path *path, const struct sql_name **out, struct sabot_error *err) {
    if (path->count > 3) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, path->items[0].span,
                        "a name has at most three parts, catalog.database.object");
    }
    if (path->count == 3 && strcmp(path->items[0].text, CATALOG_NAME) != 0) {
        return SQL_FAIL(err, SABOT_ERR_PLAN, path->items[0].span, "there is no catalog \"%s\"; the only one is \"%s\"",
                        path->items[0].text, CATALOG_NAME);
    }
    if (path->count >= 2 && strcmp(path->items[path->count - 2].text, DATABASE_NAME) != 0) {
        const struct sql_name *name = &path->items[path->count - 2];
        return SQL_FAIL(err, SABOT_ERR_PLAN, name->span, "there is no database \"%s\"; the only one is \"%s\"",
                        name->text, DATABASE_NAME);
    }
    *out = &path->items[path->count - 1];
    return SABOT_OK;
}

static struct catalog_object **slot_find(const struct catalog *catalog, const char *name, bool temporary) {
    for (size_t i = 0; i < catalog->n_objects; i++) {
        if (catalog->objects[i]->temporary == temporary && strcmp(catalog->objects[i]->name, name) == 0) {
            return &catalog->objects[i];
        }
    }
    return NULL;
}

struct catalog_object *catalog_find(const struct catalog *catalog, const char *name) {
    struct catalog_object **slot = slot_find(catalog, name, true);
    if (!slot) { slot = slot_find(catalog, name, false); }
    return slot ? *slot : NULL;
}

sabot_status catalog_get(const struct catalog *catalog, const struct sql_path *path, struct catalog_object **out,
                         struct sabot_error *err) {
    const struct sql_name *name = NULL;
    SABOT_TRY(catalog_resolve(path, &name, err));
    *out = catalog_find(catalog, name->text);
    if (*out) { return SABOT_OK; }
    struct nearest nearest = {.wanted = name->text};
    for (size_t i = 0; i < catalog->n_objects; i++) {
        nearest_offer(&nearest, catalog->objects[i]->name);
    }
    char hint[128];
    return SQL_FAIL(err, SABOT_ERR_PLAN, name->span, "there is no table or view \"%s\"%s", name->text,
                    nearest_hint(&nearest, hint, sizeof hint));
}

sabot_status catalog_add(struct catalog *catalog, struct catalog_object *object, bool replace, struct sql_span span,
                         struct sabot_error *err) {
    struct catalog_object **slot = slot_find(catalog, object->name, object->temporary);
    if (slot && !replace) {
        const sabot_status status =
            SQL_FAIL(err, SABOT_ERR_PLAN, span, "a %s \"%s\" exists already (IF NOT EXISTS keeps it, DROP removes it)",
                     (*slot)->kind == CATALOG_VIEW ? "view" : "table", object->name);
        catalog_object_unref(object);
        return status;
    }
    if (slot) {
        catalog_object_unref(*slot);
        *slot = object;
        return SABOT_OK;
    }
    if (catalog->n_objects == catalog->objects_capacity) {
        const size_t capacity = catalog->objects_capacity ? catalog->objects_capacity * 2 : 16;
        struct catalog_object **grown =
            capacity > CATALOG_OBJECTS_MAX ? NULL : realloc(catalog->objects, capacity * sizeof *grown);
        if (!grown) {
            catalog_object_unref(object);
            return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no room for more than %zu tables and views", catalog->n_objects);
        }
        catalog->objects = grown;
        catalog->objects_capacity = capacity;
    }
    catalog->objects[catalog->n_objects++] = object;
    return SABOT_OK;
}

bool catalog_remove(struct catalog *catalog, const char *name, enum catalog_kind kind, bool temporary) {
    struct catalog_object **slot = slot_find(catalog, name, temporary);
    if (!slot || (*slot)->kind != kind) { return false; }
    catalog_object_unref(*slot);
    const size_t at = (size_t)(slot - catalog->objects);
    memmove(slot, slot + 1, (catalog->n_objects - at - 1) * sizeof *slot);
    catalog->n_objects--;
    return true;
}

const struct catalog_function *catalog_function_find(const struct catalog *catalog, const char *name) {
    for (size_t i = 0; i < catalog->n_functions; i++) {
        if (strcasecmp(catalog->functions[i].name, name) == 0) { return &catalog->functions[i]; }
    }
    return NULL;
}

sabot_status catalog_function_add(struct catalog *catalog, const char *name, const struct function *function,
                                  const char *class_name, bool temporary, struct sabot_error *err) {
    if (catalog->n_functions == catalog->functions_capacity) {
        const size_t capacity = catalog->functions_capacity ? catalog->functions_capacity * 2 : 16;
        struct catalog_function *grown =
            capacity > CATALOG_OBJECTS_MAX ? NULL : realloc(catalog->functions, capacity * sizeof *grown);
        if (!grown) {
            return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no room for more than %zu functions", catalog->n_functions);
        }
        catalog->functions = grown;
        catalog->functions_capacity = capacity;
    }
    struct catalog_function added = {
        .name = strdup(name), .function = function, .class_name = class_name ? strdup(class_name) : NULL,
        .temporary = temporary,
    };
    if (!added.name || (class_name && !added.class_name)) {
        function_clear(&added);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for function \"%s\"", name);
    }
    catalog->functions[catalog->n_functions++] = added;
    return SABOT_OK;
}

sabot_status catalog_process_add(struct catalog *catalog, const char *name, struct process_function *process,
                                 const char *class_name, bool temporary, struct sabot_error *err) {
    const sabot_status status = catalog_function_add(catalog, name, NULL, class_name, temporary, err);
    if (status != SABOT_OK) {
        process_function_free(process);
        return status;
    }
    process->next = catalog->processes;
    catalog->processes = process;
    catalog->functions[catalog->n_functions - 1].process = process;
    return SABOT_OK;
}

bool catalog_function_remove(struct catalog *catalog, const char *name) {
    for (size_t i = 0; i < catalog->n_functions; i++) {
        if (strcasecmp(catalog->functions[i].name, name) != 0) { continue; }
        function_clear(&catalog->functions[i]);
        memmove(&catalog->functions[i], &catalog->functions[i + 1],
                (catalog->n_functions - i - 1) * sizeof catalog->functions[0]);
        catalog->n_functions--;
        return true;
    }
    return false;
}
