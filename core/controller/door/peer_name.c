/* The name that a peer gives itself. Any thread. */
#include "controller/door/peer_name.h"

#include <stddef.h>

static const char property[] = "Identity";
#define PROPERTY_BYTES   (sizeof(property) - 1)
#define VALUE_SIZE_BYTES 4

static void go_on(struct peer_name *at, int stage, uint32_t bytes, int without)
{
    at->stage = bytes ? stage : without;
    at->left = bytes;
}

static void begin_value_size(struct peer_name *at)
{
    at->size = 0;
    go_on(at, PEER_NAME_VALUE_SIZE, VALUE_SIZE_BYTES, 0);
}

bool peer_name_take(struct peer_name *at, unsigned char byte)
{
    bool first = at->stage == PEER_NAME_VALUE && at->left == at->size;
    switch (at->stage) {
    case PEER_NAME_COMMAND_SIZE:
        go_on(at, PEER_NAME_COMMAND, byte, PEER_NAME_PROPERTY_SIZE);
        break;
    case PEER_NAME_VALUE:
        if (at->is_name && at->size - at->left < sizeof(at->text) - 1)
            at->text[at->size - at->left] = (char)byte;
        go_on(at, at->stage, at->left - 1, PEER_NAME_PROPERTY_SIZE);
        break;
    case PEER_NAME_COMMAND:
        go_on(at, at->stage, at->left - 1, PEER_NAME_PROPERTY_SIZE);
        break;
    case PEER_NAME_PROPERTY_SIZE:
        at->is_name = byte == PROPERTY_BYTES;
        if (byte)
            go_on(at, PEER_NAME_PROPERTY, byte, 0);
        else
            begin_value_size(at);
        break;
    case PEER_NAME_PROPERTY:
        at->is_name = at->is_name && byte == property[PROPERTY_BYTES - at->left];
        if (!--at->left)
            begin_value_size(at);
        break;
    case PEER_NAME_VALUE_SIZE:
        at->size = at->size << 8 | byte;
        if (!--at->left)
            go_on(at, PEER_NAME_VALUE, at->size, PEER_NAME_PROPERTY_SIZE);
        break;
    }
    return byte || !first || !at->is_name;
}
