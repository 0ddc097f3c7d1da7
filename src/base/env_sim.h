/* The simulated world: virtual time, chance from a seed, files in memory. One thread.
 *
 * A run with the same seed and the same program is the same run. Helper work (env_offload) is done at a random later
 * moment, whole; reads give short counts at random; time moves only when somebody waits or a step is taken.
 * What was not synced is lost in a crash: see env_sim_crash. */
#ifndef BASE_ENV_SIM_H
#define BASE_ENV_SIM_H

#include "base/env.h"

struct env_sim_options {
    uint64_t seed;
    int cores;                 /* what env_cores says; 0 = 2 */
    int64_t work_delay_max_ns; /* helper work is done at most so much later; 0 = 5 ms */
    bool short_reads;
    int64_t bytes_max;         /* of all files; 0 = 1 GiB */
};

struct env *env_sim_new(const struct env_sim_options *options); /* aborts without memory */
/* No job, open file or handle of it may be left. */
void env_sim_free(struct env *env);
uint64_t env_sim_seed(const struct env *env);
/* The seeds that a test should run: the one of SABOT_SIM_SEED or those of SABOT_SIM_SEEDS=first-last from the program's
 * environment, else 1..n. Aborts when it can't read them. */
void env_sim_seeds_wanted(uint64_t n, uint64_t *first, uint64_t *last);

/* --- for who runs the world */
int32_t env_sim_due_work(const struct env *env);      /* pieces of helper work whose time has come */
int64_t env_sim_next_work_ns(const struct env *env);  /* when the next one's comes, INT64_MAX: there is none */
void env_sim_run_work(struct env *env);               /* does one of those that are due, picked at random */
void env_sim_advance(struct env *env, int64_t now_ns); /* time moves there, never back */
void env_sim_tick(struct env *env);                   /* time moves a little */

/* From now on one file operation in so many fails, by chance: those of one kind (the first words of its errors:
 * "open", "write", "look at" ...), or, where `what` is NULL, any. Of a write that fails a part is done; a rename may be
 * done. 0: none fails any more. */
void env_sim_fail(struct env *env, const char *what, int32_t one_in);

/* Power is cut: from now on every file operation fails. Restart brings back what had been synced (of what had not,
 * a random part at the end of each file, and by chance a file whose name was never synced) and what had been renamed;
 * helper work that was not done is dropped by
 * its owner's end, so free the job in between. */
void env_sim_crash(struct env *env);
void env_sim_restart(struct env *env);

#endif
