/* Texts that people, files and environments have, which need not be UTF-8 as those of JSON are. */
#ifndef CLUSTER_STATE_JSON_TEXT_H
#define CLUSTER_STATE_JSON_TEXT_H

#include <jansson.h>

/* To be shown: with a question mark for each byte beside ASCII where it is no UTF-8. NULL where
 * memory is short. */
json_t *json_text(const char *text);
/* To be used again, byte for byte: what is no UTF-8 is {"hex": "ff..."}. NULL where memory is
 * short. */
json_t *json_bytes(const char *bytes);
/* Reads that, malloc'ed. NULL where it is none, or memory is short. */
char *json_bytes_value(const json_t *value);

#endif
