/* Every kind of key-value state on every backend against a plain model: random operations, flushes, snapshots, restores
 * at another parallelism, with and without TTL, and with every n-th call of the backend failing. Between the operations
 * pieces of incremental snapshots are taken, and what their chains give is compared with the whole. A seed that fails
 * is run again by build/tests/state.kv_conformance_test SEED. With `tonbo` before the seed: the experimental backend,
 * whose library is not built by default (tests/tonbo). */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "state/kv.h"
#include "state/rocks.h"
#include "state/tonbo.h"
#include "tests/util/chain_check.h"
#include "tests/util/random.h"

#define KEYS 12
#define SUBS 6
#define NAMESPACES 3
#define LIST_MAX 512
#define PARALLELISM_MAX 5
#define STEPS 120

enum kind { VALUE, MAP, LIST, REDUCING, AGGREGATING, BROADCAST, COUNTER, KINDS };
static const char *const kind_names[] = {"value", "map", "list", "reducing", "aggregating", "broadcast", "counter"};

struct cell {
    bool there;
    uint64_t value; /* a number that decides the value; of folds and counters: the value */
    int64_t time_ms;
};
struct list {
    uint64_t values[LIST_MAX];
    int32_t n;
};

struct config {
    const char *backend;
    bool trace;
    int64_t faults_every;
    enum kind kind;
    enum kv_type key, sub, value;
    struct kv_ttl ttl;
    uint64_t seed;
};

struct member {
    struct state_tables *tables;
    struct kv_store *store;
    struct kv_state *state;
    struct chain_check *check;
    bool is_frozen;
};

struct fixture {
    struct config config;
    struct memory_pool pool;
    struct metrics metrics;
    struct member members[PARALLELISM_MAX];
    int32_t parallelism;
    struct kv_faults faults;
    int64_t now_ms, lines, failures;
    struct cell cells[NAMESPACES][KEYS][SUBS];
    struct list lists[NAMESPACES][KEYS];
    char text[1024];
};

static uint64_t random_state, only_seed;
static int64_t n_cases, n_failures, n_chains;
static int64_t started_ns;

static uint64_t next_random(void) { return xorshift64(&random_state); }
static int32_t below(int32_t n) { return (int32_t)(next_random() % (uint64_t)n); }

static void fail_here(struct fixture *fixture, const char *what, const struct sabot_error *err) {
    const struct config *c = &fixture->config;
    fail_msg("%s: %s on %s%s, key %d sub %d value %d ttl %lld%s, faults %lld: seed %llu", what, kind_names[c->kind],
             c->trace ? "trace:" : "", c->backend, c->key, c->sub, c->value, (long long)c->ttl.ttl_ms,
             err ? err->message : "", (long long)c->faults_every, (unsigned long long)c->seed);
}
#define EXPECT(what)                                                                                                   \
    do {                                                                                                               \
        if (!(what)) { fail_here(fixture, #what, NULL); }                                                              \
    } while (0)

/* --- values from small numbers */
static const int64_t namespaces[NAMESPACES] = {0, -7, INT64_C(1) << 40};

static struct string_view text_of(uint64_t id, char *room) {
    const uint32_t size = (uint32_t)(id * 7 % 40);
    for (uint32_t i = 0; i < size; i++) { room[i] = (char)(i % 5 == 3 ? 0 : id + i * (id % 3)); }
    if (size >= 2) { memcpy(room + size - 2, &(uint16_t){(uint16_t)id}, 2); }
    return string_view_of(room, size);
}
/* Numbers whose bytes and signs differ; texts that begin alike, hold zero bytes, and may be empty. */
static void make(enum kv_type type, uint64_t id, void *array, int32_t at, char (*rooms)[64]) {
    if (type == KV_BYTES) {
        ((struct string_view *)array)[at] = text_of(id, rooms[at]);
    } else if (type == KV_FLOAT64) {
        ((double *)array)[at] = (double)id * -0.75;
    } else {
        ((int64_t *)array)[at] = ((int64_t)id - 5) * INT64_C(0x0101010101);
    }
}
static bool equals(enum kv_type type, uint64_t id, const void *value) {
    char room[1][64];
    struct string_view expected;
    make(type, id, &expected, 0, room);
    return type == KV_BYTES ? string_view_equal(&expected, value) : memcmp(&expected, value, 8) == 0;
}

/* --- opening, snapshots */
static void note_line(void *arg, const char *text) {
    struct fixture *fixture = arg;
    fixture->lines++;
    snprintf(fixture->text, sizeof fixture->text, "%s", text);
}

static void init_sum(void *arg, void *accumulator) {
    (void)arg;
    memset(accumulator, 0, 24);
}
static sabot_status add_sum(void *arg, void *accumulator, const void *value, struct sabot_error *err) {
    (void)arg;
    (void)err;
    ((int64_t *)accumulator)[0] += *(const int64_t *)value;
    ((int64_t *)accumulator)[2]++;
    return SABOT_OK;
}

static void folder_of(const struct fixture *fixture, int32_t subtask, char *out, size_t size) {
    const char *tmp = getenv("TMPDIR");
    struct env_stat found;
    /* in memory where that is possible: each of some hundred databases syncs its files several times */
    const bool shm = env_stat(env_real(), "/dev/shm", &found, NULL) == SABOT_OK;
    snprintf(out, size, "%s/sabot-kv-%lld-%p-%d", shm ? "/dev/shm" : tmp ? tmp : "/tmp", (long long)started_ns,
             (const void *)fixture, subtask);
}

static sabot_status state_open(struct fixture *fixture, struct member *member, struct sabot_error *err) {
    const struct config *c = &fixture->config;
    const struct kv_declare declare = {.name = "it", .key = c->key, .value = c->value, .ttl = c->ttl};
    static const struct kv_aggregate aggregate = {.size = 24, .init = init_sum, .add = add_sum};
    switch (c->kind) {
    case VALUE: return kv_value_open(member->store, &declare, &member->state, err);
    case MAP: return kv_map_open(member->store, &declare, c->sub, &member->state, err);
    case LIST: return kv_list_open(member->store, &declare, &member->state, err);
    case REDUCING: return kv_reducing_open(member->store, &declare, KV_SUM, &member->state, err);
    case AGGREGATING: return kv_aggregating_open(member->store, &declare, &aggregate, &member->state, err);
    case BROADCAST: return kv_broadcast_open(member->store, &declare, &member->state, err);
    default: return kv_counter_open(member->store, &declare, &member->state, err);
    }
}

/* What is expired is there or not, as a compaction has come by. */
static void forget_expired(struct fixture *fixture, struct member *member) {
    const int64_t ttl_ms = fixture->config.ttl.ttl_ms;
    if (member->check && ttl_ms) { chain_check_forget(member->check, fixture->now_ms - ttl_ms + 1); }
}

static void members_open(struct fixture *fixture, int32_t parallelism, struct state_snapshot **snapshots,
                         const int32_t *n_snapshots, int32_t n_before) {
    struct sabot_error err = {0};
    const struct config *c = &fixture->config;
    fixture->parallelism = parallelism;
    /* restoring is done without faults: a job that can't restore does not start */
    fixture->faults.every = 0;
    for (int32_t m = 0; m < parallelism; m++) {
        struct member *member = &fixture->members[m];
        const struct state_context context = {.pool = &fixture->pool, .metrics = &fixture->metrics,
                                              .backend = c->backend, .subtask = m, .parallelism = parallelism,
                                              .max_parallelism = 32};
        char dir[256];
        folder_of(fixture, m, dir, sizeof dir);
        if (state_tables_new(&context, &member->tables, &err) != SABOT_OK) { fail_here(fixture, "tables", &err); }
        for (int32_t b = 0; b < n_before; b++) {
            for (int32_t s = 0; s < n_snapshots[b]; s++) {
                struct batch *rows = snapshots[b][s].rows ? batch_ref(snapshots[b][s].rows) : NULL;
                assert_int_equal(state_tables_load(member->tables, snapshots[b][s].name, snapshots[b][s].kind, rows,
                                                   &err), SABOT_OK);
            }
        }
        const struct kv_store_options options = {
            .env = env_real(), .tables = member->tables, .dir = dir, .cache_rows = below(2) ? 20 : 2000,
            .memory_bytes = 1 << 20, .trace = c->trace ? note_line : NULL, .trace_arg = fixture,
            .tonbo_seal_batches = 1 + below(4), .tonbo_compact_files = 2 + below(3),
            .faults = c->faults_every ? &fixture->faults : NULL};
        if (kv_store_new(&options, &member->store, &err) != SABOT_OK) { fail_here(fixture, "store", &err); }
        kv_store_set_time(member->store, fixture->now_ms, fixture->now_ms);
        if (state_open(fixture, member, &err) != SABOT_OK) { fail_here(fixture, "open", &err); }
        member->is_frozen = false;
        member->check = c->faults_every ? NULL : chain_check_new(&fixture->pool, member->tables);
        forget_expired(fixture, member);
    }
    fixture->faults.every = c->faults_every;
}

static void members_close(struct fixture *fixture) {
    for (int32_t m = 0; m < fixture->parallelism; m++) {
        chain_check_free(fixture->members[m].check);
        state_tables_free(fixture->members[m].tables);
        kv_store_free(fixture->members[m].store);
        char dir[256];
        folder_of(fixture, m, dir, sizeof dir);
        env_remove(env_real(), dir, NULL);
    }
}

/* A call that may fail is made again: it must then give what it would have given at first. */
#define RETRY(call)                                                                                                    \
    for (int32_t tries = 0;; tries++) {                                                                                \
        struct sabot_error err = {0};                                                                                  \
        if ((call) == SABOT_OK) { break; }                                                                             \
        fixture->failures++;                                                                                           \
        if (!fixture->config.faults_every || tries > 20) { fail_here(fixture, #call, &err); }                          \
        EXPECT(strstr(err.message, "it") && strlen(err.message) > 20);                                                 \
    }

/* Goes on with an incremental snapshot, gives it up, or begins one. */
static void chain_step(struct member *member) {
    if (!member->check) { return; }
    if (!member->is_frozen) {
        if (below(2)) { return; }
        chain_check_freeze(member->check, below(8) == 0);
        member->is_frozen = true;
        n_chains++;
    } else if (below(16) == 0) {
        chain_check_thaw(member->check);
        member->is_frozen = false;
    } else {
        member->is_frozen = !chain_check_copy(member->check, below(3) ? 1 + below(8) : INT32_MAX);
    }
}

static void chains_end(struct fixture *fixture) {
    for (int32_t m = 0; m < fixture->parallelism; m++) {
        struct member *member = &fixture->members[m];
        while (member->is_frozen) { member->is_frozen = !chain_check_copy(member->check, 3); }
    }
}

static void snapshot_and_restore(struct fixture *fixture) {
    chains_end(fixture);
    struct state_snapshot *snapshots[PARALLELISM_MAX];
    int32_t n[PARALLELISM_MAX];
    const int32_t before = fixture->parallelism;
    for (int32_t m = 0; m < before; m++) {
        RETRY(state_tables_snapshot(fixture->members[m].tables, &snapshots[m], &n[m], &err));
    }
    members_close(fixture);
    members_open(fixture, 1 + below(PARALLELISM_MAX), snapshots, n, before);
    for (int32_t m = 0; m < before; m++) { state_snapshots_free(snapshots[m], n[m]); }
}

/* --- the model */
static struct member *owner_of(struct fixture *fixture, int32_t key) {
    char room[1][64];
    struct string_view value;
    make(fixture->config.key, (uint64_t)key, &value, 0, room);
    struct column column = {.phys = fixture->config.key == KV_BYTES ? PHYS_VIEW : PHYS_I64, .length = 1,
                            .values = &value};
    struct column *columns[] = {&column};
    const struct batch batch = {.rows = 1, .selected = 1, .n_columns = 1, .columns = columns};
    uint64_t hash;
    batch_hash_into(&batch, (const int32_t[]){0}, 1, &hash);
    return &fixture->members[key_group_owner(key_group_of(hash, 32), 32, fixture->parallelism)];
}

static bool alive(const struct fixture *fixture, const struct cell *cell) {
    const int64_t ttl_ms = fixture->config.ttl.ttl_ms;
    return cell->there && (!ttl_ms || cell->time_ms + ttl_ms > fixture->now_ms);
}

/* Keys of one member, one namespace: what a call takes. */
struct picks {
    int32_t ns, n, keys[64], subs[64];
    struct string_view key_room[64], sub_room[64], values[64];
    char key_text[64][64], sub_text[64][64], value_text[64][64];
    uint64_t ids[64];
};

static void pick(struct fixture *fixture, struct picks *picks, int32_t n_max, struct member **member) {
    const struct config *c = &fixture->config;
    const int32_t wanted = below(n_max) + 1;
    *member = c->kind == BROADCAST ? &fixture->members[0] : owner_of(fixture, below(KEYS));
    picks->ns = c->kind == BROADCAST ? 0 : below(NAMESPACES);
    picks->n = 0;
    for (int32_t i = 0; i < 1000 && picks->n < wanted; i++) {
        const int32_t key = below(KEYS), at = picks->n;
        if (c->kind != BROADCAST && owner_of(fixture, key) != *member) { continue; }
        picks->keys[at] = key;
        picks->subs[at] = c->kind == MAP ? below(SUBS) : 0;
        picks->ids[at] = next_random() % 1000;
        make(c->key, (uint64_t)key, picks->key_room, at, picks->key_text);
        make(c->sub, (uint64_t)picks->subs[at], picks->sub_room, at, picks->sub_text);
        make(c->value, picks->ids[at], picks->values, at, picks->value_text);
        picks->n++;
    }
}

static void check_get(struct fixture *fixture) {
    static struct picks picks;
    struct member *member;
    const struct config *c = &fixture->config;
    pick(fixture, &picks, 40, &member);
    struct string_view values[64];
    bool found[64];
    RETRY(kv_map_get(member->state, namespaces[picks.ns], picks.key_room, c->kind == MAP ? picks.sub_room : NULL,
                     picks.n, values, found, &err));
    for (int32_t i = 0; i < picks.n; i++) {
        struct cell *cell = &fixture->cells[picks.ns][picks.keys[i]][picks.subs[i]];
        EXPECT(found[i] == alive(fixture, cell));
        if (!found[i]) { continue; }
        if (c->kind == COUNTER || c->kind == REDUCING) {
            EXPECT(((int64_t *)(void *)values)[i] == (int64_t)cell->value);
        } else if (c->kind == AGGREGATING) {
            EXPECT(values[i].size == 24 && memcmp(values[i].data, &cell->value, 8) == 0);
        } else {
            EXPECT(equals(c->value, cell->value, c->value == KV_BYTES ? (void *)&values[i]
                                                                      : (void *)((int64_t *)(void *)values + i)));
        }
        if (c->ttl.on_read) { cell->time_ms = fixture->now_ms; }
    }
}

static void do_put(struct fixture *fixture) {
    static struct picks picks;
    struct member *member;
    const struct config *c = &fixture->config;
    pick(fixture, &picks, 40, &member);
    for (int32_t m = 0; m < fixture->parallelism; m++) {
        if (c->kind == BROADCAST) {
            member = &fixture->members[m];
        } else if (m > 0) {
            break;
        }
        RETRY(kv_map_put(member->state, namespaces[picks.ns], picks.key_room, c->kind == MAP ? picks.sub_room : NULL,
                         picks.n, picks.values, &err));
    }
    for (int32_t i = 0; i < picks.n; i++) {
        fixture->cells[picks.ns][picks.keys[i]][picks.subs[i]] =
            (struct cell){true, picks.ids[i], fixture->now_ms};
    }
}

static void do_remove(struct fixture *fixture) {
    static struct picks picks;
    struct member *member;
    const struct config *c = &fixture->config;
    pick(fixture, &picks, 20, &member);
    for (int32_t m = 0; m < fixture->parallelism; m++) {
        if (c->kind == BROADCAST) {
            member = &fixture->members[m];
        } else if (m > 0) {
            break;
        }
        RETRY(kv_map_remove(member->state, namespaces[picks.ns], picks.key_room,
                            c->kind == MAP ? picks.sub_room : NULL, picks.n, &err));
    }
    for (int32_t i = 0; i < picks.n; i++) { fixture->cells[picks.ns][picks.keys[i]][picks.subs[i]].there = false; }
}

/* Adds and folds are not repeatable: where one fails, what is there afterwards is the old value or the new one. */
static void do_fold(struct fixture *fixture) {
    static struct picks picks;
    struct member *member;
    const struct config *c = &fixture->config;
    pick(fixture, &picks, c->faults_every ? 1 : 40, &member);
    struct sabot_error failure = {0};
    const int64_t *numbers = (const int64_t *)(const void *)picks.values;
    const sabot_status status =
        c->kind == COUNTER ? kv_add(member->state, namespaces[picks.ns], picks.key_room, picks.n, numbers, &failure)
                           : kv_fold(member->state, namespaces[picks.ns], picks.key_room, picks.n, numbers, &failure);
    if (status != SABOT_OK && !c->faults_every) { fail_here(fixture, "fold", &failure); }
    if (status != SABOT_OK) {
        struct cell *cell = &fixture->cells[picks.ns][picks.keys[0]][0];
        struct string_view value;
        bool found;
        fixture->failures++;
        RETRY(kv_get(member->state, namespaces[picks.ns], picks.key_room, 1, &value, &found, &err));
        int64_t now = 0;
        if (found) { memcpy(&now, c->kind == AGGREGATING ? (const void *)value.data : &value, 8); }
        const bool old = found == cell->there && (!found || now == (int64_t)cell->value);
        EXPECT(old || (found && c->kind != COUNTER &&
                       now == (cell->there ? (int64_t)cell->value : 0) + numbers[0]));
        *cell = (struct cell){found, (uint64_t)now, fixture->now_ms};
        return;
    }
    for (int32_t i = 0; i < picks.n; i++) {
        struct cell *cell = &fixture->cells[picks.ns][picks.keys[i]][0];
        *cell = (struct cell){true, (cell->there ? cell->value : 0) + (uint64_t)numbers[i], fixture->now_ms};
    }
}

static bool list_is(struct fixture *fixture, struct member *member, int32_t ns, int32_t key, const struct list *list) {
    char room[1][64];
    struct string_view key_value;
    const void *values;
    int64_t n;
    make(fixture->config.key, (uint64_t)key, &key_value, 0, room);
    RETRY(kv_list_get(member->state, namespaces[ns], &key_value, &values, &n, &err));
    if (n != list->n) { return false; }
    for (int32_t i = 0; i < n; i++) {
        const void *value = (const char *)values + (size_t)i * kv_size(fixture->config.value);
        if (!equals(fixture->config.value, list->values[i], value)) { return false; }
    }
    return true;
}

static void do_list(struct fixture *fixture) {
    static struct picks picks;
    struct member *member;
    const struct config *c = &fixture->config;
    pick(fixture, &picks, c->faults_every ? 1 : 40, &member);
    const int32_t key = picks.keys[0];
    struct list *list = &fixture->lists[picks.ns][key];
    if (below(4) == 0) {
        RETRY(kv_list_clear(member->state, namespaces[picks.ns], picks.key_room, &err));
        list->n = 0;
    } else if (below(2)) {
        struct sabot_error err = {0};
        struct list old = *list;
        const sabot_status status =
            kv_list_add(member->state, namespaces[picks.ns], picks.key_room, picks.n, picks.values, &err);
        if (status != SABOT_OK && !c->faults_every) { fail_here(fixture, "add", &err); }
        for (int32_t i = 0; i < picks.n; i++) {
            struct list *one = &fixture->lists[picks.ns][picks.keys[i]];
            EXPECT(one->n < LIST_MAX);
            one->values[one->n++] = picks.ids[i];
        }
        if (status != SABOT_OK) {
            fixture->failures++;
            if (!list_is(fixture, member, picks.ns, key, list)) { *list = old; }
        }
    }
    EXPECT(list_is(fixture, member, picks.ns, key, list));
}

struct seen {
    struct fixture *fixture;
    int32_t ns, key; /* -1: all */
    int32_t n;
    bool wrong;
    bool there[NAMESPACES][KEYS][SUBS];
};

static bool see(void *arg, const struct kv_entry *entry) {
    struct seen *seen = arg;
    struct fixture *fixture = seen->fixture;
    const struct config *c = &fixture->config;
    int32_t ns = -1, key = -1, sub = c->kind == MAP ? -1 : 0;
    for (int32_t i = 0; i < NAMESPACES; i++) { ns = namespaces[i] == entry->namespace_ ? i : ns; }
    for (int32_t i = 0; i < KEYS; i++) { key = equals(c->key, (uint64_t)i, entry->key) ? i : key; }
    for (int32_t i = 0; i < SUBS && c->kind == MAP; i++) { sub = equals(c->sub, (uint64_t)i, entry->sub) ? i : sub; }
    const bool known = ns >= 0 && key >= 0 && sub >= 0 && (seen->key < 0 || (seen->ns == ns && seen->key == key));
    seen->wrong |= !known || seen->there[ns][key][sub] || !alive(fixture, &fixture->cells[ns][key][sub]);
    if (seen->wrong) { return false; }
    seen->there[ns][key][sub] = true;
    const uint64_t id = fixture->cells[ns][key][sub].value;
    const bool folded = c->kind == REDUCING || c->kind == COUNTER || c->kind == AGGREGATING;
    seen->wrong |= c->kind == AGGREGATING ? memcmp(string_view_data(entry->value), &id, 8) != 0
                   : folded              ? memcmp(entry->value, &id, 8) != 0
                                         : !equals(c->value, id, entry->value);
    seen->n++;
    return !seen->wrong;
}

static void check_scan(struct fixture *fixture) {
    int32_t expected = 0, got = 0;
    for (int32_t i = 0; i < NAMESPACES * KEYS * SUBS; i++) { expected += alive(fixture, &fixture->cells[0][0][0] + i); }
    for (int32_t m = 0; m < fixture->parallelism; m++) {
        struct seen seen;
        RETRY((seen = (struct seen){.fixture = fixture, .key = -1},
               kv_scan(fixture->members[m].state, see, &seen, &err)));
        EXPECT(!seen.wrong);
        got += seen.n;
    }
    EXPECT(got == expected * (fixture->config.kind == BROADCAST ? fixture->parallelism : 1));
}

static void check_map(struct fixture *fixture) {
    const int32_t ns = below(NAMESPACES), key = below(KEYS);
    char room[1][64];
    struct string_view key_value;
    make(fixture->config.key, (uint64_t)key, &key_value, 0, room);
    struct member *member = owner_of(fixture, key);
    if (below(3) == 0) {
        RETRY(kv_map_clear(member->state, namespaces[ns], &key_value, &err));
        for (int32_t s = 0; s < SUBS; s++) { fixture->cells[ns][key][s].there = false; }
    }
    int32_t expected = 0;
    for (int32_t s = 0; s < SUBS; s++) { expected += alive(fixture, &fixture->cells[ns][key][s]); }
    struct seen seen;
    RETRY((seen = (struct seen){.fixture = fixture, .ns = ns, .key = key},
           kv_map_entries(member->state, namespaces[ns], &key_value, see, &seen, &err)));
    EXPECT(!seen.wrong && seen.n == expected);
}

static void clear_namespace(struct fixture *fixture) {
    const int32_t ns = fixture->config.kind == BROADCAST ? 0 : below(NAMESPACES);
    for (int32_t m = 0; m < fixture->parallelism; m++) {
        RETRY(kv_clear_namespace(fixture->members[m].state, namespaces[ns], &err));
    }
    memset(fixture->cells[ns], 0, sizeof fixture->cells[ns]);
    for (int32_t k = 0; k < KEYS; k++) { fixture->lists[ns][k].n = 0; }
}

static void step(struct fixture *fixture) {
    const enum kind kind = fixture->config.kind;
    switch (below(16)) {
    case 0: /* opening databases is what takes the time of this test */
        if (fixture->config.backend[0] == 'm' || below(4) == 0) { snapshot_and_restore(fixture); }
        break;
    case 1:
        if (below(3) == 0) { clear_namespace(fixture); }
        break;
    case 2:
        if (kind != LIST) { check_scan(fixture); }
        break;
    case 3:
        fixture->now_ms += below(30);
        for (int32_t m = 0; m < fixture->parallelism; m++) {
            forget_expired(fixture, &fixture->members[m]);
            kv_store_set_time(fixture->members[m].store, fixture->now_ms, fixture->now_ms);
            RETRY(kv_store_sweep(fixture->members[m].store, below(10), &err));
        }
        break;
    case 4:
    case 5:
        if (kind == MAP) { check_map(fixture); }
        break;
    case 6:
    case 7:
        if (kind != LIST) { do_remove(fixture); }
        break;
    case 8:
        for (int32_t m = 0; m < fixture->parallelism && fixture->config.kind != BROADCAST; m++) {
            struct rocks *rocks = kv_store_rocks(fixture->members[m].store);
            if (rocks && below(4) == 0) { rocks_compact(rocks, KV_FAMILY_VALUES); }
            struct tonbo *tonbo = kv_store_tonbo(fixture->members[m].store);
            if (tonbo && below(4) == 0) {
                struct sabot_error err = {0};
                if (tonbo_compact(tonbo, &err) != SABOT_OK) { fail_here(fixture, "compact", &err); }
            }
        }
        break;
    case 9:
    case 10:
    case 11:
    case 12:
        if (kind == LIST) {
            do_list(fixture);
        } else {
            check_get(fixture);
        }
        break;
    default:
        if (kind == LIST) {
            do_list(fixture);
        } else if (kind == REDUCING || kind == AGGREGATING || kind == COUNTER) {
            do_fold(fixture);
        } else {
            do_put(fixture);
        }
        break;
    }
}


static void run(const struct config *config) {
    if (only_seed && config->seed != only_seed) { return; }
    struct fixture *fixture = calloc(1, sizeof *fixture);
    random_state = config->seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
    fixture->config = *config;
    fixture->now_ms = 1000;
    fixture->faults = (struct kv_faults){.seed = config->seed};
    memory_pool_init(&fixture->pool, "test", NULL, INT64_MAX);
    members_open(fixture, 1 + below(3), NULL, NULL, 0);
    const char first = config->backend[0];
    const int32_t steps = first == 'm' ? STEPS : first == 'r' ? STEPS / 2 : STEPS / 3;
    for (int32_t i = 0; i < steps; i++) {
        for (int32_t m = 0; m < fixture->parallelism; m++) { chain_step(&fixture->members[m]); }
        step(fixture);
    }
    chains_end(fixture);
    if (config->kind != LIST) { check_scan(fixture); }
    if (config->trace) { EXPECT(fixture->lines > steps / 4 && strstr(fixture->text, " us")); }
    members_close(fixture);
    EXPECT(fixture->pool.used == 0);
    n_failures += fixture->failures;
    n_cases++;
    free(fixture);
}

/* Every kind, every type, each TTL: the same cases for each backend. */
static void run_all(const char *backend, bool trace, int64_t faults_every, uint64_t first_seed) {
    uint64_t seed = first_seed;
    n_cases = n_failures = n_chains = 0;
    for (enum kind kind = 0; kind < KINDS; kind++) {
        for (int32_t types = 0; types < 12; types++) {
            struct config config = {.backend = backend, .trace = trace, .faults_every = faults_every, .kind = kind,
                                    .key = types % 2 ? KV_BYTES : KV_INT64, .value = (enum kv_type)(types / 2 % 3),
                                    .sub = types / 6 ? KV_BYTES : KV_INT64, .seed = ++seed};
            if ((kind == REDUCING || kind == AGGREGATING || kind == COUNTER) && config.value != KV_INT64) { continue; }
            run(&config);
            if (kind != VALUE && kind != MAP && kind != BROADCAST) { continue; }
            config.ttl = (struct kv_ttl){.ttl_ms = 50, .time = types % 2 ? KV_EVENT_TIME : KV_PROCESSING_TIME};
            config.seed = ++seed;
            run(&config);
            /* what is read at a broadcast is read at one subtask: its age differs between them, and that is refused */
            config.ttl.on_read = true;
            config.seed = ++seed;
            if (kind != BROADCAST && !faults_every) { run(&config); }
        }
    }
    if (!only_seed) {
        print_message("%s%s: %lld cases, %lld calls failed, %lld incremental snapshots\n", trace ? "trace:" : "",
                      backend, (long long)n_cases, (long long)n_failures, (long long)n_chains);
        assert_true(n_cases >= 60 && (faults_every || n_chains > 500));
        assert_int_equal(n_failures > 0, faults_every > 0);
    }
}

static void memory_conforms(void **state) {
    (void)state;
    for (uint64_t round = 0; round < 4; round++) { run_all("memory", false, 0, 1000 + round * 100000); }
}
static void rocksdb_conforms(void **state) {
    (void)state;
    run_all("rocksdb", false, 0, 2000);
}
static void traced_memory_conforms(void **state) {
    (void)state;
    run_all("memory", true, 0, 3000);
}
static void traced_rocksdb_conforms(void **state) {
    (void)state;
    run_all("rocksdb", true, 0, 4000);
}
static void memory_with_faults_gives_no_wrong_value(void **state) {
    (void)state;
    for (int64_t every = 3; every <= 11; every++) { run_all("memory", false, every, 10000 + (uint64_t)every * 1000); }
}
static void rocksdb_with_faults_gives_no_wrong_value(void **state) {
    (void)state;
    run_all("rocksdb", false, 4, 39000);
    run_all("rocksdb", false, 9, 44000);
}
static void traced_memory_with_faults_gives_no_wrong_value(void **state) {
    (void)state;
    for (int64_t every = 3; every <= 11; every++) { run_all("memory", true, every, 60000 + (uint64_t)every * 1000); }
}

static void tonbo_conforms(void **state) {
    (void)state;
    run_all("tonbo", false, 0, 72000);
}
static void traced_tonbo_conforms(void **state) {
    (void)state;
    run_all("tonbo", true, 0, 74000);
}
static void tonbo_with_faults_gives_no_wrong_value(void **state) {
    (void)state;
    run_all("tonbo", true, 4, 75000);
}

int main(int argc, char **argv) {
    started_ns = env_now_ns(env_real());
    const bool tonbo = argc > 1 && strcmp(argv[1], "tonbo") == 0;
    only_seed = argc > 1 + tonbo ? strtoull(argv[1 + tonbo], NULL, 10) : 0;
    if (tonbo) {
        const struct CMUnitTest experimental[] = {
            cmocka_unit_test(tonbo_conforms),
            cmocka_unit_test(traced_tonbo_conforms),
            cmocka_unit_test(tonbo_with_faults_gives_no_wrong_value),
        };
        return cmocka_run_group_tests(experimental, NULL, NULL);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_conforms),
        cmocka_unit_test(rocksdb_conforms),
        cmocka_unit_test(traced_memory_conforms),
        cmocka_unit_test(traced_rocksdb_conforms),
        cmocka_unit_test(memory_with_faults_gives_no_wrong_value),
        cmocka_unit_test(rocksdb_with_faults_gives_no_wrong_value),
        cmocka_unit_test(traced_memory_with_faults_gives_no_wrong_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
