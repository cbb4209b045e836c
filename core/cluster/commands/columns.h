/* Tables that people read. */
#ifndef CLUSTER_COMMANDS_COLUMNS_H
#define CLUSTER_COMMANDS_COLUMNS_H

#include <jansson.h>
#include <stdio.h>

#define COLUMNS_MAX 10

/* Writes rows, arrays of up to COLUMNS_MAX texts, each column as wide as its longest text. */
void columns_write(const json_t *rows, FILE *stream);

#endif
