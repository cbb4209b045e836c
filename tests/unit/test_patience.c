/* How patient the supervisor is when a launcher stops follows the launcher's settings. */
#include <criterion/criterion.h>
#include <string.h>

#include <ipcluster/launcher.h>

#include "plugin/registry.h"

static double seconds;
static unsigned told_ms;

static double option_real(void *host, const char *class_name, const char *name)
{
    (void)host, (void)class_name;
    return strcmp(name, "stop_seconds_until_kill") ? 0 : seconds;
}

static const char *const *option_list(void *host, const char *class_name, const char *name,
                                      size_t *count)
{
    (void)host, (void)class_name, (void)name, (void)count;
    return NULL;
}

static void stop_takes(void *host, unsigned stop_ms)
{
    (void)host;
    told_ms = stop_ms;
}

Test(patience, a_stop_may_take_longer_than_launchers_wait_before_they_kill)
{
    static const char *const names[] = {"local", "mpiexec", "ssh"};
    const struct ipcl_launcher_services services = {
        .base.option_real = option_real, .base.option_list = option_list, .stop_takes = stop_takes};
    struct ipcl_error error;
    struct registry *registry = registry_create(NULL, &error);
    cr_assert(registry, "%s", error.text);
    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        const struct ipcl_plugin *plugin = registry_load(registry, "launcher", names[i], &error);
        cr_assert(plugin, "%s", error.text);
        const struct ipcl_launcher_operations *operations = plugin->operations;
        for (size_t k = 0; k < operations->class_count; k++) {
            const struct ipcl_launcher_class *class = &operations->classes[k];
            unsigned before_ms = 0;
            for (seconds = 0; seconds <= 1000; seconds += 500) {
                told_ms = 0;
                class->destroy(class->create(&services, &error));
                cr_expect(told_ms > seconds * 1000 && told_ms > before_ms, "%s: %u", class->name,
                          told_ms);
                before_ms = told_ms;
            }
        }
    }
    registry_destroy(registry);
}
