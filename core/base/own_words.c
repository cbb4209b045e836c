/* The words that this process was started with. */
#include "base/own_words.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* The field of /proc/self/stat (proc(5)) that comes first behind the name, and those with the
 * addresses. */
#define FIRST_FIELD     3
#define FIELD_ARG_START 48
#define FIELD_ARG_END   49
#define FIELD_ENV_END   51

bool own_words_find(struct own_words *words)
{
    char line[2048];
    FILE *file = fopen("/proc/self/stat", "re");
    size_t size = file ? fread(line, 1, sizeof(line) - 1, file) : 0;
    if (file)
        fclose(file);
    line[size] = '\0';
    uintptr_t fields[FIELD_ENV_END + 1] = {0};
    char *at = strrchr(line, ')');
    for (int field = FIRST_FIELD; at && field <= FIELD_ENV_END; field++)
        if ((at = strchr(at, ' ')))
            sscanf(++at, "%" SCNuPTR, &fields[field]);
    *words = (struct own_words){(char *)fields[FIELD_ARG_START], (char *)fields[FIELD_ARG_END],
                                (char *)fields[FIELD_ENV_END]};
    return words->arguments && words->environment > words->arguments &&
           words->end >= words->environment;
}
