/* The source of the connector 'filesystem'.
 *
 * Files become splits: a file, a range of an uncompressed file of lines, or a row group of Parquet. A split belongs to
 * one subtask, by its path and number alone, so that all subtasks agree without asking each other. An instance reads
 * its splits one after the other; a split is known to the caller once it has begun.
 *
 * Reading, decompressing and decoding happen in a helper job (env_offload), which fills a short ring of batches; poll
 * takes from it. One job runs at a time, and what only it touches needs no lock: everything in `struct reading`. */
#include <assert.h>
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>

#include <xxhash.h>

#include "base/log.h"
#include "connect/file/file.h"
#include "format/scalar.h"

#define RING 4
#define BLOCK_BYTES ((size_t)2 << 20)
#define BLOCK_PADDING 64
#define RECORD_BYTES_MAX ((size_t)256 << 20)
#define MALFORMED_BYTES_KEPT 65536

enum place_kind { PLACE_BYTES, PLACE_GROUPS, PLACE_DONE };

/* How far a split is read. */
struct place {
    enum place_kind kind;
    int64_t offset;               /* PLACE_BYTES: of the next record, decompressed */
    struct columnar_place groups; /* PLACE_GROUPS */
};

struct split {
    char id[256];
    char *path;
    int64_t size, modified_ms;
    int64_t begin, end;           /* bytes; end INT64_MAX: the file's */
    int64_t cut_bytes;            /* size of the file that was cut into ranges of lines; -1: it never is */
    uint64_t group, group_end;    /* Parquet */
    enum compression compression;
    bool paused, finished;        /* for the caller's thread */
    bool started;
    int32_t index;                /* among the started ones */
    struct place place;           /* for the caller's thread: behind what poll gave out */
    struct place resume;          /* where reading begins */
};

struct malformed {
    char reason[DECODE_REASON_MAX];
    int64_t offset;
    char *data;
    size_t size;
    bool tolerated;
};

/* What the job hands over. */
struct item {
    struct batch *batch;        /* NULL: only news about the split */
    struct split *split;
    struct place place;         /* behind the batch */
    int64_t bytes;
    struct malformed *malformed;
    int32_t n_malformed;
};

/* The job's own. */
struct reading {
    struct split *split;        /* NULL: none is open */
    struct columnar *columnar;
    struct stream *stream;
    struct decoder *decoder;
    struct buffer *block;
    size_t at, end, capacity;   /* bytes of the block that are not used yet */
    int64_t at_offset;          /* of block[at] in the stream */
    bool stream_ended;
    bool skip_header;
    int64_t *offsets;
    struct column **columns;    /* of the batch that is being made */
    const char *columnar_path;        /* what `columnar` has open: the next split is often of the same file */
    int64_t next_discovery_ns;  /* watching */
    XXH128_hash_t *seen;        /* paths that have been split, a hash table; zeroes = free */
    size_t n_seen, seen_capacity;
};

struct known {
    char id[256];
    struct place place;
    int64_t cut_bytes; /* -1: not told */
    bool matched;
};

struct source {
    struct connector_context context;
    struct file_table table;
    bool is_pipe, watching, has_pattern;
    regex_t pattern;
    int64_t interval_ns, split_bytes;
    const char *compression; /* option */
    struct reading reading;

    struct env_mutex *mutex;
    struct env_event *idle; /* set when the job has ended */
    struct store *store;
    /* under the mutex */
    struct item ring[RING];
    int32_t ring_first, ring_count;
    bool running, closing, all_read;
    int64_t wait_until_ns; /* watching: nothing to do before */
    sabot_status failed;
    struct sabot_error failure;
    struct split **splits; /* discovered, mine, in order; the job appends */
    int32_t n_splits, splits_capacity, next_split;
    struct split **started;
    int32_t n_started;
    /* before the first poll */
    struct known *known;
    int32_t n_known;
};

/* --- positions as text */

static void place_print(const struct place *place, int64_t cut_bytes, struct text *target) {
    switch (place->kind) {
    case PLACE_BYTES: text_format(target, "bytes %lld", (long long)place->offset); break;
    case PLACE_GROUPS:
        text_format(target, "group %llu row %llu", (unsigned long long)place->groups.group,
                    (unsigned long long)place->groups.row);
        break;
    case PLACE_DONE: text_add(target, "done"); break;
    }
    if (cut_bytes >= 0) { text_format(target, " of %lld", (long long)cut_bytes); }
}

static bool place_parse(const char *data, size_t size, struct place *out, int64_t *cut_bytes) {
    char text[96];
    if (size >= sizeof text) { return false; }
    memcpy(text, data, size);
    text[size] = 0;
    long long offset, bytes;
    unsigned long long group, row;
    int used = 0;
    *cut_bytes = -1;
    char *of = strstr(text, " of ");
    if (of) {
        if (sscanf(of, " of %lld%n", &bytes, &used) != 1 || of[used] || bytes < 0) { return false; }
        *cut_bytes = bytes;
        *of = 0;
        size = (size_t)(of - text);
    }
    *out = (struct place){.kind = PLACE_DONE};
    if (strcmp(text, "done") == 0) { return true; }
    if (sscanf(text, "bytes %lld%n", &offset, &used) == 1 && (size_t)used == size && offset >= 0) {
        *out = (struct place){.kind = PLACE_BYTES, .offset = offset};
        return true;
    }
    if (sscanf(text, "group %llu row %llu%n", &group, &row, &used) == 2 && (size_t)used == size) {
        *out = (struct place){.kind = PLACE_GROUPS, .groups = {group, row}};
        return true;
    }
    return false;
}

/* --- splits */

static sabot_status no_memory(struct sabot_error *err) {
    return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory to read files");
}

static void split_free(struct split *split) {
    free(split->path);
    free(split);
}

/* Long paths are cut in the middle of an id and told apart by a hash. */
static void split_id(char *target, size_t size, const char *path, const char *part) {
    const size_t path_size = strlen(path);
    if (path_size + strlen(part) < size) {
        memcpy(target, path, path_size);
        snprintf(target + path_size, size - path_size, "%s", part);
    } else {
        snprintf(target, size, "%.120s~%016llx%s", path, (unsigned long long)XXH3_64bits(path, strlen(path)), part);
    }
}

static int known_compare(const void *a, const void *b) {
    return strcmp(((const struct known *)a)->id, ((const struct known *)b)->id);
}

/* Under the mutex. */
static sabot_status split_start(struct source *source, struct split *split, struct sabot_error *err) {
    struct split **started = realloc(source->started, ((size_t)source->n_started + 1) * sizeof *started);
    if (!started) { return no_memory(err); }
    source->started = started;
    split->index = source->n_started;
    split->started = true;
    started[source->n_started++] = split;
    return SABOT_OK;
}

/* The first one whose id is not before `id`. */
static int32_t known_from(const struct source *source, const char *id) {
    int32_t first = 0, end = source->n_known;
    while (first < end) {
        const int32_t middle = first + (end - first) / 2;
        if (strcmp(source->known[middle].id, id) < 0) {
            first = middle + 1;
        } else {
            end = middle;
        }
    }
    return first;
}

static struct known *known_find(struct source *source, const char *id) {
    const int32_t at = known_from(source, id);
    return at < source->n_known && strcmp(source->known[at].id, id) == 0 ? &source->known[at] : NULL;
}

/* The size by which a file is cut: that of the checkpoint, if it knows the file. One that has grown since would be cut
 * otherwise, and what came behind the range that was the last would be read twice or not at all. */
static int64_t cut_bytes_of(struct source *source, const struct file_found *file) {
    char id[sizeof source->known->id];
    for (int ranges = 0; ranges < 2; ranges++) {
        split_id(id, sizeof id, file->path, ranges ? ":" : "");
        const size_t size = strlen(id);
        const int32_t at = known_from(source, id);
        if (at == source->n_known || strncmp(source->known[at].id, id, size + !ranges) != 0) { continue; }
        if (source->known[at].cut_bytes >= 0) { return source->known[at].cut_bytes; }
    }
    return file->size;
}

/* Under the mutex. */
static sabot_status split_append(struct source *source, struct split *split, struct sabot_error *err) {
    if (source->n_splits == source->splits_capacity) {
        const int32_t capacity = source->splits_capacity ? source->splits_capacity * 2 : 16;
        struct split **splits = realloc(source->splits, (size_t)capacity * sizeof *splits);
        if (!splits) { return no_memory(err); }
        source->splits = splits;
        source->splits_capacity = capacity;
    }
    if (split->started) {
        split->started = false;
        SABOT_TRY(split_start(source, split, err));
    }
    source->splits[source->n_splits++] = split;
    return SABOT_OK;
}

/* A file that is shorter than it was is another one: what was not read of it is gone. Decompressing finds it itself. */
static sabot_status known_is_whole(const struct source *source, const struct known *known,
                                   const struct file_found *file, const struct split *shape, struct sabot_error *err) {
    if (source->is_pipe || shape->compression != COMPRESSION_NONE || known->place.kind != PLACE_BYTES) {
        return SABOT_OK;
    }
    const int64_t least = shape->cut_bytes > known->place.offset ? shape->cut_bytes : known->place.offset;
    if (file->size >= least) { return SABOT_OK; }
    return SABOT_FAIL(err, SABOT_ERR_STATE,
                      "table \"%s\": the checkpoint has read part of %s, which had %lld bytes or more then and has "
                      "%lld now: start without the checkpoint, or with the file as it was",
                      source->context.table->name, file->path, (long long)least, (long long)file->size);
}

/* One more split of a file, the part-th; kept if it is this subtask's. */
static sabot_status split_add(struct source *source, const struct file_found *file, int64_t part, const char *part_text,
                              const struct split *shape, struct sabot_error *err) {
    char id[sizeof shape->id];
    split_id(id, sizeof id, file->path, part_text);
    struct known *known = known_find(source, id);
    if (known) {
        known->matched = true;
        SABOT_TRY(known_is_whole(source, known, file, shape, err));
    }
    const uint64_t hash = XXH3_64bits(file->path, strlen(file->path)),
                   parallelism = (uint64_t)source->context.parallelism;
    if ((hash % parallelism + (uint64_t)part) % parallelism != (uint64_t)source->context.subtask) { return SABOT_OK; }
    struct split *split = malloc(sizeof *split);
    char *path = strdup(file->path);
    if (!split || !path) {
        free(split);
        free(path);
        return no_memory(err);
    }
    *split = *shape;
    memcpy(split->id, id, sizeof id);
    split->path = path;
    split->size = file->size;
    split->modified_ms = file->modified_ms;
    split->place = source->table.kind == FILE_RECORDS
                       ? (struct place){.kind = PLACE_BYTES, .offset = split->begin}
                       : (struct place){.kind = PLACE_GROUPS, .groups = {split->group, 0}};
    if (known) {
        split->place = known->place;
        split->finished = known->place.kind == PLACE_DONE;
        split->started = true;
    }
    split->resume = split->place;
    env_mutex_lock(source->mutex);
    const sabot_status status = split_append(source, split, err);
    env_mutex_unlock(source->mutex);
    if (status != SABOT_OK) { split_free(split); }
    return status;
}

/* Notes that a file is split; *is_new: it was not before. */
static sabot_status file_see(struct source *source, const char *path, bool *is_new, struct sabot_error *err) {
    struct reading *reading = &source->reading;
    if (reading->n_seen * 2 >= reading->seen_capacity) {
        const size_t capacity = reading->seen_capacity ? reading->seen_capacity * 2 : 64;
        XXH128_hash_t *seen = calloc(capacity, sizeof *seen);
        if (!seen) { return no_memory(err); }
        for (size_t i = 0; i < reading->seen_capacity; i++) {
            const XXH128_hash_t hash = reading->seen[i];
            size_t at = hash.low64 & (capacity - 1);
            if (!(hash.low64 | hash.high64)) { continue; }
            while (seen[at].low64 | seen[at].high64) { at = (at + 1) & (capacity - 1); }
            seen[at] = hash;
        }
        free(reading->seen);
        reading->seen = seen;
        reading->seen_capacity = capacity;
    }
    const XXH128_hash_t hash = XXH3_128bits(path, strlen(path));
    size_t at = hash.low64 & (reading->seen_capacity - 1);
    for (; reading->seen[at].low64 | reading->seen[at].high64; at = (at + 1) & (reading->seen_capacity - 1)) {
        if (XXH128_isEqual(reading->seen[at], hash)) {
            *is_new = false;
            return SABOT_OK;
        }
    }
    reading->seen[at] = hash;
    reading->n_seen++;
    *is_new = true;
    return SABOT_OK;
}

static enum compression file_compression(const struct source *source, const char *path) {
    switch (source->compression[0] | 0x20) {
    case 'g': return COMPRESSION_GZIP;
    case 'z': return COMPRESSION_ZSTD;
    case 'l': return COMPRESSION_LZ4;
    case 'n': return COMPRESSION_NONE;
    default: return compression_of_name(path);
    }
}

/* The splits of one file. */
static sabot_status file_split(struct source *source, const struct file_found *file, struct sabot_error *err) {
    struct split shape = {.end = INT64_MAX, .group_end = UINT64_MAX, .cut_bytes = -1};
    char part[64];
    if (source->table.kind == FILE_RECORDS) {
        shape.compression = file_compression(source, file->path);
        const bool lines = source->table.format->records_by_line && shape.compression == COMPRESSION_NONE;
        if (lines && !source->is_pipe) { shape.cut_bytes = cut_bytes_of(source, file); }
        if (shape.cut_bytes <= source->split_bytes) { return split_add(source, file, 0, "", &shape, err); }
        for (int64_t n = 0; n * source->split_bytes < shape.cut_bytes; n++) {
            shape.begin = n * source->split_bytes;
            const int64_t end = shape.begin + source->split_bytes;
            shape.end = end < shape.cut_bytes ? end : INT64_MAX;
            snprintf(part, sizeof part, ":%lld+%lld", (long long)shape.begin, (long long)source->split_bytes);
            SABOT_TRY(split_add(source, file, n, part, &shape, err));
        }
        return SABOT_OK;
    }
    if (source->table.kind == FILE_ARROW || source->is_pipe) { return split_add(source, file, 0, "", &shape, err); }
    /* row groups, joined until they are of a split's size */
    struct columnar *columnar;
    SABOT_TRY(columnar_open(&source->context, file->path, &columnar, err));
    const uint64_t groups = columnar_groups(columnar);
    sabot_status status = SABOT_OK;
    int64_t n = 0;
    for (uint64_t g = 0; g < groups && status == SABOT_OK; g = shape.group_end) {
        shape.group = g;
        shape.group_end = g + 1;
        int64_t bytes = columnar_group_bytes(columnar, g);
        while (shape.group_end < groups &&
               bytes + columnar_group_bytes(columnar, shape.group_end) <= source->split_bytes) {
            bytes += columnar_group_bytes(columnar, shape.group_end++);
        }
        snprintf(part, sizeof part, ":g%llu+%llu", (unsigned long long)g, (unsigned long long)(shape.group_end - g));
        status = split_add(source, file, n++, part, &shape, err);
    }
    columnar_close(columnar);
    return status;
}

/* What a checkpoint knows of must be there again, or it would be read twice or lost. */
static sabot_status known_check(struct source *source, struct sabot_error *err) {
    for (int32_t i = 0; i < source->n_known; i++) {
        const struct known *known = &source->known[i];
        if (known->matched) { continue; }
        struct env_stat stat;
        char path[sizeof known->id];
        memcpy(path, known->id, sizeof path);
        char *part = strrchr(path, ':');
        if (part && strchr(part, '+')) { *part = 0; }
        bool is_there;
        SABOT_TRY(store_look(source->context.store, path, &is_there, &stat, err));
        if (known->place.kind == PLACE_DONE && !is_there) { continue; }
        return SABOT_FAIL(err, SABOT_ERR_STATE,
                          "table \"%s\": the checkpoint has read part of %s, %s: start without the "
                          "checkpoint, or with the files and options as they were",
                          source->context.table->name, path,
                          is_there ? "which has changed since, or 'source.split-size' or 'path' has" : "which is gone");
    }
    return SABOT_OK;
}

static sabot_status discover(struct source *source, struct sabot_error *err) {
    if (source->is_pipe) {
        struct file_found pipe = {.path = (char[]){"-"}, .size = -1};
        return source->context.subtask == 0 || source->context.parallelism == 1
                   ? file_split(source, &pipe, err)
                   : SABOT_OK;
    }
    struct file_list list;
    SABOT_TRY(files_discover(source->context.store, source->table.path, &list, err));
    sabot_status status = SABOT_OK;
    for (size_t i = 0; i < list.n && status == SABOT_OK; i++) {
        bool is_new = true;
        if (source->has_pattern && regexec(&source->pattern, list.items[i].path, 0, NULL, 0) != 0) { continue; }
        status = file_see(source, list.items[i].path, &is_new, err);
        if (status == SABOT_OK && is_new) { status = file_split(source, &list.items[i], err); }
    }
    if (status == SABOT_OK && list.n == 0 && !source->watching) {
        log_write(source->context.env, LOG_WARNING, "table \"%s\": there is no file at %s", source->context.table->name,
                  source->table.path);
    }
    file_list_clear(&list);
    return status;
}

/* --- reading, in the job */

static void item_clear(struct item *item) {
    batch_unref(item->batch);
    for (int32_t i = 0; i < item->n_malformed; i++) { free(item->malformed[i].data); }
    free(item->malformed);
    *item = (struct item){0};
}

/* A columnar file stays open for its next split. */
static void split_close(struct reading *reading) {
    stream_close(reading->stream);
    buffer_unref(reading->block);
    reading->stream = NULL;
    reading->block = NULL;
    reading->split = NULL;
}

/* A new block of `capacity` bytes that begins with what is left of the old one. */
static sabot_status block_renew(struct source *source, size_t capacity, struct sabot_error *err) {
    struct reading *reading = &source->reading;
    struct buffer *block;
    SABOT_TRY(buffer_new(source->context.pool, capacity + BLOCK_PADDING, &block, err));
    const size_t left = reading->end - reading->at;
    if (left) { memcpy(block->data, reading->block->data + reading->at, left); }
    buffer_unref(reading->block);
    reading->block = block;
    reading->capacity = capacity;
    reading->at = 0;
    reading->end = left;
    return SABOT_OK;
}

static bool is_closing(struct source *source) {
    env_mutex_lock(source->mutex);
    const bool closing = source->closing;
    env_mutex_unlock(source->mutex);
    return closing;
}

/* Reads more behind `end`. A pipe gives what it has. */
static sabot_status block_fill(struct source *source, struct sabot_error *err) {
    struct reading *reading = &source->reading;
    const size_t left = reading->end - reading->at;
    size_t capacity = reading->capacity ? reading->capacity : BLOCK_BYTES;
    if (left == capacity) {
        if (capacity >= RECORD_BYTES_MAX) {
            return SABOT_FAIL(err, SABOT_ERR_DATA, "%s: the record at byte %lld is longer than %zu MiB",
                              reading->split->path, (long long)reading->at_offset, RECORD_BYTES_MAX >> 20);
        }
        capacity *= 2;
    } else if (capacity > BLOCK_BYTES && left < BLOCK_BYTES / 2) {
        capacity = BLOCK_BYTES;
    }
    if (reading->end == reading->capacity || !reading->block || capacity != reading->capacity ||
        reading->at > reading->capacity / 2) {
        SABOT_TRY(block_renew(source, capacity, err));
    }
    do {
        size_t got;
        SABOT_TRY(stream_read(reading->stream, reading->block->data + reading->end, reading->capacity - reading->end,
                              &got, err));
        reading->end += got;
        reading->stream_ended = got == 0;
        if (source->is_pipe && is_closing(source)) {
            return SABOT_FAIL(err, SABOT_ERR_CANCELLED, "the job has ended"); /* nobody reads this */
        }
    } while (!source->is_pipe && !reading->stream_ended && reading->end < reading->capacity);
    memset(reading->block->data + reading->end, 0, BLOCK_PADDING);
    return SABOT_OK;
}

static bool is_blank(const char *data, size_t size) {
    for (size_t i = 0; i < size; i++) {
        if (data[i] != ' ' && data[i] != '\n' && data[i] != '\r' && data[i] != '\t') { return false; }
    }
    return true;
}

/* Cuts at line ends; blank lines go with the record behind them, or with the last one. */
static int32_t cut_lines(const char *data, size_t size, bool at_end, bool keep_blank, int64_t *offsets, int32_t max) {
    int32_t n = 0;
    size_t at = 0;
    offsets[0] = 0;
    while (n < max && at < size) {
        const char *newline = memchr(data + at, '\n', size - at);
        if (!newline && !at_end) { return n; }
        const size_t end = newline ? (size_t)(newline - data) + 1 : size;
        if (keep_blank || !is_blank(data + at, end - at)) { offsets[++n] = (int64_t)end; }
        at = end;
    }
    if (at_end && at == size && n > 0) { offsets[n] = (int64_t)size; }
    return n;
}

/* Where the line of a record begins, behind the blank lines that were cut with it. */
static int64_t line_begin(const char *data, int64_t begin, int64_t end) {
    for (int64_t at = begin; at < end;) {
        const char *newline = memchr(data + at, '\n', (size_t)(end - at));
        const int64_t next = newline ? newline + 1 - data : end;
        if (!is_blank(data + at, (size_t)(next - at))) { return at; }
        at = next;
    }
    return begin;
}

/* How many of n records that were cut begin before the split's end. A range of lines takes up the first line that
 * begins in it, so blank lines before that one must not make it the record of the range before as well. */
static int32_t records_within(const struct source *source, int32_t n) {
    const struct reading *reading = &source->reading;
    if (reading->split->end == INT64_MAX) { return n; }
    const int64_t room = reading->split->end - reading->at_offset;
    const char *data = (const char *)reading->block->data + reading->at;
    const bool skip_blank = !source->table.format->keeps_blank_lines;
    for (; n > 0; n--) {
        const int64_t begin = reading->offsets[n - 1];
        if (begin < room && (!skip_blank || line_begin(data, begin, reading->offsets[n]) < room)) { break; }
    }
    return n;
}

static int32_t cut_records(struct source *source, int32_t max) {
    struct reading *reading = &source->reading;
    const struct format_type *format = source->table.format;
    const char *data = (const char *)reading->block->data + reading->at;
    const size_t size = reading->end - reading->at;
    if (format->cut) { return format->cut(reading->decoder, data, size, reading->stream_ended, reading->offsets, max); }
    return cut_lines(data, size, reading->stream_ended, format->keeps_blank_lines, reading->offsets, max);
}

static void block_use(struct reading *reading, int64_t bytes) {
    reading->at += (size_t)bytes;
    reading->at_offset += bytes;
}

static sabot_status records_open(struct source *source, struct split *split, struct sabot_error *err) {
    struct reading *reading = &source->reading;
    const bool from_middle = split->resume.offset == split->begin && split->begin > 0;
    /* A range begins behind the first line end at or after its begin - 1: that line is the last of the range before. */
    const int64_t from = split->resume.offset - from_middle;
    SABOT_TRY(stream_open(source->context.store, split->path, split->compression, &reading->stream, err));
    SABOT_TRY(stream_skip(reading->stream, from, err));
    reading->at = reading->end = reading->capacity = 0;
    reading->at_offset = from;
    reading->stream_ended = false;
    if (!reading->decoder) { SABOT_TRY(source->table.format->decoder_new(&source->context, &reading->decoder, err)); }
    SABOT_TRY(block_fill(source, err));
    if (from == 0 && reading->end >= 3 && memcmp(reading->block->data, "\xef\xbb\xbf", 3) == 0) {
        block_use(reading, 3);
    }
    if (from_middle) {
        for (;;) {
            const char *data = (const char *)reading->block->data + reading->at;
            const size_t size = reading->end - reading->at;
            const char *newline = size ? memchr(data, '\n', size) : NULL;
            block_use(reading, newline ? newline + 1 - data : (int64_t)size);
            if (newline || reading->stream_ended) { return SABOT_OK; }
            SABOT_TRY(block_fill(source, err));
        }
    }
    const struct format_type *format = source->table.format;
    reading->skip_header = from == 0 && format->header_records && format->header_records(reading->decoder) > 0;
    return SABOT_OK;
}

static sabot_status split_open(struct source *source, struct split *split, struct sabot_error *err) {
    struct reading *reading = &source->reading;
    reading->split = split;
    if (source->table.kind == FILE_RECORDS) { return records_open(source, split, err); }
    if (!reading->columnar || strcmp(reading->columnar_path, split->path) != 0) {
        columnar_close(reading->columnar);
        reading->columnar = NULL;
        reading->columnar_path = split->path; /* splits live as long as the source */
        SABOT_TRY(columnar_open(&source->context, split->path, &reading->columnar, err));
    }
    const uint64_t groups = columnar_groups(reading->columnar);
    if (split->group_end != UINT64_MAX && split->group_end > groups) {
        return SABOT_FAIL(err, SABOT_ERR_CORRUPT, "%s: row group %llu is gone: the file has %llu", split->path,
                          (unsigned long long)split->group, (unsigned long long)groups);
    }
    return columnar_seek(reading->columnar, split->resume.groups, split->group_end, err);
}

/* Columns that tell of the file. */
static sabot_status metadata_fill(struct source *source, const struct split *split, struct column **columns,
                                  int32_t rows, struct sabot_error *err) {
    const struct connector_table *table = source->context.table;
    for (int32_t i = 0; i < table->schema->n_fields; i++) {
        const char *key = table->metadata ? table->metadata[i] : NULL;
        if (!key) { continue; }
        const char *name = strrchr(split->path, '/');
        struct string_view view = {0};
        const void *value = &view;
        if (strcmp(key, "file.path") == 0) {
            view = string_view_of(split->path, (uint32_t)strlen(split->path));
        } else if (strcmp(key, "file.name") == 0) {
            name = name ? name + 1 : split->path;
            view = string_view_of(name, (uint32_t)strlen(name));
        } else {
            value = strcmp(key, "file.size") == 0 ? &split->size : &split->modified_ms;
            if (source->is_pipe) { value = NULL; }
        }
        SABOT_TRY(column_constant(source->context.pool, type_phys(table->schema->fields[i].type), value, rows,
                                  &columns[i], err));
    }
    return SABOT_OK;
}

/* Makes the item's batch of columns, without the malformed rows. */
static sabot_status batch_make(struct source *source, struct column **columns, int32_t rows,
                               const struct decode_errors *errors, struct item *item, struct sabot_error *err) {
    const struct schema *schema = source->context.table->schema;
    sabot_status status = metadata_fill(source, item->split, columns, rows, err);
    if (status != SABOT_OK) { return status; }
    struct batch *batch;
    status = batch_new((struct schema *)(uintptr_t)schema, columns, schema->n_fields, rows, &batch, err);
    memset(columns, 0, (size_t)schema->n_fields * sizeof(struct column *)); /* taken over in any case */
    SABOT_TRY(status);
    batch->created_ns = env_now_ns(source->context.env);
    item->batch = batch;
    if (!errors || errors->n == 0) { return SABOT_OK; }
    struct buffer *selection;
    const int32_t selected = rows - errors->n;
    SABOT_TRY(buffer_new(source->context.pool, (size_t)rows * sizeof(int32_t), &selection, err));
    int32_t *to = (int32_t *)(void *)selection->data;
    for (int32_t row = 0, e = 0; row < rows; row++) {
        if (e < errors->n && errors->items[e].record == row) {
            e++;
        } else {
            *to++ = row;
        }
    }
    struct batch *chosen;
    SABOT_TRY(batch_with_selection(batch, selection, selected, &chosen, err));
    chosen->created_ns = batch->created_ns;
    batch_unref(batch);
    item->batch = chosen;
    return SABOT_OK;
}

static sabot_status malformed_keep(const struct records *records, const struct decode_errors *errors,
                                   int64_t first_offset, struct item *item, struct sabot_error *err) {
    if (errors->n == 0) { return SABOT_OK; }
    item->malformed = calloc((size_t)errors->n, sizeof *item->malformed);
    if (!item->malformed) { return no_memory(err); }
    for (int32_t i = 0; i < errors->n; i++) {
        struct malformed *kept = &item->malformed[item->n_malformed++];
        const int32_t record = errors->items[i].record;
        const char *data = records->data + records->offsets[record];
        size_t size = (size_t)(records->offsets[record + 1] - records->offsets[record]);
        while (size > 0 && (data[size - 1] == '\n' || data[size - 1] == '\r')) { size--; }
        kept->size = size < MALFORMED_BYTES_KEPT ? size : MALFORMED_BYTES_KEPT;
        kept->offset = first_offset + records->offsets[record];
        kept->tolerated = errors->tolerated;
        memcpy(kept->reason, errors->items[i].reason, sizeof kept->reason);
        kept->data = malloc(kept->size + 1);
        if (!kept->data) { return no_memory(err); }
        memcpy(kept->data, data, kept->size);
    }
    return SABOT_OK;
}

static void columns_clear(struct column **columns, int32_t n) {
    for (int32_t i = 0; i < n; i++) { column_unref(columns[i]); }
}

static sabot_status records_decode(struct source *source, int32_t n, struct item *item, struct sabot_error *err) {
    struct reading *reading = &source->reading;
    const int32_t n_columns = source->context.table->schema->n_fields;
    const struct records records = {
        .block = reading->block,
        .data = (const char *)reading->block->data + reading->at,
        .offsets = reading->offsets,
        .n = n,
        .are_lines = true,
    };
    struct column **columns = reading->columns;
    memset(columns, 0, (size_t)n_columns * sizeof *columns);
    struct decode_errors errors = {0};
    sabot_status status = source->table.format->decode(reading->decoder, &records, columns, &errors, err);
    if (status == SABOT_OK) { status = malformed_keep(&records, &errors, reading->at_offset, item, err); }
    if (status == SABOT_OK) { status = batch_make(source, columns, n, &errors, item, err); }
    decode_errors_clear(&errors);
    columns_clear(columns, n_columns);
    if (status != SABOT_OK) { return status; }
    item->bytes = reading->offsets[n];
    block_use(reading, reading->offsets[n]);
    item->place = (struct place){.kind = PLACE_BYTES, .offset = reading->at_offset};
    return SABOT_OK;
}

/* The next records of the open split; item->place is PLACE_DONE at its end. */
static sabot_status records_next(struct source *source, struct item *item, struct sabot_error *err) {
    struct reading *reading = &source->reading;
    const struct split *split = reading->split;
    for (;;) {
        if (!source->is_pipe && !reading->stream_ended && reading->end - reading->at < BLOCK_BYTES / 2) {
            SABOT_TRY(block_fill(source, err));
        }
        if (reading->skip_header) {
            const int32_t n = cut_records(source, 1);
            if (n > 0) { block_use(reading, reading->offsets[1]); }
            reading->skip_header = n == 0 && !reading->stream_ended;
            if (reading->skip_header) {
                SABOT_TRY(block_fill(source, err));
                continue;
            }
        }
        const int32_t cut = reading->at_offset >= split->end ? 0 : cut_records(source, source->context.batch_rows);
        const int32_t n = records_within(source, cut); /* those that begin behind the end are the next range's */
        if (n > 0) { return records_decode(source, n, item, err); }
        if (cut > 0 || reading->stream_ended || reading->at_offset >= split->end) {
            item->place = (struct place){.kind = PLACE_DONE};
            return SABOT_OK;
        }
        SABOT_TRY(block_fill(source, err));
    }
}

static sabot_status columnar_item(struct source *source, struct item *item, struct sabot_error *err) {
    struct reading *reading = &source->reading;
    const int32_t n_columns = source->context.table->schema->n_fields;
    struct column **columns = reading->columns;
    memset(columns, 0, (size_t)n_columns * sizeof *columns);
    int32_t rows = 0;
    sabot_status status = columnar_next(reading->columnar, columns, &rows, err);
    if (status == SABOT_OK && rows > 0) { status = batch_make(source, columns, rows, NULL, item, err); }
    columns_clear(columns, n_columns);
    if (status != SABOT_OK) {
        error_context(err, "%s", reading->split->path);
        return status;
    }
    item->place = rows > 0 ? (struct place){.kind = PLACE_GROUPS, .groups = columnar_position(reading->columnar)}
                           : (struct place){.kind = PLACE_DONE};
    return SABOT_OK;
}

/* The next split to read: the ones that a checkpoint left half read come in their place. Under the mutex. */
static struct split *split_next(struct source *source) {
    while (source->next_split < source->n_splits) {
        struct split *split = source->splits[source->next_split++];
        if (split->resume.kind != PLACE_DONE) { return split; }
    }
    return NULL;
}

enum made { MADE_ITEM, MADE_NOTHING_YET, MADE_END };

static sabot_status item_make(struct source *source, struct item *item, enum made *made, struct sabot_error *err) {
    struct reading *reading = &source->reading;
    const int64_t now = env_now_ns(source->context.env);
    *made = MADE_ITEM;
    if (!reading->split) {
        env_mutex_lock(source->mutex);
        struct split *split = split_next(source);
        env_mutex_unlock(source->mutex);
        if (!split && reading->next_discovery_ns <= now) {
            SABOT_TRY(discover(source, err));
            reading->next_discovery_ns = source->watching ? now + source->interval_ns : INT64_MAX;
            env_mutex_lock(source->mutex);
            split = split_next(source);
            env_mutex_unlock(source->mutex);
        }
        if (!split) {
            *made = source->watching ? MADE_NOTHING_YET : MADE_END;
            return SABOT_OK;
        }
        SABOT_TRY(split_open(source, split, err));
    }
    item->split = reading->split;
    SABOT_TRY(source->table.kind == FILE_RECORDS ? records_next(source, item, err) : columnar_item(source, item, err));
    if (item->place.kind == PLACE_DONE) { split_close(reading); }
    return SABOT_OK;
}

static void job_run(void *arg) {
    struct source *source = arg;
    for (;;) {
        env_mutex_lock(source->mutex);
        const bool stop = source->closing || source->failed != SABOT_OK || source->all_read ||
                          source->ring_count == RING || source->wait_until_ns > env_now_ns(source->context.env);
        if (stop) {
            source->running = false;
            if (!source->closing) { source->context.wake(source->context.wake_arg); }
            env_event_set(source->idle);
            env_mutex_unlock(source->mutex);
            return;
        }
        env_mutex_unlock(source->mutex);
        struct item item = {0};
        struct sabot_error err = {0};
        enum made made;
        const sabot_status status = item_make(source, &item, &made, &err);
        env_mutex_lock(source->mutex);
        if (status != SABOT_OK) {
            item_clear(&item);
            source->failed = status;
            source->failure = err;
        } else if (made == MADE_ITEM) {
            source->ring[(source->ring_first + source->ring_count++) % RING] = item;
        } else if (made == MADE_END) {
            source->all_read = true;
        } else {
            source->wait_until_ns = source->reading.next_discovery_ns;
        }
        const bool first = source->ring_count == 1;
        env_mutex_unlock(source->mutex);
        if (first) { source->context.wake(source->context.wake_arg); }
    }
}

/* --- the caller's side */

static sabot_status job_start_if_needed(struct source *source, struct sabot_error *err) {
    env_mutex_lock(source->mutex);
    const bool start = !source->running && !source->all_read && source->failed == SABOT_OK &&
                       source->ring_count <= RING / 2 && source->wait_until_ns <= env_now_ns(source->context.env);
    if (start) { source->running = true; }
    env_mutex_unlock(source->mutex);
    if (!start) { return SABOT_OK; }
    const sabot_status status = env_offload(source->context.env, job_run, source, err);
    if (status != SABOT_OK) {
        env_mutex_lock(source->mutex);
        source->running = false;
        env_mutex_unlock(source->mutex);
    }
    return status;
}

static sabot_status malformed_tell(struct source *source, const struct item *item, struct sabot_error *err) {
    for (int32_t i = 0; i < item->n_malformed; i++) {
        const struct malformed *bad = &item->malformed[i];
        if (bad->tolerated || !source->context.malformed) {
            if (source->context.metrics) { metric_add(&source->context.metrics->rows_malformed, 1); }
            continue;
        }
        char place[320];
        snprintf(place, sizeof place, "%.280s@%lld", item->split->path, (long long)bad->offset);
        SABOT_TRY(
            source->context.malformed(source->context.malformed_arg, place, bad->reason, bad->data, bad->size, err));
    }
    return SABOT_OK;
}

static sabot_status file_poll(struct source *source, enum source_state *state, struct source_result *result,
                              struct sabot_error *err) {
    *state = SOURCE_WAIT;
    *result = (struct source_result){.wake_at_ns = INT64_MAX};
    for (;;) {
        SABOT_TRY(job_start_if_needed(source, err));
        struct item item = {0};
        sabot_status failed = SABOT_OK;
        bool ended = false;
        env_mutex_lock(source->mutex);
        if (source->ring_count > 0) {
            if (!source->ring[source->ring_first].split->paused) {
                item = source->ring[source->ring_first];
                source->ring_first = (source->ring_first + 1) % RING;
                source->ring_count--;
                if (!item.split->started) { failed = split_start(source, item.split, err); }
            }
        } else if (source->failed != SABOT_OK) {
            failed = source->failed;
            if (err && err->status == SABOT_OK) { *err = source->failure; }
        } else {
            ended = source->all_read && !source->running;
            if (!source->running && source->wait_until_ns > 0) { result->wake_at_ns = source->wait_until_ns; }
        }
        env_mutex_unlock(source->mutex);
        if (failed == SABOT_OK && item.split) { failed = malformed_tell(source, &item, err); }
        if (failed != SABOT_OK) {
            item_clear(&item);
            return failed;
        }
        if (!item.split) {
            *state = ended ? SOURCE_END : SOURCE_WAIT;
            return SABOT_OK;
        }
        item.split->place = item.place;
        if (item.place.kind == PLACE_DONE) { item.split->finished = true; }
        if (source->context.metrics) { metric_add(&source->context.metrics->bytes_in, item.bytes); }
        result->batch = item.batch;
        result->split = item.split->index;
        item.batch = NULL;
        item_clear(&item);
        if (result->batch && result->batch->selected > 0) {
            *state = SOURCE_BATCH;
            failed = job_start_if_needed(source, err);
            if (failed == SABOT_OK) { return SABOT_OK; }
        }
        batch_unref(result->batch);
        result->batch = NULL;
        if (failed != SABOT_OK) { return failed; }
    }
}

static void file_close(struct source *source) {
    if (!source) { return; }
    if (source->mutex) {
        env_mutex_lock(source->mutex);
        source->closing = true;
        bool running = source->running;
        env_mutex_unlock(source->mutex);
        /* A read from a pipe can't be interrupted, and may wait for ever: it keeps what it needs (block_fill does
         * nothing more when it comes back), and the job need not wait for it. */
        if (running && source->is_pipe) { return; }
        while (running) {
            env_event_wait(source->idle, -1);
            env_mutex_lock(source->mutex);
            running = source->running;
            env_mutex_unlock(source->mutex);
        }
        env_mutex_free(source->mutex);
    }
    if (source->idle) { env_event_free(source->idle); }
    split_close(&source->reading);
    columnar_close(source->reading.columnar);
    free(source->reading.seen);
    free(source->reading.columns);
    if (source->reading.decoder) { source->table.format->decoder_free(source->reading.decoder); }
    free(source->reading.offsets);
    store_free(source->store);
    for (; source->ring_count > 0; source->ring_count--) {
        item_clear(&source->ring[source->ring_first]);
        source->ring_first = (source->ring_first + 1) % RING;
    }
    for (int32_t i = 0; i < source->n_splits; i++) { split_free(source->splits[i]); }
    free(source->splits);
    free(source->started);
    free(source->known);
    if (source->has_pattern) { regfree(&source->pattern); }
    free(source);
}

static sabot_status source_fill(struct source *source, struct sabot_error *err) {
    const struct connector_table *table = source->context.table;
    SABOT_TRY(file_table_read(table, &source->table, err));
    SABOT_TRY(file_store_open(&source->context, &source->store, err));
    source->context.store = source->store;
    source->is_pipe = strcmp(source->table.path, "-") == 0;
    source->compression = option_text(table, file_options, "compression");
    SABOT_TRY(option_size(table, file_options, "source.split-size", &source->split_bytes, err));
    if (source->split_bytes < 1) { source->split_bytes = 1; }
    if (option_text(table, file_options, "source.monitor-interval") && !source->is_pipe) {
        source->watching = true;
        SABOT_TRY(option_duration(table, file_options, "source.monitor-interval", &source->interval_ns, err));
    }
    const char *pattern = option_text(table, file_options, "source.path.regex-pattern");
    if (pattern) {
        char whole[1024], reason[128];
        snprintf(whole, sizeof whole, "^(%s)$", pattern);
        const int problem = regcomp(&source->pattern, whole, REG_EXTENDED | REG_NOSUB);
        if (problem) {
            regerror(problem, &source->pattern, reason, sizeof reason);
            return SABOT_FAIL(err, SABOT_ERR_PLAN, "table \"%s\", option 'source.path.regex-pattern': \"%s\": %s",
                              table->name, pattern, reason);
        }
        source->has_pattern = true;
    }
    if (source->context.batch_rows < 1 || source->context.batch_rows > BATCH_ROWS_MAX) {
        source->context.batch_rows = BATCH_ROWS_DEFAULT;
    }
    source->reading.offsets = malloc(((size_t)source->context.batch_rows + 1) * sizeof(int64_t));
    source->mutex = env_mutex_new(source->context.env);
    source->idle = env_event_new(source->context.env);
    source->reading.columns = calloc((size_t)table->schema->n_fields + 1, sizeof *source->reading.columns);
    if (!source->reading.offsets || !source->reading.columns) { return no_memory(err); }
    if (source->context.parallelism < 1) { source->context.parallelism = 1; }
    /* what is wrong with the format's options is told now, not when the first file is opened */
    if (source->table.kind == FILE_RECORDS) {
        SABOT_TRY(source->table.format->decoder_new(&source->context, &source->reading.decoder, err));
    }
    struct env_stat stat;
    const bool wild = strpbrk(source->table.path, "*?[") != NULL;
    if (!source->is_pipe && !wild) { SABOT_TRY(store_stat(source->context.store, source->table.path, &stat, err)); }
    return SABOT_OK;
}

static sabot_status file_open(const struct connector_context *context, struct source **out, struct sabot_error *err) {
    *out = NULL;
    struct source *source = calloc(1, sizeof *source);
    if (!source) { return no_memory(err); }
    source->context = *context;
    const sabot_status status = source_fill(source, err);
    if (status != SABOT_OK) {
        file_close(source);
        return status;
    }
    *out = source;
    return SABOT_OK;
}

static sabot_status file_restore(struct source *source, struct batch *positions, struct sabot_error *err) {
    if (!positions || positions->selected == 0) { return SABOT_OK; }
    source->known = calloc((size_t)positions->selected, sizeof *source->known);
    if (!source->known) { return no_memory(err); }
    for (int32_t i = 0; i < positions->selected; i++) {
        const struct split_position at = split_position_at(positions, i);
        struct known *known = &source->known[source->n_known];
        if (at.id_size >= sizeof known->id || !place_parse(at.bytes, at.size, &known->place, &known->cut_bytes)) {
            return SABOT_FAIL(err, SABOT_ERR_STATE, "table \"%s\": the checkpoint's position of %.*s can't be read: "
                              "\"%.*s\"", source->context.table->name, (int)at.id_size, at.id,
                              (int)(at.size < 96 ? at.size : 96), at.bytes);
        }
        memcpy(known->id, at.id, at.id_size);
        source->n_known++;
    }
    qsort(source->known, (size_t)source->n_known, sizeof *source->known, known_compare);
    /* now, not in the job: the next checkpoint may come before it, and must tell of these splits again */
    SABOT_TRY(discover(source, err));
    source->reading.next_discovery_ns =
        source->watching ? env_now_ns(source->context.env) + source->interval_ns : INT64_MAX;
    return known_check(source, err);
}

static int32_t file_n_splits(const struct source *source) {
    env_mutex_lock(source->mutex);
    const int32_t n = source->n_started;
    env_mutex_unlock(source->mutex);
    return n;
}

static void file_split_at(const struct source *source, int32_t i, struct source_split *out) {
    env_mutex_lock(source->mutex);
    const struct split *split = source->started[i];
    memcpy(out->id, split->id, sizeof out->id);
    out->finished = split->finished;
    env_mutex_unlock(source->mutex);
}

static void file_pause(struct source *source, int32_t i, bool paused) {
    env_mutex_lock(source->mutex);
    source->started[i]->paused = paused;
    env_mutex_unlock(source->mutex);
}

static sabot_status file_position(struct source *source, int32_t i, struct text *position, struct sabot_error *err) {
    env_mutex_lock(source->mutex);
    const struct place place = source->started[i]->place;
    const int64_t cut_bytes = source->started[i]->cut_bytes;
    env_mutex_unlock(source->mutex);
    place_print(&place, cut_bytes, position);
    return position->failed ? no_memory(err) : SABOT_OK;
}

static sabot_status file_on_complete(struct source *source, int64_t checkpoint_id, struct sabot_error *err) {
    (void)source, (void)checkpoint_id, (void)err;
    return SABOT_OK;
}

static bool file_is_bounded(const struct connector_table *table) {
    const char *path = option_text(table, file_options, "path");
    return !option_text(table, file_options, "source.monitor-interval") || (path && strcmp(path, "-") == 0);
}

static bool file_metadata_type(const char *key, struct type *out) {
    if (strcmp(key, "file.path") == 0 || strcmp(key, "file.name") == 0) {
        *out = type_not_null(type_of(TYPE_STRING));
    } else if (strcmp(key, "file.size") == 0) {
        *out = type_not_null(type_of(TYPE_INT64));
    } else if (strcmp(key, "file.modification-time") == 0) {
        *out = type_timestamp(3);
        out->kind = TYPE_TIMESTAMP_LTZ;
        out->nullable = false;
    } else {
        return false;
    }
    return true;
}

const struct source_type file_source = {
    .name = "filesystem",
    .summary = "files, folders and patterns: json, csv, raw, parquet, arrow; plain, gzip, zstd, lz4",
    .options = file_options,
    .is_bounded = file_is_bounded,
    .metadata_type = file_metadata_type,
    .takes_format = true,
    .nested_projection = true,
    .open = file_open,
    .restore = file_restore,
    .poll = file_poll,
    .n_splits = file_n_splits,
    .split = file_split_at,
    .pause = file_pause,
    .position = file_position,
    .on_complete = file_on_complete,
    .close = file_close,
};
