/* A program's answer to --carry-settings, with the settings of its plugins. */
#include "plugin/carry.h"

#include "plugin/registry.h"
#include "plugin/services.h"

/* A plugin whose settings clash with others is no concern of this program. */
static void add_tables(void *settings, const struct registry_entry *entry)
{
    struct ipcl_error error;
    if (!entry->plugin || entry->shadowed)
        return;
    services_add_tables(settings, entry->plugin, &error);
}

int carry_answer(struct settings *settings, const char *const *kinds, struct ipcl_error *error)
{
    if (settings_wants(settings) != SETTINGS_CARRY)
        return 0;
    struct registry *registry = registry_create(NULL, error);
    int status = registry ? 0 : -1;
    for (; !status && *kinds; kinds++)
        status = registry_scan(registry, *kinds, add_tables, settings, error);
    if (!status)
        status = settings_carry(settings, stdin, stdout, error);
    registry_destroy(registry);
    return status ? -1 : 1;
}
