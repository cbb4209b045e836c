/* The name that a peer gives itself (ZMQ_ROUTING_ID). Names that begin with a zero byte are
 * libzmq's own: it makes them, one after the other, for peers without a name, and ends the process
 * if one is taken. So no peer may give itself such a name. */
#ifndef CONTROLLER_DOOR_PEER_NAME_H
#define CONTROLLER_DOOR_PEER_NAME_H

#include <stdbool.h>
#include <stdint.h>

/* Longer ones are cut: engines' names are shorter. */
#define PEER_NAME_TEXT 64

/* Where the name is read: in the properties that a peer sends about itself (ZeroMQ RFC 23). Each is
 * a name after its size in one byte, and a value after its size in four bytes. */
struct peer_name {
    enum {
        PEER_NAME_COMMAND_SIZE, /* all zeros: the first thing to come is a command's name */
        PEER_NAME_COMMAND,
        PEER_NAME_PROPERTY_SIZE,
        PEER_NAME_PROPERTY,
        PEER_NAME_VALUE_SIZE,
        PEER_NAME_VALUE,
    } stage;
    uint32_t left;             /* bytes of the stage that are still to come */
    uint32_t size;             /* of the value, as far as it has come */
    bool is_name;              /* the property is the peer's name, as far as it has come */
    char text[PEER_NAME_TEXT]; /* the name, as far as it has come */
};

/* Takes the next byte. Returns false if this begins a name of libzmq's own. */
bool peer_name_take(struct peer_name *at, unsigned char byte);

#endif
