/* Settings from and to JSON files: {"Class": {"trait": value}}, as traitlets reads. */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/path.h"
#include "base/secret.h"
#include "base/trust.h"
#include "config/settings_private.h"

#define FILE_BYTES_MAX (1 << 20)
#define SITE_DIR       "/etc/ipcluster"

/* One file that is being loaded. */
struct settings_file {
    const char *path;
    enum source source;
    const char *const *also_known;
};

static bool is_remark(const char *key)
{
    return !strncmp(key, "//", 2);
}

/* Whether a member of the file is no class: a remark; or a name with a small letter first, such as
 * the format's version, which is no class for traitlets either. */
static bool is_no_class(const char *key, const json_t *value)
{
    return is_remark(key) || (islower((unsigned char)*key) && !json_is_object(value));
}

static bool is_passed_over(const struct settings_file *file, const char *class_name)
{
    for (const char *const *known = file->also_known; known && *known; known++)
        if (!strcmp(*known, class_name))
            return true;
    return false;
}

static int load_class(struct settings *settings, const struct settings_file *file,
                      const char *class_name, const json_t *traits, struct ipcl_error *error)
{
    const char *name;
    json_t *json;
    if (!json_is_object(traits))
        return ipcl_error_set(
            error, "%s: %s expects a mapping of its traits: {\"%s\": {\"trait\": value}}",
            file->path, class_name, class_name);
    json_object_foreach ((json_t *)traits, name, json) {
        struct given given = {
            .class_name = class_name,
            .name = name,
            .json = json,
            .source = file->source,
            .origin = file->path,
        };
        if (!is_remark(name) && settings_give(settings, &given, error))
            return -1;
    }
    return 0;
}

/* Whether the file has a key. */
static bool has_key(json_t *classes)
{
    const char *class_name, *name;
    json_t *traits, *value;
    json_object_foreach (classes, class_name, traits)
        json_object_foreach (traits, name, value)
            if (settings_is_key(class_name, name, json_string_value(value)))
                return true;
    return false;
}

/* A mapping, or NULL with `error` set. A file with a key is refused if others can read it. */
static json_t *read_classes(int fd, const char *path, struct ipcl_error *error)
{
    json_error_t reason;
    size_t size;
    char *text = path_read_open(fd, path, FILE_BYTES_MAX, &size, error);
    if (!text)
        return NULL;
    json_t *classes = json_loadb(text, size, JSON_REJECT_DUPLICATES, &reason);
    secret_free(text);
    if (!classes)
        ipcl_error_set(error, "%s: line %d is not JSON: %s", path, reason.line, reason.text);
    else if (!json_is_object(classes))
        ipcl_error_set(error, "%s: expected a mapping of classes: {\"Class\": {\"trait\": value}}",
                       path);
    else if (!has_key(classes) || !trust_check_secret(fd, path, error))
        return classes;
    json_decref(classes);
    return NULL;
}

static int load(struct settings *settings, const struct settings_file *file,
                struct ipcl_error *error)
{
    int fd = trust_open(file->path, O_RDONLY | O_NONBLOCK, 0, NULL, error);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? 0 : -1;
    json_t *classes = read_classes(fd, file->path, error);
    close(fd);
    if (!classes)
        return -1;
    int status = 0;
    const char *class_name;
    json_t *traits;
    json_object_foreach (classes, class_name, traits) {
        if (!status && !is_no_class(class_name, traits) && !is_passed_over(file, class_name))
            status = load_class(settings, file, class_name, traits, error);
    }
    json_decref(classes);
    return status;
}

int settings_load_file(struct settings *settings, const char *path, const char *const *also_known,
                       struct ipcl_error *error)
{
    struct settings_file file = {path, SOURCE_PROFILE, also_known};
    return load(settings, &file, error);
}

int settings_load(struct settings *settings, const char *profile_dir, const char *const *also_known,
                  struct ipcl_error *error)
{
    char site[PATH_BYTES], profile[PATH_BYTES];
    struct settings_file file = {site, SOURCE_SITE, also_known};
    if (path_format(site, error, SITE_DIR "/%s_config.json", settings->program->name) ||
        path_format(profile, error, "%s/%s_config.json", profile_dir, settings->program->name) ||
        load(settings, &file, error) || settings_load_file(settings, profile, also_known, error))
        return -1;
    return settings_load_environment(settings, error);
}

static json_t *value_to_json(const struct setting *item)
{
    const struct value *value = item->value;
    if (value->json)
        return json_incref(value->json);
    switch (item->option->type) {
    case IPCL_BOOL:
        return json_boolean(value->boolean);
    case IPCL_INT:
        return json_integer(value->integer);
    case IPCL_REAL:
        return json_real(value->real);
    case IPCL_STRING:
        if (value_is_number(item->option, value->text))
            return json_integer(strtoll(value->text, NULL, 10));
        return json_string(value->text);
    case IPCL_LIST:
    case IPCL_MAPPING:
    case IPCL_RENAMED:
    case IPCL_PASSED:
    case IPCL_IGNORED:
    case IPCL_INHERITED:
        break;
    }
    json_t *list = json_array();
    for (size_t i = 0; i < value->count; i++)
        json_array_append_new(list, json_string(value->list[i]));
    return list;
}

static bool is_excepted(const struct setting *item, const char *const *except)
{
    size_t length = strlen(item->class_name);
    for (; *except; except++)
        if (!strncmp(*except, item->class_name, length) && (*except)[length] == '.' &&
            !strcmp(*except + length + 1, item->option->name))
            return true;
    return false;
}

/* Adds a setting to its class, which is added if it is missing. Returns 0 or -1. */
static int add_to_json(json_t *classes, const struct setting *item)
{
    json_t *traits = json_object_get(classes, item->class_name);
    if (!traits) {
        traits = json_object();
        if (json_object_set_new(classes, item->class_name, traits))
            return -1;
    }
    return json_object_set_new(traits, item->option->name, value_to_json(item));
}

char *settings_to_json(const struct settings *settings, const char *const *except,
                       struct ipcl_error *error)
{
    char command[SETTINGS_COMMAND_BYTES];
    settings_command(settings->program, command);
    json_t *classes = json_pack("{s:s++}", "about",
                                "Settings: {\"Class\": {\"trait\": value}}. "
                                "Each is listed with its default by: ",
                                command, " --help-all");
    bool good = classes != NULL;
    for (size_t i = 0; i < settings->count && good; i++) {
        const struct setting *item = &settings->items[i];
        if (item->rank > CLASSES_MAX && !is_excepted(item, except))
            good = !add_to_json(classes, item);
    }
    if (good)
        others_add_passed(settings, classes);
    char *text = good ? json_dumps(classes, JSON_INDENT(4) | JSON_REAL_PRECISION(15)) : NULL;
    json_decref(classes);
    if (!text)
        ipcl_error_set(error, "the settings cannot be written as JSON: a value is not UTF-8, or "
                              "memory is short");
    return text;
}
