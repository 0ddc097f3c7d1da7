/* Functions that write JSON: JSON_STRING, JSON_OBJECT, JSON_ARRAY, JSON_QUOTE, JSON_UNQUOTE.
 *
 * JSON_OBJECT and JSON_ARRAY get a text of letters before their arguments (sql/bind_json.c): n NULL ON NULL or a ABSENT
 * ON NULL, then one letter per value: j it is JSON already (a nested call), v any other. */
#include "base/encode.h"
#include "expr/functions_json.h"

#include <stdlib.h>

/* ---- values ------------------------------------------------------------------------------------------------------ */

static sabot_status add_value(const struct column *column, int64_t row, struct type type, struct text *out,
                              struct sabot_error *err);

/* As CAST(.. AS STRING), quoted where it is no number and no BOOLEAN; JSON has no NaN and no Infinity. */
static sabot_status add_printed(const struct column *column, int64_t row, struct type type, struct text *out,
                                struct sabot_error *err) {
    const struct text_options options = {.null_text = "null"};
    struct text text = {0};
    const sabot_status status = column_print(column, row, type, &options, &text, err);
    const bool is_number = type_is_numeric(type) && !strpbrk(text_string(&text), "Nn");
    const bool bare = is_number || type.kind == TYPE_BOOL;
    if (status == SABOT_OK && bare) {
        text_append(out, text_string(&text), text.size);
    } else if (status == SABOT_OK) {
        const bool is_timestamp = type.kind == TYPE_TIMESTAMP || type.kind == TYPE_TIMESTAMP_LTZ;
        if (is_timestamp && text.size > 10) { text.data[10] = 'T'; } /* ISO 8601 */
        if (type.kind == TYPE_TIMESTAMP_LTZ) { text_append(&text, "Z", 1); }
        text_add_json(out, text_string(&text), text.size);
    }
    text_clear(&text);
    return status;
}

static sabot_status add_row(const struct column *column, int64_t row, struct type type, struct text *out,
                            struct sabot_error *err) {
    text_append(out, "{", 1);
    for (int32_t i = 0; i < type.n_fields; i++) {
        if (i > 0) { text_append(out, ",", 1); }
        text_add_json(out, type.fields[i].name, strlen(type.fields[i].name));
        text_append(out, ":", 1);
        SABOT_TRY(add_value(column->children[i], column_at(column, row), type.fields[i].type, out, err));
    }
    text_append(out, "}", 1);
    return SABOT_OK;
}

static sabot_status add_list(const struct column *column, int64_t row, struct type type, struct text *out,
                             struct sabot_error *err) {
    const int32_t *offsets = (const int32_t *)column->values + column_at(column, row);
    const bool is_map = type.kind == TYPE_MAP;
    const struct column *child = column->children[0];
    text_append(out, is_map ? "{" : "[", 1);
    for (int32_t i = offsets[0]; i < offsets[1]; i++) {
        if (i > offsets[0]) { text_append(out, ",", 1); }
        if (!is_map) {
            SABOT_TRY(add_value(child, i, type.fields[0].type, out, err));
            continue;
        }
        struct text key = {0};
        const struct text_options options = {.null_text = "null"};
        const sabot_status status = column_print(child->children[0], i, type.fields[0].type, &options, &key, err);
        if (status == SABOT_OK) { text_add_json(out, text_string(&key), key.size); }
        text_clear(&key);
        SABOT_TRY(status);
        text_append(out, ":", 1);
        SABOT_TRY(add_value(child->children[1], i, type.fields[1].type, out, err));
    }
    text_append(out, is_map ? "}" : "]", 1);
    return SABOT_OK;
}

static sabot_status add_value(const struct column *column, int64_t row, struct type type, struct text *out,
                              struct sabot_error *err) {
    if (type.kind == TYPE_NULL || column_is_null(column, row)) {
        text_append(out, "null", 4);
        return SABOT_OK;
    }
    if (type.kind == TYPE_ARRAY || type.kind == TYPE_MAP) { return add_list(column, row, type, out, err); }
    if (type.kind == TYPE_ROW) { return add_row(column, row, type, out, err); }
    if (type.kind != TYPE_STRING && type.kind != TYPE_BINARY) { return add_printed(column, row, type, out, err); }
    const struct string_view *view = (const struct string_view *)column->values + column_at(column, row);
    if (type.kind == TYPE_BINARY) {
        text_append(out, "\"", 1);
        text_add_base64(out, string_view_data(view), view->size);
        text_append(out, "\"", 1);
    } else {
        text_add_json(out, string_view_data(view), view->size);
    }
    return SABOT_OK;
}

/* ---- kernels ----------------------------------------------------------------------------------------------------- */

static sabot_status put_text(struct kernel_call *call, int32_t row, struct text *text, struct sabot_error *err) {
    if (text->failed) { return json_no_memory(err); }
    const sabot_status status = put_string(call, row, text_string(text), text->size, err);
    text->size = 0;
    return status;
}

static sabot_status string_kernel(struct kernel_call *call, struct sabot_error *err) {
    struct text text = {0};
    sabot_status status = SABOT_OK;
    for (int32_t i = 0; i < call->n_rows && status == SABOT_OK; i++) {
        const int32_t row = kernel_row(call, i);
        status = add_value(call->args[0], row, call->expr->args[0]->type, &text, err);
        if (status == SABOT_OK) { status = put_text(call, row, &text, err); }
    }
    text_clear(&text);
    return status;
}

/* Argument `arg` as a value of an object or array. */
static sabot_status add_argument(const struct kernel_call *call, int32_t arg, int32_t row, char form, struct text *out,
                                 struct sabot_error *err) {
    if (form == 'j' && !column_is_null(call->args[arg], row)) {
        const struct slice json = arg_string(call, arg, row);
        text_append(out, json.data, json.size);
        return SABOT_OK;
    }
    return add_value(call->args[arg], row, call->expr->args[arg]->type, out, err);
}

/* forms: see the head of the file; `step` arguments make one entry, of which the last is the value. */
static sabot_status add_entries(const struct kernel_call *call, int32_t row, const char *forms, int32_t step,
                                struct text *out, struct sabot_error *err) {
    bool first = true;
    text_append(out, step == 2 ? "{" : "[", 1);
    for (int32_t at = 1; at + step <= call->n_args; at += step) {
        const int32_t value = at + step - 1;
        if (forms[0] == 'a' && column_is_null(call->args[value], row)) { continue; }
        if (!first) { text_append(out, ",", 1); }
        first = false;
        if (step == 2) {
            if (column_is_null(call->args[at], row)) {
                return SABOT_FAIL(err, SABOT_ERR_DATA, "a key of JSON_OBJECT is NULL");
            }
            const struct slice key = arg_string(call, at, row);
            text_add_json(out, key.data, key.size);
            text_append(out, ":", 1);
        }
        SABOT_TRY(add_argument(call, value, row, forms[1 + (at - 1) / step], out, err));
    }
    text_append(out, step == 2 ? "}" : "]", 1);
    return SABOT_OK;
}

static sabot_status entries_kernel(struct kernel_call *call, struct sabot_error *err) {
    const int32_t step = call->expr->function->name[5] == 'O' ? 2 : 1;
    struct text text = {0};
    sabot_status status = SABOT_OK;
    for (int32_t i = 0; i < call->n_rows && status == SABOT_OK; i++) {
        const int32_t row = kernel_row(call, i);
        status = add_entries(call, row, call->expr->bound, step, &text, err);
        if (status == SABOT_OK) { status = put_text(call, row, &text, err); }
    }
    text_clear(&text);
    return status;
}

/* What is no JSON string stays as it is. */
static sabot_status unquote_kernel(struct kernel_call *call, struct sabot_error *err) {
    static const struct json_steps root = {.n = 0};
    FOR_ROWS(call, row, {
        const struct slice text = arg_string(call, 0, row);
        struct json_hit hit = {.kind = JSON_HIT_ERROR};
        const bool quoted = text.size > 1 && text.data[0] == '"' && text.data[text.size - 1] == '"';
        if (quoted) { SABOT_TRY(json_find(call, text, &root, JSON_TEXT_PLAIN, &hit, err)); }
        const bool found = hit.kind == JSON_HIT_SCALAR;
        SABOT_TRY(put_string(call, row, found ? hit.text : text.data, found ? hit.size : text.size, err));
    })
    return SABOT_OK;
}

/* ---- JSON_OBJECTAGG ---------------------------------------------------------------------------------------------- */

static sabot_status member_kernel(struct kernel_call *call, struct sabot_error *err) {
    struct text text = {0};
    sabot_status status = SABOT_OK;
    for (int32_t i = 0; i < call->n_rows && status == SABOT_OK; i++) {
        const int32_t row = kernel_row(call, i);
        if (column_is_null(call->args[0], row)) {
            status = SABOT_FAIL(err, SABOT_ERR_DATA, "a key of JSON_OBJECTAGG is NULL: leave such rows out with FILTER "
                                "(WHERE key IS NOT NULL), or name them with COALESCE(key, ..)");
        } else if (column_is_null(call->args[1], row)) {
            status = put_null(call, row, err);
        } else {
            const struct slice key = arg_string(call, 0, row), value = arg_string(call, 1, row);
            text_add_json(&text, key.data, key.size);
            text_append(&text, ":", 1);
            text_append(&text, value.data, value.size);
            status = put_text(call, row, &text, err);
        }
    }
    text_clear(&text);
    return status;
}

/* Behind the JSON string that begins at `at`. */
static size_t string_end(struct slice json, size_t at) {
    for (at++; at < json.size && json.data[at] != '"'; at++) { at += json.data[at] == '\\'; }
    return at + 1;
}

/* Behind the value that begins at `at`: at the comma that follows, or at the end. */
static size_t value_end(struct slice json, size_t at) {
    for (int depth = 0; at < json.size && (depth > 0 || json.data[at] != ',');) {
        const char c = json.data[at];
        depth += (c == '{' || c == '[') - (c == '}' || c == ']');
        at = c == '"' ? string_end(json, at) : at + 1;
    }
    return at;
}

static int compare_keys(const void *a, const void *b) {
    const struct slice *x = a, *y = b;
    const int order = memcmp(x->data, y->data, x->size < y->size ? x->size : y->size);
    return order ? order : (x->size > y->size) - (x->size < y->size);
}

/* The keys with their quotes; *keys grows and is the caller's. */
static sabot_status keys_of(struct slice members, struct slice **keys, size_t *capacity, size_t *n,
                            struct sabot_error *err) {
    *n = 0;
    for (size_t at = 0; at < members.size;) {
        const size_t end = string_end(members, at);
        if (*n == *capacity) {
            const size_t more = *capacity ? *capacity * 2 : 64;
            struct slice *grown = realloc(*keys, more * sizeof *grown);
            if (!grown) { return json_no_memory(err); }
            *keys = grown;
            *capacity = more;
        }
        (*keys)[(*n)++] = (struct slice){members.data + at, end - at};
        at = value_end(members, end + 1) + 1;
    }
    return SABOT_OK;
}

static sabot_status check_different(struct slice *keys, size_t n, struct sabot_error *err) {
    if (n > 1) { qsort(keys, n, sizeof *keys, compare_keys); }
    for (size_t i = 1; i < n; i++) {
        if (compare_keys(&keys[i - 1], &keys[i]) != 0) { continue; }
        const int size = keys[i].size > 60 ? 60 : (int)keys[i].size;
        return SABOT_FAIL(err, SABOT_ERR_DATA, "key %.*s of JSON_OBJECTAGG is there twice: keys of an object must be "
                          "different", size, keys[i].data);
    }
    return SABOT_OK;
}

static sabot_status members_kernel(struct kernel_call *call, struct sabot_error *err) {
    struct slice *keys = NULL;
    size_t capacity = 0, n = 0;
    sabot_status status = SABOT_OK;
    for (int32_t i = 0; i < call->n_rows && status == SABOT_OK; i++) {
        const int32_t row = kernel_row(call, i);
        const bool is_empty = column_is_null(call->args[0], row);
        const struct slice members = is_empty ? (struct slice){"", 0} : arg_string(call, 0, row);
        char *text = NULL;
        status = keys_of(members, &keys, &capacity, &n, err);
        if (status == SABOT_OK) { status = check_different(keys, n, err); }
        if (status == SABOT_OK) { status = reserve_string(call, members.size + 2, &text, err); }
        if (status != SABOT_OK) { break; }
        text[0] = '{';
        memcpy(text + 1, members.data, members.size);
        text[members.size + 1] = '}';
        put_reserved(call, row, text, members.size + 2);
    }
    free(keys);
    return status;
}

sabot_status bind_json_member(const struct function *function, struct function_binding *binding,
                              struct sabot_error *err) {
    for (int32_t i = 0; i < binding->n_args; i++) {
        SABOT_TRY(binding_expect(function, binding, i, type_of(TYPE_STRING), err));
    }
    const bool is_member = binding->n_args == 2;
    binding->result = is_member && binding->args[1]->type.nullable ? type_of(TYPE_STRING)
                                                                   : type_not_null(type_of(TYPE_STRING));
    binding->kernel = is_member ? member_kernel : members_kernel;
    return SABOT_OK;
}

/* ---- binding ----------------------------------------------------------------------------------------------------- */

sabot_status bind_json_text(const struct function *function, struct function_binding *binding,
                            struct sabot_error *err) {
    static const struct signature signatures[] = {
        {"JSON_STRING", "A", 'S', false, string_kernel},
        {"JSON_QUOTE", "S", 'S', false, string_kernel},
        {"JSON_UNQUOTE", "S", 'S', false, unquote_kernel},
    };
    return BIND_SIGNATURE(function, binding, signatures, err);
}

sabot_status bind_json_entries(const struct function *function, struct function_binding *binding,
                               struct sabot_error *err) {
    const void *value = NULL;
    const bool is_object = function->name[5] == 'O';
    if (!binding_constant(binding, 0, &value) || !value || (is_object && binding->n_args % 2 == 0)) {
        return binding_refuse(function, binding, err);
    }
    const struct slice forms = slice_of(value);
    binding->bound = arena_copy(binding->arena, forms.data, forms.size);
    if (!binding->bound) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the query is too big"); }
    for (int32_t i = 1; is_object && i < binding->n_args; i += 2) {
        SABOT_TRY(binding_expect(function, binding, i, type_of(TYPE_STRING), err));
    }
    binding->result = type_not_null(type_of(TYPE_STRING));
    binding->kernel = entries_kernel;
    return SABOT_OK;
}
