/* Text as a double, exact, by the C++ library: strtod knows locales and is slower. */
#include <charconv>
#include <cmath>
#include <string_view>

extern "C" bool double_parse(const char *text, size_t size, double *out);

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
        const bool tiny = e != std::string_view::npos ? unsigned_word[e + 1] == '-'
                                                      : unsigned_word[0] == '0' || unsigned_word[0] == '.';
        *out = tiny ? (negative ? -0.0 : 0.0) : (negative ? -INFINITY : INFINITY);
    }
    return true;
}
