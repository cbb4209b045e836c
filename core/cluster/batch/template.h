/* Templates of job scripts, as ipyparallel has them: text in which {n}, {queue} and so on stand for
 * values, and {n//4} or {(n+7)//8} for whole numbers that follow from them. {{ and }} are
 * braces. */
#ifndef CLUSTER_BATCH_TEMPLATE_H
#define CLUSTER_BATCH_TEMPLATE_H

#include <stdbool.h>
#include <stddef.h>

#include <ipcluster/error.h>

struct template_value {
    const char *name;
    const char *text; /* goes in as it is: what a shell is to read as one word is quoted before */
    bool used;        /* set by template_fill() where the template names it */
};

/* Fills a template in. Between braces stands a name, or an expression of names, whole numbers, + -
 * *
 * // % and parentheses, which is computed as Python would, and behind it, if wanted, the width as
 * in {n:3}, {n:03} or {n:03d}. Of two values with one name the first counts. Returns malloc'ed
 * text; NULL with `error` set, which begins "line 3, column 9: ", counted from 1 in characters. */
char *template_fill(const char *text, struct template_value *values, size_t count,
                    struct ipcl_error *error);

/* Words as a shell reads them back, whatever is in them, with spaces between: malloc'ed; NULL where
 * memory is short. `words` is NULL-terminated. */
char *template_quote(const char *const *words);

#endif
