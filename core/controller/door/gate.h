/* Limits what libzmq reads. libzmq keeps all that a connection sends before it asks us: frames of
 * any size, even from a peer that has not proved yet who it is, and every topic that is subscribed
 * to. So the controller reads along, and ends a connection at the header of the first frame that is
 * too large. */
#ifndef CONTROLLER_DOOR_GATE_H
#define CONTROLLER_DOOR_GATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <ipcluster/error.h>

#include "controller/door/peer_name.h"

/* What a subscriber may send in this time: libzmq needs up to 67 times the size of its topics to
 * keep them. It is enough for two encrypted heartbeats of ZMTP a second. */
#define GATE_SUBSCRIBER_BYTES_MAX 65536
#define GATE_SUBSCRIBER_MS        (10 * 60 * 1000)

/* Makes room for connections whose descriptors are lower than `descriptors`. Once, before there is
 * a socket. Returns 0, or -1 with `error` set. */
int gate_open(size_t descriptors, struct ipcl_error *error);
/* Sets the size of the largest frame that is read from a peer that has proved who it is. */
void gate_set(uint64_t frame_bytes_max);
/* Sets how many connections at a time may be without that proof. */
void gate_set_strangers(size_t max);
/* Peers that connect to what a thread listens on. */
struct gate_peers {
    bool encrypted;   /* only CurveZMQ is accepted */
    bool subscribers; /* they send subscriptions alone */
};
/* Says who connects to what this thread listens on next. */
void gate_expect(struct gate_peers peers);
/* An answer that was too large to be read, and is lost with its connection. */
struct gate_loss {
    char name[PEER_NAME_TEXT]; /* the name that the sender gives itself */
    char text[256];            /* a sentence that says so */
};

/* Watches for losses of peers that connect to what this thread listens on next, until
 * gate_watch_end(). Returns a descriptor to read them from, which the caller closes, or -1 with
 * `error` set. */
int gate_watch_losses(struct ipcl_error *error);
void gate_watch_end(void);
/* Reads the next loss, after everything that came before it has been passed on. Returns false if
 * there is none now. */
bool gate_read_loss(int losses, struct gate_loss *loss);
/* Takes in a connection that was accepted. If too many have not proved who they are, the oldest of
 * these is ended. Returns false if the connection is by a local socket, and of a user other than
 * this program's and root. */
bool gate_admit(int listener, int fd);

#endif
