/* Rows that stand in memory have all columns of their table; a query reads some of them. */
#include "connect/memory/memory.h"

#include <stdlib.h>

sabot_status memory_project(const struct connector_table *table, const struct batch *from, struct batch **out,
                            struct sabot_error *err) {
    struct schema *wanted = table->schema;
    struct column **columns = calloc((size_t)wanted->n_fields + 1, sizeof *columns);
    if (!columns) { return SABOT_FAIL(err, SABOT_ERR_MEMORY, "no memory for %d columns", wanted->n_fields); }
    for (int32_t i = 0; i < wanted->n_fields; i++) {
        const int32_t at = schema_find(from->schema, wanted->fields[i].name);
        if (at < 0) {
            for (int32_t j = 0; j < i; j++) { column_unref(columns[j]); }
            free(columns);
            return SABOT_FAIL(err, SABOT_ERR_INTERNAL, "table \"%s\": no column %s in memory", table->name,
                              wanted->fields[i].name);
        }
        columns[i] = column_ref(from->columns[at]);
    }
    const sabot_status status = batch_with_columns(from, wanted, columns, wanted->n_fields, out, err);
    free(columns);
    return status;
}
