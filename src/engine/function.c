/* The C API: scalar functions of the embedding program. Arguments go out as Arrow arrays, the result comes in as one.
 */
#include "arrow/export.h"
#include "arrow/import.h"
#include "engine/engine.h"
#include "expr/function.h"
#include "sql/bind.h"
#include "sql/process_function.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#define ARGUMENTS_MAX 64

struct registered_function {
    struct function function; /* user_data: this struct */
    struct registered_function *next;
    struct arena arena; /* types, names */
    struct type arguments[ARGUMENTS_MAX];
    int32_t n_arguments;
    struct type result;
    sabot_function_call call;
    void *user;
};

void registered_functions_free(struct registered_function *functions) {
    while (functions) {
        struct registered_function *next = functions->next;
        arena_clear(&functions->arena);
        free(functions);
        functions = next;
    }
}

/* --- one call */

/* The arguments of the rows asked for, without gaps, as a struct array's children. */
static sabot_status arguments_export(struct kernel_call *call, struct registered_function *registered,
                                     struct ArrowArray *out, struct sabot_error *err) {
    struct field fields[ARGUMENTS_MAX];
    struct column *columns[ARGUMENTS_MAX];
    for (int32_t i = 0; i < call->n_args; i++) { fields[i] = (struct field){"", registered->arguments[i]}; }
    struct schema *schema = NULL;
    struct batch *all = NULL, *asked = NULL;
    SABOT_TRY(schema_new(fields, call->n_args, &schema, err));
    for (int32_t i = 0; i < call->n_args; i++) { columns[i] = column_ref(call->args[i]); }
    sabot_status status = batch_new(schema, columns, call->n_args, call->physical_rows, &all, err);
    schema_unref(schema);
    if (status != SABOT_OK) { return status; }
    if (call->rows) {
        status = batch_take(call->context->pool, all, call->rows, call->n_rows, &asked, err);
        batch_unref(all);
        all = asked;
    }
    if (status == SABOT_OK) { status = batch_export(call->context->pool, all, out, err); }
    batch_unref(all);
    return status;
}

/* A struct array around one child, made for the importer. */
struct wrapper {
    struct ArrowArray child;
    struct ArrowArray *children[1];
    const void *buffers[1];
};

static void wrapper_release(struct ArrowArray *array) {
    struct wrapper *wrapper = array->private_data;
    if (wrapper->child.release) { wrapper->child.release(&wrapper->child); }
    free(wrapper);
    array->release = NULL;
}

/* The function's array as a column, one value per row asked for. */
static sabot_status result_import(struct kernel_call *call, const struct registered_function *registered,
                                  struct ArrowArray *values, struct column **out, struct sabot_error *err) {
    if (values->length != call->n_rows) {
        const long long got = values->length;
        values->release(values);
        return SABOT_FAIL(err, SABOT_ERR_DATA, "%s() gave %lld values for %d rows", registered->function.name, got,
                          call->n_rows);
    }
    const struct field field = {"value", registered->result};
    struct schema *schema = NULL;
    struct ArrowSchema arrow = {0};
    struct importer *importer = NULL;
    struct batch *batch = NULL;
    struct wrapper *wrapper = calloc(1, sizeof *wrapper);
    sabot_status status = wrapper ? schema_new(&field, 1, &schema, err)
                                  : SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a function's result");
    if (status == SABOT_OK) { status = schema_export(schema, &arrow, err); }
    if (status == SABOT_OK) { status = importer_new(&arrow, &importer, err); }
    if (arrow.release) { arrow.release(&arrow); }
    schema_unref(schema);
    if (status != SABOT_OK) {
        values->release(values);
        free(wrapper);
        return status;
    }
    wrapper->child = *values;
    values->release = NULL;
    wrapper->children[0] = &wrapper->child;
    struct ArrowArray around = {.length = call->n_rows, .n_buffers = 1, .n_children = 1, .buffers = wrapper->buffers,
                                .children = wrapper->children, .private_data = wrapper, .release = wrapper_release};
    status = importer_put(importer, &around, err);
    const int32_t n = call->n_rows;
    if (status == SABOT_OK) { status = importer_next(importer, call->context->pool, n > 0 ? n : 1, &batch, err); }
    importer_free(importer);
    if (status != SABOT_OK) {
        error_context(err, "%s()", registered->function.name);
        return status;
    }
    if (!batch) { return column_all_null(call->context->pool, registered->result, n, out, err); }
    *out = column_ref(batch->columns[0]);
    batch_unref(batch);
    return SABOT_OK;
}

/* Spreads the values of the rows asked for over the physical rows. */
static sabot_status spread(struct kernel_call *call, struct column *values, struct sabot_error *err) {
    if (!call->rows) {
        call->column = values;
        return SABOT_OK;
    }
    int32_t *at = malloc(sizeof *at * (size_t)(call->physical_rows + 1));
    if (!at) {
        column_unref(values);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a function's result");
    }
    for (int32_t i = 0; i < call->physical_rows; i++) { at[i] = -1; }
    for (int32_t i = 0; i < call->n_rows; i++) { at[call->rows[i]] = i; }
    const sabot_status status = column_take(call->context->pool, values, at, call->physical_rows, &call->column, err);
    free(at);
    column_unref(values);
    return status;
}

static sabot_status call_kernel(struct kernel_call *call, struct sabot_error *err) {
    struct registered_function *registered = call->expr->function->user_data;
    struct ArrowArray arguments = {0}, values = {0};
    SABOT_TRY(arguments_export(call, registered, &arguments, err));
    char message[256] = "";
    const int code = registered->call(registered->user, (const struct ArrowArray *const *)arguments.children,
                                      call->n_args, call->n_rows, &values, message, sizeof message);
    arguments.release(&arguments);
    if (code != 0) {
        if (values.release) { values.release(&values); }
        return SABOT_FAIL(err, SABOT_ERR_DATA, "%s(): %s", registered->function.name,
                          message[0] ? message : "the function failed without a message");
    }
    if (!values.release) {
        return SABOT_FAIL(err, SABOT_ERR_DATA, "%s() succeeded but gave no array", registered->function.name);
    }
    struct column *column = NULL;
    SABOT_TRY(result_import(call, registered, &values, &column, err));
    return spread(call, column, err);
}

/* --- registering */

sabot_status sabot_engine_register_process_function(struct sabot_engine *engine,
                                                    const struct sabot_process_function *function,
                                                    struct sabot_error *err) {
    struct process_function *made = NULL;
    SABOT_TRY(argument_given(engine, "engine", err));
    SABOT_TRY(argument_given(function, "function", err));
    SABOT_TRY(process_function_new(function, function->name, &made, err));
    struct catalog *catalog = &engine->session->catalog;
    catalog_function_remove(catalog, made->name);
    return catalog_process_add(catalog, made->name, made, NULL, true, err);
}

static sabot_status bind_registered(const struct function *function, struct function_binding *binding,
                                    struct sabot_error *err) {
    const struct registered_function *registered = function->user_data;
    for (int32_t i = 0; i < binding->n_args; i++) {
        SABOT_TRY(binding_expect(function, binding, i, registered->arguments[i], err));
    }
    binding->result = type_nullable(registered->result);
    binding->kernel = call_kernel;
    return SABOT_OK;
}

static sabot_status registered_fill(struct registered_function *made, const struct sabot_function *given,
                                    struct sabot_error *err) {
    char *name = arena_copy(&made->arena, given->name, strlen(given->name));
    if (!name) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a function"); }
    for (char *at = name; *at; at++) { *at = (char)toupper((unsigned char)*at); }
    made->n_arguments = given->n_arguments;
    for (int32_t i = 0; i < given->n_arguments; i++) {
        const char *const text = given->argument_types ? given->argument_types[i] : NULL;
        SABOT_TRY(bind_type_text(&made->arena, text, &made->arguments[i], err));
    }
    SABOT_TRY(bind_type_text(&made->arena, given->return_type, &made->result, err));
    made->call = given->call;
    made->user = given->user;
    made->function = (struct function){
        .name = name, .min_args = given->n_arguments, .max_args = given->n_arguments, .bind = bind_registered,
        .flags = FUNCTION_NULL_AWARE | (given->not_deterministic ? FUNCTION_NOT_DETERMINISTIC : 0u),
        .category = "user", .signature = name, .summary = "registered by the program", .example = "", .result = "",
        .user_data = made};
    return SABOT_OK;
}

sabot_status sabot_engine_register_function(struct sabot_engine *engine, const struct sabot_function *function,
                                            struct sabot_error *err) {
    struct sabot_function given = {.size = sizeof given};
    SABOT_TRY(options_take(&given, sizeof given, function, function ? function->size : 0, "sabot_function", err));
    if (!given.name || !given.call || given.n_arguments < 0 || given.n_arguments > ARGUMENTS_MAX) {
        return SABOT_FAIL(err, SABOT_ERR_USAGE, "sabot_function: name and call must be set, and 0 to %d arguments",
                          ARGUMENTS_MAX);
    }
    struct registered_function *made = calloc(1, sizeof *made);
    if (!made) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a function"); }
    arena_init(&made->arena, (size_t)1 << 20);
    sabot_status status = registered_fill(made, &given, err);
    if (status == SABOT_OK) {
        catalog_function_remove(&engine->session->catalog, given.name); /* plans may use it: freed with the engine */
        status = catalog_function_add(&engine->session->catalog, given.name, &made->function, NULL, true, err);
    }
    if (status != SABOT_OK) {
        registered_functions_free(made);
        return status;
    }
    made->next = engine->functions;
    engine->functions = made;
    return SABOT_OK;
}
