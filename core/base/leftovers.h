/* Files that path_write_file() leaves, under another name, if its process is killed. */
#ifndef BASE_LEFTOVERS_H
#define BASE_LEFTOVERS_H

/* Removes this user's leftovers in a folder that are older than ten minutes: nobody can be writing
 * them still. */
void leftovers_remove(const char *folder);
/* Removes the leftovers of one file, of any age. The caller knows that nobody writes this file. */
void leftovers_remove_of(const char *path);

#endif
