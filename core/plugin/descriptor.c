/* Whether a plugin's descriptor has all that the headers of its ABI say must be there. */
#include "plugin/descriptor.h"

#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include <jansson.h>

#include <ipcluster/kernel.h>
#include <ipcluster/launcher.h>
#include <ipcluster/mpi.h>
#include <ipcluster/serial.h>
#include <ipcluster/store.h>

#include "config/settings.h"
#include "plugin/services.h"

/* What must be in a struct: a pointer, which may be one to text. */
struct member {
    const char *name;
    size_t offset;
    bool is_text;
};
#define POINTER(type, name) #name, offsetof(struct type, name), false
#define TEXT(type, name)    #name, offsetof(struct type, name), true

static const struct member descriptor_members[] = {
    {TEXT(ipcl_plugin, kind)},          {TEXT(ipcl_plugin, name)},
    {TEXT(ipcl_plugin, version)},       {TEXT(ipcl_plugin, summary)},
    {TEXT(ipcl_plugin, license)},       {TEXT(ipcl_plugin, author)},
    {POINTER(ipcl_plugin, operations)}, {NULL, 0, false},
};
static const struct member launcher_members[] = {
    {NULL, 0, false},
};
static const struct member class_members[] = {
    {TEXT(ipcl_launcher_class, name)},
    {TEXT(ipcl_launcher_class, summary)},
    {POINTER(ipcl_launcher_class, create)},
    {POINTER(ipcl_launcher_class, start)},
    {POINTER(ipcl_launcher_class, signal)},
    {POINTER(ipcl_launcher_class, stop)},
    {POINTER(ipcl_launcher_class, output)},
    {POINTER(ipcl_launcher_class, to_json)},
    {POINTER(ipcl_launcher_class, from_json)},
    {POINTER(ipcl_launcher_class, destroy)},
    {NULL, 0, false},
};
static const struct member system_members[] = {
    {TEXT(ipcl_batch_system, name)},          {TEXT(ipcl_batch_system, submit)},
    {TEXT(ipcl_batch_system, job_id)},        {TEXT(ipcl_batch_system, cancel)},
    {TEXT(ipcl_batch_system, query.command)}, {TEXT(ipcl_batch_system, query.record)},
    {TEXT(ipcl_batch_system, query.state)},   {TEXT(ipcl_batch_system, unknown_job)},
    {POINTER(ipcl_batch_system, states)},     {TEXT(ipcl_batch_system, prefix)},
    {TEXT(ipcl_batch_system, directives)},    {NULL, 0, false},
};
static const struct member mpi_members[] = {
    {POINTER(ipcl_mpi_operations, create)},
    {POINTER(ipcl_mpi_operations, rank)},
    {POINTER(ipcl_mpi_operations, size)},
    {POINTER(ipcl_mpi_operations, destroy)},
    {NULL, 0, false},
};
static const struct member serial_members[] = {
    {TEXT(ipcl_serial_operations, traits_name)}, {TEXT(ipcl_serial_operations, unpack_name)},
    {POINTER(ipcl_serial_operations, pack)},     {POINTER(ipcl_serial_operations, unpack)},
    {POINTER(ipcl_serial_operations, find)},     {NULL, 0, false},
};
static const struct member kernel_members[] = {
    {POINTER(ipcl_kernel_operations, requests)},     {POINTER(ipcl_kernel_operations, create)},
    {POINTER(ipcl_kernel_operations, apply)},        {POINTER(ipcl_kernel_operations, answer)},
    {POINTER(ipcl_kernel_operations, describe)},     {POINTER(ipcl_kernel_operations, clear)},
    {POINTER(ipcl_kernel_operations, start)},        {POINTER(ipcl_kernel_operations, run_file)},
    {POINTER(ipcl_kernel_operations, run)},          {POINTER(ipcl_kernel_operations, integer)},
    {POINTER(ipcl_kernel_operations, bind_integer)}, {POINTER(ipcl_kernel_operations, interrupt)},
    {POINTER(ipcl_kernel_operations, destroy)},      {NULL, 0, false},
};
static const struct member store_members[] = {
    {POINTER(ipcl_store_operations, create)},  {POINTER(ipcl_store_operations, put)},
    {POINTER(ipcl_store_operations, find)},    {POINTER(ipcl_store_operations, drop)},
    {POINTER(ipcl_store_operations, destroy)}, {NULL, 0, false},
};

static const struct {
    const char *kind;
    const struct member *members;
} kinds[] = {
    {"launcher", launcher_members}, {"mpi", mpi_members},     {"serial", serial_members},
    {"kernel", kernel_members},     {"store", store_members},
};
#define KIND_COUNT (sizeof(kinds) / sizeof(*kinds))

static bool is_utf8(const char *text)
{
    json_t *string = json_string(text);
    bool good = string != NULL;
    json_decref(string);
    return good;
}

/* Tells of one fault. */
__attribute__((format(printf, 2, 3))) static void tell(const struct descriptor_faults *faults,
                                                       const char *format, ...)
{
    char fault[IPCL_ERROR_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(fault, sizeof(fault), format, args);
    va_end(args);
    faults->found(faults->context, fault);
}

/* Tells which of the members `object` lacks. Returns whether all are there. */
static bool check_members(const char *what, const void *object, const struct member *members,
                          const char *header, const struct descriptor_faults *faults)
{
    char missing[300] = "";
    for (; members->name; members++) {
        const void *pointer;
        size_t used = strlen(missing);
        memcpy(&pointer, (const char *)object + members->offset, sizeof(pointer));
        if (!pointer)
            snprintf(missing + used, sizeof(missing) - used, "%s%s", used ? ", " : "",
                     members->name);
        else if (members->is_text && !is_utf8(pointer))
            tell(faults, "%s has the %s of bytes that are not UTF-8", what, members->name);
    }
    if (*missing)
        tell(faults, "%s lacks %s (<ipcluster/%s.h> says what must be there)", what, missing,
             header);
    return !*missing;
}

static void check_class(const struct ipcl_launcher_class *class,
                        const struct descriptor_faults *faults)
{
    char what[200];
    if (!class->name || !*class->name) {
        tell(faults, "one of its launcher classes lacks name");
        return;
    }
    snprintf(what, sizeof(what), "its launcher class '%.128s'", class->name);
    if (class->role != IPCL_ROLE_CONTROLLER && class->role != IPCL_ROLE_ENGINES)
        tell(faults, "%s has the role %d, which does not exist", what, (int)class->role);
    check_members(what, class, class_members, "launcher", faults);
}

/* The size that a class has in the plugin's minor version: the elements of its array are that far
 * apart. */
static size_t class_size(const struct ipcl_plugin *plugin)
{
    return plugin->abi_minor < 2 ? offsetof(struct ipcl_launcher_class, properties)
                                 : sizeof(struct ipcl_launcher_class);
}

struct ipcl_launcher_class descriptor_class(const struct ipcl_plugin *plugin, size_t i)
{
    const struct ipcl_launcher_operations *operations = plugin->operations;
    struct ipcl_launcher_class class = {.name = NULL};
    memcpy(&class, (const char *)operations->classes + i * class_size(plugin), class_size(plugin));
    return class;
}

size_t descriptor_class_count(const struct ipcl_plugin *plugin)
{
    const struct ipcl_launcher_operations *operations = plugin->operations;
    return operations->class_count;
}

const struct ipcl_batch_system *const *descriptor_systems(const struct ipcl_plugin *plugin,
                                                          size_t *count)
{
    const struct ipcl_launcher_operations *operations = plugin->operations;
    *count = plugin->abi_minor < 2 ? 0 : operations->system_count;
    return *count ? operations->systems : NULL;
}

const char *descriptor_job_variables(const struct ipcl_plugin *plugin,
                                     const struct ipcl_batch_system *system)
{
    return plugin->abi_minor < 4 ? NULL : system->job_variables;
}

char **(*descriptor_command(const struct ipcl_plugin *plugin))(const struct ipcl_services *,
                                                               const char *, struct ipcl_error *)
{
    const struct ipcl_kernel_operations *operations = plugin->operations;
    return plugin->abi_minor < 3 ? NULL : operations->command;
}

static void check_system(const struct ipcl_batch_system *system,
                         const struct descriptor_faults *faults)
{
    char what[200];
    if (!system || !system->name || !*system->name) {
        tell(faults, "one of its batch systems lacks name");
        return;
    }
    snprintf(what, sizeof(what), "its batch system '%.128s'", system->name);
    check_members(what, system, system_members, "batch", faults);
}

static void check_classes(const struct ipcl_plugin *plugin, const struct descriptor_faults *faults)
{
    const struct ipcl_launcher_operations *operations = plugin->operations;
    size_t classes = descriptor_class_count(plugin), systems;
    const struct ipcl_batch_system *const *table = descriptor_systems(plugin, &systems);
    if (!classes && !systems)
        tell(faults, "it offers nothing: its class_count is 0");
    if ((classes && !operations->classes) || (systems && !table)) {
        tell(faults,
             "its struct of operations lacks %s (<ipcluster/launcher.h> says what must be there)",
             classes && !operations->classes ? "classes" : "systems");
        return;
    }
    for (size_t i = 0; i < classes; i++) {
        const struct ipcl_launcher_class class = descriptor_class(plugin, i);
        check_class(&class, faults);
        for (size_t k = 0; k < i && class.name; k++) {
            const char *other = descriptor_class(plugin, k).name;
            if (other && !strcasecmp(other, class.name))
                tell(faults, "it has two launcher classes with the name %s", class.name);
        }
    }
    for (size_t i = 0; i < systems; i++)
        check_system(table[i], faults);
}

/* Checks the plugin's option tables by themselves, without other settings. */
static void check_tables(const struct ipcl_plugin *plugin, const struct descriptor_faults *faults)
{
    static const struct settings_program nobody = {.name = "", .usage = ""};
    struct ipcl_error error;
    if (plugin->table_count && !plugin->tables) {
        tell(faults, "its table_count is %zu, but it has no tables", plugin->table_count);
        return;
    }
    struct settings *settings = settings_create(&nobody, &error);
    if (!settings || services_add_tables(settings, plugin, &error) < 0)
        tell(faults, "%s", error.text);
    settings_destroy(settings);
}

/* The ABI is checked before anything behind it is read. */
static bool check_abi(const struct ipcl_plugin *plugin, const struct descriptor_faults *faults)
{
    if (!plugin)
        tell(faults, "it has no descriptor: a plugin exports the constant ipcl_plugin");
    else if (plugin->abi_major != IPCL_ABI_MAJOR || plugin->abi_minor > IPCL_ABI_MINOR)
        tell(faults,
             "it was built for plugin ABI %u.%u and this program has %d.%d: rebuild it "
             "with the installed headers",
             plugin->abi_major, plugin->abi_minor, IPCL_ABI_MAJOR, IPCL_ABI_MINOR);
    else if (plugin->size < sizeof(*plugin))
        tell(faults,
             "its descriptor has %u bytes instead of %zu: rebuild it with the installed headers",
             plugin->size, sizeof(*plugin));
    else
        return true;
    return false;
}

void descriptor_find_faults(const struct ipcl_plugin *plugin, const char *kind, const char *name,
                            const struct descriptor_faults *faults)
{
    size_t i = 0;
    if (!check_abi(plugin, faults) ||
        !check_members("its descriptor", plugin, descriptor_members, "plugin", faults))
        return;
    /* Its struct of operations is not known then. */
    if (kind && strcmp(plugin->kind, kind)) {
        tell(faults, "it is a plugin of kind '%s' in a folder for kind '%s'", plugin->kind, kind);
        return;
    }
    if (strcmp(plugin->name, name))
        tell(faults, "it calls itself '%s': its file must have the same name", plugin->name);
    while (i < KIND_COUNT && strcmp(kinds[i].kind, plugin->kind))
        i++;
    if (i == KIND_COUNT)
        tell(faults, "its kind '%s' does not exist: use launcher, mpi, serial, kernel or store",
             plugin->kind);
    else
        check_members("its struct of operations", plugin->operations, kinds[i].members,
                      plugin->kind, faults);
    if (!strcmp(plugin->kind, "launcher"))
        check_classes(plugin, faults);
    check_tables(plugin, faults);
}

/* Keeps the first. */
static void keep(void *context, const char *fault)
{
    struct ipcl_error *error = context;
    if (!*error->text)
        ipcl_error_set(error, "%s", fault);
}

int descriptor_check(const struct ipcl_plugin *plugin, const char *kind, const char *name,
                     struct ipcl_error *error)
{
    struct ipcl_error first = {.text = ""};
    descriptor_find_faults(plugin, kind, name,
                           &(struct descriptor_faults){.found = keep, .context = &first});
    return *first.text ? ipcl_error_set(error, "%s", first.text) : 0;
}
