/* Paths and files: joining, making folders, and reading and writing whole files. */
#ifndef BASE_PATH_H
#define BASE_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <time.h>

#include <ipcluster/error.h>

#define PATH_BYTES 4096

/* Writes into `path` as printf does. Returns 0, or -1 with `error` set if it does not fit. */
int path_format(char path[PATH_BYTES], struct ipcl_error *error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool path_exists(const char *path);
/* Whether two paths are equal, or lead to one file or folder. */
bool path_is_same(const char *one, const char *other);
/* The file at a path and the time of its last writing, to notice changes; zeros if there is none,
 * or it is empty. */
struct path_mark {
    dev_t device;
    ino_t inode;
    struct timespec written;
};
void path_note(const char *path, struct path_mark *mark);
/* Whether there is a file at the path that is not empty, and is another file than the noted one or
 * was written later. */
bool path_is_new(const char *path, const struct path_mark *before);
/* Expands a leading ~/ and makes `path` absolute. Returns 0 or -1 with `error` set. */
int path_expand(const char *path, char absolute[PATH_BYTES], struct ipcl_error *error);
/* All functions below refuse what others can change, by trust_open(). */
/* Makes a folder and its parents; new ones get `mode`. Returns 0 or -1 with `error` set. */
int path_make_dir(const char *path, mode_t mode, struct ipcl_error *error);
/* The same with mode 0700. A folder that exists gets this mode too, and is refused if another user
 * owns it. */
int path_make_private_dir(const char *path, struct ipcl_error *error);
/* Writes a file as a whole or not at all (a temporary file beside it, fsync, rename). Returns 0 or
 * -1 with `error` set. */
int path_write_file(const char *path, const char *data, size_t size, mode_t mode,
                    struct ipcl_error *error);
/* Gives a private file this content. If it has it already, only its time is set: programs that wait
 * for the file look at its time, and this works on a full disk too. Returns 0 or -1 with `error`
 * set. */
int path_renew_secret(const char *path, const char *data, size_t size, struct ipcl_error *error);
/* Reads a whole file of at most `limit` bytes. Returns malloc'ed bytes with a NUL after them; NULL
 * with `error` set, and errno ENOENT if there is no file. */
char *path_read_file(const char *path, size_t limit, size_t *size, struct ipcl_error *error);
/* The same for a file with a key, which is refused if others can read it. */
char *path_read_secret(const char *path, size_t limit, size_t *size, struct ipcl_error *error);
/* The same for a file that trust_open() has opened; `path` is for messages. Does not close `fd`. */
char *path_read_open(int fd, const char *path, size_t limit, size_t *size,
                     struct ipcl_error *error);

#endif
