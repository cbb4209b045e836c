/* Which hosts there are, how many engines each takes, and each host's own settings. */
#include "ssh_plan.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/trust.h"

#define SLOTS_MAX      10000
#define FILE_BYTES_MAX (1 << 20)

/* What may be set for one host. */
static const struct own_key {
    const char *name;
    json_type type; /* JSON_ARRAY: of texts; JSON_OBJECT: of texts */
    const char *expected;
} own_keys[] = {
    {"n", JSON_INTEGER, "a number of engines"},
    {"user", JSON_STRING, "text"},
    {"engine_cmd", JSON_ARRAY, "a list of texts"},
    {"engine_args", JSON_ARRAY, "a list of texts"},
    {"ssh_args", JSON_ARRAY, "a list of texts"},
    {"environment", JSON_OBJECT, "names with texts"},
    {"work_dir", JSON_STRING, "text"},
    {"prologue", JSON_STRING, "text"},
    {"remote_profile_dir", JSON_STRING, "text"},
};
#define OWN_KEY_COUNT (sizeof(own_keys) / sizeof(*own_keys))

static bool has_type(json_t *value, json_type type)
{
    const char *key;
    json_t *item;
    size_t i;
    bool good = json_typeof(value) == type;
    if (good && type == JSON_ARRAY)
        json_array_foreach (value, i, item)
            good = good && json_is_string(item);
    if (good && type == JSON_OBJECT)
        json_object_foreach (value, key, item)
            good = good && json_is_string(item);
    return good;
}

static int check_own(const char *name, json_t *own, struct ipcl_error *error)
{
    const char *key;
    json_t *value;
    json_object_foreach (own, key, value) {
        const struct own_key *known = own_keys;
        while (known < own_keys + OWN_KEY_COUNT && strcmp(known->name, key) != 0)
            known++;
        if (known == own_keys + OWN_KEY_COUNT)
            return ipcl_error_set(error,
                                  "the host %s cannot have '%s' as a setting of its own: use n, "
                                  "user, engine_cmd, engine_args, ssh_args, environment, "
                                  "work_dir, prologue and remote_profile_dir",
                                  name, key);
        if (!has_type(value, known->type))
            return ipcl_error_set(error, "%s of the host %s must be %s", key, name,
                                  known->expected);
    }
    return 0;
}

/* Takes "[user@]host[:port]" apart. Where there are more colons it is an address of IPv6. */
static int split_name(struct ssh_place *place, const char *name, const char *user,
                      struct ipcl_error *error)
{
    const char *colon = strchr(name, ':');
    if (colon && (strchr(colon + 1, ':') || !colon[1]))
        colon = NULL;
    int length = colon ? (int)(colon - name) : (int)strlen(name);
    bool whose = user && *user && !strchr(name, '@');
    place->name = strdup(name);
    place->port = colon ? strdup(colon + 1) : NULL;
    if (asprintf(&place->destination, "%s%s%.*s", whose ? user : "", whose ? "@" : "", length,
                 name) < 0)
        place->destination = NULL;
    if (!place->name || !place->destination || (colon && !place->port))
        return ipcl_error_set(error, "no memory for the host %s", name);
    if (!length || *place->destination == '-' || strpbrk(name, " \t\n'\"\\"))
        return ipcl_error_set(error, "'%s' is not a host: write [user@]host[:port]", name);
    return 0;
}

int ssh_plan_add(struct ssh_plan *plan, const char *name, unsigned slots, json_t *own,
                 struct ipcl_error *error)
{
    struct ssh_place *places = realloc(plan->places, (plan->count + 1) * sizeof(*places));
    if (!places) {
        json_decref(own);
        return ipcl_error_set(error, "no memory for the host %s", name);
    }
    plan->places = places;
    places[plan->count] = (struct ssh_place){.slots = slots, .own = own ? own : json_object()};
    struct ssh_place *place = &places[plan->count++];
    if (check_own(name, place->own, error) < 0 ||
        split_name(place, name, json_string_value(json_object_get(place->own, "user")), error) < 0)
        return -1;
    if (slots > SLOTS_MAX || plan->slots + slots > 100 * SLOTS_MAX)
        return ipcl_error_set(error, "%u engines are too many for the host %s", slots, name);
    plan->slots += slots;
    return 0;
}

/* HOST=N or HOST={"n": N, ...}; of the latter n is 1 where it is not given, as with ipyparallel. */
static int add_word(struct ssh_plan *plan, const char *word, struct ipcl_error *error)
{
    const char *equals = strchr(word, '=');
    char *name = strndup(word, equals ? (size_t)(equals - word) : strlen(word));
    json_t *value = equals ? json_loads(equals + 1, JSON_DECODE_ANY, NULL) : NULL;
    json_t *number = json_is_object(value) ? json_object_get(value, "n") : value;
    int outcome;
    if (!name)
        outcome = ipcl_error_set(error, "no memory for a host");
    else if (!(json_is_integer(number) || (json_is_object(value) && !number)) ||
             (number && json_integer_value(number) < 0) ||
             (number && json_integer_value(number) > SLOTS_MAX))
        outcome = ipcl_error_set(
            error,
            "the engines of a host must be a number from 0 to %d, or {\"n\": number, ...}, not "
            "%.200s",
            SLOTS_MAX, word);
    else
        outcome = ssh_plan_add(plan, name, number ? (unsigned)json_integer_value(number) : 1,
                               json_is_object(value) ? json_incref(value) : NULL, error);
    json_decref(value);
    free(name);
    return outcome;
}

/* A line is HOST, HOST N or HOST slots=N; what stands behind a # is a remark. */
static int add_line(struct ssh_plan *plan, const char *path, unsigned number, char *line,
                    struct ipcl_error *error)
{
    char *rest, *end = NULL;
    line[strcspn(line, "#\r")] = '\0';
    const char *name = strtok_r(line, " \t", &rest);
    const char *slots = name ? strtok_r(NULL, " \t", &rest) : NULL;
    if (!name)
        return 0;
    if (slots && !strncmp(slots, "slots=", 6))
        slots += 6;
    unsigned long count = slots ? strtoul(slots, &end, 10) : 1;
    if ((slots && (*end || end == slots || count > SLOTS_MAX)) || strtok_r(NULL, " \t", &rest))
        return ipcl_error_set(error, "%s: line %u must be HOST, HOST N or HOST slots=N", path,
                              number);
    struct ipcl_error why;
    return ssh_plan_add(plan, name, (unsigned)count, NULL, &why) < 0
               ? ipcl_error_set(error, "%s: line %u: %s", path, number, why.text)
               : 0;
}

static int read_file(struct ssh_plan *plan, const char *path, struct ipcl_error *error)
{
    int fd = trust_open(path, O_RDONLY | O_NONBLOCK, 0, NULL, error), outcome = 0;
    char *text = fd < 0 ? NULL : calloc(1, FILE_BYTES_MAX + 1), *rest = text, *line;
    if (fd < 0)
        return -1;
    ssize_t size = text ? read(fd, text, FILE_BYTES_MAX) : -1;
    close(fd);
    if (size < 0)
        outcome = ipcl_error_set(error, "%s cannot be read", path);
    for (unsigned number = 1; outcome == 0 && (line = strsep(&rest, "\n")); number++)
        outcome = add_line(plan, path, number, line, error);
    free(text);
    return outcome;
}

int ssh_plan_read(struct ssh_plan *plan, const char *const *engines, const char *hosts_file,
                  struct ipcl_error *error)
{
    for (; engines && *engines; engines++)
        if (add_word(plan, *engines, error) < 0)
            return -1;
    return *hosts_file ? read_file(plan, hosts_file, error) : 0;
}

void ssh_plan_clear(struct ssh_plan *plan)
{
    for (size_t i = 0; i < plan->count; i++) {
        free(plan->places[i].name);
        free(plan->places[i].destination);
        free(plan->places[i].port);
        json_decref(plan->places[i].own);
    }
    free(plan->places);
    *plan = (struct ssh_plan){.places = NULL};
}
