/* Inside of the storage: what its files share. */
#ifndef CHECKPOINT_STORAGE_IMPL_H
#define CHECKPOINT_STORAGE_IMPL_H

#include "checkpoint/storage.h"

#include <xxhash.h>

#define STORAGE_CHUNK ((size_t)256 * 1024) /* written and read at once */

/* Where a file of the checkpoint `path` is. */
sabot_status storage_file_path(const char *path, const struct manifest_file *item, char target[STORAGE_PATH_MAX],
                               struct sabot_error *err);
/* ERR_CORRUPT: what was hashed is not what the manifest says. */
sabot_status storage_checksum_compare(const XXH3_state_t *hash, int64_t size, const char *path,
                                      const struct manifest_file *item, struct sabot_error *err);

#endif
