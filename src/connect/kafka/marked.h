/* A producer with a transactional id whose transactions leave a mark: a committed offset that says which epoch was sent
 * last. Blocks; one thread at a time. */
#ifndef CONNECT_KAFKA_MARKED_H
#define CONNECT_KAFKA_MARKED_H

#include "connect/epochs.h"

/* Epochs are stored messages, an id is a transactional id, a place is a topic. Sends however long the brokers are
 * away. */
extern const struct epochs_type kafka_epochs;

#endif
