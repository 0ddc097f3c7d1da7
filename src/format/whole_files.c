/* Formats that are whole files, not records: the connector 'filesystem' reads and writes them through the bridge. */
#include "format/format.h"

static const struct connector_option no_options[] = {{0}};

const struct format_type parquet_format = {
    .name = "parquet",
    .summary = "Apache Parquet files; columns go by name",
    .options = no_options,
};

const struct format_type arrow_format = {
    .name = "arrow",
    .summary = "Arrow IPC files and streams; columns go by name",
    .options = no_options,
};
