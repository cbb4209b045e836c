/* Which Python the engine runs in. It is the one that the user named, or the first that exists of
 * these: that of the client that starts the engine, that of the activated environment, the
 * installation's, and PATH's. It says itself, once it runs, whether it is recent enough. */
#include "python.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCRIPT "python/ipengine.py"

static bool is_program(const char *path)
{
    struct stat info;
    return !stat(path, &info) && S_ISREG(info.st_mode) && !access(path, X_OK);
}

/* Why a path is that of no program. */
static const char *reason(const char *path)
{
    struct stat info;
    if (stat(path, &info))
        return strerror(errno);
    return S_ISREG(info.st_mode) ? "it may not be executed" : "it is not a file";
}

/* Looks for a name as a shell does. Returns whether it is there. */
static bool search(const char *name, char path[PATH_MAX])
{
    const char *folder = getenv("PATH");
    while (folder && *folder) {
        size_t length = strcspn(folder, ":");
        int size = snprintf(path, PATH_MAX, "%.*s/%s", (int)length, folder, name);
        if (length && size < PATH_MAX && is_program(path))
            return true;
        folder += length + (folder[length] == ':');
    }
    return false;
}

static int take_typed(const char *typed, char path[PATH_MAX], struct ipcl_error *error)
{
    const char *home = getenv("HOME");
    bool in_home = !strncmp(typed, "~/", 2) && home;
    if (!strchr(typed, '/')) {
        if (search(typed, path))
            return 0;
        return ipcl_error_set(error,
                              "there is no program %s on PATH: name a Python for the engine with "
                              "--python=PATH",
                              typed);
    }
    char here[PATH_MAX] = "";
    if (!in_home && *typed != '/' && !getcwd(here, sizeof(here)))
        return ipcl_error_set(error, "the current folder cannot be read: %s", strerror(errno));
    int size = snprintf(path, PATH_MAX, "%s%s%s", in_home ? home : here, *here ? "/" : "",
                        in_home ? typed + 1 : typed);
    if (size >= PATH_MAX)
        return ipcl_error_set(error, "the path %.200s... of --python is too long", typed);
    if (is_program(path))
        return 0;
    return ipcl_error_set(error,
                          "%s cannot be the engine's Python: %s. Name Python 3.11 or later with "
                          "--python=PATH",
                          path, reason(path));
}

/* Says why a Python that was not typed is not used. */
static void pass_over(const struct ipcl_services *services, const char *what, const char *path)
{
    char text[PATH_MAX + 400];
    snprintf(text, sizeof(text),
             "%s, %s, cannot be used here: %s. The engine uses another Python; name one with "
             "--python=PATH",
             what, path, reason(path));
    services->log(services->host, IPCL_LOG_WARN, text);
}

/* That of an environment which is activated. */
static bool take_activated(const struct ipcl_services *services, const char *variable,
                           char path[PATH_MAX])
{
    const char *folder = getenv(variable);
    char what[64];
    if (!folder || !*folder)
        return false;
    snprintf(path, PATH_MAX, "%s/bin/python", folder);
    if (is_program(path))
        return true;
    snprintf(what, sizeof(what), "the Python of $%s", variable);
    pass_over(services, what, path);
    return false;
}

static int choose(const struct ipcl_services *services, char path[PATH_MAX],
                  struct ipcl_error *error)
{
    const char *typed = services->option_string(services->host, "IPEngine", "python");
    const char *client = services->option_string(services->host, "IPEngine", "client_python");
    if (*typed)
        return take_typed(typed, path, error);
    if (*client) {
        snprintf(path, PATH_MAX, "%s", client);
        if (is_program(path))
            return 0;
        pass_over(services, "the Python of the client that starts this engine", path);
    }
    if (take_activated(services, "VIRTUAL_ENV", path) ||
        take_activated(services, "CONDA_PREFIX", path))
        return 0;
    snprintf(path, PATH_MAX, "%s", PYTHON_PROGRAM);
    if (is_program(path) || search("python3", path))
        return 0;
    return ipcl_error_set(error,
                          "there is no Python here, neither %s nor python3 on PATH: name Python "
                          "3.11 or later with --python=PATH",
                          PYTHON_PROGRAM);
}

char **python_command(const struct ipcl_services *services, const char *folder,
                      struct ipcl_error *error)
{
    char path[PATH_MAX], script[PATH_MAX];
    if (choose(services, path, error))
        return NULL;
    char **words = calloc(3, sizeof(*words));
    snprintf(script, sizeof(script), "%s/" SCRIPT, folder);
    if (words && (words[0] = strdup(path)) && (words[1] = strdup(script)))
        return words;
    ipcl_error_set(error, "out of memory");
    if (words)
        free(words[0]);
    free(words);
    return NULL;
}
