/* Paths: files are written whole, and private folders are private. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/path.h"

static char dir[] = "/tmp/ipcl-path-XXXXXX";
static char path[PATH_BYTES];

static void open_dir(void)
{
    cr_assert(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/file", dir);
}

static void close_dir(void)
{
    char command[PATH_BYTES + 16];
    snprintf(command, sizeof(command), "rm -rf %s", dir);
    cr_assert_eq(system(command), 0);
}

TestSuite(path, .init = open_dir, .fini = close_dir);

Test(path, writes_a_file_whole_with_its_mode)
{
    struct ipcl_error error;
    struct stat info;
    size_t size;
    cr_assert_eq(path_write_file(path, "one", 3, 0600, &error), 0);
    cr_assert_eq(path_write_file(path, "second", 6, 0640, &error), 0);
    stat(path, &info);
    cr_assert_eq(info.st_mode & 0777, 0640);
    char *text = path_read_file(path, 100, &size, &error);
    cr_assert_str_eq(text, "second");
    free(text);
    cr_assert_null(path_read_file(path, 5, &size, &error));
    cr_assert(strstr(error.text, "larger"));
}

Test(path, leaves_the_old_file_where_the_new_one_cannot_be_written)
{
    struct ipcl_error error;
    char missing[PATH_BYTES + 16];
    snprintf(missing, sizeof(missing), "%s/none/file", dir);
    cr_assert_eq(path_write_file(missing, "x", 1, 0600, &error), -1);
    cr_assert(strstr(error.text, missing));
}

Test(path, reads_files_only_and_waits_for_nobody)
{
    struct ipcl_error error;
    size_t size;
    char fifo[PATH_BYTES];
    cr_assert_eq(path_format(fifo, &error, "%s/fifo", dir), 0);
    cr_assert_eq(mkfifo(fifo, 0600), 0);
    cr_assert_null(path_read_file(fifo, 100, &size, &error));
    cr_assert(strstr(error.text, "is not a file"), "%s", error.text);
    cr_assert_null(path_read_file(dir, 100, &size, &error));
}

Test(path, makes_a_private_folder_private_again)
{
    struct ipcl_error error;
    struct stat info;
    mkdir(path, 0755);
    cr_assert_eq(path_make_private_dir(path, &error), 0, "%s", error.text);
    stat(path, &info);
    cr_assert_eq(info.st_mode & 0777, 0700);
}

Test(path, makes_folders_and_those_above)
{
    struct ipcl_error error;
    struct stat info;
    char deep[PATH_BYTES];
    cr_assert_eq(path_format(deep, &error, "%s/one/./two/", dir), 0);
    cr_assert_eq(path_make_dir(deep, 0750, &error), 0, "%s", error.text);
    cr_assert_eq(path_make_dir(deep, 0750, &error), 0, "%s", error.text);
    cr_assert_eq(stat(deep, &info), 0);
    cr_assert_eq(info.st_mode & 0777, 0750);
}

Test(path, refuses_names_that_are_too_long)
{
    struct ipcl_error error;
    char absolute[PATH_BYTES];
    char *name = calloc(1, PATH_BYTES + 10);
    memset(name, 'a', PATH_BYTES + 5);
    cr_assert_eq(path_expand(name, absolute, &error), -1);
    cr_assert(strstr(error.text, "too long"));
    free(name);
}
