/* Doubles as text, both ways exact, by the C++ library: strtod and printf know locales and are slower. */
#include <charconv>
#include <cmath>
#include <cstring>
#include <string_view>

extern "C" {
#include "base/text.h"
}

extern "C" bool double_parse(const char *text, size_t size, double *out);
extern "C" void double_print(struct text *target, double value);
extern "C" void float_print(struct text *target, float value);

bool double_parse(const char *text, size_t size, double *out) {
    const char *begin = text, *end = text + size;
    if (size > 1 && *begin == '+' && begin[1] != '-') { begin++; }
    const std::string_view word(begin, size_t(end - begin));
    if (word == "NaN") {
        *out = NAN;
        return true;
    }
    const bool negative = !word.empty() && word[0] == '-';
    const std::string_view unsigned_word = word.substr(negative);
    if (unsigned_word == "Infinity") {
        *out = negative ? -INFINITY : INFINITY;
        return true;
    }
    /* from_chars takes words that Java does not: inf, nan */
    if (unsigned_word.empty() || (unsigned_word[0] != '.' && (unsigned_word[0] < '0' || unsigned_word[0] > '9'))) {
        return false;
    }
    const auto result = std::from_chars(begin, end, *out);
    if (result.ptr != end || result.ec == std::errc::invalid_argument) { return false; }
    if (result.ec == std::errc::result_out_of_range) {
        /* as Java: too large is infinite, too small is zero; the exponent's sign tells which */
        const size_t e = unsigned_word.find_first_of("eE");
        const bool tiny = e != std::string_view::npos ? unsigned_word[e + 1] == '-' : unsigned_word[0] == '0' || unsigned_word[0] == '.';
        *out = tiny ? (negative ? -0.0 : 0.0) : (negative ? -INFINITY : INFINITY);
    }
    return true;
}

template <typename T> static void print(struct text *target, T value) {
    if (std::isnan(value)) { return text_add(target, "NaN"); }
    if (std::isinf(value)) { return text_add(target, value < 0 ? "-Infinity" : "Infinity"); }
    char block[64];
    if (value == T(std::trunc(value)) && std::fabs(value) < T(1e7)) {
        char *end = std::to_chars(block, block + 32, static_cast<long long>(value)).ptr;
        if (value == 0 && std::signbit(value)) { return text_add(target, "-0.0"); }
        memcpy(end, ".0", 2);
        return text_append(target, block, size_t(end + 2 - block));
    }
    const T magnitude = std::fabs(value);
    if (magnitude >= T(1e-3) && magnitude < T(1e7)) {
        char *end = std::to_chars(block, block + sizeof block, value, std::chars_format::fixed).ptr;
        return text_append(target, block, size_t(end - block));
    }
    /* 1.0E10: at least one digit behind the point, an exponent without plus or leading zeros */
    char *end = std::to_chars(block, block + sizeof block, value, std::chars_format::scientific).ptr;
    const std::string_view text(block, size_t(end - block));
    const size_t e = text.find('e');
    text_append(target, block, e);
    if (text.substr(0, e).find('.') == std::string_view::npos) { text_add(target, ".0"); }
    text_add(target, text[e + 1] == '-' ? "E-" : "E");
    size_t digit = e + 2;
    while (digit + 1 < text.size() && text[digit] == '0') { digit++; }
    text_append(target, block + digit, text.size() - digit);
}

void double_print(struct text *target, double value) { print(target, value); }
void float_print(struct text *target, float value) { print(target, value); }
