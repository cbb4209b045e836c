/* The I/O thread: owns every socket of the engine, and never takes the interpreter's lock. While it
 * waits, the main thread does what follows a job in its place: see io_take_back().
 *
 *     registrar DEALER  registration and its end
 *     ping      SUB     the controller's heartbeats
 *     pong      DEALER  their echo
 *     shell     ROUTER  requests, from three relays
 *     control   ROUTER  requests that do not wait for user code
 *     iopub     XPUB    output and status
 *     link      file descriptors: jobs that the main thread hands back, and errands (link.h)
 *
 * If frontends are let in, there are five more: see frontends.c. */
#ifndef ENGINE_IO_H
#define ENGINE_IO_H

#include <stdbool.h>

#include "base/log.h"
#include "engine/bounds.h"
#include "engine/door.h"
#include "engine/engine.h"
#include "engine/frontends.h"
#include "engine/recall.h"
#include "engine/usage.h"
#include "plugin/services.h"
#include "wire/envelope.h"
#include "wire/loop.h"
#include "wire/reach.h"
#include "wire/segment_link.h"
#include "wire/session.h"
#include "wire/socket.h"

enum io_state {
    IO_REGISTERING,
    IO_CONNECTING, /* registered; the heart beats when iopub has a subscriber */
    IO_SERVING,
    IO_STOPPING
};

/* Trying to register: the request is repeated with a growing delay. */
struct registration {
    void *monitor;       /* of the registrar's connection */
    unsigned opened;     /* registrars so far */
    struct reach *reach; /* tries a controller's addresses on another host; NULL: none is tried */
    long long doubt_ms;  /* when to ask whether anything listens there */
    char url[CONNECTION_TEXT_BYTES + 16];
    long long deadline_ms;
    long long repeat_ms; /* when to send again */
    long long delay_ms;
    bool reached;          /* a connection stood at least once */
    bool handshake_failed; /* encryption was refused */
    bool lost;             /* the connection ended since the last request */
    bool again;            /* registered, but asking once more: the controller was away */
    char refusal[256];     /* what the controller said */
};

struct heart {
    void *ping;
    void *pong;
    long long period_ms; /* of the check */
    long long check_ms;  /* when to check next */
    int64_t misses_max;  /* 0: not checked */
    int64_t misses;
    bool beaten;       /* a ping came since the last check */
    long long ping_ms; /* when the last one came */
};

/* How long sent messages may take to leave when the process ends. */
#define IO_LINGER_MS 1000
/* How many published messages wait for a reader that is slow or stopped. It does not get more. */
#define IO_PUBLISHED_MAX 100000

/* What ends an engine. */
enum io_cause {
    IO_OWN,   /* itself, or what it runs */
    IO_ORDER, /* a client's request, or the coming end of its batch job */
    IO_SIGNAL /* which its batch system may have sent */
};

struct io {
    struct engine *engine;
    struct loop *loop; /* owns the sockets */
    struct curve curve;
    const char *identity; /* the engine's route, or its uuid if the controller knows no routes */
    enum io_state state;
    struct registration registration;
    struct heart heart;
    void *registrar;
    struct door cluster;          /* the schedulers' sockets */
    struct segment_link segments; /* large buffers come and go beside these */
    long long connecting_ms;      /* when to do without a subscriber */
    long long hub_period_ms;
    struct frontends frontends;
    struct job_list queue;
    struct job *running; /* what the main thread has */
    uint64_t jobs;       /* given to it so far */
    bool addressed;      /* since it began, or was cleared, it has run something other than tasks: a
                       client may have left something in its namespace */
    bool draining;       /* it accepts nothing new, finishes what it has begun, and ends */
    enum engine_exit drained;      /* when draining: the exit status */
    long long stop_ms;             /* when draining or stopping: when it no longer waits */
    char ending[IPCL_ERROR_BYTES]; /* when draining or stopping: why; unfinished requests are
                                      answered with it */
    enum io_cause cause;           /* when draining or stopping */
    struct job_list drains;        /* requests that are answered when the engine has drained */
    struct awaited *aborted;       /* requests to abort when they come: a hash, the oldest first */
    struct recall recall;
    /* The request that output belongs to: its packed header, and how it came. While none runs, it
     * is the last one. */
    char *parent;
    size_t parent_size;
    struct door *parent_door;
    const struct ipcl_serial_operations *parent_serial;
    struct envelopes answers; /* to the schedulers; not sent yet */
    long long answered_us;    /* when the oldest of them was put there (clock_precise_us()) */
    bool answering;           /* the tick looks after them */
    struct usage usage;
    struct bounds bounds;
    struct log_limit bad_limit, send_limit, misses_limit;
};

/* The thread: `argument` is the struct engine. Ends when the job JOB_QUIT has come back, or ends
 * the process when user code does not return. */
void *engine_io_main(void *argument);
/* Takes nothing new from now on, and stops when the running request and the queued direct ones are
 * done. It stops at `until_ms` at the latest, or early enough to send answers before the batch job
 * ends. */
void io_drain(struct io *io, enum engine_exit code, const char *reason, long long until_ms);
/* Asks for an orderly end. Says why in the log. */
void io_stop(struct io *io, enum engine_exit code, const char *reason);
/* The same for an engine that was told to end. */
void io_obey(struct io *io, enum io_cause cause, const char *reason);
/* Does what follows a job, from its reply to the start of the next, if the I/O thread waits: to
 * wake it would cost more. Returns false if the I/O thread is at work. Main thread. */
bool io_take_back(struct job *job);
/* Interrupts what the main thread runs. */
void io_interrupt(struct io *io);
/* Polls the output of the tunnel's ssh, if there is a tunnel. Returns 0 or -1 with `error` set. */
int io_watch_tunnel(struct io *io, struct ipcl_error *error);
/* A socket with the engine's keys. NULL with `error` set. */
void *io_socket(struct io *io, int type, const char *identity, const char *url,
                struct ipcl_error *error);

/* Makes what signs and encrypts, as the connection file says. Returns 0 or -1 with `error` set. */
int io_prepare(struct io *io, struct ipcl_error *error);

/* registration.c */
int registration_start(struct io *io, struct ipcl_error *error);
/* `self` is the struct io. */
void registration_receive(void *self, struct message *message);
/* The main thread has done JOB_REACH: `engine->unreachable` says whether that failed. */
void registration_reached(struct io *io);
/* Takes note of an event of the connection. `self` is the struct io. */
void registration_watch(void *self, struct message *message);
/* Repeats or gives up. Returns when to be called again. */
long long registration_tick(struct io *io, long long now_ms);
/* Registers once more under the engine's id: the controller may have given the engine up, or
 * another controller may have taken its place. If it knows the engine, nothing changes. */
void registration_again(struct io *io);
/* Repeats that request. Returns when to be called again. */
long long registration_again_tick(struct io *io, long long now_ms);
void registration_leave(struct io *io);
/* Stops trying addresses. */
void registration_release(struct io *io);

/* What the controller is told about an engine that has ended. */
struct registration_end {
    int64_t id;
    const char *uuid, *route;
    bool died; /* otherwise it leaves by itself, and answers what it has */
    enum io_cause cause;
    const char *reason;
    const char *begun; /* the msg_id of the task that began last, "" for none; NULL: not known */
};
/* Builds the message that says so. Returns 0 or -1 with `error` set. */
int registration_build_end(struct session *session, const struct registration_end *end,
                           struct message *message, struct ipcl_error *error);

/* heart.c */
/* Starts the heart when iopub has a subscriber, or has waited long enough for one. Returns when to
 * be called again, as does heart_tick(). */
long long heart_connecting(struct io *io, long long now_ms);
/* `self` is the struct io. */
void heart_beat(void *self, struct message *message);
long long heart_tick(struct io *io, long long now_ms);
/* The controller's period is io->hub_period_ms. */
void heart_set_period(struct io *io);

/* shell.c: the queue */
/* Whether a request comes from the task scheduler, which can give it to another engine. */
bool shell_is_task(const struct io *io, struct job *job);
/* `self` is the struct door. */
void shell_receive(void *self, struct message *message);
/* Gives the main thread the next job, if it is free. */
void shell_next(struct io *io);
/* Gives the main thread, which is free, JOB_REACH: the connection file has changed. */
void shell_reach(struct io *io);
/* A job has come back from the main thread. */
void shell_done(struct io *io, struct job *job);
/* Answers an aborted request that is in no queue, and frees the job. */
void shell_abort(struct io *io, struct job *job);
/* The engine ends: answers queued requests as not begun. These are all, or only the tasks, which
 * can run elsewhere. */
void shell_answer_queued(struct io *io, bool tasks_alone);

/* abort.c */
/* Serves an abort_request: a request that it names is aborted if it waits, and noted if it has not
 * come yet. Returns the reply's content with the msg_ids of both, as a new reference. Returns NULL
 * with `error` set if the abort_request is malformed or memory is short. */
json_t *abort_serve(struct io *io, struct job *job, struct ipcl_error *error);
/* Whether a request that has come was noted. Then the note is removed. */
bool abort_awaits(struct io *io, struct job *job);
void abort_release(struct io *io);

/* control.c */
/* Has its requests counted by their types. Main thread, before the I/O thread starts. */
void control_count_types(void);
/* `self` is the struct door. */
void control_receive(void *self, struct message *message);
/* Answers a request that does not wait in the queue, or says that its type is not known. Takes over
 * the job. */
void control_answer(struct io *io, struct job *job);
/* Answers whoever has asked for the engine to be drained. */
void control_answer_drains(struct io *io);

/* reply.c: answers */
/* Packs what all plain successful replies have in common. Returns 0 or -1 with `error` set. */
int reply_prepare(struct door *door, struct ipcl_error *error);
/* Whether the job's request has a reply: a comm's messages have none. */
bool reply_wanted(const struct job *job);
/* Sends `content` (NULL: {"status": "ok"}) as the answer to a job, with `metadata` (may be NULL)
 * added to the reply's own. Both are borrowed; what the buffers hold is taken over. */
void reply_send(struct io *io, struct job *job, const json_t *content, const json_t *metadata,
                const struct ipcl_buffer *buffers, size_t buffer_count);
void reply_error(struct io *io, struct job *job, const char *ename, const char *evalue);
void reply_aborted(struct io *io, struct job *job);
/* The task has not begun and will not run here, because the engine ends. A scheduler of ours runs
 * it elsewhere; for others this is an error that says why. */
void reply_unbegun(struct io *io, struct job *job);
/* The task has not begun and will not run here, because the scheduler wants to give it to another
 * engine. */
void reply_returned(struct io *io, struct job *job);
/* The engine ends, and has interrupted the request or not begun it: an error that says why. For a
 * task, a scheduler of ours waits until the engine has ended, and passes the error on or runs the
 * task elsewhere. Other requests get no reply if a batch system may know more: our hub tells their
 * clients. */
void reply_ended(struct io *io, struct job *job);
/* The request has come before, and does not run again. The reply names no engine: it looks like a
 * controller's refusal. */
void reply_refused(struct io *io, struct job *job, const char *why);

/* Answers go in envelopes to schedulers that read these. */
void reply_collect(struct io *io);
/* Sends the answers that have waited for others to go with them. */
void reply_flush(struct io *io);
/* Does so when they have waited long enough. Returns when to be called again. */
long long reply_tick(struct io *io, long long now_ms);
void reply_release(struct io *io);

/* publish.c */
/* Releases buffers that were not taken over. */
void publish_release(const struct ipcl_buffer *buffers, size_t count);
/* Appends a message's buffers, whose contents are taken over. Returns 0 or -1. */
int publish_append(struct message *message, const struct ipcl_buffer *buffers, size_t count);
/* Publishes on iopub, as a child of io->parent: to frontends, and to the cluster unless a frontend
 * sent that request. `content` is borrowed, the buffers' contents are taken over. */
void publish(struct io *io, const char *msg_type, const char *topic, const json_t *content,
             const json_t *metadata, const struct ipcl_buffer *buffers, size_t buffer_count);
/* Publishes that the engine is busy or idle with a request, if somebody listens. The topic is
 * "status.ID", and that of output is "engine.ID.NAME": so clients that count output are not sent
 * two more messages for each task. */
void publish_status(struct io *io, struct job *job, bool busy);
/* Makes io->parent the job's header. */
void publish_parent(struct io *io, struct job *job);

#endif
