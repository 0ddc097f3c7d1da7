/* The proleptic Gregorian calendar in integer arithmetic, as java.time has it: days since 1970-01-01 <-> year, month,
 * day. */
#ifndef ARROW_CALENDAR_H
#define ARROW_CALENDAR_H

#include <stdbool.h>
#include <stdint.h>

#define DAY_MS INT64_C(86400000)

static inline int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b != 0 && (a % b < 0) != (b < 0)); }
static inline int64_t floor_mod(int64_t a, int64_t b) { return a - floor_div(a, b) * b; }

static inline bool year_is_leap(int64_t year) { return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0); }

static inline int month_days(int64_t year, int month) {
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && year_is_leap(year) ? 29 : days[month - 1];
}

struct civil {
    int64_t year;
    int32_t month, day; /* 1.. */
};

/* Years begin in March here, so that the leap day is the last one; eras are 400 years of 146097 days. */
static inline int64_t days_of_civil(int64_t year, int month, int day) {
    year -= month <= 2;
    const int64_t era = floor_div(year, 400);
    const int64_t year_of_era = year - era * 400;
    const int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

static inline struct civil civil_of_days(int64_t days) {
    days += 719468;
    const int64_t era = floor_div(days, 146097);
    const int64_t day_of_era = days - era * 146097;
    const int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    const int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    const int64_t shifted = (5 * day_of_year + 2) / 153; /* months since March */
    const int32_t month = (int32_t)(shifted < 10 ? shifted + 3 : shifted - 9);
    return (struct civil){.year = year_of_era + era * 400 + (month <= 2),
                          .month = month,
                          .day = (int32_t)(day_of_year - (153 * shifted + 2) / 5 + 1)};
}

#endif
