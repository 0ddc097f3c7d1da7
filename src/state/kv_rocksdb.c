/* RocksDB below key-value state: a column family of it. */
#include <stdlib.h>

#include "state/kv_below.h"
#include "state/rocks.h"

static struct kv_rocksdb_below *rocksdb_of(struct kv_below *below) { return (struct kv_rocksdb_below *)below; }
static struct rocks_span span_of(struct kv_span span) { return (struct rocks_span){span.data, span.size}; }

static sabot_status rocksdb_put(struct kv_below *below, struct kv_span key, struct kv_span value,
                                struct sabot_error *err) {
    (void)err;
    const struct kv_rocksdb_below *self = rocksdb_of(below);
    rocks_put(self->rocks, self->family, span_of(key), span_of(value));
    return SABOT_OK;
}

static sabot_status rocksdb_erase(struct kv_below *below, struct kv_span key, struct sabot_error *err) {
    (void)err;
    const struct kv_rocksdb_below *self = rocksdb_of(below);
    rocks_delete(self->rocks, self->family, span_of(key));
    return SABOT_OK;
}

static sabot_status rocksdb_add(struct kv_below *below, struct kv_span key, int64_t delta, struct sabot_error *err) {
    (void)err;
    const struct kv_rocksdb_below *self = rocksdb_of(below);
    rocks_merge(self->rocks, self->family, span_of(key), delta);
    return SABOT_OK;
}

static sabot_status rocksdb_commit(struct kv_below *below, struct sabot_error *err) {
    return rocks_commit(rocksdb_of(below)->rocks, false, err);
}

static void rocksdb_discard(struct kv_below *below) { rocks_discard(rocksdb_of(below)->rocks); }

static sabot_status rocksdb_get(struct kv_below *below, const struct kv_span *keys, int32_t n, kv_below_got got,
                                void *arg, struct sabot_error *err) {
    const struct kv_rocksdb_below *self = rocksdb_of(below);
    for (int32_t i = 0; i < n; i++) {
        struct rocks_span found;
        SABOT_TRY(rocks_get_at(self->rocks, self->held, self->family, span_of(keys[i]), &found, err));
        SABOT_TRY(got(arg, i, (struct kv_span){found.data, found.size}, err));
    }
    return SABOT_OK;
}

static sabot_status rocksdb_scan(struct kv_below *below, struct kv_span from, struct kv_span to, kv_below_seen seen,
                                 void *arg, struct sabot_error *err) {
    const struct kv_rocksdb_below *self = rocksdb_of(below);
    struct rocks_scan *scan;
    SABOT_TRY(rocks_scan_open_at(self->rocks, self->held, self->family, span_of(from), span_of(to), &scan, err));
    struct rocks_span key, value;
    struct sabot_error failure = {0};
    sabot_status status = SABOT_OK;
    bool more = true;
    while (status == SABOT_OK && more && rocks_scan_next(scan, &key, &value, &failure)) {
        status = seen(arg, (struct kv_span){key.data, key.size}, (struct kv_span){value.data, value.size}, &more, err);
    }
    rocks_scan_close(scan);
    if (failure.status != SABOT_OK) {
        if (err && err->status == SABOT_OK) { *err = failure; }
        return failure.status;
    }
    return status;
}

static sabot_status rocksdb_hold(struct kv_below *below, struct kv_below **out, struct sabot_error *err) {
    struct kv_rocksdb_below *held = malloc(sizeof *held);
    *out = NULL;
    if (!held) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for a snapshot of state"); }
    *held = *rocksdb_of(below);
    const sabot_status status = rocks_snapshot_new(held->rocks, &held->held, err);
    if (status == SABOT_OK) {
        *out = &held->below;
    } else {
        free(held);
    }
    return status;
}

static void rocksdb_release(struct kv_below *below) {
    rocks_snapshot_free(rocksdb_of(below)->held);
    free(below);
}

static const struct kv_below_type rocksdb_below = {
    .name = "RocksDB",
    .adds = true,
    .put = rocksdb_put,
    .erase = rocksdb_erase,
    .add = rocksdb_add,
    .commit = rocksdb_commit,
    .discard = rocksdb_discard,
    .get = rocksdb_get,
    .scan = rocksdb_scan,
    .hold = rocksdb_hold,
    .release = rocksdb_release,
};

void kv_rocksdb_below_init(struct kv_rocksdb_below *out, struct rocks *rocks, int32_t family) {
    *out = (struct kv_rocksdb_below){.below.type = &rocksdb_below, .rocks = rocks, .family = family};
}
