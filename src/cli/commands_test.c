/* A wrong command name leads to the right one, and every line of the table can be run. */
#include "cli/commands.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

static void known_name_is_found(void **state) {
    (void)state;
    assert_string_equal(command_find("version")->name, "version");
    assert_null(command_find("versio"));
    assert_null(command_find(""));
}

static void typing_mistake_leads_to_the_nearest_name(void **state) {
    (void)state;
    assert_string_equal(command_nearest("verison")->name, "version");
    assert_string_equal(command_nearest("hlep")->name, "help");
    assert_null(command_nearest("completely-different"));
    assert_null(command_nearest("a-name-that-is-longer-than-any-command-could-ever-be"));
}

static void every_command_has_a_function_and_a_summary(void **state) {
    (void)state;
    for (size_t i = 0; i < commands_count; i++) {
        assert_non_null(commands[i].run);
        assert_true(commands[i].summary[0] != '\0');
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_name_is_found),
        cmocka_unit_test(typing_mistake_leads_to_the_nearest_name),
        cmocka_unit_test(every_command_has_a_function_and_a_summary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
