/* Paths into JSON texts: simdjson parses, the steps are walked over its tree. No exception leaves this file. */
#include "expr/json_path.h"

#include <new>
#include <string>
#include <string_view>
#include <vector>

#include <simdjson.h>

using simdjson::dom::element;

struct json_path_reader {
    simdjson::dom::parser parser;
    std::string text;
};

json_path_reader *json_path_reader_new(void) { return new (std::nothrow) json_path_reader; }
void json_path_reader_free(json_path_reader *reader) { delete reader; }

static void take_all(const element &from, std::vector<element> &to) {
    if (from.is_array()) {
        for (element child : simdjson::dom::array(from.get_array().value_unsafe())) { to.push_back(child); }
    } else if (from.is_object()) {
        for (auto field : simdjson::dom::object(from.get_object().value_unsafe())) { to.push_back(field.value); }
    }
}

static bool take_one(const element &from, const json_step &step, element &to) {
    if (step.kind == json_step::JSON_STEP_MEMBER) {
        return from.is_object() && !from.at_key(std::string_view(step.name, step.name_size)).get(to);
    }
    return from.is_array() && !from.at(step.index).get(to);
}

static json_hit_kind kind_of(const element &value) {
    return value.is_object() ? JSON_HIT_OBJECT : value.is_array() ? JSON_HIT_ARRAY
         : value.is_null() ? JSON_HIT_NULL : JSON_HIT_SCALAR;
}

static void find(json_path_reader *reader, const char *text, size_t size, const json_steps *steps, json_text form,
                 json_hit *hit) {
    element root;
    if (reader->parser.parse(text, size).get(root)) { return; }
    std::vector<element> found{root}, next;
    bool many = false;
    for (int32_t i = 0; i < steps->n; i++) {
        next.clear();
        for (const element &from : found) {
            element to;
            if (steps->steps[i].kind == json_step::JSON_STEP_ALL) {
                take_all(from, next);
            } else if (take_one(from, steps->steps[i], to)) {
                next.push_back(to);
            }
        }
        many |= steps->steps[i].kind == json_step::JSON_STEP_ALL;
        found.swap(next);
    }
    if (found.empty() && !many) {
        hit->kind = steps->lax ? JSON_HIT_EMPTY : JSON_HIT_ERROR;
        return;
    }
    hit->kind = many ? JSON_HIT_ARRAY : kind_of(found[0]);
    if (form == JSON_TEXT_NONE) { return; }
    std::string_view plain;
    if (!many && form == JSON_TEXT_PLAIN && !found[0].get_string().get(plain)) {
        reader->text.assign(plain);
    } else if (!many) {
        reader->text = simdjson::minify(found[0]);
    } else {
        reader->text = "[";
        for (size_t i = 0; i < found.size(); i++) {
            if (i > 0) { reader->text += ','; }
            reader->text += simdjson::minify(found[i]);
        }
        reader->text += ']';
    }
    hit->text = reader->text.data();
    hit->size = reader->text.size();
}

bool json_path_find(json_path_reader *reader, const char *text, size_t size, const json_steps *steps, json_text form,
                    json_hit *hit) {
    *hit = json_hit{steps->lax ? JSON_HIT_EMPTY : JSON_HIT_ERROR, "", 0};
    try {
        find(reader, text, size, steps, form, hit);
        return true;
    } catch (const std::bad_alloc &) {
        return false;
    } catch (const simdjson::simdjson_error &) {
        hit->kind = steps->lax ? JSON_HIT_EMPTY : JSON_HIT_ERROR;
        return true;
    }
}
