/* The table of metrics: a row is the counter, a member of `stats` (stats.h), and what people are
 * told of it. Its name is "ipcluster_" and that of the member, which ends with its unit where it
 * has one: _seconds or _bytes. A HISTOGRAM is given microseconds. stats_request, `ipcluster stats`,
 * the metrics' text and the documentation follow the rows, in their order.
 *
 *     METRIC(kind, member, help)                  one number, or one histogram
 *     METRIC_BY(kind, member, label, names, help) an array, with one for each of these names
 *     SOCKET_METRIC, SOCKET_METRIC_BY             likewise, of each socket: stats.sockets[].member
 *
 * Each has one thread that counts it. Metrics of all messages, of threads (loop_*) and of the
 * process are rows of stats.c. This file is read once for each thing that is made of it. */
#ifndef METRIC
#define METRIC(kind, member, help)
#endif
#ifndef METRIC_BY
#define METRIC_BY(kind, member, label, names, help)
#endif
#ifndef SOCKET_METRIC
#define SOCKET_METRIC(kind, member, help)
#endif
#ifndef SOCKET_METRIC_BY
#define SOCKET_METRIC_BY(kind, member, label, names, help)
#endif

SOCKET_METRIC_BY(COUNTER, messages_refused, "reason", stats_refusals,
                 "Messages and queries that were not taken, or not passed on, by the reason; the "
                 "log says more. A reason is shown once there was one.")
SOCKET_METRIC(GAUGE, unread_messages,
              "Messages that wait in the controller for a client or an engine that reads late.")
SOCKET_METRIC(GAUGE, unread_bytes, "Memory of these; IPController.unread_backlog is its bound.")

/* The task thread's: */
METRIC(COUNTER, tasks_submitted, "Tasks that the load balancer has taken.")
METRIC(COUNTER, tasks_sent,
       "Tasks that were sent to an engine; one that is tried again counts again.")
METRIC_BY(COUNTER, tasks_finished, "end", stats_ends,
          "Tasks that have ended: ok, or failed, aborted and answered by the controller.")
METRIC(GAUGE, tasks_waiting, "Tasks that could run now and wait for an engine.")
METRIC(GAUGE, tasks_blocked, "Tasks that wait for other tasks.")
METRIC(GAUGE, tasks_running, "Tasks that engines have.")
METRIC(GAUGE, tasks_held_bytes,
       "Memory of tasks that wait or run, and of replies to them that wait.")
METRIC(HISTOGRAM, task_queue_seconds,
       "How long tasks waited until they were sent to an engine, each time.")
METRIC(HISTOGRAM, task_work_seconds, "How long engines had a task until they answered, each time.")

/* The hub's: */
METRIC_BY(GAUGE, engines, "state", stats_engine_states,
          "Engines: busy with tasks or requests, idle, or starting: their hearts do not beat yet.")
METRIC(COUNTER, engines_registered, "Engines that have come, ever.")
METRIC(COUNTER, engines_departed, "Engines that have gone, ever.")
METRIC(GAUGE, requests_pending, "Tasks and direct requests that the hub knows to be unanswered.")
METRIC(GAUGE, tasks_unassigned, "Those of them that are tasks and at no engine.")
METRIC(GAUGE, records_behind_bytes,
       "What waits for the store of records; IPController.records_backlog is its bound.")
METRIC(COUNTER, records_dropped,
       "Changes of records that were not recorded, as the store fell behind.")

/* The records thread's: */
METRIC(COUNTER, records_lost, "Changes of records that the store did not take.")

#undef METRIC
#undef METRIC_BY
#undef SOCKET_METRIC
#undef SOCKET_METRIC_BY
