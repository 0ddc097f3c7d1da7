/* The folder of a job's key-value state on disk: temporary, gone with the job, or with the next job after a crash. */
#ifndef RUNTIME_STATE_DIR_H
#define RUNTIME_STATE_DIR_H

#include "base/env_local.h"

struct state_dir {
    struct env *env;
    char *path; /* NULL: none */
    struct env_socket *alive; /* as long as somebody listens, the folder is somebody's */
};

/* A new folder within `base`, which is made where it is not there. What killed processes have left there is removed. */
sabot_status state_dir_open(struct env *env, const char *base, struct state_dir *out, struct sabot_error *err);
/* Removes it. A zeroed one is allowed. */
void state_dir_close(struct state_dir *dir);

#endif
