/* Walks JSON records with simdjson's on-demand parser and writes their fields straight into columns. */
#include "format/json_simdjson.h"

#define SIMDJSON_EXCEPTIONS 0
#include <simdjson.h>

#include <cstdio>
#include <cstring>
#include <new>
#include <string_view>

using namespace simdjson;
using std::string_view;

#define DEPTH_MAX 64

struct json_parser {
    ondemand::parser parser;
    uint64_t object = 0; /* counts objects, so that `seen` need not be cleared; 32 bits are over within the hour */
};

extern "C" bool int64_parse(const char *text, size_t size, int64_t *out);

struct json_parser *json_parser_new(void) { return new (std::nothrow) json_parser; }
void json_parser_free(struct json_parser *parser) { delete parser; }

namespace {

/* Same layout as string_view in arrow/batch.h, which json.c checks. */
struct view {
    uint32_t size;
    char prefix[4];
    union {
        char rest[8];
        const char *data;
    };
};

inline bool is_blank(char c) { return c == ' ' || c == '\n' || c == '\r' || c == '\t'; }

struct walk {
    json_parser *state;
    const json_record *record;
    char *reason;
    size_t reason_size;
    sabot_error *err;
    sabot_status status = SABOT_OK;

    /* All of these return false when the record is given up: `reason` or `status` says why. */
    bool bad(const json_column *column, const char *why) {
        if (column->name) {
            snprintf(reason, reason_size, "field \"%s\": %s", column->name, why);
        } else {
            snprintf(reason, reason_size, "%s", why);
        }
        return false;
    }
    bool bad(error_code error) {
        snprintf(reason, reason_size, "not JSON: %s", error_message(error));
        return false;
    }
    bool wrong_value(json_column *column, int32_t row, const char *why) {
        if (!record->ignore_errors) { return bad(column, why); }
        json_store_null(column, row);
        return true;
    }
    bool check(sabot_status result) {
        status = result;
        return result == SABOT_OK;
    }

    bool text(json_column *column, int32_t row, const char *data, size_t size, bool quoted, void *block) {
        const char *why = nullptr;
        if (!check(json_store_text(column, row, data, size, quoted, block, &why, err))) { return false; }
        return !why || wrong_value(column, row, why);
    }

    bool string(json_column *column, int32_t row, ondemand::value &value, string_view token) {
        /* the token reaches to the next one: the closing quote is the last one in it */
        size_t size = token.size();
        while (size > 1 && token[size - 1] != '"') { size--; }
        if (size < 2) { return bad(column, "a string that does not end"); }
        const char *begin = token.data() + 1;
        size -= 2;
        void *block = record->block;
        string_view unescaped;
        if (memchr(begin, '\\', size)) {
            if (auto error = value.get_string().get(unescaped)) { return bad(error); }
            begin = unescaped.data();
            size = unescaped.size();
            block = nullptr;
        }
        if (column->kind == JSON_STRING && size <= 12) {
            view made{};
            made.size = uint32_t(size);
            memcpy(made.prefix, begin, size);
            static_cast<view *>(column->values)[row] = made;
            return true;
        }
        return text(column, row, begin, size, true, block);
    }

    bool store(json_column *column, int32_t row, ondemand::value value, int depth) {
        string_view token = value.raw_json_token();
        if (token.empty()) { return bad(column, "a value is missing"); }
        const char first = token[0];
        if (first == '"' && column->kind <= JSON_SCALAR) { return string(column, row, value, token); }
        if (first == 'n') {
            bool is_null = false;
            if (auto error = value.is_null().get(is_null)) { return bad(error); }
            if (!is_null) { return bad(column, "not JSON: neither null nor a value"); }
            json_store_null(column, row);
            return true;
        }
        switch (column->kind) {
        case JSON_ROW:
            if (first == '{') { return object(column, row, value, depth + 1); }
            return wrong_value(column, row, "an object is expected");
        case JSON_ARRAY:
            if (first == '[') { return array(column, row, value, depth + 1); }
            return wrong_value(column, row, "an array is expected");
        case JSON_MAP:
            if (first == '{') { return map(column, row, value, depth + 1); }
            return wrong_value(column, row, "an object is expected");
        default: break;
        }
        if (first == '{' || first == '[') {
            if (column->kind != JSON_STRING) { return wrong_value(column, row, "a plain value is expected"); }
            return nested_text(column, row, value);
        }
        size_t size = token.size();
        while (size > 0 && is_blank(token[size - 1])) { size--; }
        if (first == 't' || first == 'f') {
            bool truth;
            if (auto error = value.get_bool().get(truth)) { return bad(error); }
            return text(column, row, truth ? "true" : "false", truth ? 4 : 5, false, nullptr);
        }
        const bool is_negative = first == '-';
        const char digit = is_negative && size > 1 ? token[1] : first;
        const char after = size > size_t(is_negative) + 1 ? token[is_negative + 1] : '.';
        if (digit < '0' || digit > '9' || (digit == '0' && after >= '0' && after <= '9')) {
            return bad(column, "not JSON: no value begins like this");
        }
        if (column->kind == JSON_INT64 &&
            int64_parse(token.data(), size, static_cast<int64_t *>(column->values) + row)) {
            return true;
        }
        return text(column, row, token.data(), size, false, record->block);
    }

    /* A nested value where a STRING is declared: its text without blanks. */
    bool nested_text(json_column *column, int32_t row, ondemand::value &value) {
        string_view raw;
        ondemand::array array;
        ondemand::object object;
        if (!value.get_array().get(array)) {
            if (auto error = array.raw_json().get(raw)) { return bad(error); }
        } else {
            if (auto error = value.get_object().get(object)) { return bad(error); }
            if (auto error = object.raw_json().get(raw)) { return bad(error); }
        }
        char *target = new (std::nothrow) char[raw.size() + SIMDJSON_PADDING];
        if (!target) { return check(SABOT_ERR_MEMORY); }
        size_t size = 0;
        const auto error = minify(raw.data(), raw.size(), target, size);
        const bool good = error ? bad(error) : text(column, row, target, size, true, nullptr);
        delete[] target;
        return good;
    }

    bool array(json_column *column, int32_t row, ondemand::value &value, int depth) {
        if (depth > DEPTH_MAX) { return bad(column, "nested too deeply"); }
        ondemand::array array;
        if (auto error = value.get_array().get(array)) { return bad(error); }
        json_list_begin(column, row);
        for (auto item : array) {
            ondemand::value element;
            int32_t at;
            if (auto error = item.get(element)) { return bad(error); }
            if (!check(json_list_append(column, &at, err)) || !store(&column->children[0], at, element, depth)) {
                return false;
            }
        }
        json_list_end(column, row);
        return true;
    }

    bool map(json_column *column, int32_t row, ondemand::value &value, int depth) {
        if (depth > DEPTH_MAX) { return bad(column, "nested too deeply"); }
        ondemand::object object;
        if (auto error = value.get_object().get(object)) { return bad(error); }
        json_list_begin(column, row);
        for (auto item : object) {
            ondemand::field field;
            string_view key;
            int32_t at;
            if (auto error = std::move(item).get(field)) { return bad(error); }
            if (auto error = field.unescaped_key().get(key)) { return bad(error); }
            if (!check(json_list_append(column, &at, err))) { return false; }
            json_column *entry = column->children[0].children;
            if (!text(&entry[0], at, key.data(), key.size(), true, nullptr) ||
                !store(&entry[1], at, field.value(), depth)) {
                return false;
            }
        }
        json_list_end(column, row);
        return true;
    }

    static int find(const json_column *column, string_view key) {
        for (int32_t i = 0; i < column->n_children; i++) {
            const json_column *child = &column->children[i];
            if (child->name_size == key.size() && memcmp(child->name, key.data(), key.size()) == 0) { return i; }
        }
        return -1;
    }

    /* The column of the field that is the k-th of its object: mostly the one that was there in the object before. */
    bool match(json_column *column, ondemand::field &field, int k, int *child) {
        const char *raw = field.key().raw();
        json_order *order = k < JSON_ORDER_MAX ? &column->order[k] : nullptr;
        if (order && order->size && memcmp(raw, order->name, order->size) == 0 && raw[order->size] == '"') {
            *child = order->child;
            return true;
        }
        size_t size = 0;
        while (raw[size] != '"' && raw[size] != '\\') { size++; }
        if (raw[size] == '\\') {
            string_view key;
            if (auto error = field.unescaped_key().get(key)) { return bad(error); }
            *child = find(column, key);
            return true;
        }
        *child = find(column, string_view(raw, size));
        if (order && size > 0 && size < sizeof order->name) {
            order->child = int16_t(*child);
            order->size = uint8_t(size);
            memcpy(order->name, raw, size);
        }
        return true;
    }

    template <typename T> bool object(json_column *column, int32_t row, T &value, int depth) {
        if (depth > DEPTH_MAX) { return bad(column, "nested too deeply"); }
        ondemand::object object;
        if (auto error = value.get_object().get(object)) {
            if (error == INCORRECT_TYPE) { return bad(column, "not a JSON object"); }
            return bad(error);
        }
        const uint64_t number = ++state->object;
        int32_t found = 0;
        int k = 0;
        for (auto item : object) {
            ondemand::field field;
            int child;
            if (auto error = std::move(item).get(field)) { return bad(error); }
            if (!match(column, field, k++, &child)) { return false; }
            if (child < 0) { continue; }
            json_column *target = &column->children[child];
            if (target->seen == number) {
                json_store_valid(target, row); /* the last one of a name counts */
            } else {
                target->seen = number;
                found++;
            }
            if (!store(target, row, field.value(), depth)) { return false; }
        }
        for (int32_t i = 0; found < column->n_children && i < column->n_children; i++) {
            json_column *child = &column->children[i];
            if (child->seen == number) { continue; }
            if (record->fail_on_missing) { return bad(child, "is missing"); }
            json_store_null(child, row);
        }
        return true;
    }
};

} // namespace

sabot_status json_parse_record(struct json_parser *parser, struct json_column *root, const struct json_record *record,
                               char *reason, size_t reason_size, struct sabot_error *err) {
    reason[0] = 0;
    walk w{parser, record, reason, reason_size, err};
    ondemand::document document;
    const padded_string_view text(record->data, record->size, record->capacity);
    if (auto error = parser->parser.iterate(text).get(document)) {
        w.bad(error);
        return SABOT_OK;
    }
    if (w.object(root, record->row, document, 0) && !document.current_location().error()) {
        w.bad(TRAILING_CONTENT);
    }
    return w.status;
}
