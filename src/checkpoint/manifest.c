/* The manifest as text: JSON, and a last line with the checksum of all before it. */
#include "checkpoint/manifest.h"

#include "base/encode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

static void operator_clear(struct manifest_operator *item) {
    free(item->uid);
    free(item->meaning);
}

void manifest_file_clear(struct manifest_file *item) {
    free(item->uid);
    free(item->state);
    free(item->file);
}

sabot_status manifest_file_copy(const struct manifest_file *item, struct manifest_file *out, struct sabot_error *err) {
    *out = *item;
    out->uid = strdup(item->uid);
    out->state = strdup(item->state);
    out->file = strdup(item->file);
    if (out->uid && out->state && out->file) { return SABOT_OK; }
    manifest_file_clear(out);
    *out = (struct manifest_file){0};
    return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a manifest");
}

void manifest_clear(struct manifest *manifest) {
    for (int32_t i = 0; i < manifest->n_operators; i++) { operator_clear(&manifest->operators[i]); }
    for (int32_t i = 0; i < manifest->n_files; i++) { manifest_file_clear(&manifest->files[i]); }
    free(manifest->operators);
    free(manifest->files);
    free(manifest->job);
    *manifest = (struct manifest){0};
}

static sabot_status grow(void **items, int32_t count, int32_t *capacity, size_t size, struct sabot_error *err) {
    if (count < *capacity) { return SABOT_OK; }
    const int32_t wanted = *capacity ? *capacity * 2 : 16;
    void *grown = wanted > MANIFEST_ENTRIES_MAX ? NULL : realloc(*items, (size_t)wanted * size);
    if (!grown) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a manifest with %d entries", wanted); }
    *items = grown;
    *capacity = wanted;
    return SABOT_OK;
}

sabot_status manifest_add_operator(struct manifest *manifest, const struct manifest_operator *item,
                                   struct sabot_error *err) {
    struct manifest_operator copy = *item;
    sabot_status status = copy.uid ? SABOT_OK : SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a manifest");
    if (status == SABOT_OK) {
        status = grow((void **)&manifest->operators, manifest->n_operators, &manifest->operators_capacity,
                      sizeof copy, err);
    }
    if (status != SABOT_OK) {
        operator_clear(&copy);
        return status;
    }
    manifest->operators[manifest->n_operators++] = copy;
    return SABOT_OK;
}

sabot_status manifest_add_file(struct manifest *manifest, const struct manifest_file *item, struct sabot_error *err) {
    struct manifest_file copy = *item;
    sabot_status status =
        copy.uid && copy.state && copy.file ? SABOT_OK : SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a manifest");
    if (status == SABOT_OK) {
        status = grow((void **)&manifest->files, manifest->n_files, &manifest->files_capacity, sizeof copy, err);
    }
    if (status != SABOT_OK) {
        manifest_file_clear(&copy);
        return status;
    }
    manifest->files[manifest->n_files++] = copy;
    return SABOT_OK;
}

/* --- writing */

static void add_string(struct text *target, const char *string) { text_add_json(target, string, strlen(string)); }

static void checksum_of(const char *data, size_t size, char target[CHECKSUM_SIZE]) {
    const XXH128_hash_t hash = XXH3_128bits(data, size);
    snprintf(target, CHECKSUM_SIZE, "%016llx%016llx", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
}

static void print_operator(const struct manifest_operator *item, struct text *target) {
    text_add(target, "{\"uid\": ");
    add_string(target, item->uid);
    text_format(target, ", \"subtask\": %d, \"parallelism\": %d, \"ended\": %s", item->subtask, item->parallelism,
                item->ended ? "true" : "false");
    if (item->meaning) {
        text_add(target, ", \"meaning\": ");
        add_string(target, item->meaning);
    }
    text_add(target, "}");
}

static const char *const form_names[STATE_FORMS] = {"rows", "base", "delta"};

static void print_file(const struct manifest_file *item, struct text *target) {
    text_add(target, "{\"uid\": ");
    add_string(target, item->uid);
    text_add(target, ", \"state\": ");
    add_string(target, item->state);
    text_format(target, ", \"kind\": \"%s\", \"subtask\": %d, \"parallelism\": %d, \"keys\": %d, \"rows\": %lld",
                item->kind == STATE_LIST ? "list" : "keyed", item->subtask, item->parallelism, item->n_keys,
                (long long)item->rows);
    if (item->form != STATE_FORM_ROWS) { text_format(target, ", \"form\": \"%s\"", form_names[item->form]); }
    if (item->shared) { text_add(target, ", \"shared\": true"); }
    text_format(target, ", \"first_group\": %d, \"last_group\": %d, \"file\": ", item->first_group, item->last_group);
    add_string(target, item->file);
    text_format(target, ", \"size\": %lld, \"xxh3_128\": \"%s\"}", (long long)item->size, item->checksum);
}

sabot_status manifest_print(const struct manifest *manifest, struct text *target, struct sabot_error *err) {
    text_format(target, "{\"format\": \"sabot-checkpoint\", \"version\": %d,\n\"job\": ", MANIFEST_VERSION);
    add_string(target, manifest->job ? manifest->job : "");
    text_format(target, ", \"checkpoint\": %lld, \"epoch\": %lld, \"timestamp_ms\": %lld, \"max_parallelism\": %d,\n"
                "\"operators\": [", (long long)manifest->checkpoint_id, (long long)manifest->epoch,
                (long long)manifest->timestamp_ms, manifest->max_parallelism);
    for (int32_t i = 0; i < manifest->n_operators; i++) {
        text_add(target, i ? ",\n  " : "\n  ");
        print_operator(&manifest->operators[i], target);
    }
    text_add(target, "],\n\"files\": [");
    for (int32_t i = 0; i < manifest->n_files; i++) {
        text_add(target, i ? ",\n  " : "\n  ");
        print_file(&manifest->files[i], target);
    }
    text_add(target, "]}\n");
    if (target->failed) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a manifest"); }
    char checksum[CHECKSUM_SIZE];
    checksum_of(target->data, target->size, checksum);
    text_format(target, "{\"xxh3_128\": \"%s\"}\n", checksum);
    if (target->size > MANIFEST_SIZE_MAX) {
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "a manifest of %d files has %zu MiB, and at most %zu MiB can be "
                          "read back: take a lower parallelism, or 'execution.checkpointing.incremental' = 'false'",
                          manifest->n_files, target->size >> 20, MANIFEST_SIZE_MAX >> 20);
    }
    return target->failed ? SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a manifest") : SABOT_OK;
}

/* --- reading: a small JSON reader that knows what it wants and skips what it does not know */

struct reader {
    const char *at, *end;
    const char *path;
    int depth;
};

#define DEPTH_MAX 16
#define STRING_SIZE_MAX 4096

static sabot_status damaged(const struct reader *reader, const char *what, struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_CORRUPT, "%s is damaged: %s; restore from another checkpoint", reader->path, what);
}

static char peek(struct reader *reader) {
    while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\n')) { reader->at++; }
    return reader->at < reader->end ? *reader->at : '\0';
}

static bool take(struct reader *reader, char c) {
    if (peek(reader) != c) { return false; }
    reader->at++;
    return true;
}

/* Decodes a text into `capacity` bytes, its NUL among them. */
static sabot_status read_text(struct reader *reader, char *target, size_t capacity, struct sabot_error *err) {
    if (!take(reader, '"')) { return damaged(reader, "a text is missing", err); }
    size_t size = 0;
    while (reader->at < reader->end && *reader->at != '"') {
        char c = *reader->at++;
        if (c == '\\' && reader->at < reader->end) {
            c = *reader->at++;
            const char *named = strchr("b\bf\fn\nr\rt\t", c); /* a letter, and what it stands for */
            if (c == 'u') {
                char digits[5] = {0};
                if (reader->end - reader->at < 4) { return damaged(reader, "a text ends early", err); }
                memcpy(digits, reader->at, 4);
                reader->at += 4;
                c = (char)strtol(digits, NULL, 16);
            } else if (c >= 'b' && named) {
                c = named[1];
            } else if (c != '"' && c != '\\') {
                return damaged(reader, "a text has an unknown escape", err);
            }
        }
        if (size + 1 >= capacity) { return damaged(reader, "a text is too long", err); }
        target[size++] = c;
    }
    target[size] = '\0';
    return take(reader, '"') ? SABOT_OK : damaged(reader, "a text does not end", err);
}

/* Of those that we know by name. */
static sabot_status read_string(struct reader *reader, char target[STRING_SIZE_MAX], struct sabot_error *err) {
    return read_text(reader, target, STRING_SIZE_MAX, err);
}

/* A text as long as somebody has chosen it, such as a job's name: what was written must be read. */
static sabot_status read_copy(struct reader *reader, char **out, struct sabot_error *err) {
    peek(reader);
    const char *end = reader->at < reader->end ? reader->at + 1 : reader->end;
    while (end < reader->end && *end != '"') { end += *end == '\\' && end + 1 < reader->end ? 2 : 1; }
    const size_t capacity = (size_t)(end - reader->at) + 1; /* decoded, it is not longer than this */
    char *string = malloc(capacity);
    if (!string) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to read %s", reader->path); }
    const sabot_status status = read_text(reader, string, capacity, err);
    if (status != SABOT_OK) {
        free(string);
        return status;
    }
    free(*out); /* a key may be there twice */
    *out = string;
    return SABOT_OK;
}

static sabot_status read_number(struct reader *reader, int64_t minimum, int64_t maximum, int64_t *out,
                                struct sabot_error *err) {
    char digits[24];
    size_t size = 0;
    peek(reader);
    while (reader->at < reader->end && size + 1 < sizeof digits &&
           (*reader->at == '-' || (*reader->at >= '0' && *reader->at <= '9'))) {
        digits[size++] = *reader->at++;
    }
    digits[size] = '\0';
    char *rest;
    *out = strtoll(digits, &rest, 10);
    if (size == 0 || *rest != '\0') { return damaged(reader, "a number is missing", err); }
    return *out < minimum || *out > maximum ? damaged(reader, "a number is out of range", err) : SABOT_OK;
}

static sabot_status read_int(struct reader *reader, int32_t minimum, int32_t *out, struct sabot_error *err) {
    int64_t value;
    SABOT_TRY(read_number(reader, minimum, INT32_MAX, &value, err));
    *out = (int32_t)value;
    return SABOT_OK;
}

static sabot_status read_bool(struct reader *reader, bool *out, struct sabot_error *err) {
    peek(reader);
    const size_t left = (size_t)(reader->end - reader->at);
    if (left >= 4 && memcmp(reader->at, "true", 4) == 0) {
        *out = true;
        reader->at += 4;
    } else if (left >= 5 && memcmp(reader->at, "false", 5) == 0) {
        *out = false;
        reader->at += 5;
    } else {
        return damaged(reader, "true or false is missing", err);
    }
    return SABOT_OK;
}

static sabot_status skip_value(struct reader *reader, struct sabot_error *err) {
    const char c = peek(reader);
    if (c == '"') { return read_string(reader, (char[STRING_SIZE_MAX]){0}, err); }
    if (c == 't' || c == 'f') { return read_bool(reader, &(bool){false}, err); }
    if (c != '{' && c != '[') { return read_number(reader, INT64_MIN, INT64_MAX, &(int64_t){0}, err); }
    if (++reader->depth > DEPTH_MAX) { return damaged(reader, "it is nested too deeply", err); }
    const char closing = c == '{' ? '}' : ']';
    reader->at++;
    while (!take(reader, closing)) {
        if (c == '{') {
            SABOT_TRY(read_string(reader, (char[STRING_SIZE_MAX]){0}, err));
            if (!take(reader, ':')) { return damaged(reader, "a colon is missing", err); }
        }
        SABOT_TRY(skip_value(reader, err));
        if (!take(reader, ',') && peek(reader) != closing) { return damaged(reader, "a comma is missing", err); }
    }
    reader->depth--;
    return SABOT_OK;
}

/* Reads an object key by key: `member` reads the value of one key. */
static sabot_status read_object(struct reader *reader, void *target,
                                sabot_status (*member)(struct reader *reader, const char *key, void *target,
                                                       struct sabot_error *err),
                                struct sabot_error *err) {
    if (!take(reader, '{')) { return damaged(reader, "an object is missing", err); }
    while (!take(reader, '}')) {
        char key[STRING_SIZE_MAX];
        SABOT_TRY(read_string(reader, key, err));
        if (!take(reader, ':')) { return damaged(reader, "a colon is missing", err); }
        SABOT_TRY(member(reader, key, target, err));
        if (!take(reader, ',') && peek(reader) != '}') { return damaged(reader, "a comma is missing", err); }
    }
    return SABOT_OK;
}

static sabot_status operator_member(struct reader *reader, const char *key, void *target, struct sabot_error *err) {
    struct manifest_operator *item = target;
    if (strcmp(key, "uid") == 0) { return read_copy(reader, &item->uid, err); }
    if (strcmp(key, "subtask") == 0) { return read_int(reader, 0, &item->subtask, err); }
    if (strcmp(key, "parallelism") == 0) { return read_int(reader, 1, &item->parallelism, err); }
    if (strcmp(key, "ended") == 0) { return read_bool(reader, &item->ended, err); }
    if (strcmp(key, "meaning") == 0) { return read_copy(reader, &item->meaning, err); }
    return skip_value(reader, err);
}

static sabot_status file_kind(struct reader *reader, enum state_kind *out, struct sabot_error *err) {
    char kind[STRING_SIZE_MAX];
    SABOT_TRY(read_string(reader, kind, err));
    if (strcmp(kind, "list") != 0 && strcmp(kind, "keyed") != 0) { return damaged(reader, "unknown kind", err); }
    *out = strcmp(kind, "list") == 0 ? STATE_LIST : STATE_KEYED;
    return SABOT_OK;
}

static sabot_status file_form(struct reader *reader, enum state_form *out, struct sabot_error *err) {
    char form[STRING_SIZE_MAX];
    SABOT_TRY(read_string(reader, form, err));
    for (int32_t i = 0; i < STATE_FORMS; i++) {
        if (strcmp(form, form_names[i]) != 0) { continue; }
        *out = (enum state_form)i;
        return SABOT_OK;
    }
    return damaged(reader, "unknown form", err);
}

static sabot_status file_member(struct reader *reader, const char *key, void *target, struct sabot_error *err) {
    struct manifest_file *item = target;
    if (strcmp(key, "uid") == 0) { return read_copy(reader, &item->uid, err); }
    if (strcmp(key, "state") == 0) { return read_copy(reader, &item->state, err); }
    if (strcmp(key, "kind") == 0) { return file_kind(reader, &item->kind, err); }
    if (strcmp(key, "form") == 0) { return file_form(reader, &item->form, err); }
    if (strcmp(key, "shared") == 0) { return read_bool(reader, &item->shared, err); }
    if (strcmp(key, "subtask") == 0) { return read_int(reader, 0, &item->subtask, err); }
    if (strcmp(key, "parallelism") == 0) { return read_int(reader, 1, &item->parallelism, err); }
    if (strcmp(key, "keys") == 0) { return read_int(reader, 0, &item->n_keys, err); }
    if (strcmp(key, "rows") == 0) { return read_number(reader, 0, INT64_MAX, &item->rows, err); }
    if (strcmp(key, "first_group") == 0) { return read_int(reader, -1, &item->first_group, err); }
    if (strcmp(key, "last_group") == 0) { return read_int(reader, -1, &item->last_group, err); }
    if (strcmp(key, "file") == 0) { return read_copy(reader, &item->file, err); }
    if (strcmp(key, "size") == 0) { return read_number(reader, 0, INT64_MAX, &item->size, err); }
    if (strcmp(key, "xxh3_128") == 0) {
        char checksum[STRING_SIZE_MAX];
        SABOT_TRY(read_string(reader, checksum, err));
        if (strlen(checksum) != CHECKSUM_SIZE - 1) { return damaged(reader, "a checksum has the wrong size", err); }
        memcpy(item->checksum, checksum, CHECKSUM_SIZE);
        return SABOT_OK;
    }
    return skip_value(reader, err);
}

static sabot_status read_operators(struct reader *reader, struct manifest *manifest, struct sabot_error *err) {
    if (!take(reader, '[')) { return damaged(reader, "a list is missing", err); }
    while (!take(reader, ']')) {
        struct manifest_operator item = {.parallelism = 1};
        sabot_status status = read_object(reader, &item, operator_member, err);
        if (status == SABOT_OK && !item.uid) { status = damaged(reader, "an operator has no uid", err); }
        if (status != SABOT_OK) {
            operator_clear(&item);
            return status;
        }
        SABOT_TRY(manifest_add_operator(manifest, &item, err));
        if (!take(reader, ',') && peek(reader) != ']') { return damaged(reader, "a comma is missing", err); }
    }
    return SABOT_OK;
}

/* A file name stays in the checkpoint's folder. */
static bool file_is_whole(const struct manifest_file *item) {
    return item->uid && item->state && item->file && item->checksum[0] && item->file[0] && item->file[0] != '.' &&
           !strchr(item->file, '/') && strlen(item->state) < sizeof((struct state_snapshot *)0)->name;
}

static sabot_status read_files(struct reader *reader, struct manifest *manifest, struct sabot_error *err) {
    if (!take(reader, '[')) { return damaged(reader, "a list is missing", err); }
    while (!take(reader, ']')) {
        struct manifest_file item = {.parallelism = 1, .first_group = -1, .last_group = -1};
        sabot_status status = read_object(reader, &item, file_member, err);
        if (status == SABOT_OK && !file_is_whole(&item)) { status = damaged(reader, "an entry lacks a field", err); }
        if (status != SABOT_OK) {
            manifest_file_clear(&item);
            return status;
        }
        SABOT_TRY(manifest_add_file(manifest, &item, err));
        if (!take(reader, ',') && peek(reader) != ']') { return damaged(reader, "a comma is missing", err); }
    }
    return SABOT_OK;
}

struct head {
    struct manifest *manifest;
    bool is_ours;
    int32_t version;
};

static sabot_status manifest_member(struct reader *reader, const char *key, void *target, struct sabot_error *err) {
    struct head *head = target;
    struct manifest *manifest = head->manifest;
    if (strcmp(key, "format") == 0) {
        char format[STRING_SIZE_MAX];
        SABOT_TRY(read_string(reader, format, err));
        head->is_ours = strcmp(format, "sabot-checkpoint") == 0;
        return SABOT_OK;
    }
    if (strcmp(key, "version") == 0) {
        SABOT_TRY(read_int(reader, 1, &head->version, err));
        if (head->version >= MANIFEST_VERSION_READ && head->version <= MANIFEST_VERSION) { return SABOT_OK; }
        if (head->version < MANIFEST_VERSION_READ) {
            return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "%s has format version %d, which was written before the "
                              "first release and is not read any more: start the job without this checkpoint",
                              reader->path, head->version);
        }
        return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "%s has format version %d, and this release reads up to %d: use "
                          "a newer release", reader->path, head->version, MANIFEST_VERSION);
    }
    if (strcmp(key, "job") == 0) { return read_copy(reader, &manifest->job, err); }
    if (strcmp(key, "checkpoint") == 0) { return read_number(reader, 0, INT64_MAX, &manifest->checkpoint_id, err); }
    if (strcmp(key, "epoch") == 0) { return read_number(reader, 0, INT64_MAX, &manifest->epoch, err); }
    if (strcmp(key, "timestamp_ms") == 0) {
        return read_number(reader, INT64_MIN, INT64_MAX, &manifest->timestamp_ms, err);
    }
    if (strcmp(key, "max_parallelism") == 0) { return read_int(reader, 1, &manifest->max_parallelism, err); }
    if (strcmp(key, "operators") == 0) { return read_operators(reader, manifest, err); }
    if (strcmp(key, "files") == 0) { return read_files(reader, manifest, err); }
    return skip_value(reader, err);
}

sabot_status manifest_parse(const char *data, size_t size, const char *path, struct manifest *out,
                            struct sabot_error *err) {
    *out = (struct manifest){0};
    struct reader reader = {.at = data, .end = data + size, .path = path};
    /* the last line first: nothing else is believed before the checksum is right */
    size_t body = size > 0 && data[size - 1] == '\n' ? size - 1 : size;
    while (body > 0 && data[body - 1] != '\n') { body--; }
    char checksum[CHECKSUM_SIZE], last_line[64];
    checksum_of(data, body, checksum);
    snprintf(last_line, sizeof last_line, "{\"xxh3_128\": \"%s\"}\n", checksum);
    if (body == 0 || size - body != strlen(last_line) || memcmp(data + body, last_line, size - body) != 0) {
        return damaged(&reader, "its checksum is missing or wrong", err);
    }
    reader.end = data + body;
    struct head head = {.manifest = out};
    sabot_status status = read_object(&reader, &head, manifest_member, err);
    if (status == SABOT_OK && (!head.is_ours || head.version == 0 || out->max_parallelism == 0)) {
        status = damaged(&reader, "it is not a manifest of a checkpoint", err);
    }
    if (status != SABOT_OK) { manifest_clear(out); }
    return status;
}
