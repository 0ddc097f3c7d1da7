/* Time zones: IANA names ("Europe/Berlin") from the system's zoneinfo, and fixed offsets ("UTC", "Z", "+08:00",
 * "GMT-5").
 *
 * Zones are loaded once per process and kept; looking one up again costs a short list walk. Thread safe. */
#ifndef BASE_ZONE_H
#define BASE_ZONE_H

#include <stdint.h>

#include "base/error.h"

struct zone;

/* ERR_PLAN with the name in the message where there is none of that name. NULL and "UTC" are UTC. */
sabot_status zone_find(const char *name, const struct zone **out, struct sabot_error *err);
/* Seconds to add to UTC at an instant. */
int32_t zone_offset_s(const struct zone *zone, int64_t unix_s);
/* Local date-time of an instant and back, in units of 1/units_per_second. In a gap the local time is moved forward by
 * the length of the gap, in an overlap the earlier offset is taken: as java.time and Flink do. */
int64_t zone_to_local(const struct zone *zone, int64_t instant, int64_t units_per_second);
int64_t zone_to_instant(const struct zone *zone, int64_t local, int64_t units_per_second);

#endif
