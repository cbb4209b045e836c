/* Children that user code forks. One may outlive the engine, and has its descriptors: as long as it
 * held the connections to the controller, these would not end with the engine, by which the
 * controller learns of its end; likewise frontends, whose sockets nobody else could listen on. So a
 * child closes them at once. */
#ifndef ENGINE_CHILDREN_H
#define ENGINE_CHILDREN_H

#include "wire/connection.h"

struct frontends;

/* From now on a child closes its connections to these ports. `connection` must stay valid. Call
 * once. */
void children_start(const struct connection *connection);
/* The controller is at the other end of this descriptor. I/O thread. */
void children_note_controller(int fd);
/* Frontends connect here. I/O thread. */
void children_note_frontends(const struct frontends *frontends);

#endif
