/* Tonbo below key-value state against a plain model: random batches, gets, scans, rewrites, checkpoints and restores;
 * a killed writer, a flush that fails, a folder that is in use. Its library is not built by default, so without the
 * argument `tonbo` (tests/tonbo) only what it says then is looked at. `tonbo_test tonbo SEED` runs a seed again. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/env_local.h"
#include "state/tonbo.h"
#include "tests/util/random.h"

#define KEYS 400
#define SEEDS 12
#define STEPS 60
#define KEY_SIZE_MAX 200
#define VALUE_SIZE_MAX 70000

struct model {
    bool there[KEYS];
    uint64_t values[KEYS]; /* numbers that decide the bytes */
};

static struct memory_pool pool;
static uint64_t random_state, only_seed;
static int64_t n_flushes, n_compactions, n_spared;
static char base[256];

static uint64_t next_random(void) { return xorshift64(&random_state); }
static int32_t below(int32_t n) { return (int32_t)(next_random() % (uint64_t)n); }

#define MUST(call)                                                                                                     \
    do {                                                                                                               \
        struct sabot_error err = {0};                                                                                  \
        if ((call) != SABOT_OK) { fail_msg("%s: %s", #call, err.message); }                                            \
    } while (0)

static void path_of(char *out, size_t size, const char *name) { snprintf(out, size, "%s/%s", base, name); }

/* --- keys and values from small numbers */
/* In the order of the numbers. A third of them are long and differ behind 64 bytes only: there statistics end. */
static struct kv_span key_of(int32_t id, char room[KEY_SIZE_MAX]) {
    const size_t prefix = id % KEYS < KEYS / 3 ? 0 : id % KEYS < 2 * KEYS / 3 ? 90 : 3;
    room[0] = (char)(prefix == 0 ? 'a' : prefix == 90 ? 'm' : 0xff);
    memset(room + 1, prefix == 90 ? 'x' : 0, prefix);
    const int size = snprintf(room + 1 + prefix, 8, "%05d", id);
    return (struct kv_span){room, 1 + prefix + (size_t)size};
}

static struct kv_span value_of(uint64_t id, char *room) {
    const size_t size = id % 50 == 7 ? VALUE_SIZE_MAX : id % 90;
    for (size_t i = 0; i < size; i++) { room[i] = (char)(id * 31 + i); }
    return (struct kv_span){room, size};
}

static void value_is(struct kv_span value, uint64_t id) {
    static char room[VALUE_SIZE_MAX];
    const struct kv_span want = value_of(id, room);
    assert_int_equal(value.size, want.size);
    assert_memory_equal(value.data, want.data, want.size);
}

/* --- what is done to a store */
static sabot_status store_open(struct tonbo **out, const char *path, const char *from, struct sabot_error *err) {
    return tonbo_open(&(struct tonbo_options){.env = env_real(), .pool = &pool, .path = path, .from = from,
                                              .seal_batches = 1 + below(4), .compact_files = 2 + below(5)}, out, err);
}

static void change(struct tonbo *tonbo, struct model *model) {
    struct kv_below *store = tonbo_below(tonbo);
    static char value[VALUE_SIZE_MAX];
    char key[KEY_SIZE_MAX];
    bool changed[KEYS] = {0};
    const int32_t n = 1 + below(below(4) ? 30 : KEYS);
    const bool thrown_away = below(10) == 0;
    for (int32_t i = 0; i < n; i++) {
        const int32_t id = below(KEYS);
        if (changed[id]) { continue; }
        changed[id] = true;
        const uint64_t number = next_random() % 100000;
        const bool is_delete = below(3) == 0;
        if (is_delete) {
            MUST(store->type->erase(store, key_of(id, key), &err));
        } else {
            MUST(store->type->put(store, key_of(id, key), value_of(number, value), &err));
        }
        if (thrown_away) { continue; }
        model->there[id] = !is_delete;
        model->values[id] = number;
    }
    if (thrown_away) {
        store->type->discard(store);
    } else {
        MUST(store->type->commit(store, &err));
    }
}

struct got {
    const struct model *model;
    const int32_t *ids;
    int32_t n;
};
static sabot_status expect_got(void *arg, int32_t i, struct kv_span value, struct sabot_error *err) {
    struct got *got = arg;
    (void)err;
    const int32_t id = got->ids[i];
    assert_int_equal(value.data != NULL, got->model->there[id]);
    if (value.data) { value_is(value, got->model->values[id]); }
    got->n++;
    return SABOT_OK;
}

static void check_gets(struct tonbo *tonbo, const struct model *model) {
    static char rooms[64][KEY_SIZE_MAX];
    struct kv_span keys[64];
    int32_t ids[64];
    const int32_t n = below(3) ? 1 + below(64) : 1;
    for (int32_t i = 0; i < n; i++) { keys[i] = key_of(ids[i] = below(KEYS), rooms[i]); }
    struct got got = {model, ids, 0};
    struct kv_below *store = tonbo_below(tonbo);
    MUST(store->type->get(store, keys, n, expect_got, &got, &err));
    assert_int_equal(got.n, n);
}

struct walk {
    const struct model *model;
    int32_t next, stop_after; /* stop_after: entries; -1 = never */
};
static int32_t next_there(const struct model *model, int32_t from) {
    while (from < KEYS && !model->there[from]) { from++; }
    return from;
}
static sabot_status expect_seen(void *arg, struct kv_span key, struct kv_span value, bool *more,
                                struct sabot_error *err) {
    struct walk *walk = arg;
    char room[KEY_SIZE_MAX];
    (void)err;
    walk->next = next_there(walk->model, walk->next);
    assert_true(walk->next < KEYS);
    const struct kv_span want = key_of(walk->next, room);
    assert_int_equal(key.size, want.size);
    assert_memory_equal(key.data, want.data, want.size);
    value_is(value, walk->model->values[walk->next++]);
    *more = walk->stop_after < 0 || --walk->stop_after > 0;
    return SABOT_OK;
}

static void check_scan(struct tonbo *tonbo, const struct model *model) {
    char from_room[KEY_SIZE_MAX], to_room[KEY_SIZE_MAX];
    const int32_t a = below(KEYS), b = below(KEYS), first = below(3) ? (a < b ? a : b) : 0;
    const int32_t last = below(3) ? (a < b ? b : a) : KEYS;
    struct walk walk = {model, first, below(4) ? -1 : 1 + below(20)};
    const struct kv_span none = {0};
    struct kv_below *store = tonbo_below(tonbo);
    MUST(store->type->scan(store, first ? key_of(first, from_room) : none, last < KEYS ? key_of(last, to_room) : none,
                           expect_seen, &walk, &err));
    if (walk.stop_after == 0) { return; }
    walk.next = next_there(model, walk.next);
    assert_true(walk.next >= last);
}

static void check_all(struct tonbo *tonbo, const struct model *model) {
    struct walk walk = {model, 0, -1};
    const struct kv_span none = {0};
    struct kv_below *store = tonbo_below(tonbo);
    MUST(store->type->scan(store, none, none, expect_seen, &walk, &err));
    assert_int_equal(next_there(model, walk.next), KEYS);
}

/* A copy is a store of its own: what is changed in either is not seen in the other. */
static void branch(struct tonbo **tonbo, struct model *model) {
    char copy[300], path[300];
    struct model before = *model;
    path_of(copy, sizeof copy, "copy");
    MUST(tonbo_checkpoint(*tonbo, copy, &err));
    assert_int_equal(tonbo_checkpoint(*tonbo, copy, NULL), SABOT_ERR_IO); /* it is there already */
    change(*tonbo, model);
    struct tonbo *other;
    path_of(path, sizeof path, "other");
    MUST(store_open(&other, path, copy, &err));
    check_all(other, &before);
    change(other, &before);
    check_all(other, &before);
    check_all(*tonbo, model);
    if (below(2)) { /* go on with the copy */
        struct tonbo *const kept = *tonbo;
        *tonbo = other;
        other = kept;
        *model = before;
    }
    tonbo_close(other);
    env_remove_tree(env_real(), copy, NULL);
}

static void run(uint64_t seed) {
    struct tonbo *tonbo;
    struct model model = {0};
    char path[300], name[32];
    random_state = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
    snprintf(name, sizeof name, "store-%llu", (unsigned long long)seed);
    path_of(path, sizeof path, name);
    print_message("seed %llu\n", (unsigned long long)seed);
    MUST(store_open(&tonbo, path, NULL, &err));
    bool has_branched = false;
    for (int32_t i = 0; i < STEPS; i++) {
        switch (below(12)) {
        case 0:
        case 1:
        case 2:
        case 3: change(tonbo, &model); break;
        case 4:
        case 5:
        case 6: check_gets(tonbo, &model); break;
        case 7:
        case 8:
        case 9: check_scan(tonbo, &model); break;
        case 10: MUST(below(3) ? SABOT_OK : tonbo_compact(tonbo, &err)); break;
        default:
            /* the folder of the one before is given back first: a store is where it was opened */
            if (!has_branched) { branch(&tonbo, &model); }
            has_branched = true;
            break;
        }
    }
    check_all(tonbo, &model);
    struct tonbo_stats stats;
    tonbo_stats(tonbo, &stats);
    n_flushes += stats.flushes;
    n_compactions += stats.compactions;
    n_spared += stats.gets_spared;
    tonbo_close(tonbo);
    env_remove_tree(env_real(), path, NULL);
    path_of(path, sizeof path, "other");
    env_remove_tree(env_real(), path, NULL);
}

static void a_store_of_tonbo_is_what_the_model_is(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        if (!only_seed || seed == only_seed) { run(seed); }
    }
    print_message("%lld flushes, %lld times all rewritten, %lld keys known to be absent\n", (long long)n_flushes,
                  (long long)n_compactions, (long long)n_spared);
    assert_true(only_seed || (n_flushes > SEEDS && n_compactions > SEEDS && n_spared > SEEDS));
    assert_int_equal(pool.used, 0);
}

static sabot_status note_found(void *arg, int32_t i, struct kv_span value, struct sabot_error *err) {
    (void)i;
    (void)err;
    *(bool *)arg = value.data != NULL;
    return SABOT_OK;
}

static void large_batches_become_files_that_are_read_right(void **state) {
    (void)state;
    struct tonbo *tonbo;
    char path[300], key[32];
    path_of(path, sizeof path, "large");
    random_state = 77;
    MUST(tonbo_open(&(struct tonbo_options){.env = env_real(), .pool = &pool, .path = path}, &tonbo, &err));
    struct kv_below *store = tonbo_below(tonbo);
    for (int32_t i = 0; i < 150000; i++) { /* more than two parts of a batch */
        const int size = snprintf(key, sizeof key, "%09d", (int32_t)((int64_t)i * 7919 % 150001));
        MUST(store->type->put(store, (struct kv_span){key, (size_t)size}, (struct kv_span){key, 4}, &err));
    }
    MUST(store->type->commit(store, &err));
    MUST(tonbo_compact(tonbo, &err));
    for (int32_t i = 0; i < 20; i++) {
        const int32_t id = below(150001);
        const int size = snprintf(key, sizeof key, "%09d", id);
        const struct kv_span keys[] = {{key, (size_t)size}};
        bool found = false;
        MUST(store->type->get(store, keys, 1, note_found, &found, &err));
        /* 0..149999 times 7919 modulo the prime 150001 leaves out one number */
        assert_true(found || id == (int32_t)(INT64_C(150000) * 7919 % 150001));
    }
    tonbo_close(tonbo);
}

static bool begins_with_x(void *arg, const void *key, size_t key_size, const void *value, size_t value_size) {
    (void)arg;
    (void)key;
    (void)key_size;
    return value_size > 0 && *(const char *)value == 'x';
}

static void a_rewrite_drops_what_is_expired_and_nothing_else(void **state) {
    (void)state;
    struct tonbo *tonbo;
    char path[300];
    path_of(path, sizeof path, "expired");
    MUST(tonbo_open(&(struct tonbo_options){.env = env_real(), .pool = &pool, .path = path, .expired = begins_with_x},
                    &tonbo, &err));
    struct kv_below *store = tonbo_below(tonbo);
    MUST(store->type->put(store, (struct kv_span){"a", 1}, (struct kv_span){"x1", 2}, &err));
    MUST(store->type->put(store, (struct kv_span){"b", 1}, (struct kv_span){"y1", 2}, &err));
    MUST(store->type->put(store, (struct kv_span){"c", 1}, (struct kv_span){"", 0}, &err));
    MUST(store->type->commit(store, &err));
    for (int32_t round = 0; round < 2; round++) {
        static const char keys[] = "abc";
        for (int32_t i = 0; i < 3; i++) {
            const struct kv_span key = {keys + i, 1};
            bool found = false;
            MUST(store->type->get(store, &key, 1, note_found, &found, &err));
            assert_int_equal(found, round == 0 || i > 0);
        }
        MUST(tonbo_compact(tonbo, &err));
    }
    tonbo_close(tonbo);
}

static void what_is_too_large_is_refused_before_anything_is_written(void **state) {
    (void)state;
    struct tonbo *tonbo;
    struct sabot_error why = {0};
    char path[300];
    const size_t size = (size_t)1 << 20;
    char *bytes = calloc(1, size + 1);
    path_of(path, sizeof path, "too-large");
    MUST(store_open(&tonbo, path, NULL, &err));
    struct kv_below *store = tonbo_below(tonbo);
    const struct kv_span small = {"k", 1}, large = {bytes, size}, larger = {bytes, size + 1};
    assert_int_equal(store->type->put(store, small, larger, &why), SABOT_ERR_UNSUPPORTED);
    assert_non_null(strstr(why.message, "up to 1 MiB"));
    assert_int_equal(store->type->put(store, larger, small, NULL), SABOT_ERR_UNSUPPORTED);
    MUST(store->type->put(store, large, large, &err));
    MUST(store->type->commit(store, &err));
    bool found = false;
    MUST(store->type->get(store, &large, 1, note_found, &found, &err));
    assert_true(found);
    tonbo_close(tonbo);
    free(bytes);
}

/* --- what goes wrong around it */
static void a_folder_is_one_store_s(void **state) {
    (void)state;
    struct tonbo *tonbo, *second;
    struct sabot_error why = {0};
    char path[300];
    path_of(path, sizeof path, "mine");
    MUST(store_open(&tonbo, path, NULL, &err));
    struct model model = {0};
    change(tonbo, &model);
    assert_int_equal(store_open(&second, path, NULL, &why), SABOT_ERR_STATE);
    assert_non_null(strstr(why.message, "used by another"));
    check_all(tonbo, &model); /* untouched */
    tonbo_close(tonbo);
    MUST(store_open(&second, path, NULL, &err));
    check_all(second, &(struct model){0});
    tonbo_close(second);
}

static void a_flush_that_fails_is_noticed(void **state) {
    (void)state;
    struct tonbo *tonbo;
    struct sabot_error why = {0};
    struct model model = {0};
    char path[300], sst[400];
    path_of(path, sizeof path, "broken");
    MUST(tonbo_open(&(struct tonbo_options){.env = env_real(), .pool = &pool, .path = path, .seal_batches = 1}, &tonbo,
                    &err));
    struct kv_below *store = tonbo_below(tonbo);
    change(tonbo, &model);
    /* no folder for files any more, as where a disk has gone */
    snprintf(sst, sizeof sst, "%s/table-1/sst", path);
    assert_int_equal(env_remove_tree(env_real(), sst, NULL), SABOT_OK);
    FILE *file = fopen(sst, "w");
    fclose(file);
    char key[KEY_SIZE_MAX];
    MUST(store->type->put(store, key_of(1, key), (struct kv_span){"v", 1}, &err));
    assert_int_equal(store->type->commit(store, &why), SABOT_ERR_IO);
    assert_non_null(strstr(why.message, "a flush failed"));
    why = (struct sabot_error){0};
    MUST(store->type->put(store, key_of(2, key), (struct kv_span){"v", 1}, &err));
    assert_int_equal(store->type->commit(store, &why), SABOT_ERR_STATE);
    assert_non_null(strstr(why.message, "not whole any more"));
    tonbo_close(tonbo);
}

/* A process that writes and takes checkpoints until it is killed, in its own time. */
static void write_until_killed(int out) {
    struct tonbo *tonbo;
    struct model model = {0};
    char path[300], copy[400];
    path_of(path, sizeof path, "killed");
    random_state = 99;
    if (store_open(&tonbo, path, NULL, NULL) != SABOT_OK) { _exit(1); }
    for (int32_t i = 0;; i++) {
        change(tonbo, &model);
        snprintf(copy, sizeof copy, "%s/killed-copy-%d", base, i);
        if (tonbo_checkpoint(tonbo, copy, NULL) != SABOT_OK) { _exit(2); }
        if (write(out, &model, sizeof model) != sizeof model) { _exit(3); }
    }
}

static void a_checkpoint_outlives_a_kill(void **state) {
    (void)state;
    int pipes[2];
    assert_int_equal(pipe(pipes), 0);
    const pid_t child = fork();
    if (child == 0) { write_until_killed(pipes[1]); }
    assert_true(child > 0);
    close(pipes[1]);
    struct model model;
    int32_t n = 0;
    for (; n < 5; n++) {
        size_t got = 0;
        while (got < sizeof model) {
            const ssize_t more = read(pipes[0], (char *)&model + got, sizeof model - got);
            if (more <= 0) { fail_msg("the writer ended after %d checkpoints", n); }
            got += (size_t)more;
        }
    }
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    close(pipes[0]);
    char path[300], copy[400];
    path_of(path, sizeof path, "killed");
    snprintf(copy, sizeof copy, "%s/killed-copy-%d", base, n - 1);
    struct tonbo *tonbo;
    MUST(store_open(&tonbo, path, copy, &err)); /* over what the killed one left, with its locks */
    check_all(tonbo, &model);
    change(tonbo, &model);
    MUST(tonbo_compact(tonbo, &err));
    check_all(tonbo, &model);
    tonbo_close(tonbo);
}

static void without_its_library_it_says_what_to_do(void **state) {
    (void)state;
    struct tonbo *tonbo;
    struct sabot_error why = {0};
    char path[300];
    path_of(path, sizeof path, "maybe");
    if (store_open(&tonbo, path, NULL, &why) == SABOT_OK) {
        tonbo_close(tonbo);
    } else {
        assert_int_equal(why.status, SABOT_ERR_UNSUPPORTED);
        assert_non_null(strstr(why.message, "`make tonbo`"));
        assert_non_null(strstr(why.message, "'state.backend.type' = 'rocksdb'"));
    }
    assert_int_equal(pool.used, 0);
}

int main(int argc, char **argv) {
    const char *tmp = getenv("TMPDIR");
    struct env_stat found;
    const bool shm = env_stat(env_real(), "/dev/shm", &found, NULL) == SABOT_OK;
    snprintf(base, sizeof base, "%s/sabot-tonbo-%lld", shm ? "/dev/shm" : tmp ? tmp : "/tmp",
             (long long)env_now_ns(env_real()));
    memory_pool_init(&pool, "test", NULL, INT64_MAX);
    only_seed = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    random_state = 1;
    const struct CMUnitTest always[] = {cmocka_unit_test(without_its_library_it_says_what_to_do)};
    const struct CMUnitTest all[] = {
        cmocka_unit_test(a_checkpoint_outlives_a_kill), /* forks: before there are threads */
        cmocka_unit_test(a_store_of_tonbo_is_what_the_model_is),
        cmocka_unit_test(large_batches_become_files_that_are_read_right),
        cmocka_unit_test(a_rewrite_drops_what_is_expired_and_nothing_else),
        cmocka_unit_test(what_is_too_large_is_refused_before_anything_is_written),
        cmocka_unit_test(a_folder_is_one_store_s),
        cmocka_unit_test(a_flush_that_fails_is_noticed),
    };
    const int failed = argc > 1 ? cmocka_run_group_tests(all, NULL, NULL) : cmocka_run_group_tests(always, NULL, NULL);
    env_remove_tree(env_real(), base, NULL);
    return failed;
}
