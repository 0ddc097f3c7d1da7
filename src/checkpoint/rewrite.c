/* Savepoints made from others: see rewrite.h. */
#include "checkpoint/rewrite.h"

#include "checkpoint/storage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_KEY 2      /* behind key_group and namespace */
#define PROBE_ROWS 1000

struct rewrite {
    struct rewrite_options options;
    struct restore *restore;
    bool claimed, finished;
    enum state_kind kind;
    int32_t n_keys;
    int32_t n_group_keys;  /* the first so many have a say in the key group; -1: of a log by subtask */
    bool in_base;          /* the table has rows there */
    struct schema *schema; /* as written */
    int32_t *from;         /* of its columns: the caller's; -1: computed or constant */
    struct manifest manifest;
    struct output *output; /* of the table; NULL: no row yet */
};

/* A file that is being written. */
struct output {
    struct manifest_file item;
    struct storage_writer *writer;
};

/* --- files */
static void output_free(struct output *output) {
    if (!output) { return; }
    storage_writer_close(output->writer);
    manifest_file_clear(&output->item);
    free(output);
}

static sabot_status output_new(struct rewrite *rewrite, const struct manifest_file *like, struct schema *schema,
                               struct output **out, struct sabot_error *err) {
    *out = calloc(1, sizeof **out);
    if (!*out) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to write a savepoint"); }
    (*out)->item = (struct manifest_file){.uid = strdup(like->uid), .state = strdup(like->state),
                                          .subtask = like->subtask, .parallelism = like->parallelism,
                                          .kind = like->kind, .form = STATE_FORM_ROWS, .n_keys = like->n_keys};
    sabot_status status = SABOT_OK;
    if (!(*out)->item.uid || !(*out)->item.state) {
        status = SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to write a savepoint");
    }
    const struct storage_writing writing = {.store = rewrite->options.store, .pool = rewrite->options.pool,
                                            .path = rewrite->options.path,
                                            .checkpoint_id = rewrite->manifest.checkpoint_id};
    if (status == SABOT_OK) { status = storage_writer_open(&writing, schema, &(*out)->item, &(*out)->writer, err); }
    if (status != SABOT_OK) {
        output_free(*out);
        *out = NULL;
    }
    return status;
}

/* The file becomes part of the manifest; frees the output. */
static sabot_status output_finish(struct rewrite *rewrite, struct output *output, struct sabot_error *err) {
    sabot_status status = storage_writer_finish(output->writer, err);
    if (status == SABOT_OK) {
        const struct manifest_file item = output->item;
        output->item = (struct manifest_file){0};
        status = manifest_add_file(&rewrite->manifest, &item, err);
    }
    output_free(output);
    return status;
}

/* --- what the base has */
static sabot_status take_one(void *arg, struct batch *rows, struct sabot_error *err) {
    (void)err;
    *(struct batch **)arg = rows;
    return SABOT_ERR_CANCELLED; /* enough */
}

static sabot_status first_rows(struct rewrite *rewrite, struct batch **out, struct sabot_error *err) {
    struct sabot_error stopped = {0};
    *out = NULL;
    const sabot_status status = restore_read(rewrite->restore, rewrite->options.uid, rewrite->options.state, -1,
                                             take_one, out, &stopped);
    if (*out || status == SABOT_OK) { return SABOT_OK; }
    if (err && err->status == SABOT_OK) { *err = stopped; }
    return status;
}

static sabot_status groups_of(struct rewrite *rewrite, struct batch *rows, int32_t n_group_keys, int32_t *target,
                              struct sabot_error *err) {
    struct buffer *hashes = NULL;
    int32_t keys[64];
    for (int32_t k = 0; k < n_group_keys; k++) { keys[k] = FIRST_KEY + k; }
    if (n_group_keys > 0) { SABOT_TRY(batch_hash(rewrite->options.pool, rows, keys, n_group_keys, &hashes, err)); }
    const uint64_t *hash = hashes ? (const uint64_t *)(const void *)hashes->data : NULL;
    const int32_t none = n_group_keys < 0 ? STATE_GROUP_ALL : 0;
    for (int32_t i = 0; i < rows->selected; i++) {
        const int32_t row = batch_row(rows, i);
        target[row] = hash ? key_group_of(hash[row], rewrite->manifest.max_parallelism) : none;
    }
    buffer_unref(hashes);
    return SABOT_OK;
}

/* The manifest does not say how many of the keys have a say in the key group (the last one may be a place within the
 * group): the rows do. */
static sabot_status find_group_keys(struct rewrite *rewrite, struct batch *rows, struct sabot_error *err) {
    int32_t *groups = malloc((size_t)(rows->rows + 1) * sizeof *groups);
    if (!groups) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to write a savepoint"); }
    const struct column *stored = rows->columns[0];
    sabot_status status = SABOT_OK;
    for (int32_t n = rewrite->n_keys; n >= -1 && status == SABOT_OK; n--) {
        status = groups_of(rewrite, rows, n, groups, err);
        bool all = status == SABOT_OK;
        for (int32_t i = 0; i < rows->selected && i < PROBE_ROWS && all; i++) {
            const int32_t row = batch_row(rows, i);
            all = ((const int32_t *)stored->values)[column_at(stored, row)] == groups[row];
        }
        if (!all) { continue; }
        rewrite->n_group_keys = n;
        break;
    }
    free(groups);
    return status;
}

static sabot_status look_at_base(struct rewrite *rewrite, struct batch **first, struct sabot_error *err) {
    struct restore_table *tables;
    int32_t n;
    SABOT_TRY(restore_tables(rewrite->restore, &tables, &n, err));
    rewrite->kind = rewrite->options.n_keys == -1 ? STATE_LIST : STATE_KEYED;
    rewrite->n_keys = rewrite->options.n_keys < 0 ? 0 : rewrite->options.n_keys;
    bool known = false;
    for (int32_t i = 0; i < n; i++) {
        if (strcmp(tables[i].uid, rewrite->options.uid) != 0) { continue; }
        if (strcmp(tables[i].state, rewrite->options.state) != 0) { continue; }
        rewrite->kind = tables[i].kind;
        rewrite->n_keys = tables[i].n_keys;
        known = true;
    }
    free(tables);
    if (!known && rewrite->options.n_keys == REWRITE_KEYS_OF_BASE) {
        return SABOT_FAIL(err, SABOT_ERR_NOT_FOUND, "%s has no state '%s' of operator '%s' (`sabot checkpoints show` "
                          "lists what it has): for a new one say how many of its columns are keys, with 'keys'",
                          restore_path(rewrite->restore), rewrite->options.state, rewrite->options.uid);
    }
    rewrite->n_group_keys = rewrite->n_keys;
    if (known) { SABOT_TRY(first_rows(rewrite, first, err)); }
    rewrite->in_base = *first != NULL;
    return *first && rewrite->kind == STATE_KEYED ? find_group_keys(rewrite, *first, err) : SABOT_OK;
}

/* --- the columns that are written */
static sabot_status columns_make(struct rewrite *rewrite, struct sabot_error *err) {
    const struct schema *given = rewrite->options.schema;
    struct field *fields = calloc((size_t)given->n_fields + FIRST_KEY, sizeof *fields);
    rewrite->from = calloc((size_t)given->n_fields + FIRST_KEY, sizeof *rewrite->from);
    if (!fields || !rewrite->from) {
        free(fields);
        return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to write a savepoint");
    }
    int32_t n = 0;
    if (rewrite->kind == STATE_KEYED) {
        fields[0] = (struct field){"key_group", type_not_null(type_of(TYPE_INT32))};
        fields[1] = (struct field){"namespace", type_not_null(type_of(TYPE_INT64))};
        rewrite->from[0] = -1;
        rewrite->from[1] = schema_find(given, "namespace");
        n = FIRST_KEY;
    }
    for (int32_t i = 0; i < given->n_fields; i++) {
        const char *name = given->fields[i].name;
        if (n >= FIRST_KEY && (strcmp(name, "key_group") == 0 || i == rewrite->from[1])) { continue; }
        rewrite->from[n] = i;
        fields[n++] = given->fields[i];
    }
    sabot_status status = SABOT_OK;
    const int32_t namespace_ = rewrite->kind == STATE_KEYED ? rewrite->from[1] : -1;
    if (n < rewrite->n_keys + (rewrite->kind == STATE_KEYED ? FIRST_KEY : 0) || rewrite->n_keys > 64) {
        status = SABOT_FAIL(err, SABOT_ERR_PLAN, "state '%s' has %d key columns, and the table has fewer columns",
                            rewrite->options.state, rewrite->n_keys);
    } else if (namespace_ >= 0 && type_phys(given->fields[namespace_].type) != PHYS_I64) {
        status = SABOT_FAIL(err, SABOT_ERR_PLAN, "column namespace must be BIGINT");
    } else {
        status = schema_new(fields, n, &rewrite->schema, err);
    }
    free(fields);
    return status;
}

static sabot_status check_added(const struct rewrite *rewrite, const struct batch *first, struct sabot_error *err) {
    bool same = !first || first->schema->n_fields == rewrite->schema->n_fields;
    for (int32_t i = 0; first && i < first->schema->n_fields && same; i++) {
        const struct field *a = &first->schema->fields[i], *b = &rewrite->schema->fields[i];
        same = strcmp(a->name, b->name) == 0 && type_same(a->type, b->type);
    }
    if (same) { return SABOT_OK; }
    return SABOT_FAIL(err, SABOT_ERR_PLAN, "rows can be added to state '%s' only in the columns that it has in %s: "
                      "declare no columns, then the table has those of the state", rewrite->options.state,
                      restore_path(rewrite->restore));
}

/* --- open and close */
static sabot_status manifest_begin(struct rewrite *rewrite, struct sabot_error *err) {
    const struct manifest *base = restore_manifest(rewrite->restore);
    struct manifest *manifest = &rewrite->manifest;
    *manifest = (struct manifest){.job = strdup(base->job), .checkpoint_id = base->checkpoint_id,
                                  .timestamp_ms = base->timestamp_ms, .max_parallelism = base->max_parallelism};
    bool has_operator = false;
    if (!manifest->job) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to write a savepoint"); }
    for (int32_t i = 0; i <= base->n_operators; i++) {
        struct manifest_operator item = {.uid = NULL, .parallelism = 1};
        if (i < base->n_operators) { item = base->operators[i]; }
        const char *uid = i < base->n_operators ? item.uid : rewrite->options.uid;
        if (i == base->n_operators && has_operator) { break; }
        has_operator = has_operator || strcmp(uid, rewrite->options.uid) == 0;
        /* rows that are all new have the meaning of the query that they are written for */
        const bool is_replaced = strcmp(uid, rewrite->options.uid) == 0 && !rewrite->options.keeps_rows;
        const char *meaning = is_replaced ? NULL : item.meaning;
        item.uid = strdup(uid);
        item.meaning = meaning ? strdup(meaning) : NULL;
        if (!item.uid || (meaning && !item.meaning)) {
            free(item.uid);
            free(item.meaning);
            return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to write a savepoint");
        }
        SABOT_TRY(manifest_add_operator(manifest, &item, err));
    }
    return SABOT_OK;
}

static sabot_status begin(struct rewrite *rewrite, struct sabot_error *err) {
    const struct rewrite_options *options = &rewrite->options;
    SABOT_TRY(restore_open(options->store, options->base, options->pool, &rewrite->restore, err));
    SABOT_TRY(manifest_begin(rewrite, err));
    BATCH_OWNED struct batch *first = NULL;
    SABOT_TRY(look_at_base(rewrite, &first, err));
    SABOT_TRY(columns_make(rewrite, err));
    if (options->keeps_rows) { SABOT_TRY(check_added(rewrite, first, err)); }
    SABOT_TRY(storage_claim(options->store, options->path, true, 0, err));
    rewrite->claimed = true;
    return SABOT_OK;
}

sabot_status rewrite_open(const struct rewrite_options *options, struct rewrite **out, struct sabot_error *err) {
    *out = NULL;
    struct rewrite *rewrite = calloc(1, sizeof *rewrite);
    if (!rewrite) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to write a savepoint"); }
    rewrite->options = *options;
    const sabot_status status = begin(rewrite, err);
    if (status != SABOT_OK) {
        rewrite_close(rewrite);
        return status;
    }
    *out = rewrite;
    return SABOT_OK;
}

void rewrite_close(struct rewrite *rewrite) {
    if (!rewrite) { return; }
    output_free(rewrite->output);
    if (rewrite->claimed && !rewrite->finished) { storage_remove(rewrite->options.store, rewrite->options.path, NULL); }
    manifest_clear(&rewrite->manifest);
    restore_close(rewrite->restore);
    schema_unref(rewrite->schema);
    free(rewrite->from);
    free(rewrite);
}

/* --- rows */
static sabot_status table_open(struct rewrite *rewrite, struct sabot_error *err) {
    if (rewrite->output) { return SABOT_OK; }
    int32_t parallelism = 1;
    for (int32_t i = 0; i < rewrite->manifest.n_operators; i++) {
        const struct manifest_operator *item = &rewrite->manifest.operators[i];
        if (strcmp(item->uid, rewrite->options.uid) == 0) { parallelism = item->parallelism; }
    }
    const struct manifest_file like = {.uid = (char *)(uintptr_t)rewrite->options.uid,
                                       .state = (char *)(uintptr_t)rewrite->options.state,
                                       .parallelism = parallelism, .kind = rewrite->kind, .n_keys = rewrite->n_keys};
    return output_new(rewrite, &like, rewrite->schema, &rewrite->output, err);
}

static sabot_status namespace_column(struct rewrite *rewrite, const struct batch *rows, struct column **out,
                                     struct sabot_error *err) {
    const int64_t zero = 0;
    const int32_t at = rewrite->from[1];
    if (at < 0) { return column_constant(rewrite->options.pool, PHYS_I64, &zero, rows->rows, out, err); }
    for (int32_t i = 0; i < rows->selected; i++) {
        if (!column_is_null(rows->columns[at], batch_row(rows, i))) { continue; }
        return SABOT_FAIL(err, SABOT_ERR_DATA, "a row for state '%s' has no namespace", rewrite->options.state);
    }
    *out = column_ref(rows->columns[at]);
    return SABOT_OK;
}

/* The caller's rows in the columns that are written; the first one is still to be computed. */
static sabot_status rows_arrange(struct rewrite *rewrite, const struct batch *rows, struct batch **out,
                                 struct sabot_error *err) {
    const int32_t n = rewrite->schema->n_fields;
    struct column **columns = calloc((size_t)n + 1, sizeof(struct column *));
    if (!columns) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory to write a savepoint"); }
    const int32_t zero = 0;
    sabot_status status = SABOT_OK;
    int32_t made = 0;
    for (; made < n && status == SABOT_OK; made += status == SABOT_OK) {
        if (rewrite->kind == STATE_KEYED && made == 0) {
            status = column_constant(rewrite->options.pool, PHYS_I32, &zero, rows->rows, &columns[0], err);
        } else if (rewrite->kind == STATE_KEYED && made == 1) {
            status = namespace_column(rewrite, rows, &columns[1], err);
        } else {
            columns[made] = column_ref(rows->columns[rewrite->from[made]]);
        }
    }
    if (status == SABOT_OK) {
        status = batch_with_columns(rows, rewrite->schema, columns, n, out, err);
    } else {
        for (int32_t i = 0; i < made; i++) { column_unref(columns[i]); }
    }
    free(columns);
    return status;
}

static sabot_status rows_group(struct rewrite *rewrite, struct batch *rows, struct sabot_error *err) {
    struct column_builder builder;
    SABOT_TRY(column_builder_init(&builder, rewrite->options.pool, PHYS_I32, rows->rows, false, err));
    struct column *groups = NULL;
    memset(builder.values, 0, (size_t)rows->rows * sizeof(int32_t));
    sabot_status status = groups_of(rewrite, rows, rewrite->n_group_keys, builder.values, err);
    if (status == SABOT_OK) { status = column_builder_finish(&builder, &groups, err); }
    column_builder_clear(&builder);
    if (status != SABOT_OK) { return status; }
    column_unref(rows->columns[0]); /* the batch is ours alone */
    rows->columns[0] = groups;
    return SABOT_OK;
}

static sabot_status take_own(void *arg, struct batch *taken, struct sabot_error *err) {
    struct rewrite *rewrite = arg;
    BATCH_OWNED struct batch *rows = taken;
    SABOT_TRY(table_open(rewrite, err));
    return storage_writer_put(rewrite->output->writer, rows, err);
}

/* Of one key what is read last wins, so the base's rows come first. */
static sabot_status copy_own(struct rewrite *rewrite, struct sabot_error *err) {
    if (!rewrite->in_base) { return SABOT_OK; }
    return restore_read(rewrite->restore, rewrite->options.uid, rewrite->options.state, -1, take_own, rewrite, err);
}

sabot_status rewrite_put(struct rewrite *rewrite, struct batch *given, struct sabot_error *err) {
    BATCH_OWNED struct batch *rows = NULL, *flat = NULL;
    if (given->selected == 0) { return SABOT_OK; }
    if (!rewrite->output && rewrite->options.keeps_rows) { SABOT_TRY(copy_own(rewrite, err)); }
    SABOT_TRY(table_open(rewrite, err));
    SABOT_TRY(rows_arrange(rewrite, given, &rows, err));
    if (rewrite->kind == STATE_KEYED) { SABOT_TRY(rows_group(rewrite, rows, err)); }
    SABOT_TRY(batch_compact(rewrite->options.pool, rows, &flat, err));
    return storage_writer_put(rewrite->output->writer, flat, err);
}

/* --- the rest of the base */
struct copying {
    struct rewrite *rewrite;
    const struct manifest_file *like;
    struct output *output;
};

static sabot_status take_copied(void *arg, struct batch *taken, struct sabot_error *err) {
    struct copying *copying = arg;
    BATCH_OWNED struct batch *rows = taken;
    if (!copying->output) {
        SABOT_TRY(output_new(copying->rewrite, copying->like, rows->schema, &copying->output, err));
    }
    return storage_writer_put(copying->output->writer, rows, err);
}

static bool is_ours(const struct rewrite *rewrite, const struct manifest_file *file) {
    return strcmp(file->uid, rewrite->options.uid) == 0 && strcmp(file->state, rewrite->options.state) == 0;
}

static sabot_status copy_others(struct rewrite *rewrite, struct sabot_error *err) {
    const struct manifest *base = restore_manifest(rewrite->restore);
    for (int32_t i = 0; i < base->n_files; i++) {
        const struct manifest_file *file = &base->files[i];
        bool done = is_ours(rewrite, file);
        for (int32_t j = 0; j < i && !done; j++) { /* a chain of files is read as one */
            done = base->files[j].subtask == file->subtask && strcmp(base->files[j].uid, file->uid) == 0 &&
                   strcmp(base->files[j].state, file->state) == 0;
        }
        if (done) { continue; }
        struct copying copying = {.rewrite = rewrite, .like = file};
        sabot_status status =
            restore_read(rewrite->restore, file->uid, file->state, file->subtask, take_copied, &copying, err);
        if (status == SABOT_OK && copying.output) {
            status = output_finish(rewrite, copying.output, err);
        } else {
            output_free(copying.output);
        }
        SABOT_TRY(status);
    }
    return SABOT_OK;
}

sabot_status rewrite_finish(struct rewrite *rewrite, struct sabot_error *err) {
    if (!rewrite->output && rewrite->options.keeps_rows) { SABOT_TRY(copy_own(rewrite, err)); }
    SABOT_TRY(copy_others(rewrite, err));
    if (rewrite->output) {
        struct output *output = rewrite->output;
        rewrite->output = NULL;
        SABOT_TRY(output_finish(rewrite, output, err));
    }
    SABOT_TRY(storage_write_manifest(rewrite->options.store, rewrite->options.path, &rewrite->manifest, err));
    rewrite->finished = true;
    return SABOT_OK;
}
