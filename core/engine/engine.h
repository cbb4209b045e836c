/* The engine: what its main thread sets up and its I/O thread then uses. */
#ifndef ENGINE_ENGINE_H
#define ENGINE_ENGINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <ipcluster/kernel.h>
#include <ipcluster/serial.h>

#include "base/job_name.h"
#include "base/numbers.h"
#include "base/random.h"
#include "config/settings.h"
#include "engine/capture.h"
#include "engine/link.h"
#include "wire/connection.h"
#include "wire/seal.h"
#include "wire/tunnel.h"

/* The exit status of the process. */
enum engine_exit {
    ENGINE_EXIT_STOPPED = 0,      /* as it was asked to */
    ENGINE_EXIT_SETTINGS = 1,     /* a setting, a plugin or a start-up command is wrong */
    ENGINE_EXIT_CONNECTION = 3,   /* the connection file is missing or wrong */
    ENGINE_EXIT_MPI = 4,          /* MPI cannot be initialised */
    ENGINE_EXIT_REGISTRATION = 5, /* the controller cannot be reached or refuses */
    ENGINE_EXIT_CONTROLLER = 6,   /* the controller was lost */
    ENGINE_EXIT_FAILED = 7,       /* the engine itself failed */
    ENGINE_EXIT_LIMIT = 8,        /* it took more memory or time than it may, or its job ends */
};

#define ENGINE_ROUTE_BYTES (2 * 16 + 1) /* 128 bits, hexadecimal */

/* Constant while the I/O thread runs, except atomic members. */
struct engine {
    const struct settings *settings;
    long long memory_limit_bytes; /* 0: none */
    long long notice_ms;          /* when to take nothing new because the batch job will end; 0:
                                     never */
    long long end_ms;             /* when the batch job ends */
    char connection_file[PATH_BYTES];
    struct path_mark connection_mark; /* of the file when it was read; zeros: there is none */
    /* These belong to the I/O thread while it runs, but to the main thread while that has
     * JOB_REACH. */
    struct connection connection;
    struct connection stated; /* from the file and the settings; `connection` may be a tunnel's */
    unsigned char
        life[SEAL_LIFE_BYTES]; /* the controller's; zero until it is known. The I/O thread's */
    const struct ipcl_serial_operations *serial;
    struct tunnel *tunnel;              /* through which the controller is reached; NULL: none */
    char unreachable[IPCL_ERROR_BYTES]; /* after JOB_REACH: the reason; "": it was reached */
    atomic_bool ending;                 /* long operations are given up */
    struct registry *registry;
    const struct ipcl_kernel_operations *kernel;
    void *kernel_self;
    const struct ipcl_serial_operations *frontend_serial; /* JSON */
    json_t *frontend_wishes;       /* the wishes of start-up code; NULL: none */
    char security_dir[PATH_BYTES]; /* the profile's */
    json_t *kernel_info;           /* what the kernel says about itself */
    char uuid[RANDOM_UUID_BYTES];
    char route[ENGINE_ROUTE_BYTES]; /* under which it connects to the schedulers: known to it and
                                       the hub */
    int64_t requested_id;           /* -1: any */
    struct numbers requested_ids;   /* others that it accepts too */
    char batch_job[JOB_NAME_BYTES]; /* that it is part of; "": none */
    int rank;                       /* in MPI_COMM_WORLD; -1: MPI is not initialised */
    _Atomic int64_t id;             /* -1 until registered */
    _Atomic int exit_code;
    void *context;
    struct link link;
    struct capture capture; /* the I/O thread's once it runs */
    int signal_fd;
    long long waited_ms;       /* how much of IPEngine.timeout (if it is set) was used for the file
                                  and ssh */
    int watcher;               /* to it; negative: there is none */
    bool watched;              /* the watcher tells the controller how the engine ends */
    struct watch_begun *begun; /* shared with the watcher (watch_private.h); NULL: there is none */
};

/* Reads settings and connection file. Waits for the file as long as the settings say. Returns 0 or
 * -1 with `error` set. */
int engine_read_connection(struct engine *engine, const char *profile_dir,
                           struct ipcl_error *error);
/* Reads the file again if it was replaced. Returns whether its contents differ now. I/O thread,
 * while the main thread waits for the engine's first job. */
bool engine_read_new_connection(struct engine *engine);
/* Makes `stated` the connection. If that takes a tunnel, the main thread calls this, for JOB_REACH:
 * ssh belongs to that thread. */
void engine_reach(struct engine *engine);
/* What is left of IPEngine.timeout. */
long long engine_patience_ms(const struct engine *engine);

#endif
