/* Searching in short and long texts, against a search that looks at every place. */
#include "expr/signature.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static const char *naive_find(struct slice text, struct slice what) {
    for (size_t at = 0; at + what.size <= text.size; at++) {
        if (memcmp(text.data + at, what.data, what.size) == 0) { return text.data + at; }
    }
    return NULL;
}

/* Few letters, so that parts of the needle are everywhere; texts are malloc'ed at their exact size, so that a
 * sanitizer sees
 * every byte read outside of them. */
static void find_agrees_with_looking_at_every_place(void **state) {
    (void)state;
    const unsigned seed = 20260107;
    srand(seed);
    print_message("seed %u\n", seed);
    for (int round = 0; round < 200000; round++) {
        const size_t size = (size_t)rand() % (round % 10 ? 80 : 600), n = (size_t)rand() % (round % 3 ? 5 : 40);
        char *text = malloc(size + 1), *what = malloc(n + 1);
        char *exact = realloc(text, size ? size : 1), *exact_what = realloc(what, n ? n : 1);
        for (size_t i = 0; i < size; i++) { exact[i] = (char)('a' + rand() % 2); }
        for (size_t i = 0; i < n; i++) { exact_what[i] = (char)('a' + rand() % 2); }
        if (n && size > n && round % 2) { memcpy(exact + (size_t)rand() % (size - n + 1), exact_what, n); }
        const struct slice in = {exact, size}, for_what = {exact_what, n};
        assert_ptr_equal(slice_find(in, for_what), naive_find(in, for_what));
        free(exact);
        free(exact_what);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(find_agrees_with_looking_at_every_place)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
