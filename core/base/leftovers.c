/* Removes temporary files that were never finished. */
#include "base/leftovers.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/path.h"

#define OLD_SECONDS    600 /* longer than the clock of a file server may be wrong */
#define RANDOM_LETTERS 6

/* "ipcluster.json.0c0ffe" is a temporary file of path_write_file(); "ipcluster.json.backup" is a
 * user's. */
static bool is_leftover(const char *name)
{
    size_t length = strlen(name);
    const char *random = name + length - RANDOM_LETTERS;
    bool by_chance = false;
    if (length <= RANDOM_LETTERS || random[-1] != '.')
        return false;
    for (const char *at = random; *at; at++) {
        if (!isalnum((unsigned char)*at))
            return false;
        by_chance = by_chance || !islower((unsigned char)*at);
    }
    static const char *const endings[] = {".json", ".key"};
    for (size_t i = 0; by_chance && i < sizeof(endings) / sizeof(*endings); i++) {
        size_t size = strlen(endings[i]);
        if (length > RANDOM_LETTERS + 1 + size && !memcmp(random - 1 - size, endings[i], size))
            return true;
    }
    return false;
}

/* Removes the temporary files of the file `name`, or, if that is NULL, of all files, those that are
 * old. */
static void clear(const char *folder, const char *name)
{
    DIR *dir = opendir(folder);
    const struct dirent *entry;
    struct stat info;
    while (dir && (entry = readdir(dir)))
        if (is_leftover(entry->d_name) &&
            (!name || strlen(entry->d_name) == strlen(name) + 1 + RANDOM_LETTERS) &&
            (!name || !strncmp(entry->d_name, name, strlen(name))) &&
            !fstatat(dirfd(dir), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) &&
            S_ISREG(info.st_mode) && info.st_uid == geteuid() &&
            (name || time(NULL) - info.st_mtime > OLD_SECONDS))
            unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
}

void leftovers_remove(const char *folder)
{
    clear(folder, NULL);
}

void leftovers_remove_of(const char *path)
{
    const char *name = strrchr(path, '/');
    char folder[PATH_BYTES];
    if (name && path_format(folder, NULL, "%.*s", (int)(name - path), path) == 0)
        clear(folder, name + 1);
}
