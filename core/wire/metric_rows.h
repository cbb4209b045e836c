/* Rows that the table of every program has: of its sockets, of the loops of its threads, and of the
 * process. Read within the array of rows, where these are defined:
 *
 *     NAMED(kind, name, help)   a metric of this program
 *     OF_SOCKET(member)         where it is in the thing of a socket, which has a `traffic`
 *     OF_THREAD(member, scale)  likewise, of a thread, which has `rounds`
 *     OF_ALL(member, scale)     likewise, of what there is one of: `started_us`, since the epoch */
{NAMED(COUNTER, "messages_received", "Messages that have come, accepted or refused."),
 OF_SOCKET(traffic.messages[TRAFFIC_IN]), METRIC_ONE},
    {NAMED(COUNTER, "messages_sent", "Messages that were sent."),
     OF_SOCKET(traffic.messages[TRAFFIC_OUT]), METRIC_ONE},
    {NAMED(COUNTER, "received_bytes", "Bytes of the messages that have come."),
     OF_SOCKET(traffic.bytes[TRAFFIC_IN]), METRIC_ONE},
    {NAMED(COUNTER, "sent_bytes", "Bytes of the messages that were sent."),
     OF_SOCKET(traffic.bytes[TRAFFIC_OUT]), METRIC_ONE},
    {NAMED(COUNTER, "messages_accepted",
           "Messages whose signature is right, by type. A type is shown after its first message."),
     OF_SOCKET(traffic.accepted), METRIC_OWN("type", traffic_types)},

    {NAMED(COUNTER, "loop_rounds", "How often the thread that waits for the sockets was woken."),
     OF_THREAD(rounds.count, 1), METRIC_ONE},
    {NAMED(COUNTER, "loop_busy_seconds",
           "How long this thread was awake. Its rate says how busy the thread is: 1 is all the "
           "time."),
     OF_THREAD(rounds.busy_us, 1e-6), METRIC_ONE},
    {NAMED(GAUGE, "loop_longest_seconds",
           "The longest time that this thread did not look at its sockets."),
     OF_THREAD(rounds.longest_us, 1e-6), METRIC_ONE},
    {NAMED(COUNTER, "loop_stalls",
           "How often it did not look at its sockets for a tenth of a second or longer."),
     OF_THREAD(rounds.stalls, 1), METRIC_ONE},

    {{"process_cpu_seconds", METRIC_COUNTER, "Processor time of the process.", ""},
     OF_ALL(started_us, 1),
     METRIC_READ(metric_process_seconds)},
    {{"process_resident_memory_bytes", METRIC_GAUGE, "Memory of the process.", ""},
     OF_ALL(started_us, 1),
     METRIC_READ(metric_resident_bytes)},
    {{"process_start_time_seconds", METRIC_GAUGE, "When the process started, since the epoch.", ""},
     OF_ALL(started_us, 1e-6),
     METRIC_ONE},
