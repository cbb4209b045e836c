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
 * process are rows of wire/metric_rows.h. This file is read once for each thing that is made of
 * it. */
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
                 "Messages and queries that were not accepted, or not passed on, by reason; the "
                 "log says more. A reason is shown after its first case.")
SOCKET_METRIC(GAUGE, unread_messages,
              "Messages that wait in the controller for a client or an engine that is slow to "
              "read.")
SOCKET_METRIC(GAUGE, unread_bytes, "Memory of these; IPController.unread_backlog is the limit.")

/* The task thread's: */
METRIC(COUNTER, tasks_submitted, "Tasks that the load balancer has accepted.")
METRIC(COUNTER, tasks_sent,
       "Tasks that were sent to an engine; one that is tried again counts again.")
METRIC(COUNTER, tasks_returned,
       "Tasks that came back from an engine that had not begun them, to be sent again.")
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
METRIC(COUNTER, engines_registered, "Engines that have registered, in all.")
METRIC(COUNTER, engines_departed, "Engines that have left or died, in all.")
METRIC(GAUGE, segments, "Large buffers in shared memory that wait in the controller.")
METRIC(GAUGE, segments_bytes, "Memory of these.")
METRIC(COUNTER, segments_opened,
       "Large buffers that went on in their messages, because who gets them shares no memory, or "
       "does not read, or descriptors are short.")
METRIC(GAUGE, requests_pending,
       "Tasks and direct requests that have no answer yet, as far as the hub knows.")
METRIC(GAUGE, tasks_unassigned, "Tasks among these that no engine has.")
METRIC(GAUGE, records_behind_bytes,
       "Memory of what waits for the store of records; IPController.records_backlog is the limit.")
METRIC(COUNTER, records_dropped,
       "Changes of records that were not recorded, because the store was too slow.")

/* The records thread's: */
METRIC(COUNTER, records_lost, "Changes of records that the store did not accept.")

#undef METRIC
#undef METRIC_BY
#undef SOCKET_METRIC
#undef SOCKET_METRIC_BY
