/* Loads the serializer plugin that a connection file or a setting names, in the spellings of
 * Jupyter's sessions. */
#ifndef WIRE_SERIALIZER_H
#define WIRE_SERIALIZER_H

#include <ipcluster/serial.h>

#include "plugin/registry.h"

/* Loads the plugin that `pack` names ("json", "orjson", "msgpack", "msgpack.packb", ...); `unpack`
 * must name the same one, or be "". The registry need not outlive what is returned. NULL with
 * `error` set: it is pickle, there is no such plugin, or the two differ. */
const struct ipcl_serial_operations *serializer_load(struct registry *registry, const char *pack,
                                                     const char *unpack, struct ipcl_error *error);

#endif
