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
    SSH_CONNECTING, /* until the agent on the host says that it is ready */
    SSH_FORWARDING, /* until the controller can be reached from the host */
    SSH_STARTING,   /* until all engines have been started */
    SSH_RUNNING,
    SSH_LOST, /* the connection has gone, and it is not known whether engines run */
    SSH_GONE  /* nothing is left on the host */
};

struct ssh_copy {
    int64_t pid; /* the engine's, on its host; 0: not started */
    int64_t born;
    bool over; /* it has ended, with `status`, which is not reported yet */
    int status;
    bool ended; /* or it will never be started */
};

struct ssh_host {
    struct ssh_set *set;
    unsigned number;
    char *name;        /* as the user wrote it */
    char *destination; /* as ssh takes it */
    char **arguments;  /* of ssh, for this host */
    unsigned first;    /* the index of its first copy */
    unsigned count;
    enum ssh_state state;
    int64_t pid, born;             /* ssh's */
    int64_t agent_pid, agent_born; /* on the host; 0: not known, or it has ended */
    struct ssh_copy agent;         /* what looks after the engines there: while it may run */
    int input;                     /* its FIFO; -1: none */
    int output;                    /* the file of what it prints; -1: none */
    off_t offset;                  /* how far that was read */
    struct text queue;             /* for the FIFO */
    size_t sent;
    char line[SSH_LINE_BYTES];
    size_t line_size;
    char words[SSH_WORDS_BYTES];  /* what ssh has said */
    char problem[SSH_LINE_BYTES]; /* why this host takes no part */
    char run[SSH_RUN_BYTES];      /* the private folder on the host */
    char boot[SSH_BOOT_BYTES];    /* the id of the host's boot */
    bool ports;                   /* sockets cannot be forwarded there: ports of loopback are */
    bool cleaning;                /* another connection is ending engines on the host */
    bool told;                    /* the user was told that it cannot be reached any more */
    bool exited;                  /* ssh has ended, and that is not dealt with yet */
    int status, signum;           /* how ssh has ended */
};

struct ssh_set {
    const struct ipcl_launcher_services *services;
    const char *class_name;
    bool controller; /* it is a controller, on one host */
    bool proxy;      /* its one copy is an ipcluster on the host, which starts the engines */
    char *file_stem; /* how the names of its files here begin */
    json_t *clients; /* the clients' file: a remote controller's, until both files are here, and for
                        a proxy */
    char folder[SSH_PATH_BYTES]; /* for FIFOs and sockets of the connections; "": none */
    char token[SSH_TOKEN_BYTES]; /* marks the agents' lines */
    char *log_dir;
    char *label;
    char **command;     /* ssh_cmd */
    json_t *connection; /* the engines' file */
    struct text files;  /* the files for each host, in the form for the agent */
    bool here;          /* engines reach the controller back through the connections */
    unsigned grace_s;   /* between SIGTERM and SIGKILL */
    unsigned clean_ms;  /* how long another connection may take to end what is left on a host */
    unsigned delay_ms;  /* between one engine of a host and the next */
    unsigned first;     /* how many copies other launchers of this set had started before */
    bool again;         /* there were such: what cannot be started may be tried again */
    unsigned count;     /* how many copies there are */
    unsigned alive;     /* how many of these run or will */
    struct ssh_copy *copies;
    size_t host_count;
    struct ssh_host *hosts;
    struct ssh_fetch *fetches; /* those that have begun */
    bool polling;
    bool told_started;
    bool restoring;  /* it is being read from what an earlier supervisor saved */
    bool taken_over; /* it was read from that: its engines are only ended */
    bool stopping;
};

/* ssh_host.c: one connection. */

/* Connects, and has `agent` run on the host. Returns 0 or -1 with `error` set. */
int ssh_host_connect(struct ssh_host *host, const struct text *agent, struct ipcl_error *error);
/* Takes over the connection that an earlier supervisor made. Returns 0 or -1 if it has gone. */
int ssh_host_adopt(struct ssh_host *host);
/* Writes and reads what there is, and notices the end. */
void ssh_host_poll(struct ssh_host *host);
/* Sends the agent a line. */
void ssh_host_tell(struct ssh_host *host, const char *word, int number);
/* Ends the connection, and with it what runs on the host. */
void ssh_host_cut(struct ssh_host *host);
/* The path of the file with all that comes from the host. Returns 0, or -1 if it is too long. */
int ssh_host_output(const struct ssh_host *host, char *path, size_t path_bytes);
void ssh_host_clear(struct ssh_host *host);

/* ssh_command.c: command lines, and what the agent is told at the start. */

/* ssh's command line: for the connection that starts engines (it runs `remote` on the host), for an
 * operation that uses this connection, and for a connection beside it. Malloc'ed lists of borrowed
 * words; NULL if memory is short. */
const char **ssh_command_start(const struct ssh_host *host, const char *fifo, const char *control,
                               const char *remote);
const char **ssh_command_through(const struct ssh_host *host, const char *control,
                                 const char *operation, char **forwards, const char *remote);
const char **ssh_command_again(const struct ssh_host *host);
/* Runs one of the last two; its `argv` may be NULL. Returns 0 or -1 with `error` set. */
int ssh_command_run(const struct ssh_set *set, const struct ipcl_command *command,
                    struct ipcl_error *error);
/* The command that ssh runs on the host, which reads the agent's text from its input. */
void ssh_command_remote(const struct text *agent, char remote[SSH_REMOTE_BYTES]);
/* The list of ssh's arguments for a host. NULL if memory is short. */
char **ssh_command_arguments(const struct ssh_set *set, const struct ssh_place *place);
/* The agent's text for a host of a launch. */
void ssh_agent_start(const struct ssh_host *host, const struct ssh_place *place,
                     const struct ipcl_launch *launch, struct text *agent);
/* Adds ssh's command line, and what it runs on the host, for the user to read. */
void ssh_agent_preview(const struct ssh_host *host, const struct ssh_place *place,
                       const struct ipcl_launch *launch, struct text *preview);
/* The agent's text that ends what is left on a host. */
void ssh_agent_clean(const struct ssh_host *host, struct text *agent);

/* ssh_controller.c: the files of a remote controller have come: STEM-client.json and
 * STEM-engine.json. */
void ssh_controller_files(struct ssh_host *host, const char *stem);

/* ssh_fetch.c: files that come here. */

/* Begins to fetch the files of a host on which all has started. */
void ssh_fetch_files(struct ssh_host *host);
void ssh_fetch_free(struct ssh_set *set);

/* ssh_events.c: what happens at a host, and what follows. */

/* A line from the host. */
void ssh_event_line(struct ssh_host *host, const char *line);
/* ssh has ended, and all that came from the host was read. */
void ssh_event_exited(struct ssh_host *host);
/* Reports ended copies whose report was put off. */
void ssh_event_tell_over(struct ssh_host *host);
/* Ends, by another connection, engines of a host that is lost. */
void ssh_event_clean(struct ssh_host *host);

/* ssh_state.c: removes from a plan the places of engines that another launcher has saved as
 * `json`. */
void ssh_state_take_places(const char *json, struct ssh_plan *plan);

/* ssh_set.c: the set. */

/* ssh has ended. Its last output is read first. */
void ssh_set_exited(void *self, int64_t pid, int status, int signum);
/* Looks after hosts again soon. */
void ssh_set_poll(struct ssh_set *set);
/* A copy has ended. Does nothing if that was known. */
void ssh_set_copy_ended(struct ssh_set *set, unsigned index, int status, const char *reason);
/* A host's copies that have not started never will; the host's `problem` says why. */
void ssh_set_go_without(struct ssh_host *host);
/* A host's state has changed. */
void ssh_set_changed(struct ssh_set *set);

#endif
