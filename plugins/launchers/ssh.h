/* The launcher "ssh": what its files share. A set has hosts, a host has one connection, an engine
 * is a copy of the launch. */
#ifndef LAUNCHERS_SSH_H
#define LAUNCHERS_SSH_H

#include <jansson.h>

#include <ipcluster/launcher.h>

#include "ssh_plan.h"
#include "ssh_text.h"

#define SSH_ROOT_CLASS       "SSHLauncher" /* whose settings the others inherit */
#define SSH_SET_CLASS        "SSHEngineSetLauncher"
#define SSH_ONE_CLASS        "SSHEngineLauncher" /* one host */
#define SSH_CONTROLLER_CLASS "SSHControllerLauncher"
#define SSH_PROXY_CLASS      "SSHProxyEngineSetLauncher" /* the ipcluster of one host */
#define SSH_REMOTE_BYTES     120
#define SSH_PATH_BYTES       4096
#define SSH_LINE_BYTES       1024
#define SSH_WORDS_BYTES      512
#define SSH_RUN_BYTES        96
#define SSH_BOOT_BYTES       40
#define SSH_TOKEN_BYTES      17

enum ssh_state {
    SSH_CONNECTING, /* until the agent there says that it is ready */
    SSH_FORWARDING, /* until the controller can be reached from there */
    SSH_STARTING,   /* until all engines have been started */
    SSH_RUNNING,
    SSH_LOST, /* the connection has gone, and it is not known what became of engines */
    SSH_GONE  /* nothing is left there */
};

struct ssh_copy {
    int64_t pid; /* the engine's, on its host; 0: not started */
    int64_t born;
    bool over; /* it has ended, with this status, which is not told yet */
    int status;
    bool ended; /* or never to be started */
};

struct ssh_host {
    struct ssh_set *set;
    unsigned number;
    char *name;        /* as the user has it */
    char *destination; /* as ssh has it */
    char **arguments;  /* of ssh, for this host */
    unsigned first;    /* of its copies */
    unsigned count;
    enum ssh_state state;
    int64_t pid, born;             /* ssh's */
    int64_t agent_pid, agent_born; /* there; 0: it is not known, or has ended */
    struct ssh_copy agent;         /* what looks after them there: while it may run */
    int input;                     /* its FIFO; -1 */
    int output;                    /* what it prints, from the file; -1 */
    off_t offset;                  /* of what was read */
    struct text queue;             /* for the FIFO */
    size_t sent;
    char line[SSH_LINE_BYTES];
    size_t line_size;
    char words[SSH_WORDS_BYTES];  /* what ssh has said */
    char problem[SSH_LINE_BYTES]; /* why this host takes no part */
    char run[SSH_RUN_BYTES];      /* the private folder there */
    char boot[SSH_BOOT_BYTES];    /* the id of the host's boot */
    bool ports;                   /* sockets cannot be forwarded there: ports of loopback are */
    bool cleaning;                /* engines there are being ended by another connection */
    bool told;                    /* that it cannot be reached any more */
    bool exited;                  /* ssh has, which is still to be dealt with */
    int status, signum;           /* how */
};

struct ssh_set {
    const struct ipcl_launcher_services *services;
    const char *class_name;
    bool controller; /* it is a controller, on one host */
    bool proxy;      /* its one copy is an ipcluster there, which starts the engines */
    char *file_stem; /* of its files here */
    json_t *clients; /* the clients' file: of a controller there, until both are here, and for a
                        proxy */
    char folder[SSH_PATH_BYTES]; /* FIFOs and sockets of the connections; "" for none */
    char token[SSH_TOKEN_BYTES]; /* marks what agents say */
    char *log_dir;
    char *label;
    char **command;     /* ssh_cmd */
    json_t *connection; /* the engines' file */
    struct text files;  /* those that are sent to each host, as the agent takes them */
    bool here;          /* the controller is reached back through the connections */
    unsigned grace_s;   /* between the polite request to end and SIGKILL */
    unsigned clean_ms;  /* for ending, by another connection, what is left on a host */
    unsigned delay_ms;  /* between one engine of a host and the next */
    unsigned first;     /* copies that were started before, by others */
    bool again;         /* there were such: what cannot be started may be tried again */
    unsigned count;     /* copies */
    unsigned alive;     /* of them, those that are reckoned with */
    struct ssh_copy *copies;
    size_t host_count;
    struct ssh_host *hosts;
    struct ssh_fetch *fetches; /* those that have begun */
    bool polling;
    bool told_started;
    bool restoring;  /* from what an earlier supervisor saved */
    bool taken_over; /* that was so: what is there is only ended */
    bool stopping;
};

/* ssh_host.c: one connection. */

/* Connects, and has `agent` run there. Returns 0 or -1 with `error` set. */
int ssh_host_connect(struct ssh_host *host, const struct text *agent, struct ipcl_error *error);
/* Takes up the connection that an earlier supervisor made. Returns 0 or -1 where it has gone. */
int ssh_host_adopt(struct ssh_host *host);
/* Writes and reads what there is, and notices the end. */
void ssh_host_poll(struct ssh_host *host);
/* Tells the agent there something, a line. */
void ssh_host_tell(struct ssh_host *host, const char *word, int number);
/* Ends the connection, and with it what runs there. */
void ssh_host_cut(struct ssh_host *host);
/* The file with all that comes from there. Returns 0, or -1 where it is too long. */
int ssh_host_output(const struct ssh_host *host, char *path, size_t path_bytes);
void ssh_host_clear(struct ssh_host *host);

/* ssh_command.c: command lines, and what the agent is told at the start. */

/* ssh's words, for the connection that starts (`command` is what runs there), or for what goes
 * through it or past it (`options`, in front of the destination). Malloc'ed, their words borrowed;
 * NULL where memory is short. */
const char **ssh_command_start(const struct ssh_host *host, const char *fifo, const char *control,
                               const char *remote);
const char **ssh_command_through(const struct ssh_host *host, const char *control,
                                 const char *operation, char **forwards, const char *remote);
const char **ssh_command_again(const struct ssh_host *host);
/* Has one of these run beside the connection that starts; its `argv` may be NULL. Returns 0 or -1
 * with `error` set. */
int ssh_command_run(const struct ssh_set *set, const struct ipcl_command *command,
                    struct ipcl_error *error);
/* What ssh has run there, which takes the agent's text from its input. */
void ssh_command_remote(const struct text *agent, char remote[SSH_REMOTE_BYTES]);
/* The list of arguments for a host. NULL where memory is short. */
char **ssh_command_arguments(const struct ssh_set *set, const struct ssh_place *place);
/* The agent's text for a host of a launch. */
void ssh_agent_start(const struct ssh_host *host, const struct ssh_place *place,
                     const struct ipcl_launch *launch, struct text *agent);
/* Adds, for people, ssh's command line and what is run there by it. */
void ssh_agent_preview(const struct ssh_host *host, const struct ssh_place *place,
                       const struct ipcl_launch *launch, struct text *preview);
/* The agent's text that ends what is left on a host. */
void ssh_agent_clean(const struct ssh_host *host, struct text *agent);

/* ssh_controller.c: the files of a controller there are there: STEM-client.json and
 * STEM-engine.json. */
void ssh_controller_files(struct ssh_host *host, const char *stem);

/* ssh_fetch.c: files that come here. */

/* Begins to fetch the files of a host on which all has started. */
void ssh_fetch_files(struct ssh_host *host);
void ssh_fetch_free(struct ssh_set *set);

/* ssh_events.c: what happens at a host, and what follows. */

/* A line of what comes from there. */
void ssh_event_line(struct ssh_host *host, const char *line);
/* ssh has ended, and all that came from there has been read. */
void ssh_event_exited(struct ssh_host *host);
/* Tells of copies that have ended, where that was put off. */
void ssh_event_tell_over(struct ssh_host *host);
/* Ends, by another connection, engines of a host that is lost. */
void ssh_event_clean(struct ssh_host *host);

/* ssh_state.c: takes the places from a plan that engines have of which another set has said
 * this. */
void ssh_state_take_places(const char *json, struct ssh_plan *plan);

/* ssh_set.c: the set. */

/* ssh has ended: what it printed last is read first. */
void ssh_set_exited(void *self, int64_t pid, int status, int signum);
/* Looks after hosts again soon. */
void ssh_set_poll(struct ssh_set *set);
/* A copy has ended, where it had not. */
void ssh_set_copy_ended(struct ssh_set *set, unsigned index, int status, const char *reason);
/* Those copies of a host that have not started are not going to, for the reason that the host's
 * `problem` says. */
void ssh_set_go_without(struct ssh_host *host);
/* A host's state has changed. */
void ssh_set_changed(struct ssh_set *set);

#endif
