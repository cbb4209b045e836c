/* What path_write_file() leaves where the process is killed: a file under another name. */
#ifndef BASE_LEFTOVERS_H
#define BASE_LEFTOVERS_H

/* Removes those of this user in a folder that nobody can still be writing: they are older than ten
 * minutes. */
void leftovers_remove(const char *folder);
/* Removes those of one file that nobody writes any more, whenever they were made. */
void leftovers_remove_of(const char *path);

#endif
