/* Where this installation is. What tells it is the file that this code lies in: a program,
 * libipcluster, or a module that Python has loaded. The nearest folder above it that is a prefix or
 * the top of a build tree is that of the installation. */
#include "base/installation.h"

#include <dlfcn.h>
#include <limits.h>
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* configure leaves it at the top of a build tree. */
#define BUILD_MARK "config.status"

static char build_tree[PATH_BYTES]; /* "": it was installed */
static char prefix[PATH_BYTES];

/* The file that this code lies in. */
static bool find_self(char path[PATH_BYTES])
{
    struct link_map *map = NULL;
    Dl_info info;
    bool found = dladdr1((const void *)build_tree, &info, (void **)&map, RTLD_DL_LINKMAP) && map;
    return found && realpath(*map->l_name ? map->l_name : "/proc/self/exe", path);
}

static int move(const char *configured, char path[PATH_BYTES], struct ipcl_error *error)
{
    bool below = !strncmp(configured, PREFIX "/", strlen(PREFIX "/"));
    return path_format(path, error, "%s%s", below ? prefix : "",
                       below ? configured + strlen(PREFIX) : configured);
}

static void find(void)
{
    char folder[PATH_BYTES], mark[PATH_BYTES];
    if (!find_self(folder))
        folder[0] = '\0';
    for (char *slash; (slash = strrchr(folder, '/')) && slash > folder;) {
        *slash = '\0';
        strcpy(prefix, folder);
        if (!path_format(mark, NULL, "%s/" BUILD_MARK, folder) && path_exists(mark)) {
            strcpy(build_tree, folder);
            return;
        }
        if (!move(PLUGIN_DIR, mark, NULL) && path_exists(mark))
            return;
    }
    strcpy(prefix, PREFIX);
}

static void find_once(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, find);
}

const char *installation_build_tree(void)
{
    find_once();
    return *build_tree ? build_tree : NULL;
}

int installation_place(const char *configured, char path[PATH_BYTES], struct ipcl_error *error)
{
    find_once();
    return move(configured, path, error);
}

int installation_program(const char *name, char path[PATH_BYTES], struct ipcl_error *error)
{
    static const struct {
        const char *program, *folder;
    } built[] = {{"ipcontroller", "controller"}, {"ipengine", "engine"}, {"ipcluster", "cluster"}};
    const char *top = installation_build_tree();
    for (size_t i = 0; top && i < sizeof(built) / sizeof(*built); i++)
        if (!strcmp(name, built[i].program))
            return path_format(path, error, "%s/core/%s/%s", top, built[i].folder, name);
    char folder[PATH_BYTES];
    return move(PROGRAM_DIR, folder, error) ? -1 : path_format(path, error, "%s/%s", folder, name);
}
