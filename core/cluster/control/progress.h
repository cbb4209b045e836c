/* How far a cluster's start has come: a bar on a terminal, plain lines elsewhere. */
#ifndef CLUSTER_CONTROL_PROGRESS_H
#define CLUSTER_CONTROL_PROGRESS_H

#include <stdbool.h>
#include <stdio.h>

#include <jansson.h>

struct progress {
    FILE *stream;
    FILE *errors; /* for messages that `quiet` does not suppress */
    bool terminal;
    bool quiet;
    bool bar_open; /* the cursor stands behind a bar */
    unsigned shown;
    unsigned total;
    long long shown_ms;
    /* If another process shows the progress: gets each line for that process's progress_hear(), and
     * takes it over; the members above are unused. NULL: it is shown here. */
    void (*tell)(void *context, json_t *line);
    void *context;
};

void progress_init(struct progress *progress, FILE *stream, FILE *errors, bool terminal,
                   bool quiet);
/* A sentence, on a line of its own. */
void progress_say(struct progress *progress, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The same, about something that went wrong. */
void progress_fail(struct progress *progress, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* `count` of `total` engines have registered. */
void progress_engines(struct progress *progress, unsigned count, unsigned total);
/* Shows a line from another process's `tell`. */
void progress_hear(struct progress *progress, const json_t *line);
/* Ends the bar's line, so that others can write. */
void progress_break(struct progress *progress);

#endif
