/* State of a checkpoint or savepoint as tables: connector 'savepoint'. */
#ifndef ENGINE_SAVEPOINT_H
#define ENGINE_SAVEPOINT_H

#include "store/store.h"

/* Makes the connector known; once per process is enough, more do no harm. */
sabot_status savepoint_register(struct sabot_error *err);
/* CREATE TABLE statements for all state tables of a checkpoint or savepoint (or of the newest in a folder): names are
 * operator and state with everything but letters, digits and _ replaced by _. */
sabot_status savepoint_tables_sql(struct store *store, const char *path, struct text *sql, struct sabot_error *err);
/* The name of such a table. */
void savepoint_table_name(const char *uid, const char *state, char *target, size_t size);

#endif
