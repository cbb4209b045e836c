/* Values for Python from C: the few pickles (protocol 2 to 5) that apply_request and its reply
 * need. */
#ifndef CLIENT_VALUE_PRIVATE_H
#define CLIENT_VALUE_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

/* Memory that grows. `failed`: memory was short. */
struct bytes {
    char *data;
    size_t size, capacity;
    bool failed;
};
void bytes_add(struct bytes *bytes, const void *data, size_t size);
void bytes_add_text(struct bytes *bytes, const char *text);
void bytes_free(struct bytes *bytes);

/* A pickled str. */
void value_pickle_text(struct bytes *bytes, const char *text);
/* A pickled ipyparallel Reference: the engine evaluates `expression` in its namespace, and the
 * outcome stands in its place. */
void value_pickle_reference(struct bytes *bytes, const char *expression);
/* A pickled CannedBytes whose bytes are the next buffer of the message. */
void value_pickle_bytes_to_come(struct bytes *bytes);
/* A pickled mapping that counts the buffers that follow it: `arguments` positional arguments in
 * `buffers` buffers. */
void value_pickle_apply_info(struct bytes *bytes, size_t arguments, size_t buffers);

/* Reads a pickle of a str or None. Returns 0 with malloc'ed text (NULL for None) in `*text`, or -1
 * where it is something else. */
int value_unpickle_text(const void *data, size_t size, char **text);

#endif
