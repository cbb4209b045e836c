/* What libzmq may read. It keeps all that a connection sends before it asks us: a frame of any
 * size, also from a peer that has not proved yet that it may come, and every topic that is
 * subscribed to. So the controller reads along, and ends a connection at the first header of a
 * frame that is too large. */
#ifndef CONTROLLER_DOOR_GATE_H
#define CONTROLLER_DOOR_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ipcluster/error.h>

#include "controller/door/peer_name.h"

/* What a subscriber may send in so long a time: libzmq keeps its topics in up to 67 times their
 * size. It is enough for two encrypted heartbeats of ZMTP a second. */
#define GATE_SUBSCRIBER_BYTES_MAX 65536
#define GATE_SUBSCRIBER_MS        (10 * 60 * 1000)

/* Makes room for the connections whose descriptors are lower than `descriptors`. Once, before there
 * is a socket. Returns 0, or -1 with `error` set. */
int gate_open(size_t descriptors, struct ipcl_error *error);
/* Of a peer that has proved who it is, frames of up to so many bytes are read. `encrypted`: by
 * CurveZMQ, and not without. */
void gate_set(bool encrypted, uint64_t frame_bytes_max);
/* So many connections at a time may not have proved who they are. */
void gate_set_strangers(size_t max);
/* Whether those who connect to what this thread listens on from now on are subscribers. */
void gate_expect_subscribers(bool subscribers);
/* An answer that was too large to be read, and is lost with the connection that it came by. */
struct gate_loss {
    char name[PEER_NAME_TEXT]; /* that its sender gives itself */
    char text[256];            /* a sentence that says so */
};

/* Tells of what is lost of those who connect to what this thread listens on next. Returns the
 * descriptor to read that from, which is the caller's to close, or -1 with `error` set. */
int gate_watch_losses(struct ipcl_error *error);
/* The next loss, once all has been handed on that came before it. Returns false where there is none
 * now. */
bool gate_read_loss(int losses, struct gate_loss *loss);
/* A connection that was accepted. Where too many have not proved who they are, the oldest of them
 * makes room. */
void gate_admit(int listener, int fd);

#endif
