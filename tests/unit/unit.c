/* What unit tests share: serializers, temporary folders, files. */
#include "unit.h"

#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>

#include "plugin/registry.h"

const struct ipcl_serial_operations *unit_serial(const char *name)
{
    struct ipcl_error error;
    struct registry *registry = registry_create(NULL, &error);
    cr_assert(registry != NULL, "%s", error.text);
    const struct ipcl_plugin *plugin = registry_load(registry, "serial", name, &error);
    cr_assert(plugin != NULL, "%s", error.text);
    registry_destroy(registry);
    return plugin->operations;
}

void unit_make_folder(char path[PATH_BYTES])
{
    strcpy(path, "/tmp/ipcluster-unit-XXXXXX");
    cr_assert(mkdtemp(path) != NULL);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *where)
{
    (void)status;
    (void)type;
    (void)where;
    return remove(path);
}

void unit_remove_folder(const char *path)
{
    nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void unit_write(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    cr_assert(file != NULL, "%s cannot be written", path);
    fputs(text, file);
    cr_assert_eq(fclose(file), 0);
}
