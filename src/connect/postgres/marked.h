/* Transactions that leave a mark: a row of a table that says which epoch of a sink was sent last. */
#ifndef CONNECT_POSTGRES_MARKED_H
#define CONNECT_POSTGRES_MARKED_H

#include "connect/epochs.h"

/* Epochs are statements and rows of COPY (rows.h), a place is the table as SQL writes it, spaces as \x01. */
extern const struct epochs_type postgres_epochs;
/* The same without a mark: at least once. */
extern const struct epochs_type postgres_batches;

#endif
