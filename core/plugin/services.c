/* The services that every kind of plugin is handed: its log and its settings. */
#include "plugin/services.h"

#include <string.h>

#include "base/log.h"

static void service_log(void *host, enum ipcl_log_level level, const char *text)
{
    const struct services_host *services = host;
    log_write(level, "%s: %s", services->plugin_name, text);
}

int services_add_tables(struct settings *settings, const struct ipcl_plugin *plugin,
                        struct ipcl_error *error)
{
    for (size_t i = 0; i < plugin->table_count; i++)
        if (settings_add(settings, &plugin->tables[i], error) < 0)
            return -1;
    return 0;
}

void services_expect(struct ipcl_error *error, const char *what)
{
    if (error)
        stpcpy(stpcpy(error->text, what), " and gave no reason");
}

/* Whether there is such a setting of this type; logs the plugin's mistake where not. */
static bool has(const struct services_host *host, const char *class_name, const char *name,
                enum ipcl_option_type type)
{
    if (settings_has(host->settings, class_name, name, type))
        return true;
    log_error(
        "plugin %s asks for the setting %s.%s, which none of its option tables has with that type",
        host->plugin_name, class_name, name);
    return false;
}

static const char *service_string(void *host, const char *class_name, const char *name)
{
    const struct services_host *services = host;
    return has(services, class_name, name, IPCL_STRING)
               ? settings_string(services->settings, class_name, name)
               : "";
}

static int64_t service_int(void *host, const char *class_name, const char *name)
{
    const struct services_host *services = host;
    return has(services, class_name, name, IPCL_INT)
               ? settings_int(services->settings, class_name, name)
               : 0;
}

static double service_real(void *host, const char *class_name, const char *name)
{
    const struct services_host *services = host;
    return has(services, class_name, name, IPCL_REAL)
               ? settings_real(services->settings, class_name, name)
               : 0.0;
}

static bool service_bool(void *host, const char *class_name, const char *name)
{
    const struct services_host *services = host;
    return has(services, class_name, name, IPCL_BOOL) &&
           settings_bool(services->settings, class_name, name);
}

static const char *const *service_list(void *host, const char *class_name, const char *name,
                                       size_t *count)
{
    const struct services_host *services = host;
    if (has(services, class_name, name, IPCL_LIST))
        return settings_list(services->settings, class_name, name, count);
    if (count)
        *count = 0;
    return NULL;
}

static char *service_passed(void *host)
{
    const struct services_host *services = host;
    return settings_passed(services->settings);
}

void services_init(struct ipcl_services *services, struct services_host *host)
{
    *services = (struct ipcl_services){
        .host = host,
        .log = service_log,
        .option_string = service_string,
        .option_int = service_int,
        .option_real = service_real,
        .option_bool = service_bool,
        .option_list = service_list,
        .options_passed = service_passed,
    };
}
