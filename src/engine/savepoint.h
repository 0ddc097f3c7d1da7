/* State of a checkpoint or savepoint as tables: connector 'savepoint'. */
#ifndef ENGINE_SAVEPOINT_H
#define ENGINE_SAVEPOINT_H

#include "connect/connector.h"
#include "store/store.h"

extern const struct connector_option savepoint_options[];
extern const struct sink_type savepoint_sink; /* savepoint_sink.c */
/* Makes the connector known; once per process is enough, more do no harm. */
sabot_status savepoint_register(struct sabot_error *err);
/* CREATE TABLE statements for all state tables of a checkpoint or savepoint (or of the newest in a folder): names are
 * operator and state with everything but letters, digits and _ replaced by _. */
sabot_status savepoint_tables_sql(struct store *store, const char *path, struct text *sql, struct sabot_error *err);
/* The name of such a table. */
void savepoint_table_name(const char *uid, const char *state, char *target, size_t size);

#endif
