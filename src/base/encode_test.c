/* Base64 there and back, and what is none. */
#include "base/encode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void check_decoded(const char *text, enum base64_kind kind, const char *want) {
    char target[64];
    size_t size = 0;
    const bool good = base64_decode(text, strlen(text), kind, target, &size);
    assert_int_equal(good, want != NULL);
    if (!want) { return; }
    assert_int_equal(size, strlen(want));
    assert_memory_equal(target, want, size);
}

/* RFC 4648, 10. */
static void texts_of_all_lengths_go_there_and_back(void **state) {
    (void)state;
    static const char *const pairs[][2] = {{"", ""},         {"f", "Zg=="},        {"fo", "Zm8="},
                                           {"foo", "Zm9v"}, {"foob", "Zm9vYg=="}, {"\xfb\xff", "+/8="}};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        const char *plain = pairs[i][0], *encoded = pairs[i][1];
        struct text text = {0};
        text_add_base64(&text, plain, strlen(plain));
        assert_int_equal(text.size, base64_size(strlen(plain)));
        assert_string_equal(text_string(&text), encoded);
        text_clear(&text);
        check_decoded(encoded, BASE64_STRICT, plain);
        check_decoded(encoded, BASE64_LENIENT, plain);
    }
}

static void strict_takes_whole_padding_or_none(void **state) {
    (void)state;
    check_decoded("Zg", BASE64_STRICT, "f");
    check_decoded("Zm8", BASE64_STRICT, "fo");
    static const char *const bad[] = {"Zg=", "Z", "Zg===", "====", "Z===", "Zm9v=", "-_8=", "Zm 8", "Zm=8"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) { check_decoded(bad[i], BASE64_STRICT, NULL); }
}

static void lenient_takes_any_padding_and_digits_of_urls(void **state) {
    (void)state;
    check_decoded("Zg=", BASE64_LENIENT, "f");
    check_decoded("Zm9v====", BASE64_LENIENT, "foo");
    check_decoded("-_8", BASE64_LENIENT, "\xfb\xff");
    check_decoded("Z", BASE64_LENIENT, NULL);
    check_decoded("Zm=8", BASE64_LENIENT, NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_of_all_lengths_go_there_and_back),
        cmocka_unit_test(strict_takes_whole_padding_or_none),
        cmocka_unit_test(lenient_takes_any_padding_and_digits_of_urls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
