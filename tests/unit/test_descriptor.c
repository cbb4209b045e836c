/* Descriptors of plugins: what the headers say must be there is there, before anything is
 * called. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include <ipcluster/kernel.h>
#include <ipcluster/launcher.h>
#include <ipcluster/mpi.h>
#include <ipcluster/serial.h>
#include <ipcluster/store.h>

#include "plugin/descriptor.h"

/* Stands for all functions. It is never called. */
static void nothing(void)
{
}
#define FUNCTION (void *)nothing

/* A launcher plugin with two classes and two settings, for a test to take something from. */
struct made {
    struct ipcl_plugin plugin;
    struct ipcl_launcher_operations operations;
    struct ipcl_launcher_class classes[2];
    struct ipcl_option_table table;
    struct ipcl_option options[2];
};

static struct ipcl_launcher_class make_class(const char *name, const char *alias)
{
    return (struct ipcl_launcher_class){
        .name = name,
        .aliases = alias,
        .role = IPCL_ROLE_ENGINES,
        .summary = "starts nothing",
        .create = FUNCTION,
        .start = FUNCTION,
        .signal = FUNCTION,
        .stop = FUNCTION,
        .output = FUNCTION,
        .to_json = FUNCTION,
        .from_json = FUNCTION,
        .destroy = FUNCTION,
    };
}

static struct ipcl_plugin make_plugin(const char *kind, const void *operations)
{
    return (struct ipcl_plugin){
        IPCL_PLUGIN_HEAD,     .kind = kind,     .name = "made",     .version = "1",
        .summary = "made up", .license = "MIT", .author = "nobody", .operations = operations,
    };
}

static struct made *make(void)
{
    static struct made made;
    made.classes[0] = make_class("OneEngineSetLauncher", "one");
    made.classes[1] = make_class("OtherEngineSetLauncher", NULL);
    made.operations = (struct ipcl_launcher_operations){.classes = made.classes, .class_count = 2};
    made.options[0] = (struct ipcl_option){"delay", IPCL_REAL, "0.5", NULL, NULL, "Seconds."};
    made.options[1] = (struct ipcl_option){"name", IPCL_STRING, "", "made-name", NULL, "A name."};
    made.table = (struct ipcl_option_table){"Made", made.options, 2};
    made.plugin = make_plugin("launcher", &made.operations);
    made.plugin.tables = &made.table;
    made.plugin.table_count = 1;
    return &made;
}

static void expect_sound(const struct ipcl_plugin *plugin)
{
    struct ipcl_error error;
    cr_expect_eq(descriptor_check(plugin, plugin->kind, "made", &error), 0, "%s", error.text);
}

static void expect_refusal(const struct ipcl_plugin *plugin, const char *reason)
{
    struct ipcl_error error = {""};
    cr_expect_eq(descriptor_check(plugin, plugin->kind ? plugin->kind : "launcher", "made", &error),
                 -1, "not refused: %s", reason);
    cr_expect(strstr(error.text, reason) != NULL, "expected '%s': %s", reason, error.text);
    cr_expect(strchr(error.text, '\n') == NULL, "more than one line: %s", error.text);
}

/* A test that changes one thing of a sound plugin. */
#define REFUSED(name, change, reason)                                                              \
    Test(descriptor, name)                                                                         \
    {                                                                                              \
        struct made *made = make();                                                                \
        expect_sound(&made->plugin);                                                               \
        change;                                                                                    \
        expect_refusal(&made->plugin, reason);                                                     \
    }

REFUSED(names_what_it_lacks_and_nothing_else, made->plugin.summary = made->plugin.author = NULL,
        "its descriptor lacks summary, author (<ipcluster/plugin.h>")
REFUSED(needs_a_kind, made->plugin.kind = NULL, "its descriptor lacks kind")
REFUSED(needs_operations, made->plugin.operations = NULL, "its descriptor lacks operations")
REFUSED(has_text_that_can_be_shown, made->plugin.author = "\xff",
        "the author of bytes that are not UTF-8")
REFUSED(with_a_number_of_tables_has_them, made->plugin.tables = NULL,
        "its table_count is 1, but it has no tables")
REFUSED(offers_a_launcher_class, made->operations.class_count = 0, "its class_count is 0")
REFUSED(needs_the_classes_that_it_counts, made->operations.classes = NULL,
        "its struct of operations lacks classes")
REFUSED(needs_a_name_for_each_class, made->classes[1].name = NULL,
        "one of its launcher classes lacks name")
REFUSED(needs_a_name_that_can_be_typed, made->classes[1].name = "",
        "one of its launcher classes lacks name")
REFUSED(needs_a_class_once, made->classes[1].name = "ONEEngineSetLauncher",
        "two launcher classes with the name ONEEngineSetLauncher")
REFUSED(needs_a_role_that_there_is, made->classes[0].role = 7, "the role 7")
REFUSED(names_the_class_that_lacks_functions, made->classes[0].create = NULL;
        made->classes[0].to_json = NULL, "'OneEngineSetLauncher' lacks create, to_json")
REFUSED(needs_all_functions_of_a_class, made->classes[0] = make_class("One", NULL);
        memset(&made->classes[0].create, 0,
               sizeof(made->classes[0]) - offsetof(struct ipcl_launcher_class, create)),
        "lacks create, start, signal, stop, output, to_json, from_json, destroy")
REFUSED(needs_a_class_for_its_settings, made->table.class_name = NULL,
        "an option table has no class_name")
REFUSED(needs_the_settings_that_it_counts, made->table.options = NULL,
        "an option table has no options")
REFUSED(needs_a_name_for_each_setting, made->options[1].name = NULL,
        "a setting of Made has no name")
REFUSED(needs_a_type_that_there_is, made->options[1].type = 99, "Made.name has the type 99")
REFUSED(needs_a_default, made->options[1].fallback = NULL, "Made.name has no default")
REFUSED(needs_a_default_of_its_type, made->options[0].fallback = "soon",
        "Made.delay expects a number, not soon")
REFUSED(needs_what_a_bare_alias_means_of_its_type, made->options[0].bare = "now",
        "Made.delay expects a number, not now without a value")
REFUSED(needs_help_for_each_setting, made->options[0].help = NULL, "Made.delay has no help")
REFUSED(needs_a_setting_once, made->options[1].name = "delay", "Made.delay is defined twice")
REFUSED(needs_an_alias_once, made->options[0].aliases = "made-name",
        "an alias of the setting Made.name")
REFUSED(knows_what_is_renamed, made->options[1].type = IPCL_RENAMED,
        "Made.name is another name of something that is not a Class.trait")

/* All pointers in the first `needed_size` bytes of the struct, of `size` bytes, are needed. */
static void expect_needs(const char *kind, void *operations, size_t size, size_t needed_size)
{
    struct ipcl_plugin plugin = make_plugin(kind, operations);
    void **pointers = operations;
    for (size_t i = 0; i < size / sizeof(*pointers); i++) {
        void *kept = pointers[i];
        pointers[i] = NULL;
        if (i < needed_size / sizeof(*pointers))
            expect_refusal(&plugin, "its struct of operations lacks ");
        else
            expect_sound(&plugin);
        pointers[i] = kept;
        expect_sound(&plugin);
    }
}

Test(descriptor, needs_all_of_an_mpi_initialiser)
{
    struct ipcl_mpi_operations operations = {FUNCTION, FUNCTION, FUNCTION, FUNCTION};
    expect_needs("mpi", &operations, sizeof(operations), sizeof(operations));
}

Test(descriptor, needs_all_of_a_serializer)
{
    struct ipcl_serial_operations operations = {"a", "b", FUNCTION, FUNCTION, FUNCTION};
    expect_needs("serial", &operations, sizeof(operations), sizeof(operations));
}

Test(descriptor, needs_all_of_a_kernel)
{
    static const char *const none[] = {NULL};
    struct ipcl_kernel_operations operations = {none,     FUNCTION, FUNCTION, FUNCTION, FUNCTION,
                                                FUNCTION, FUNCTION, FUNCTION, FUNCTION, FUNCTION,
                                                FUNCTION, FUNCTION, FUNCTION, NULL};
    size_t needed = offsetof(struct ipcl_kernel_operations, command);
    expect_needs("kernel", &operations, needed, needed);
}

Test(descriptor, of_a_kernel_from_before_there_was_a_command_reads_none)
{
    static const char *const none[] = {NULL};
    struct ipcl_kernel_operations operations = {.requests = none, .command = FUNCTION};
    struct ipcl_plugin plugin = make_plugin("kernel", &operations);
    cr_assert(descriptor_command(&plugin));
    plugin.abi_minor = 2;
    cr_assert_not(descriptor_command(&plugin));
}

/* What a store may leave out is what store.h says, and what an older one ends before is not
 * read. */
Test(descriptor, needs_of_a_store_what_has_no_other_way)
{
    struct ipcl_store_operations operations = {.create = FUNCTION,
                                               .put = FUNCTION,
                                               .find = FUNCTION,
                                               .drop = FUNCTION,
                                               .commit = FUNCTION,
                                               .destroy = FUNCTION};
    struct ipcl_plugin plugin = make_plugin("store", &operations);
    expect_needs("store", &operations, offsetof(struct ipcl_store_operations, commit),
                 offsetof(struct ipcl_store_operations, commit));
    operations.commit = NULL;
    expect_sound(&plugin);
    operations.destroy = NULL;
    expect_refusal(&plugin, "lacks destroy (<ipcluster/store.h>");
    size_t old_bytes = offsetof(struct ipcl_store_operations, tidy);
    void *old = malloc(old_bytes);
    operations.destroy = FUNCTION;
    memcpy(old, &operations, old_bytes);
    plugin.operations = old;
    plugin.abi_minor = 0;
    expect_sound(&plugin);
    free(old);
}

Test(descriptor, a_table_of_an_earlier_abi_says_nothing_of_variables)
{
    static const struct ipcl_batch_system system = {.name = "Some", .job_variables = "{JOB_ID}"};
    struct ipcl_plugin plugin = {IPCL_PLUGIN_HEAD};
    cr_expect_str_eq(descriptor_job_variables(&plugin, &system), "{JOB_ID}");
    plugin.abi_minor = 3;
    cr_expect_null(descriptor_job_variables(&plugin, &system));
}
