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
    const char *text; /* goes in as it is: the caller quotes words for a shell */
    bool used;        /* set by template_fill() if the template names it */
};

/* Fills a template in. Between braces is a name, or an expression of names, whole numbers,
 * parentheses and the operators + - * // %, which is computed as in Python. A width may follow, as
 * in {n:3}, {n:03} or {n:03d}. If two values have one name, the first counts. Returns malloc'ed
 * text; NULL with `error` set, which begins "line 3, column 9: ", counted from 1 in characters. */
char *template_fill(const char *text, struct template_value *values, size_t count,
                    struct ipcl_error *error);

/* The words, quoted for a shell, with spaces between. Malloc'ed; NULL if memory is short. `words`
 * is NULL-terminated. */
char *template_quote(const char *const *words);

#endif
