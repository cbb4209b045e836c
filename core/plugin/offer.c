/* Names of plugins that a shell offers as values of a setting. */
#include "plugin/offer.h"

#include "plugin/registry.h"

/* For registry_scan(). */
struct plugin_names {
    const struct settings *settings;
    FILE *stream;
};

static void offer_name(void *context, const struct registry_entry *entry)
{
    const struct plugin_names *names = context;
    if (entry->plugin && !entry->shadowed)
        settings_offer(names->settings, names->stream, entry->plugin->name, entry->plugin->summary);
}

void offer_plugins(const struct settings *settings, const char *kind, FILE *stream)
{
    struct plugin_names names = {settings, stream};
    struct ipcl_error error;
    struct registry *registry = registry_create(NULL, &error);
    if (registry)
        registry_scan(registry, kind, offer_name, &names, &error);
    registry_destroy(registry);
}
