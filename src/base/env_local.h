/* What processes of one machine share: sockets between them, and a folder of the user's own where the sockets are.
 * Not in the simulator: there everything is ERR_UNSUPPORTED. */
#ifndef BASE_ENV_LOCAL_H
#define BASE_ENV_LOCAL_H

#include "base/env.h"

#define ENV_PATH_MAX 4096

struct env_socket;
/* SABOT_RUN_DIR, else XDG_RUNTIME_DIR/sabot, else /tmp/sabot-<user id>; made with mode 0700 where it is not there. A
 * folder that belongs to somebody else, or that others may enter, is refused. */
sabot_status env_run_dir(struct env *env, char target[ENV_PATH_MAX], struct sabot_error *err);
/* The path from the root, as seen from the current folder; nothing need be there. */
sabot_status env_absolute(struct env *env, const char *path, char target[ENV_PATH_MAX], struct sabot_error *err);
/* A file, or a folder with all in it, to some depth. */
sabot_status env_remove_tree(struct env *env, const char *path, struct sabot_error *err);
int32_t env_process_id(struct env *env);
/* Where temporary files that may be large go: TMPDIR, else /var/tmp. */
const char *env_temporary_dir(struct env *env);

/* A Unix socket at `path`, mode 0600. One that nobody listens to any more is replaced. */
sabot_status env_socket_listen(struct env *env, const char *path, struct env_socket **out, struct sabot_error *err);
/* *out NULL: nobody came within timeout_ns. */
sabot_status env_socket_accept(struct env_socket *listener, int64_t timeout_ns, struct env_socket **out,
                               struct sabot_error *err);
/* ERR_NOT_FOUND: nobody listens there. */
sabot_status env_socket_connect(struct env *env, const char *path, struct env_socket **out, struct sabot_error *err);
/* *got 0: the other side has closed. ERR_IO after timeout_ns without a byte (negative: no limit). */
sabot_status env_socket_read(struct env_socket *socket, void *target, size_t size, int64_t timeout_ns, size_t *got,
                             struct sabot_error *err);
sabot_status env_socket_write(struct env_socket *socket, const void *data, size_t size, struct sabot_error *err);
void env_socket_close(struct env_socket *socket); /* a listener's path goes with it; NULL is allowed */

#endif
