/* The metrics' text (OpenMetrics), over HTTP: for Prometheus and other readers of this format. */
#ifndef CONTROLLER_STATS_METRICS_H
#define CONTROLLER_STATS_METRICS_H

#include <ipcluster/error.h>

#define METRICS_CONNECTIONS 16
#define METRICS_DESCRIPTORS (METRICS_CONNECTIONS + 3)

struct metrics;

/* Listens at [ADDRESS:]PORT, on loopback where there is no address, and starts the thread that
 * answers. Main's thread. NULL with `error` set on failure. */
struct metrics *metrics_open(const char *where, struct ipcl_error *error);
/* Ends the thread. Takes NULL. */
void metrics_close(struct metrics *metrics);

#endif
