/* Rows on standard output. JSON comes from the format, Arrow from the writer, that connectors use too. */
#include "cli/output.h"

#include "base/text.h"
#include "cli/fold.h"
#include "cli/kept_rows.h"
#include "connect/file/file.h"
#include "format/format.h"

#include <stdlib.h>
#include <string.h>

#define WRITE_BYTES ((size_t)64 << 10)
/* A table for people is aligned by its first rows; rows behind them are not waited for. */
#define TABLE_ROWS_ALIGNED 1000
#define TABLE_WIDTH_MAX 60 /* of a column */

struct output {
    struct env *env;
    struct memory_pool *pool;
    struct output_options options;
    struct schema *schema; /* of what is written: with `op` where a changelog is shown */
    const struct format_type *format;
    struct encoder *encoder;
    struct columnar_writer *arrow;
    struct text text; /* not yet written */
    int64_t rows;
    bool begun;
    struct fold *fold;
    struct kept_rows kept; /* rows of a fold for Arrow */
    /* table */
    struct text cells; /* NUL-terminated cells of the rows that wait to be aligned */
    int32_t waiting;
    int32_t *widths;
};

bool output_kind_parse(const char *text, enum output_kind *out) {
    static const char *const names[] = {"table", "csv", "json", "arrow"};
    for (int i = 0; i < 4; i++) {
        if (strcmp(text, names[i]) != 0) { continue; }
        *out = (enum output_kind)i;
        return true;
    }
    return false;
}

static sabot_status flush(struct output *output, struct sabot_error *err) {
    if (output->text.failed) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for the rows to print"); }
    if (output->text.size == 0) { return SABOT_OK; }
    const sabot_status status = env_write(env_stdout(output->env), output->text.data, output->text.size, err);
    output->text.size = 0;
    return status;
}

static sabot_status arrow_write(void *arg, const void *data, size_t size, struct sabot_error *err) {
    struct output *output = arg;
    return env_write(env_stdout(output->env), data, size, err);
}

static sabot_status encoder_open(struct output *output, struct sabot_error *err) {
    const struct connector_table table = {.name = "(output)", .schema = output->schema, .declared = output->schema};
    const struct connector_context context = {.env = output->env, .pool = output->pool, .table = &table,
                                              .parallelism = 1, .batch_rows = BATCH_ROWS_DEFAULT};
    if (output->options.kind == OUTPUT_ARROW) {
        return columnar_writer_open(&context, FILE_ARROW_STREAM, "none", arrow_write, output, &output->arrow, err);
    }
    output->format = format_find("json");
    if (!output->format) { return SABOT_FAIL(err, SABOT_ERR_UNSUPPORTED, "this build has no format json"); }
    return output->format->encoder_new(&context, &output->encoder, err);
}

sabot_status output_new(struct env *env, struct memory_pool *pool, struct schema *schema,
                        const struct output_options *options, struct output **out, struct sabot_error *err) {
    *out = NULL;
    struct output *output = calloc(1, sizeof *output);
    if (!output) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for the output"); }
    output->env = env;
    output->pool = pool;
    output->options = *options;
    output->kept.pool = pool;
    sabot_status status = SABOT_OK;
    if (options->updating && !options->fold) {
        status = schema_with_row_kinds(schema, "op", true, &output->schema, err);
    } else {
        output->schema = schema_ref(schema);
    }
    if (status == SABOT_OK && (options->kind == OUTPUT_JSON || options->kind == OUTPUT_ARROW)) {
        status = encoder_open(output, err);
    }
    if (status == SABOT_OK && options->kind == OUTPUT_TABLE) {
        output->widths = calloc((size_t)output->schema->n_fields + 1, sizeof *output->widths);
        if (!output->widths) { status = SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for the output"); }
    }
    if (status == SABOT_OK && options->updating && options->fold) {
        output->fold = fold_new();
        if (!output->fold) { status = SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for the output"); }
    }
    if (status != SABOT_OK) {
        output_free(output);
        return status;
    }
    *out = output;
    return SABOT_OK;
}

void output_free(struct output *output) {
    if (!output) { return; }
    if (output->encoder) { output->format->encoder_free(output->encoder); }
    columnar_writer_close(output->arrow);
    schema_unref(output->schema);
    fold_free(output->fold);
    kept_rows_clear(&output->kept);
    text_clear(&output->text);
    text_clear(&output->cells);
    free(output->widths);
    free(output);
}

int64_t output_rows(const struct output *output) { return output->rows; }

/* --- table */

static int32_t characters(const char *text) {
    int32_t n = 0;
    for (; *text; text++) { n += ((unsigned char)*text & 0xc0) != 0x80; }
    return n;
}

static void pad(struct text *target, const char *cell, int32_t width, bool right) {
    const int32_t space = width - characters(cell);
    if (right) { text_format(target, "%*s", space > 0 ? space : 0, ""); }
    text_add(target, cell);
    if (!right) { text_format(target, "%*s", space > 0 ? space : 0, ""); }
}

static void rule(struct output *output) {
    for (int32_t i = 0; i < output->schema->n_fields; i++) {
        text_add(&output->text, i ? "-+-" : "+-");
        for (int32_t n = 0; n < output->widths[i]; n++) { text_add(&output->text, "-"); }
    }
    text_add(&output->text, "-+\n");
}

/* One waiting row from its cells; control characters were replaced before. */
static const char *table_row(struct output *output, const char *cell) {
    for (int32_t i = 0; i < output->schema->n_fields; i++) {
        text_add(&output->text, i ? " | " : "| ");
        pad(&output->text, cell, output->widths[i], type_is_numeric(output->schema->fields[i].type));
        cell += strlen(cell) + 1;
    }
    text_add(&output->text, " |\n");
    return cell;
}

static void table_flush(struct output *output) {
    if (!output->begun) {
        const char *cell = text_string(&output->cells);
        for (int32_t i = 0; i < output->schema->n_fields; i++) {
            output->widths[i] = characters(output->schema->fields[i].name);
        }
        for (int32_t row = 0; row < output->waiting; row++) {
            for (int32_t i = 0; i < output->schema->n_fields; i++) {
                const int32_t width = characters(cell);
                if (width > output->widths[i]) { output->widths[i] = width; }
                cell += strlen(cell) + 1;
            }
        }
        for (int32_t i = 0; i < output->schema->n_fields; i++) {
            if (output->widths[i] > TABLE_WIDTH_MAX) { output->widths[i] = TABLE_WIDTH_MAX; }
        }
        rule(output);
        for (int32_t i = 0; i < output->schema->n_fields; i++) {
            text_add(&output->text, i ? " | " : "| ");
            pad(&output->text, output->schema->fields[i].name, output->widths[i],
                type_is_numeric(output->schema->fields[i].type));
        }
        text_add(&output->text, " |\n");
        rule(output);
        output->begun = true;
    }
    const char *cell = text_string(&output->cells);
    for (int32_t row = 0; row < output->waiting; row++) { cell = table_row(output, cell); }
    output->waiting = 0;
    output->cells.size = 0;
}

/* The cells of the rows, each with a NUL behind it; ends (may be NULL) gets the end of each row. */
static sabot_status encode_cells(const struct batch *batch, struct text *target, int64_t *ends,
                                 struct sabot_error *err) {
    const struct text_options options = {.null_text = "NULL"};
    for (int32_t i = 0; i < batch->selected; i++) {
        for (int32_t c = 0; c < batch->n_columns; c++) {
            const size_t start = target->size;
            SABOT_TRY(column_print(batch->columns[c], batch_row(batch, i), batch->schema->fields[c].type, &options,
                                   target, err));
            for (size_t at = start; at < target->size; at++) {
                if ((unsigned char)target->data[at] < ' ') { target->data[at] = ' '; }
            }
            text_append(target, "", 1);
        }
        if (ends) { ends[i] = (int64_t)target->size; }
    }
    return target->failed ? SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for the rows to print") : SABOT_OK;
}

static sabot_status table_write(struct output *output, const struct batch *batch, struct sabot_error *err) {
    SABOT_TRY(encode_cells(batch, &output->cells, NULL, err));
    output->rows += batch->selected;
    output->waiting += batch->selected;
    if (output->waiting >= TABLE_ROWS_ALIGNED || output->begun) { table_flush(output); }
    return output->text.size >= WRITE_BYTES ? flush(output, err) : SABOT_OK;
}

/* --- lines */

/* A CSV cell of the command: NULL is \N, a text that looks like it or holds a separator is quoted (RFC 4180).
 * Timestamps keep all digits of their precision, unlike those of the format that connectors write. */
static void csv_cell(struct text *target, const char *cell, size_t size, bool is_null) {
    bool quoted = !is_null && size == 2 && memcmp(cell, "\\N", 2) == 0;
    for (size_t i = 0; i < size && !quoted; i++) {
        quoted = cell[i] == ',' || cell[i] == '"' || cell[i] == '\n' || cell[i] == '\r';
    }
    if (!quoted) {
        text_append(target, cell, size);
        return;
    }
    text_append(target, "\"", 1);
    for (size_t i = 0; i < size; i++) {
        text_append(target, cell[i] == '"' ? "\"\"" : cell + i, cell[i] == '"' ? 2 : 1);
    }
    text_append(target, "\"", 1);
}

static sabot_status encode_csv(const struct batch *batch, struct text *target, int64_t *ends, struct sabot_error *err) {
    const struct text_options options = {.null_text = "\\N"};
    struct text cell = {0};
    sabot_status status = SABOT_OK;
    for (int32_t i = 0; i < batch->selected && status == SABOT_OK; i++) {
        const int32_t row = batch_row(batch, i);
        for (int32_t c = 0; c < batch->n_columns && status == SABOT_OK; c++) {
            cell.size = 0;
            status = column_print(batch->columns[c], row, batch->schema->fields[c].type, &options, &cell, err);
            if (c > 0) { text_append(target, ",", 1); }
            csv_cell(target, text_string(&cell), cell.size, column_is_null(batch->columns[c], row));
        }
        text_append(target, "\n", 1);
        if (ends) { ends[i] = (int64_t)target->size; }
    }
    text_clear(&cell);
    if (status == SABOT_OK && target->failed) {
        status = SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for the rows to print");
    }
    return status;
}

static sabot_status encode(struct output *output, const struct batch *batch, struct text *target, int64_t *ends,
                           struct sabot_error *err) {
    switch (output->options.kind) {
    case OUTPUT_TABLE: return encode_cells(batch, target, ends, err);
    case OUTPUT_CSV:
    case OUTPUT_ARROW: return encode_csv(batch, target, ends, err); /* ARROW: only to know the rows of a fold by */
    default: return output->format->encode(output->encoder, batch, target, ends, err);
    }
}

static sabot_status begin(struct output *output, struct sabot_error *err) {
    if (output->begun) { return SABOT_OK; }
    output->begun = true;
    if (output->options.kind != OUTPUT_CSV) { return output->format->begin(output->encoder, &output->text, err); }
    for (int32_t i = 0; i < output->schema->n_fields; i++) {
        if (i > 0) { text_append(&output->text, ",", 1); }
        csv_cell(&output->text, output->schema->fields[i].name, strlen(output->schema->fields[i].name), false);
    }
    text_append(&output->text, "\n", 1);
    return SABOT_OK;
}

/* The text that the fold knows a row by: its key's, NUL-terminated cells. */
static sabot_status key_text(const struct output *output, const struct batch *batch, int32_t row, struct text *key,
                             struct sabot_error *err) {
    const struct text_options options = {.null_text = "\\N"};
    key->size = 0;
    for (int32_t k = 0; k < output->options.n_upsert_key; k++) {
        const int32_t c = output->options.upsert_key[k];
        SABOT_TRY(column_print(batch->columns[c], row, batch->schema->fields[c].type, &options, key, err));
        text_append(key, "", 1);
    }
    return key->failed ? SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for the output") : SABOT_OK;
}

/* first: number of the batch's first row among the kept ones; negative: the lines themselves are kept. */
static sabot_status fold_lines(struct output *output, const struct batch *batch, const struct text *lines,
                               const int64_t *ends, int64_t first, struct text *key, struct sabot_error *err) {
    for (int32_t i = 0; i < batch->selected; i++) {
        const int32_t row = batch_row(batch, i);
        const uint8_t kind = batch->row_kinds ? batch->row_kinds[row] : ROW_INSERT;
        const int64_t start = i ? ends[i - 1] : 0, number = first + i;
        const char *const line = lines->data + start;
        const size_t size = (size_t)(ends[i] - start);
        struct fold_row given = {.key = line, .key_size = size};
        if (output->options.n_upsert_key > 0) {
            SABOT_TRY(key_text(output, batch, row, key, err));
            given = (struct fold_row){.key = key->data, .key_size = key->size, .row = line, .row_size = size,
                                      .replaces = true};
        }
        if (first >= 0) {
            given.row = (const char *)&number;
            given.row_size = sizeof number;
        }
        /* -U takes the row away with a key too: a filter may have dropped the +U that follows it. */
        const int delta = kind == ROW_INSERT || kind == ROW_UPDATE_AFTER ? 1 : -1;
        SABOT_TRY(fold_apply(output->fold, &given, delta, err));
    }
    return SABOT_OK;
}

/* The rows' encoded lines one by one into the fold, with the text of their key where there is one. */
static sabot_status fold_write(struct output *output, struct batch *batch, struct sabot_error *err) {
    struct text lines = {0}, key = {0};
    int64_t first = -1;
    if (output->arrow) {
        SABOT_TRY(kept_rows_compact(&output->kept, output->fold, false, err));
        SABOT_TRY(kept_rows_add(&output->kept, batch, &first, err));
    }
    int64_t *ends = malloc(sizeof *ends * ((size_t)batch->selected + 1));
    if (!ends) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for the output"); }
    sabot_status status = encode(output, batch, &lines, ends, err);
    if (status == SABOT_OK) { status = fold_lines(output, batch, &lines, ends, first, &key, err); }
    free(ends);
    text_clear(&lines);
    text_clear(&key);
    return status;
}

static sabot_status arrow_rows(void *arg, struct batch *batch, struct sabot_error *err) {
    struct output *output = arg;
    output->rows += batch->selected;
    return columnar_writer_add(output->arrow, batch, err);
}

sabot_status output_write(struct output *output, struct batch *batch, struct sabot_error *err) {
    if (output->fold) { return fold_write(output, batch, err); }
    BATCH_OWNED struct batch *shown = NULL;
    if (output->options.updating && !output->options.fold) {
        SABOT_TRY(batch_with_row_kinds(output->pool, batch, output->schema, true, &shown, err));
    } else {
        shown = batch_ref(batch);
    }
    if (output->options.kind == OUTPUT_TABLE) { return table_write(output, shown, err); }
    if (output->arrow) {
        return arrow_rows(output, shown, err);
    }
    SABOT_TRY(begin(output, err));
    SABOT_TRY(encode(output, shown, &output->text, NULL, err));
    output->rows += shown->selected;
    return output->text.size >= WRITE_BYTES ? flush(output, err) : SABOT_OK;
}

sabot_status output_flush(struct output *output, struct sabot_error *err) {
    if (output->options.kind == OUTPUT_TABLE && output->waiting > 0) { table_flush(output); }
    return flush(output, err);
}

sabot_status output_end(struct output *output, struct sabot_error *err) {
    if (output->options.kind == OUTPUT_TABLE) {
        if (output->fold) {
            SABOT_TRY(fold_finish(output->fold, &output->cells, &output->rows, err));
            output->waiting = (int32_t)output->rows;
        }
        table_flush(output);
        rule(output);
        text_format(&output->text, "%lld row%s\n", (long long)output->rows, output->rows == 1 ? "" : "s");
        return flush(output, err);
    }
    if (output->arrow) {
        if (output->fold) {
            SABOT_TRY(kept_rows_write(&output->kept, output->fold, BATCH_ROWS_DEFAULT, arrow_rows, output, err));
        }
        return columnar_writer_finish(output->arrow, err);
    }
    SABOT_TRY(begin(output, err));
    if (output->fold) { SABOT_TRY(fold_finish(output->fold, &output->text, &output->rows, err)); }
    if (output->encoder) { SABOT_TRY(output->format->end(output->encoder, &output->text, err)); }
    return flush(output, err);
}
