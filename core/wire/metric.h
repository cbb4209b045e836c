/* Metrics: numbers that threads count (base/counter.h), what people are told of them, and how they
 * are read. A program has a table of rows: the controller's is in controller/stats/, the engine's
 * in engine/stats.c. Any thread may read them. */
#ifndef WIRE_METRIC_H
#define WIRE_METRIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include <jansson.h>

#include "base/counter.h"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

/* A metric, whose name ends with its unit where it has one: _seconds or _bytes. */
struct metric {
    const char *name;
    enum metric_kind kind;
    const char *help;
    const char *labels; /* "socket, side"; "": it has none. metric_visit() finds it out */
};

/* The labels of one value: socket="task",side="client". */
#define METRIC_LABELS_BYTES 256
struct metric_labels {
    char text[METRIC_LABELS_BYTES];
};
void metric_label(struct metric_labels *labels, const char *name, const char *value);

/* Things of one kind, each of which has the same counters: an array of structs. */
struct metric_group {
    const void *first;
    size_t count, size; /* of the array, and of one struct in bytes */
    const char *labels; /* the names of the labels; "": there is one thing, without labels */
    /* Adds the labels of thing `index`. Returns false where there is no such thing. NULL: there are
     * no labels. */
    bool (*label)(size_t index, struct metric_labels *labels);
    bool sparse; /* a value with a label of its own (`own` below) is left out while it is 0 */
};

/* A metric, and where its values are: in each thing of the group at `at`, or what `read` returns.
 * Where it has a label of its own there are several values, one behind the other. */
struct metric_row {
    struct metric metric;
    const struct metric_group *group;
    size_t at;                /* in bytes */
    double scale;             /* what a value is multiplied by */
    const char *own;          /* the name of the label; NULL: there is none */
    const char *const *names; /* its values; NULL in it: there is no such value */
    size_t count;             /* of values */
    double (*read)(void);     /* NULL: a counter is read */
};
struct metric_table {
    const struct metric_row *rows;
    size_t count;
};
/* The last members of a row: one value, one for each of an array of names, or what this returns. */
#define METRIC_ONE            NULL, NULL, 1, NULL
#define METRIC_OWN(label, of) label, of, sizeof(of) / sizeof(*(of)), NULL
#define METRIC_READ(function) NULL, NULL, 1, function

/* Called with each metric, then with its values. `series` is a value's name with its labels, as
 * Prometheus' text has it: name_total{socket="task",side="client"}. Either function may be NULL. */
struct metric_visitor {
    void (*metric)(void *self, const struct metric *metric);
    void (*value)(void *self, const char *series, double value);
    void *self;
};
void metric_visit(const struct metric_table *table, const struct metric_visitor *visitor);

/* As Prometheus' text has them; the unit is "" where there is none. */
const char *metric_kind_name(enum metric_kind kind);
const char *metric_unit(const struct metric *metric);

/* Writes the metrics as items of a manual page: with "A counter, by socket. ..." as text. */
void metric_list(const struct metric_table *table,
                 void (*item)(FILE *stream, const char *name, const char *text), FILE *stream);

/* Adds to an answer "metrics", an object of the kind, unit and help by name, and "values", numbers
 * by series; and its "time", in seconds since the epoch. */
void metric_answer(const struct metric_table *table, json_t *answer);

/* Of this process, in seconds and bytes: for `read`. */
double metric_process_seconds(void);
double metric_resident_bytes(void);

#endif
