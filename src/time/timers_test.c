/* Timers against a plain list: random registrations, deletions, firings, snapshots and restores at another parallelism,
 * in memory and with most of them in RocksDB. A seed that fails: build/tests/time.timers_test SEED. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "state/kv_hot.h"
#include "tests/util/random.h"
#include "time/timers.h"

#define MODEL_MAX 20000
#define CALLBACKS 3

struct one {
    int64_t time_ms, namespace_, key;
    int32_t domain, callback;
};

struct fixture {
    uint64_t seed;
    enum kv_type key;
    const char *backend;
    int64_t memory_max;
    struct memory_pool pool;
    struct metrics metrics;
    struct state_tables *tables;
    struct kv_store *store;
    struct timers *timers;
    char dir[200];
    struct one model[MODEL_MAX];
    int32_t n;
    int64_t until_ms[2], last_ms, fired;
    int32_t again; /* how many callbacks register another timer */
    struct one frozen[MODEL_MAX]; /* what a snapshot under way has to have, and its rows so far */
    int32_t n_frozen, n_copied;
    bool is_frozen;
};

static int32_t finished; /* snapshots that were copied to the end between other things */
static uint64_t random_state, only_seed;
static int64_t started_ns;
static uint64_t next_random(void) { return xorshift64(&random_state); }
static int64_t below(int64_t n) { return (int64_t)(next_random() % (uint64_t)n); }

#define EXPECT(what)                                                                                                   \
    do {                                                                                                               \
        if (!(what)) { fail_msg("%s: seed %llu, %s, key %d", #what, (unsigned long long)fixture->seed,                \
                                fixture->backend, fixture->key); }                                                     \
    } while (0)
#define OK(call)                                                                                                       \
    do {                                                                                                               \
        struct sabot_error err = {0};                                                                                  \
        if ((call) != SABOT_OK) { fail_msg("%s: seed %llu", err.message, (unsigned long long)fixture->seed); }         \
    } while (0)

static struct string_view text_of(int64_t key, char *room) {
    const int32_t size = snprintf(room, 64, "key number %lld%c%lld", (long long)key, 0, (long long)key % 7);
    return string_view_of(room, (uint32_t)size);
}

static int32_t find(const struct fixture *fixture, const struct one *one) {
    for (int32_t i = 0; i < fixture->n; i++) {
        if (memcmp(&fixture->model[i], one, sizeof *one) == 0) { return i; }
    }
    return -1;
}

static void set(struct fixture *fixture, const struct one *one, bool there) {
    char room[64];
    struct string_view view = text_of(one->key, room);
    const void *key = fixture->key == KV_BYTES ? (const void *)&view : &one->key;
    const enum timer_domain domain = (enum timer_domain)one->domain;
    const int32_t at = find(fixture, one);
    if (there) {
        OK(timers_register(fixture->timers, domain, one->time_ms, one->namespace_, key, one->callback, &err));
        if (at < 0) {
            EXPECT(fixture->n < MODEL_MAX);
            fixture->model[fixture->n++] = *one;
        }
    } else {
        OK(timers_delete(fixture->timers, domain, one->time_ms, one->namespace_, key, one->callback, &err));
        if (at >= 0) { fixture->model[at] = fixture->model[--fixture->n]; }
    }
}

static struct fixture *current;

static sabot_status fire(int32_t callback, enum timer_domain domain, const struct timer *timers, int32_t given,
                         int32_t *taken) {
    struct fixture *fixture = current;
    const int32_t n = *taken = 1 + (int32_t)below(given); /* the others come again, but for what is changed below */
    for (int32_t i = 0; i < n; i++) {
        struct one one;
        memset(&one, 0, sizeof one);
        one = (struct one){timers[i].time_ms, timers[i].namespace_, timers[i].key.number, (int32_t)domain, callback};
        if (fixture->key == KV_BYTES) {
            EXPECT(sscanf(string_view_data(&timers[i].key.bytes), "key number %lld", (long long *)&one.key) == 1);
            char room[64];
            const struct string_view expected = text_of(one.key, room);
            EXPECT(string_view_equal(&expected, &timers[i].key.bytes));
        }
        const int32_t at = find(fixture, &one);
        EXPECT(at >= 0);
        EXPECT(one.time_ms >= fixture->last_ms && one.time_ms <= fixture->until_ms[domain]);
        fixture->last_ms = one.time_ms;
        fixture->model[at] = fixture->model[--fixture->n];
        fixture->fired++;
    }
    /* A callback registers timers, due ones too: those fire in this call. */
    if (fixture->again > 0 && fixture->last_ms < INT64_MAX - 1000) {
        fixture->again--;
        struct one one;
        memset(&one, 0, sizeof one);
        one = (struct one){fixture->last_ms + below(100), 1, below(20), (int32_t)domain, (int32_t)below(CALLBACKS)};
        set(fixture, &one, true);
        if (fixture->n) { /* one that is perhaps due and was not taken */
            const struct one other = fixture->model[below(fixture->n)];
            set(fixture, &other, below(2) == 0);
        }
    }
    return SABOT_OK;
}
#define CALLBACK(id)                                                                                                   \
    static sabot_status fire_##id(void *arg, enum timer_domain domain, const struct timer *timers, int32_t n,          \
                                  int32_t *taken, struct sabot_error *err) {                                           \
        (void)arg;                                                                                                     \
        (void)err;                                                                                                     \
        return fire(id, domain, timers, n, taken);                                                                     \
    }
CALLBACK(0)
CALLBACK(1)
CALLBACK(2)

static void open_all(struct fixture *fixture, struct state_snapshot *snapshots, int32_t n) {
    const struct state_context context = {.pool = &fixture->pool, .metrics = &fixture->metrics, .parallelism = 1,
                                          .backend = fixture->backend, .max_parallelism = 32};
    OK(state_tables_new(&context, &fixture->tables, &err));
    for (int32_t i = 0; i < n; i++) {
        struct batch *rows = snapshots[i].rows ? batch_ref(snapshots[i].rows) : NULL;
        OK(state_tables_load(fixture->tables, snapshots[i].name, snapshots[i].kind, rows, &err));
    }
    OK(kv_store_new(&(struct kv_store_options){.env = env_real(), .tables = fixture->tables, .dir = fixture->dir,
                                               .memory_bytes = 1 << 20},
                    &fixture->store, &err));
    OK(timers_open(&(struct timers_options){.store = fixture->store, .name = "timers", .key = fixture->key,
                                            .memory_max = fixture->memory_max,
                                            .callbacks = {fire_0, fire_1, fire_2}},
                   &fixture->timers, &err));
}

static void close_all(struct fixture *fixture) {
    state_tables_free(fixture->tables);
    kv_store_free(fixture->store);
    env_remove(env_real(), fixture->dir, NULL);
}

/* A snapshot that is copied while all goes on. */
static void freeze(struct fixture *fixture) {
    OK(state_table_freeze(fixture->tables, 0, STATE_FORM_ROWS, &err));
    memcpy(fixture->frozen, fixture->model, (size_t)fixture->n * sizeof *fixture->model);
    fixture->n_frozen = fixture->n;
    fixture->n_copied = 0;
    fixture->is_frozen = true;
}

static int64_t cell(const struct batch *rows, int32_t c, int32_t i) {
    const struct column *column = rows->columns[c];
    return ((const int64_t *)column->values)[column_at(column, i)];
}

static void copied_row(struct fixture *fixture, const struct batch *rows, int32_t i) {
    enum { GROUP, NAMESPACE, KEY, CALLBACK, TIME, DOMAIN };
    struct one one;
    memset(&one, 0, sizeof one);
    one = (struct one){cell(rows, TIME, i), cell(rows, NAMESPACE, i), 0, (int32_t)cell(rows, DOMAIN, i),
                       (int32_t)cell(rows, CALLBACK, i)};
    uint64_t hash;
    if (fixture->key == KV_BYTES) {
        const struct string_view *view = &((const struct string_view *)rows->columns[KEY]->values)[i];
        EXPECT(sscanf(string_view_data(view), "key number %lld", (long long *)&one.key) == 1);
        hash = kv_key_hash(KV_BYTES, view);
    } else {
        one.key = cell(rows, KEY, i);
        hash = kv_key_hash(KV_INT64, &one.key);
    }
    EXPECT(((const int32_t *)rows->columns[GROUP]->values)[i] == key_group_of(hash, 32));
    int32_t at = 0;
    while (at < fixture->n_frozen && memcmp(&fixture->frozen[at], &one, sizeof one) != 0) { at++; }
    EXPECT(at < fixture->n_frozen); /* else it was not there, or came before */
    fixture->frozen[at] = fixture->frozen[--fixture->n_frozen];
}

static void copy_step(struct fixture *fixture, int32_t slots) {
    struct batch *rows = NULL;
    bool done = false;
    if (!fixture->is_frozen) { return; }
    OK(state_table_copy(fixture->tables, 0, slots, &rows, &done, &err));
    struct state_grouping grouping; /* as who writes the rows does */
    state_table_grouping(fixture->tables, 0, STATE_FORM_ROWS, &grouping);
    if (rows) { OK(state_grouping_fill(&grouping, &fixture->pool, rows, &err)); }
    for (int32_t i = 0; rows && i < rows->rows; i++) { copied_row(fixture, rows, i); }
    batch_unref(rows);
    if (!done) { return; }
    EXPECT(fixture->n_frozen == 0);
    fixture->is_frozen = false;
    finished++;
}

static void snapshot_and_restore(struct fixture *fixture) {
    if (fixture->is_frozen) { state_table_thaw(fixture->tables, 0); } /* a checkpoint that is given up */
    fixture->is_frozen = false;
    struct state_snapshot *snapshots;
    int32_t n;
    OK(state_tables_snapshot(fixture->tables, &snapshots, &n, &err));
    const int64_t rows = snapshots[0].rows ? snapshots[0].rows->rows : 0;
    EXPECT(rows == fixture->n); /* each once, deleted ones not */
    if (below(2)) { /* go on, or start again from it */
        close_all(fixture);
        open_all(fixture, snapshots, n);
    }
    state_snapshots_free(snapshots, n);
}

static int64_t random_time(const struct fixture *fixture, int32_t domain) {
    const int64_t now_ms = fixture->until_ms[domain];
    switch (below(6)) {
    case 0: return now_ms + below(INT64_C(1) << (1 + below(40)));
    case 1: return now_ms - below(50); /* late */
    case 2: return below(2) ? INT64_MAX - below(3) : now_ms + 10;
    default: return now_ms + below(300);
    }
}

static void fire_until(struct fixture *fixture, int32_t domain, int64_t until_ms) {
    bool more = true;
    fixture->until_ms[domain] = until_ms;
    fixture->last_ms = INT64_MIN;
    fixture->again = fixture->seed ? (int32_t)below(3) : 0;
    while (more) {
        const int64_t before = fixture->fired;
        const int32_t max = (int32_t)below(50) + 1;
        OK(timers_fire(fixture->timers, (enum timer_domain)domain, until_ms, max, &more, &err));
        EXPECT(!more || fixture->fired > before);
        EXPECT(fixture->fired - before <= max);
    }
    int64_t next_ms = INT64_MAX;
    for (int32_t i = 0; i < fixture->n; i++) {
        const struct one *one = &fixture->model[i];
        EXPECT(one->domain != domain || one->time_ms > until_ms);
        if (one->domain == domain && one->time_ms < next_ms) { next_ms = one->time_ms; }
    }
    EXPECT(timers_next(fixture->timers, (enum timer_domain)domain) <= next_ms);
    EXPECT(timers_next(fixture->timers, (enum timer_domain)domain) > until_ms || next_ms == INT64_MAX);
}

static void run(uint64_t seed, const char *backend, enum kv_type key) {
    if (only_seed && seed != only_seed) { return; }
    struct fixture *fixture = current = calloc(1, sizeof *fixture);
    random_state = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
    fixture->seed = seed;
    fixture->backend = backend;
    fixture->key = key;
    fixture->memory_max = 50;
    struct env_stat found;
    const bool shm = env_stat(env_real(), "/dev/shm", &found, NULL) == SABOT_OK;
    snprintf(fixture->dir, sizeof fixture->dir, "%s/sabot-timers-%lld-%llu", shm ? "/dev/shm" : "/tmp",
             (long long)started_ns, (unsigned long long)seed);
    memory_pool_init(&fixture->pool, "test", NULL, INT64_MAX);
    fixture->until_ms[0] = fixture->until_ms[1] = seed % 3 ? -500 : INT64_C(1700000000000);
    open_all(fixture, NULL, 0);
    for (int32_t step = 0; step < 60; step++) {
        const int32_t domain = (int32_t)below(2), n = (int32_t)below(40);
        if (!fixture->is_frozen && below(3) == 0) { freeze(fixture); }
        for (int64_t i = below(3); i > 0; i--) { copy_step(fixture, 1 + (int32_t)below(300)); }
        switch (below(12)) {
        case 0: snapshot_and_restore(fixture); break;
        case 1:
        case 2: fire_until(fixture, domain, fixture->until_ms[domain] + below(INT64_C(1) << below(24))); break;
        case 3:
            for (int32_t i = 0; i < n && fixture->n; i++) {
                const struct one one = fixture->model[below(fixture->n)];
                set(fixture, &one, below(2) == 0); /* again, or not at all */
            }
            break;
        default:
            for (int32_t i = 0; i < n; i++) {
                struct one one;
                memset(&one, 0, sizeof one);
                one = (struct one){random_time(fixture, domain), below(3), below(30), domain,
                                   (int32_t)below(CALLBACKS)};
                set(fixture, &one, below(10) > 0);
            }
            break;
        }
    }
    fire_until(fixture, 0, INT64_MAX);
    fire_until(fixture, 1, INT64_MAX);
    while (fixture->is_frozen && seed % 2) { copy_step(fixture, 1000); }
    EXPECT(fixture->n == 0);
    EXPECT(timers_next(fixture->timers, TIMER_EVENT_TIME) == INT64_MAX);
    close_all(fixture);
    EXPECT(fixture->pool.used == 0);
    free(fixture);
}

static void timers_in_memory_fire_as_the_plain_list_says(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= 400; seed++) { run(seed, "memory", seed % 2 ? KV_INT64 : KV_BYTES); }
    if (!only_seed) { assert_in_range(finished, 400, 40000); }
}
static void timers_in_rocksdb_fire_as_the_plain_list_says(void **state) {
    (void)state;
    for (uint64_t seed = 1001; seed <= 1030; seed++) { run(seed, "rocksdb", seed % 2 ? KV_INT64 : KV_BYTES); }
}

/* Many, so that they are copied in parts, while buckets are sorted, opened, moved down and emptied. */
enum { LARGE = 60000 };
static int32_t large_fired;
static uint8_t large_gone[LARGE]; /* fired before the barrier */
static sabot_status large_fire(void *arg, enum timer_domain domain, const struct timer *timers, int32_t n,
                               int32_t *taken, struct sabot_error *err) {
    (void)arg;
    (void)domain;
    (void)taken;
    (void)err;
    large_fired += n;
    for (int32_t i = 0; i < n; i++) {
        if (timers[i].key.number < LARGE) { large_gone[timers[i].key.number] = 1; }
    }
    return SABOT_OK;
}
static int64_t large_time(int64_t key) { return 1000 + key * 7919 % LARGE * 2; }

static void large_change(struct fixture *fixture, int64_t key, bool there) {
    OK((there ? timers_register : timers_delete)(fixture->timers, TIMER_EVENT_TIME, large_time(key), 0, &key, 0, &err));
}

static void large_run(struct fixture *fixture) {
    static uint8_t seen[LARGE], gone[LARGE];
    int32_t steps = 0;
    bool done = false, more;
    memset(seen, 0, sizeof seen);
    memset(large_gone, 0, sizeof large_gone);
    OK(timers_open(&(struct timers_options){.store = fixture->store, .name = "large", .callbacks = {large_fire},
                                            .memory_max = fixture->memory_max},
                   &fixture->timers, &err));
    for (int64_t key = 0; key < LARGE; key++) { large_change(fixture, key, true); }
    for (int64_t key = 0; key < LARGE; key += 3) { large_change(fixture, key, false); }
    for (int64_t key = 0; key < LARGE; key += 9) { large_change(fixture, key, true); }
    OK(timers_fire(fixture->timers, TIMER_EVENT_TIME, 100000, 3000, &more, &err));
    EXPECT(more); /* others are due */
    memcpy(gone, large_gone, sizeof gone);
    OK(state_table_freeze(fixture->tables, 1, STATE_FORM_ROWS, &err));
    large_fired = 0;
    for (int64_t key = 0; !done; steps++) {
        struct batch *rows;
        OK(state_table_copy(fixture->tables, 1, steps < 20 ? 8 : 1000, &rows, &done, &err)); /* at first a few */
        for (int32_t i = 0; rows && i < rows->rows; i++) {
            const int64_t found = cell(rows, 2, i);
            EXPECT(found >= 0 && found < LARGE && !seen[found] && cell(rows, 4, i) == large_time(found));
            seen[found] = 1;
        }
        batch_unref(rows);
        for (int32_t i = 0; i < 500; i++, key += 7) { /* others come, some go, some are set again, time goes on */
            large_change(fixture, key % LARGE, key % 2 == 0);
            large_change(fixture, LARGE + key, true);
        }
        OK(timers_fire(fixture->timers, TIMER_EVENT_TIME, 100000 + steps * 100, 60, &more, &err));
    }
    for (int64_t key = 0; key < LARGE; key++) { EXPECT(seen[key] == (!gone[key] && (key % 3 != 0 || key % 9 == 0))); }
    EXPECT(steps > 60); /* of 1000 entries each, which are looked at twice */
    EXPECT(large_fired > 3000);
}

static void a_large_heap_is_copied_while_it_changes(void **state) {
    (void)state;
    if (only_seed) { return; }
    static const char *const backends[] = {"memory", "rocksdb"};
    for (int32_t b = 0; b < 2; b++) {
        struct fixture *fixture = current = calloc(1, sizeof *fixture);
        fixture->backend = backends[b];
        fixture->memory_max = 10000;
        snprintf(fixture->dir, sizeof fixture->dir, "/tmp/sabot-timers-%lld-large", (long long)started_ns);
        memory_pool_init(&fixture->pool, "test", NULL, INT64_MAX);
        open_all(fixture, NULL, 0);
        large_run(fixture);
        close_all(fixture);
        EXPECT(fixture->pool.used == 0);
        free(fixture);
    }
}

static void many_equal_ones_are_one(void **state) {
    (void)state;
    if (only_seed) { return; }
    struct fixture *fixture = current = calloc(1, sizeof *fixture);
    fixture->backend = "memory";
    memory_pool_init(&fixture->pool, "test", NULL, INT64_C(4) << 20); /* a million would take 48 MB */
    open_all(fixture, NULL, 0);
    struct one one;
    memset(&one, 0, sizeof one);
    one = (struct one){1000, 0, 7, 0, 1};
    for (int32_t i = 0; i < 1000000; i++) { set(fixture, &one, true); }
    fire_until(fixture, 0, 2000);
    EXPECT(fixture->fired == 1);
    close_all(fixture);
    EXPECT(fixture->pool.used == 0);
    free(fixture);
}

/* A memory limit: in memory alone there is an error, which leaves what there was; with RocksDB they go there. */
static void timers_keep_to_a_memory_limit(void **state) {
    (void)state;
    if (only_seed) { return; }
    static const char *const backends[] = {"memory", "rocksdb"};
    for (int32_t b = 0; b < 2; b++) {
        struct fixture *fixture = current = calloc(1, sizeof *fixture);
        fixture->backend = backends[b];
        snprintf(fixture->dir, sizeof fixture->dir, "/tmp/sabot-timers-%lld-limit", (long long)started_ns);
        memory_pool_init(&fixture->pool, "test", NULL, INT64_C(8) << 20); /* 300,000 would take 14 MB */
        open_all(fixture, NULL, 0);
        OK(timers_open(&(struct timers_options){.store = fixture->store, .name = "large", .callbacks = {large_fire}},
                       &fixture->timers, &err));
        int64_t n = 0;
        sabot_status status = SABOT_OK;
        for (; n < 300000 && status == SABOT_OK; n += status == SABOT_OK) {
            const int64_t time_ms = 1000 + n * 7919 % 300000 * 1000;
            status = timers_register(fixture->timers, TIMER_EVENT_TIME, time_ms, 0, &n, 0, NULL);
        }
        EXPECT(b == 1 ? n == 300000 : n > 10000 && n < 300000 && status == SABOT_ERR_MEMORY);
        large_fired = 0;
        bool more = b == 1;
        while (more) { OK(timers_fire(fixture->timers, TIMER_EVENT_TIME, INT64_MAX, 5000, &more, &err)); }
        EXPECT(b == 0 || large_fired == n);
        close_all(fixture);
        EXPECT(fixture->pool.used == 0);
        free(fixture);
    }
}

static void a_callback_that_is_gone_is_named(void **state) {
    (void)state;
    if (only_seed) { return; }
    struct fixture *fixture = current = calloc(1, sizeof *fixture);
    fixture->backend = "memory";
    memory_pool_init(&fixture->pool, "test", NULL, INT64_MAX);
    open_all(fixture, NULL, 0);
    const int64_t key = 1;
    bool more;
    struct sabot_error err = {0};
    assert_int_equal(timers_register(fixture->timers, TIMER_EVENT_TIME, 5, 0, &key, 9, &err), SABOT_OK);
    assert_int_equal(timers_fire(fixture->timers, TIMER_EVENT_TIME, 5, 10, &more, &err), SABOT_ERR_STATE);
    assert_non_null(strstr(err.message, "callback 9"));
    close_all(fixture);
    EXPECT(fixture->pool.used == 0);
    free(fixture);
}

int main(int argc, char **argv) {
    only_seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 0;
    started_ns = env_now_ns(env_real());
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(timers_in_memory_fire_as_the_plain_list_says),
        cmocka_unit_test(timers_in_rocksdb_fire_as_the_plain_list_says),
        cmocka_unit_test(a_large_heap_is_copied_while_it_changes),
        cmocka_unit_test(many_equal_ones_are_one),
        cmocka_unit_test(timers_keep_to_a_memory_limit),
        cmocka_unit_test(a_callback_that_is_gone_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
