/* Choosing and opening the store of records. */
#include "controller/records/store.h"

#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/path.h"
#include "base/random.h"
#include "controller/delivery/handouts.h"

/* ipyparallel's names of stores, and our plugins for them. */
static const struct {
    const char *name;
    const char *plugin; /* NULL: none */
} known[] = {
    {"nodb", NULL},
    {"dictdb", "memory"},
    {"sqlitedb", "sqlite"},
};

/* "DictDB" and "ipyparallel.controller.dictdb.DictDB" are the same. */
static const char *short_class(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot ? dot + 1 : name;
}

/* An older plugin lacks the operations that came later. */
static const struct ipcl_store_operations *operations_of(const struct ipcl_plugin *plugin)
{
    static struct ipcl_store_operations operations;
    if (plugin->abi_minor >= 1)
        return plugin->operations;
    memcpy(&operations, plugin->operations, offsetof(struct ipcl_store_operations, tidy));
    return &operations;
}

int store_choose(struct settings *settings, struct registry *registry, struct services_host *host,
                 struct controller *controller, struct ipcl_error *error)
{
    const char *name = short_class(settings_string(settings, "IPController", "db_class"));
    const char *wanted = name; /* a site's own plugin */
    if (!strcasecmp(name, "mongodb"))
        return ipcl_error_set(error, "this controller cannot keep records in MongoDB: use "
                                     "--sqlitedb, which also keeps records from one controller "
                                     "to the next");
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        if (!strcasecmp(name, known[i].name))
            wanted = known[i].plugin;
    if (!wanted)
        return settings_finish(settings, error);
    const struct ipcl_plugin *plugin = registry_load(registry, "store", wanted, error);
    if (!plugin || services_add_tables(settings, plugin, error) || settings_finish(settings, error))
        return -1;
    *host = (struct services_host){.plugin_name = plugin->name, .settings = settings};
    controller->store = operations_of(plugin);
    return 0;
}

/* Finds out whether it is certain what the previous controller gave out. */
static int store_begin(struct controller *controller, struct ipcl_error *error)
{
    int64_t session, before;
    if (!controller->store->begin)
        return 0;
    random_bytes(&session, sizeof(session));
    session = (session & INT64_MAX) | 1;
    services_expect(error, "the store of records could not note that it is in use");
    if (controller->store->begin(controller->records, session, &before, error))
        return -1;
    if (*controller->handouts_file)
        controller->handouts = handouts_open(controller->handouts_file, session, before, error);
    if (*controller->handouts_file && !controller->handouts)
        log_warn("tasks that wait would be lost with this controller: %s", error->text);
    return 0;
}

int store_open(const struct settings *settings, const struct profile *profile,
               struct services_host *host, struct controller *controller, struct ipcl_error *error)
{
    struct ipcl_services services;
    if (!controller->store && controller->restarted && path_exists(controller->handouts_file))
        log_warn("the previous controller kept its records in a file: without --sqlitedb its tasks "
                 "are lost");
    if (!controller->store)
        return 0;
    services_init(&services, host);
    ipcl_error_set(error, "the store of records %s could not be opened and gave no reason",
                   host->plugin_name);
    controller->records = controller->store->create(
        &services, profile->dir, settings_string(settings, "IPController", "cluster_id"), error);
    return controller->records && !store_begin(controller, error) ? 0 : -1;
}

bool store_restores(const struct controller *controller)
{
    return controller->restarted && controller->store && controller->store->begin &&
           controller->store->outcomes;
}

void store_close(struct controller *controller)
{
    if (controller->store)
        controller->store->destroy(controller->records);
    controller->records = NULL;
    handouts_close(controller->handouts);
    controller->handouts = NULL;
}
