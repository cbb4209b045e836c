/* Which serializer plugin a connection file or a setting names, in the spellings of Jupyter's
 * sessions. */
#include "wire/serializer.h"

#include <string.h>
#include <strings.h>

/* Python packages whose bytes are those of a plugin of another name. */
static const struct {
    const char *package;
    const char *plugin;
} packages[] = {
    {"orjson", "json"},       {"ujson", "json"},       {"simplejson", "json"},
    {"ormsgpack", "msgpack"}, {"umsgpack", "msgpack"},
};

/* "msgpack.packb" is a function of a package: the package's name, without regard to case, is the
 * plugin's. */
static void plugin_name(const char *spelling, char name[64])
{
    size_t size = strcspn(spelling, ".");
    snprintf(name, 64, "%.*s", (int)(size < 63 ? size : 63), spelling);
    for (char *at = name; *at; at++)
        if (*at >= 'A' && *at <= 'Z')
            *at += 'a' - 'A';
    for (size_t i = 0; i < sizeof(packages) / sizeof(*packages); i++)
        if (!strcmp(name, packages[i].package))
            strcpy(name, packages[i].plugin);
}

const struct ipcl_serial_operations *serializer_load(struct registry *registry, const char *pack,
                                                     const char *unpack, struct ipcl_error *error)
{
    char name[64], other[64];
    plugin_name(pack, name);
    plugin_name(*unpack ? unpack : pack, other);
    if (!strcmp(name, "pickle") || !strcmp(other, "pickle")) {
        ipcl_error_set(error, "messages cannot be packed with pickle: reading a pickle can run "
                              "any code, and the controller reads messages but runs no code of "
                              "clients. Use json or msgpack.packb (Session.packer)");
        return NULL;
    }
    if (strcmp(name, other)) {
        ipcl_error_set(error,
                       "messages cannot be packed with '%.64s' and unpacked with '%.64s': name one "
                       "serializer (Session.packer and "
                       "Session.unpacker)",
                       pack, unpack);
        return NULL;
    }
    const struct ipcl_plugin *plugin = registry_load(registry, "serial", name, error);
    return plugin ? plugin->operations : NULL;
}
