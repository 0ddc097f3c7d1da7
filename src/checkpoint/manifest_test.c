/* Manifests of other versions, and torn ones. What they say of a whole checkpoint is tested with checkpoints. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <xxhash.h>

#include "checkpoint/manifest.h"

/* A manifest as another version would write it: its checksum is right. */
static sabot_status parse(const char *version, const char *more, struct manifest *out, struct sabot_error *err) {
    struct text text = {0};
    text_format(&text, "{\"format\": \"sabot-checkpoint\", \"version\": %s,\n\"job\": \"j\", \"checkpoint\": 7, "
                "\"epoch\": 1, \"timestamp_ms\": 5, \"max_parallelism\": 128,%s\n\"operators\": [], \"files\": []}\n",
                version, more);
    const XXH128_hash_t hash = XXH3_128bits(text.data, text.size);
    text_format(&text, "{\"xxh3_128\": \"%016llx%016llx\"}\n", (unsigned long long)hash.high64,
                (unsigned long long)hash.low64);
    const sabot_status status = manifest_parse(text.data, text.size, "chk-7/MANIFEST", out, err);
    text_clear(&text);
    return status;
}

static void this_version_is_read_and_members_that_are_not_known_are_passed_over(void **state) {
    (void)state;
    struct manifest manifest;
    assert_int_equal(parse("2", "", &manifest, NULL), SABOT_OK);
    assert_int_equal(manifest.checkpoint_id, 7);
    manifest_clear(&manifest);
    assert_int_equal(parse("3", " \"of a later release\": {\"a\": [1, \"}\"]},", &manifest, NULL), SABOT_OK);
    assert_int_equal(manifest.max_parallelism, 128);
    manifest_clear(&manifest);
}

static void other_versions_are_refused_with_what_to_do(void **state) {
    (void)state;
    struct manifest manifest;
    struct sabot_error err = {0};
    assert_int_equal(parse("1", "", &manifest, &err), SABOT_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "chk-7/MANIFEST has format version 1"));
    assert_non_null(strstr(err.message, "start the job without"));
    err = (struct sabot_error){0};
    assert_int_equal(parse("4", "", &manifest, &err), SABOT_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "newer release"));
    assert_int_equal(parse("0", "", &manifest, NULL), SABOT_ERR_CORRUPT);
}

static void a_byte_that_is_another_makes_it_no_manifest(void **state) {
    (void)state;
    struct manifest manifest;
    struct text text = {0};
    const struct manifest written = {.job = (char *)(uintptr_t)"j", .checkpoint_id = 7, .max_parallelism = 4};
    assert_int_equal(manifest_print(&written, &text, NULL), SABOT_OK);
    assert_int_equal(manifest_parse(text.data, text.size, "m", &manifest, NULL), SABOT_OK);
    assert_string_equal(manifest.job, "j");
    manifest_clear(&manifest);
    for (size_t i = 0; i < text.size; i++) {
        text.data[i] ^= 1;
        assert_int_equal(manifest_parse(text.data, text.size, "m", &manifest, NULL), SABOT_ERR_CORRUPT);
        text.data[i] ^= 1;
        assert_int_equal(manifest_parse(text.data, i, "m", &manifest, NULL), SABOT_ERR_CORRUPT);
    }
    text_clear(&text);
}

static void names_come_back_whatever_characters_they_have(void **state) {
    (void)state;
    static const char name[] = "a \"b\" \\ \n\r\t\b\f\x01 \xc3\xa9 nrtbf";
    struct manifest manifest;
    struct text text = {0};
    const struct manifest written = {.job = (char *)(uintptr_t)name, .checkpoint_id = 7, .max_parallelism = 4};
    assert_int_equal(manifest_print(&written, &text, NULL), SABOT_OK);
    assert_int_equal(manifest_parse(text.data, text.size, "m", &manifest, NULL), SABOT_OK);
    assert_string_equal(manifest.job, name);
    manifest_clear(&manifest);
    text_clear(&text);
}

/* A text of a user's may be long, and a checkpoint whose manifest can't be read back is none. */
static void what_is_written_is_read_however_long(void **state) {
    (void)state;
    struct manifest manifest;
    struct text text = {0};
    enum { LONG = 100000 };
    char *name = malloc(LONG + 1);
    memset(name, '"', LONG);
    name[LONG] = '\0';
    const struct manifest written = {.job = name, .checkpoint_id = 7, .max_parallelism = 4};
    assert_int_equal(manifest_print(&written, &text, NULL), SABOT_OK);
    assert_int_equal(manifest_parse(text.data, text.size, "m", &manifest, NULL), SABOT_OK);
    assert_string_equal(manifest.job, name);
    manifest_clear(&manifest);
    text_clear(&text);
    free(name);
}

static void one_that_is_too_large_to_be_read_is_not_written(void **state) {
    (void)state;
    struct text text = {0};
    struct sabot_error err = {0};
    struct manifest written = {.max_parallelism = 4};
    char uid[1001];
    memset(uid, 'u', sizeof uid - 1);
    uid[sizeof uid - 1] = '\0';
    for (int32_t i = 0; i < 70000; i++) {
        const struct manifest_operator item = {.uid = strdup(uid), .subtask = i, .parallelism = 70000};
        assert_int_equal(manifest_add_operator(&written, &item, NULL), SABOT_OK);
    }
    assert_int_equal(manifest_print(&written, &text, &err), SABOT_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.message, "at most 64 MiB can be read back"));
    manifest_clear(&written);
    text_clear(&text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read_however_long),
        cmocka_unit_test(one_that_is_too_large_to_be_read_is_not_written),
        cmocka_unit_test(names_come_back_whatever_characters_they_have),
        cmocka_unit_test(this_version_is_read_and_members_that_are_not_known_are_passed_over),
        cmocka_unit_test(other_versions_are_refused_with_what_to_do),
        cmocka_unit_test(a_byte_that_is_another_makes_it_no_manifest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
