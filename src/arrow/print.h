/* Values as text: what CAST(... AS STRING), the command's output and messages share. All write at most PRINT_SIZE bytes
 * (with the NUL) and return the length without it. */
#ifndef ARROW_PRINT_H
#define ARROW_PRINT_H

#include <stdint.h>

#define PRINT_SIZE 64

int print_i64(int64_t value, char *target);
int print_i128(__int128 value, char *target);
int print_decimal(__int128 unscaled, int scale, char *target); /* plain notation, always `scale` digits */
/* Java's Double.toString and Float.toString with the shortest digits that read back: 1.0, 1.0E10, NaN, Infinity. */
int print_f64(double value, char *target);
int print_f32(float value, char *target);
int print_date(int64_t days, char *target);                      /* 2015-07-14 */
int print_time(int32_t ms_of_day, int precision, char *target);  /* 23:59:10 and `precision` digits, at most 3 */
/* 2015-07-14 23:59:10 and `precision` digits; the unit is that of TIMESTAMP(precision). */
int print_timestamp(int64_t value, int precision, char *target);
int print_interval_month(int32_t months, char *target); /* +1-02 */
int print_interval_day(int64_t ms, char *target);       /* +1 02:03:04.005 */

#endif
