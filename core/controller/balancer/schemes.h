/* The schemes: how an engine is chosen for a task that may go anywhere. A scheme is a row of the
 * table in schemes.c: the settings, their help and their checks follow the table. */
#ifndef CONTROLLER_BALANCER_SCHEMES_H
#define CONTROLLER_BALANCER_SCHEMES_H

#include <stdbool.h>
#include <stddef.h>

#include "controller/balancer/heap.h"

struct balancer;

struct balancer_scheme {
    const char *name;
    const char *help; /* for people: which engine the scheme chooses */
    /* Which of two engines that take tasks comes first; also used if a task may go to some only. */
    bool (*before)(const struct heap_item *a, const struct heap_item *b);
    double (*weight)(const struct heap_item *item); /* NULL: engines are not drawn by weight
                                                       (heap.h) */
    /* Chooses an engine; at least one takes tasks. */
    struct worker *(*choose)(struct balancer *balancer);
    bool pure; /* it can do nothing else: no high water, and no tasks with other wishes */
};

/* The scheme of this name, or NULL. */
const struct balancer_scheme *balancer_scheme_of(const char *name);
/* The scheme with this number; the default is first; NULL behind the last. */
const struct balancer_scheme *balancer_scheme_at(size_t number);

#endif
