/* The name that a peer gives itself (ZMQ_ROUTING_ID). Those that begin with a zero byte are
 * libzmq's own: it makes them, one after the other, for peers without a name, and ends the process
 * where one of them is taken. So nobody may come under such a name. */
#ifndef CONTROLLER_DOOR_PEER_NAME_H
#define CONTROLLER_DOOR_PEER_NAME_H

#include <stdbool.h>
#include <stdint.h>

/* Longer ones are cut: engines have none. */
#define PEER_NAME_TEXT 64

/* Where in it a name stands: in the properties that a peer tells of itself (RFC 23 of ZeroMQ), each
 * a name behind its size in one byte, and a value behind its size in four. */
struct peer_name {
    enum {
        PEER_NAME_COMMAND_SIZE, /* all zeros: what comes begins with the name of a command */
        PEER_NAME_COMMAND,
        PEER_NAME_PROPERTY_SIZE,
        PEER_NAME_PROPERTY,
        PEER_NAME_VALUE_SIZE,
        PEER_NAME_VALUE,
    } stage;
    uint32_t left;             /* bytes of the stage to come */
    uint32_t size;             /* of the value, as far as it is known */
    bool is_name;              /* the property is the peer's name, as far as is known */
    char text[PEER_NAME_TEXT]; /* the name, as far as it has come */
};

/* Takes the next byte. Returns false where a name begins that is libzmq's own. */
bool peer_name_take(struct peer_name *at, unsigned char byte);

#endif
