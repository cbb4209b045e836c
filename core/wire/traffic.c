/* Counting what goes through sockets. */
#include "wire/traffic.h"

#include <string.h>

#include "base/log.h"

/* The most frequent first, behind what all others count as. */
const char *traffic_types[TRAFFIC_TYPES] = {
    "other",           "apply_request",       "apply_reply",
    "execute_request", "execute_reply",       "stream",
    "status",          "execute_input",       "execute_result",
    "display_data",    "update_display_data", "clear_output",
    "error",           "data_message",        "comm_open",
    "comm_msg",        "comm_close",          "complete_request",
    "complete_reply",  "abort_request",       "abort_reply",
    "clear_request",   "clear_reply",         "interrupt_request",
    "interrupt_reply", "shutdown_request",    "shutdown_reply",
};

/* The place of a type among those that are told apart, or that of a new one; TRAFFIC_TYPES where
 * there is none left. */
static size_t place_of(const struct ipcl_member *msg_type)
{
    size_t place = 1;
    while (place < TRAFFIC_TYPES && traffic_types[place] &&
           !member_is(msg_type, traffic_types[place]))
        place++;
    return place;
}

void traffic_tell_apart(const char *msg_type)
{
    const struct ipcl_member type = {
        .state = IPCL_MEMBER_TEXT, .data = msg_type, .size = strlen(msg_type)};
    size_t place = place_of(&type);
    if (place < TRAFFIC_TYPES)
        traffic_types[place] = msg_type;
    else
        log_error("messages of type %s count as \"other\": raise TRAFFIC_TYPES", msg_type);
}

size_t traffic_bytes(const struct message *message, size_t first)
{
    size_t bytes = 0;
    if (message->delimiter < message->count && message->delimiter > first)
        first = message->delimiter;
    for (size_t i = first; i < message->count; i++)
        bytes += zmq_msg_size(&message->frames[i]);
    return bytes;
}

void traffic_note(struct traffic *traffic, enum traffic_way way, size_t messages, size_t bytes)
{
    counter_add(&traffic->messages[way], messages);
    counter_add(&traffic->bytes[way], bytes);
}

void traffic_accept(struct traffic *traffic, const struct ipcl_member *msg_type)
{
    size_t place = place_of(msg_type);
    bool known = place < TRAFFIC_TYPES && traffic_types[place];
    counter_add(&traffic->accepted[known ? place : 0], 1);
}

void rounds_note(struct rounds *rounds, long long us)
{
    unsigned long long took = us > 0 ? (unsigned long long)us : 0;
    counter_add(&rounds->count, 1);
    counter_add(&rounds->busy_us, took);
    if (took > counter_get(&rounds->longest_us))
        counter_set(&rounds->longest_us, took);
    if (took >= TRAFFIC_STALL_US)
        counter_add(&rounds->stalls, 1);
}
