/* The schemes: how an engine is chosen for a task that may go anywhere. A scheme is a row of the
 * table in schemes.c: the settings, their help and the checks of both follow it. */
#ifndef CONTROLLER_BALANCER_SCHEMES_H
#define CONTROLLER_BALANCER_SCHEMES_H

#include <stdbool.h>
#include <stddef.h>

#include "controller/balancer/heap.h"

struct balancer;

struct balancer_scheme {
    const char *name;
    const char *help; /* for people: which engine it is */
    /* Of two engines that take tasks, which is the first; also where a task may go to some only. */
    bool (*before)(const struct heap_item *a, const struct heap_item *b);
    double (*weight)(const struct heap_item *item); /* NULL: none is drawn by weight (heap.h) */
    /* Chooses an engine, where some take tasks. */
    struct worker *(*choose)(struct balancer *balancer);
    bool pure; /* it does no more than that: engines have no high water, and no task asks for
                  anything else */
};

/* The scheme of this name, or NULL. */
const struct balancer_scheme *balancer_scheme_of(const char *name);
/* Each scheme by its number, the default first; NULL behind the last. */
const struct balancer_scheme *balancer_scheme_at(size_t number);

#endif
