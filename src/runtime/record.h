/* What a running job notes of itself in system state (checkpoint/system_state.h): checkpoints, acknowledgements,
 * barriers, watermarks, the next checkpoint, and which worker runs which task. `sabot checkpoints show` reads it.
 *
 * Only the control thread writes, between its steps; tasks leave a note in an atomic. So it costs the rows nothing. It
 * is a record, never the truth: what can't be written is logged, and the job goes on. */
#ifndef RUNTIME_RECORD_H
#define RUNTIME_RECORD_H

#include <stdint.h>

#define RECORD_FOLDER "system" /* within a local checkpoint folder */

struct job;
struct record;

/* NULL: none is kept, which all calls take. Kept where the job names a folder for it (job_options.system_state_dir),
 * and within a local checkpoint folder where the job uses RocksDB anyway. */
struct record *record_open(struct job *job, int64_t restored_id);
void record_close(struct record *record);
/* Control thread. */
void record_trigger(struct record *record, int64_t checkpoint_id, int64_t timestamp_ms);
void record_over(struct record *record, int64_t checkpoint_id, const char *state);
void record_step(struct record *record, int64_t next_ns);
/* Any thread: the barrier has passed a task, its state is written. */
enum record_note { RECORD_BARRIER, RECORD_ACK, RECORD_NOTES };
void record_note(struct record *record, enum record_note note, int32_t task, int64_t checkpoint_id);

#endif
