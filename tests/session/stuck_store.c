/* A store plugin for tests: the memory store, in which putting a record waits until a file is
 * there. */
#include <ipcluster/store.h>

#include <dlfcn.h>
#include <stdlib.h>
#include <unistd.h>

static const struct ipcl_store_operations *memory;

static void *create(const struct ipcl_services *services, const char *folder,
                    const char *cluster_id, struct ipcl_error *error)
{
    void *library = dlopen(getenv("MEMORY_STORE"), RTLD_NOW | RTLD_LOCAL);
    const struct ipcl_plugin *plugin = library ? dlsym(library, "ipcl_plugin") : NULL;
    if (!plugin) {
        ipcl_error_set(error, "no memory store: %s", dlerror());
        return NULL;
    }
    memory = plugin->operations;
    return memory->create(services, folder, cluster_id, error);
}

static int put(void *self, const char *msg_id, const struct ipcl_record *record,
               struct ipcl_error *error)
{
    while (access(getenv("STUCK_STORE_GO"), F_OK))
        usleep(10000);
    return memory->put(self, msg_id, record, error);
}

static int find(void *self, const json_t *query, const json_t *keys,
                bool (*found)(void *context, const struct ipcl_record *record), void *context,
                struct ipcl_error *error)
{
    return memory->find(self, query, keys, found, context, error);
}

static int64_t drop(void *self, const json_t *query, struct ipcl_error *error)
{
    return memory->drop(self, query, error);
}

static void destroy(void *self)
{
    if (memory)
        memory->destroy(self);
}

static const struct ipcl_option options[] = {
    {"record_limit", IPCL_INT, "10000", NULL, NULL, "How many records to keep."},
    {"size_limit", IPCL_INT, "1073741824", NULL, NULL, "How many bytes they may take."},
    {"cull_fraction", IPCL_REAL, "0", NULL, NULL, "By which fraction to go below a limit."},
};
static const struct ipcl_option_table tables[] = {{"DictDB", options, 3}};

static const struct ipcl_store_operations operations = {
    .create = create,
    .put = put,
    .find = find,
    .drop = drop,
    .destroy = destroy,
};

extern const struct ipcl_plugin ipcl_plugin;
IPCL_EXPORT const struct ipcl_plugin ipcl_plugin = {
    IPCL_PLUGIN_HEAD,
    .kind = "store",
    .name = "stuck",
    .version = "1.0",
    .summary = "a store that waits",
    .license = "BSD-2-Clause",
    .author = "the ipcluster developers",
    .tables = tables,
    .table_count = 1,
    .operations = &operations,
};
