/* Texts from people, files and environments, which need not be UTF-8, as JSON's must. */
#ifndef CLUSTER_STATE_JSON_TEXT_H
#define CLUSTER_STATE_JSON_TEXT_H

#include <jansson.h>

/* A text to show: if it is not UTF-8, with a question mark for each byte that is not ASCII. NULL if
 * memory is short. */
json_t *json_text(const char *text);
/* A text to read back byte for byte: if it is not UTF-8, it is {"hex": "ff..."}. NULL if memory is
 * short. */
json_t *json_bytes(const char *bytes);
/* Reads what json_bytes() made, malloc'ed. NULL if it is something else, or memory is short. */
char *json_bytes_value(const json_t *value);

#endif
