/* Late rows: see lateness.h. */
#include "time/lateness.h"

int32_t late_split(const int64_t *closes_ms, int64_t lateness_ms, int64_t watermark_ms, int32_t *rows, int32_t n,
                   int32_t *late) {
    int32_t kept = 0, n_late = 0;
    for (int32_t i = 0; i < n; i++) {
        const int32_t row = rows[i];
        const bool is_late = row_is_late(closes_ms[i], lateness_ms, watermark_ms);
        rows[kept] = row;
        late[n_late] = row;
        kept += !is_late;
        n_late += is_late;
    }
    return kept;
}
