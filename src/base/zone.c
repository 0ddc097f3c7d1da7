/* Time zones from TZif files (RFC 8536), version 2 and later, with the POSIX rule behind the last transition. */
#include "base/zone.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/env.h"

#define ZONE_NAME_MAX 64
#define ZONES_MAX 2000
#define TRANSITIONS_MAX 4000
#define RULE_YEAR_FIRST 1970 /* the rule is unrolled for these years; later ones have the standard offset */
#define RULE_YEAR_LAST 2500

struct zone {
    struct zone *next;
    char name[ZONE_NAME_MAX];
    int32_t first_offset_s; /* before the first transition */
    int32_t n;
    int64_t *at_s;    /* Unix times of transitions, ascending */
    int32_t *offset_s; /* the offset from then on */
};

static _Atomic(struct zone *) zones; /* grows at the front, nothing is ever removed */

static const struct zone utc = {.name = "UTC"};

static int64_t floor_div_s(int64_t a, int64_t b) { return a / b - (a % b < 0); }

int32_t zone_offset_s(const struct zone *zone, int64_t unix_s) {
    int32_t low = 0, high = zone->n; /* the first transition behind unix_s */
    while (low < high) {
        const int32_t middle = low + (high - low) / 2;
        if (zone->at_s[middle] <= unix_s) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == 0 ? zone->first_offset_s : zone->offset_s[low - 1];
}

int64_t zone_to_local(const struct zone *zone, int64_t instant, int64_t units_per_second) {
    if (zone->n == 0 && zone->first_offset_s == 0) { return instant; }
    int64_t local;
    const int64_t offset = zone_offset_s(zone, floor_div_s(instant, units_per_second)) * units_per_second;
    return __builtin_add_overflow(instant, offset, &local) ? instant : local;
}

int64_t zone_to_instant(const struct zone *zone, int64_t local, int64_t units_per_second) {
    if (zone->n == 0 && zone->first_offset_s == 0) { return local; }
    const int64_t local_s = floor_div_s(local, units_per_second);
    /* Offsets a day before and after bracket the transition, if there is one near. */
    const int32_t before = zone_offset_s(zone, local_s - 86400);
    const int32_t after = zone_offset_s(zone, local_s + 86400);
    int32_t offset = before;
    if (before != after) {
        const bool before_fits = zone_offset_s(zone, local_s - before) == before;
        const bool after_fits = zone_offset_s(zone, local_s - after) == after;
        /* Neither fits in a gap: the offset before it moves the time forward by the gap's length. */
        offset = before_fits || !after_fits ? before : after;
    }
    int64_t instant;
    return __builtin_sub_overflow(local, offset * units_per_second, &instant) ? local : instant;
}

/* --- fixed offsets */
static bool offset_parse(const char *text, int32_t *offset_s) {
    if (strncmp(text, "UTC", 3) == 0 || strncmp(text, "GMT", 3) == 0) { text += 3; }
    else if (strncmp(text, "UT", 2) == 0) { text += 2; }
    if (*text == '\0' || strcmp(text, "Z") == 0 || strcmp(text, "z") == 0) {
        *offset_s = 0;
        return true;
    }
    if (*text != '+' && *text != '-') { return false; }
    const int sign = *text++ == '-' ? -1 : 1;
    int hours = 0, minutes = 0, used = 0;
    if (sscanf(text, "%2d:%2d%n", &hours, &minutes, &used) == 2 && text[used] == '\0') {
    } else if (strlen(text) == 4 && sscanf(text, "%2d%2d%n", &hours, &minutes, &used) == 2 && text[used] == '\0') {
    } else if (minutes = 0, sscanf(text, "%2d%n", &hours, &used) == 1 && text[used] == '\0') {
    } else {
        return false;
    }
    if (hours < 0 || hours > 18 || minutes < 0 || minutes > 59) { return false; }
    *offset_s = sign * (hours * 3600 + minutes * 60);
    return true;
}

/* --- the POSIX rule: CET-1CEST,M3.5.0,M10.5.0/3 */
struct rule_date {
    char kind; /* M, J or 0 = day of year from 0 */
    int month, week, day;
    int32_t time_s;
};
struct rule {
    int32_t offset_s, summer_offset_s;
    bool has_summer;
    struct rule_date start, end;
};

static bool rule_name(const char **at) {
    const char *from = *at;
    if (**at == '<') {
        while (**at && **at != '>') { (*at)++; }
        if (!**at) { return false; }
        (*at)++;
        return true;
    }
    while ((**at >= 'a' && **at <= 'z') || (**at >= 'A' && **at <= 'Z')) { (*at)++; }
    return *at - from >= 3;
}

static bool rule_number(const char **at, int *out) {
    if (**at < '0' || **at > '9') { return false; }
    *out = 0;
    while (**at >= '0' && **at <= '9' && *out < 100000) { *out = *out * 10 + *(*at)++ - '0'; }
    return true;
}

static bool rule_time(const char **at, int32_t *out_s) {
    int sign = 1, hours = 0, minutes = 0, seconds = 0;
    if (**at == '-' || **at == '+') { sign = *(*at)++ == '-' ? -1 : 1; }
    if (!rule_number(at, &hours) || hours > 200) { return false; }
    if (**at == ':' && ((*at)++, !rule_number(at, &minutes))) { return false; }
    if (**at == ':' && ((*at)++, !rule_number(at, &seconds))) { return false; }
    *out_s = sign * (hours * 3600 + minutes * 60 + seconds);
    return true;
}

static bool rule_date_parse(const char **at, struct rule_date *date) {
    if (**at != ',') { return false; }
    (*at)++;
    *date = (struct rule_date){.time_s = 7200};
    if (**at == 'M') {
        (*at)++;
        date->kind = 'M';
        if (!rule_number(at, &date->month) || **at != '.' || ((*at)++, !rule_number(at, &date->week)) || **at != '.' ||
            ((*at)++, !rule_number(at, &date->day)) || date->month < 1 || date->month > 12 || date->week < 1 ||
            date->week > 5 || date->day > 6) {
            return false;
        }
    } else {
        if (**at == 'J') {
            (*at)++;
            date->kind = 'J';
        }
        if (!rule_number(at, &date->day) || date->day > 366) { return false; }
    }
    return **at != '/' || ((*at)++, rule_time(at, &date->time_s));
}

static bool rule_parse(const char *text, struct rule *rule) {
    *rule = (struct rule){0};
    const char *at = text;
    if (!rule_name(&at) || !rule_time(&at, &rule->offset_s)) { return false; }
    rule->offset_s = -rule->offset_s; /* POSIX counts westward */
    if (*at == '\0') { return true; }
    rule->summer_offset_s = rule->offset_s + 3600;
    if (!rule_name(&at)) { return false; }
    if (*at != ',') {
        if (!rule_time(&at, &rule->summer_offset_s)) { return false; }
        rule->summer_offset_s = -rule->summer_offset_s;
    }
    rule->has_summer = true;
    return rule_date_parse(&at, &rule->start) && rule_date_parse(&at, &rule->end) && *at == '\0';
}

static bool is_leap(int64_t year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

/* Days since 1970-01-01 of the first of a month. */
static int64_t month_start(int64_t year, int month) {
    static const int16_t before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
    const int64_t past = year - 1;
    return past * 365 + past / 4 - past / 100 + past / 400 - 719162 + before[month - 1] + (month > 2 && is_leap(year));
}

/* Local seconds at which a rule's date begins in a year. */
static int64_t rule_date_s(const struct rule_date *date, int64_t year) {
    int64_t day;
    if (date->kind == 'M') {
        const int64_t first = month_start(year, date->month);
        const int64_t next = date->month == 12 ? month_start(year + 1, 1) : month_start(year, date->month + 1);
        const int64_t weekday = (first + 4) % 7; /* 1970-01-01 was a Thursday */
        day = first + (date->day - weekday + 7) % 7 + (date->week - 1) * 7;
        if (day >= next) { day -= 7; }
    } else if (date->kind == 'J') {
        day = month_start(year, 1) + date->day - 1 + (date->day >= 60 && is_leap(year));
    } else {
        day = month_start(year, 1) + date->day;
    }
    return day * 86400 + date->time_s;
}

static void rule_unroll(struct zone *zone, const struct rule *rule, int32_t capacity) {
    int64_t last = zone->n ? zone->at_s[zone->n - 1] : INT64_MIN;
    if (!rule->has_summer) { return; }
    for (int64_t year = RULE_YEAR_FIRST; year <= RULE_YEAR_LAST; year++) {
        const int64_t start = rule_date_s(&rule->start, year) - rule->offset_s;
        const int64_t end = rule_date_s(&rule->end, year) - rule->summer_offset_s;
        const bool start_first = start < end;
        const int64_t times[2] = {start_first ? start : end, start_first ? end : start};
        const int32_t offsets[2] = {start_first ? rule->summer_offset_s : rule->offset_s,
                                    start_first ? rule->offset_s : rule->summer_offset_s};
        for (int i = 0; i < 2; i++) {
            if (times[i] <= last || zone->n >= capacity) { continue; }
            zone->at_s[zone->n] = last = times[i];
            zone->offset_s[zone->n++] = offsets[i];
        }
    }
}

/* A signed big-endian number of 4 or 8 bytes. */
static int64_t read_big(const unsigned char *at, int bytes) {
    uint64_t value = 0;
    for (int i = 0; i < bytes; i++) { value = value << 8 | at[i]; }
    return bytes == 4 ? (int32_t)(uint32_t)value : (int64_t)value;
}

struct tzif_counts {
    int64_t isut, isstd, leap, time, type, chars;
};

static bool tzif_header(const unsigned char *data, size_t size, struct tzif_counts *counts) {
    if (size < 44 || memcmp(data, "TZif", 4) != 0) { return false; }
    int64_t *const fields[] = {&counts->isut, &counts->isstd, &counts->leap,
                               &counts->time, &counts->type,  &counts->chars};
    for (int i = 0; i < 6; i++) {
        *fields[i] = read_big(data + 20 + 4 * i, 4);
        if (*fields[i] < 0 || *fields[i] > TRANSITIONS_MAX) { return false; }
    }
    return counts->type > 0;
}

static bool tzif_parse(const unsigned char *data, size_t size, struct zone *zone) {
    struct tzif_counts counts;
    if (!tzif_header(data, size, &counts) || data[4] < '2') { return false; }
    const size_t skip = 44 + (size_t)(counts.time * 5 + counts.type * 6 + counts.chars + counts.leap * 8 +
                                      counts.isstd + counts.isut);
    if (skip >= size || !tzif_header(data + skip, size - skip, &counts)) { return false; }
    const unsigned char *body = data + skip + 44;
    const size_t need = (size_t)(counts.time * 9 + counts.type * 6 + counts.chars + counts.leap * 12 + counts.isstd +
                                 counts.isut);
    const size_t left = size - skip - 44;
    if (need + 2 > left) { return false; }
    const unsigned char *indexes = body + counts.time * 8;
    const unsigned char *types = indexes + counts.time;
    const unsigned char *footer = body + need;
    char rule_text[128];
    size_t rule_size = 0;
    for (size_t i = need + 1; i < left && body[i] != '\n' && rule_size < sizeof rule_text - 1; i++) {
        rule_text[rule_size++] = (char)body[i];
    }
    rule_text[rule_size] = '\0';
    if (footer[0] != '\n') { return false; }
    const int32_t capacity = (int32_t)counts.time + 2 * (RULE_YEAR_LAST - RULE_YEAR_FIRST + 1);
    zone->at_s = malloc((size_t)capacity * sizeof *zone->at_s);
    zone->offset_s = malloc((size_t)capacity * sizeof *zone->offset_s);
    if (!zone->at_s || !zone->offset_s) { return false; }
    zone->first_offset_s = (int32_t)read_big(types, 4);
    for (int64_t i = 0; i < counts.time; i++) {
        if (indexes[i] >= counts.type) { return false; }
        zone->at_s[i] = read_big(body + 8 * i, 8);
        if (i > 0 && zone->at_s[i] < zone->at_s[i - 1]) { return false; }
        zone->offset_s[i] = (int32_t)read_big(types + 6 * indexes[i], 4);
        if (zone->offset_s[i] < -93600 || zone->offset_s[i] > 93600) { return false; }
    }
    zone->n = (int32_t)counts.time;
    struct rule rule;
    if (rule_size > 0 && rule_parse(rule_text, &rule)) { rule_unroll(zone, &rule, capacity); }
    return true;
}

static bool name_is_safe(const char *name) {
    if (strlen(name) >= ZONE_NAME_MAX || name[0] == '/' || name[0] == '.' || strstr(name, "..")) { return false; }
    for (const char *at = name; *at; at++) {
        const char c = *at;
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || strchr("/_+-", c))) {
            return false;
        }
    }
    return name[0] != '\0';
}

static void zone_free(struct zone *zone) {
    free(zone->at_s);
    free(zone->offset_s);
    free(zone);
}

/* Time zone rules belong to the machine, also in the simulator: they are the same in every run. */
static sabot_status zone_load(const char *name, struct zone *zone, struct sabot_error *err) {
    int32_t offset;
    if (offset_parse(name, &offset)) {
        zone->first_offset_s = offset;
        return SABOT_OK;
    }
    char path[sizeof "/usr/share/zoneinfo/" + ZONE_NAME_MAX];
    snprintf(path, sizeof path, "/usr/share/zoneinfo/%s", name);
    char *data = NULL;
    size_t size = 0;
    if (!name_is_safe(name) || env_read_file(env_real(), path, &data, &size, NULL) != SABOT_OK) {
        return SABOT_FAIL(err, SABOT_ERR_PLAN,
                          "unknown time zone '%.64s': use a name such as 'Europe/Berlin' or an offset such as '+08:00'",
                          name);
    }
    const bool ok = tzif_parse((const unsigned char *)data, size, zone);
    free(data);
    return ok ? SABOT_OK : SABOT_FAIL(err, SABOT_ERR_CORRUPT, "%s is not a time zone file of version 2 or later", path);
}

sabot_status zone_find(const char *name, const struct zone **out, struct sabot_error *err) {
    *out = &utc;
    if (!name || strcmp(name, "UTC") == 0) { return SABOT_OK; }
    int32_t n = 0;
    struct zone *first = atomic_load_explicit(&zones, memory_order_acquire);
    for (const struct zone *at = first; at; at = at->next, n++) {
        if (strcmp(at->name, name) == 0) {
            *out = at;
            return SABOT_OK;
        }
    }
    if (n >= ZONES_MAX) { return SABOT_FAIL(err, SABOT_ERR_PLAN, "more than %d time zones are in use", ZONES_MAX); }
    struct zone *zone = calloc(1, sizeof *zone);
    if (!zone) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "the system has no memory for a time zone"); }
    snprintf(zone->name, sizeof zone->name, "%s", name);
    const sabot_status status = zone_load(name, zone, err);
    if (status != SABOT_OK) {
        zone_free(zone);
        return status;
    }
    /* Two threads may load the same zone: both copies are right, and both stay. */
    zone->next = first;
    while (!atomic_compare_exchange_weak_explicit(&zones, &zone->next, zone, memory_order_acq_rel,
                                                  memory_order_acquire)) {}
    *out = zone;
    return SABOT_OK;
}
