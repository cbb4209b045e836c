/* The launcher "ssh": one connection to a host. Its input is a FIFO, which this process and later
 * ones can write to. Its output goes to a file, which is read as it grows. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/trust.h"
#include "launch.h"
#include "ssh.h"

int ssh_host_output(const struct ssh_host *host, char *path, size_t path_bytes)
{
    int length = snprintf(path, path_bytes, "%s/%s-%u.log", host->set->log_dir, host->set->label,
                          host->number);
    return length > 0 && (size_t)length < path_bytes ? 0 : -1;
}

/* Opens what this process writes to and reads from. Returns 0 or -1 with `error` set. */
static int open_ends(struct ssh_host *host, const char *fifo, const char *output,
                     struct ipcl_error *error)
{
    host->input = trust_open(fifo, O_RDWR | O_NONBLOCK, 0, NULL, error);
    host->output = host->input < 0 ? -1 : trust_open(output, O_RDONLY | O_CREAT, 0600, NULL, error);
    return host->output < 0 ? -1 : 0;
}

static int fifo_path(const struct ssh_host *host, char path[SSH_PATH_BYTES],
                     struct ipcl_error *error)
{
    int length = snprintf(path, SSH_PATH_BYTES, "%s/%u.in", host->set->folder, host->number);
    return length < SSH_PATH_BYTES
               ? 0
               : ipcl_error_set(error, "the path of %s is too long", host->set->folder);
}

int ssh_host_connect(struct ssh_host *host, const struct text *agent, struct ipcl_error *error)
{
    char fifo[SSH_PATH_BYTES], control[SSH_PATH_BYTES + 32], output[SSH_PATH_BYTES],
        remote[SSH_REMOTE_BYTES];
    if (fifo_path(host, fifo, error) < 0)
        return -1;
    if (ssh_host_output(host, output, sizeof(output)) < 0)
        return ipcl_error_set(error, "the path of %s is too long", host->set->log_dir);
    if (agent->failed)
        return ipcl_error_set(error, "no memory for the commands for %s", host->name);
    if (mkfifo(fifo, 0600) < 0)
        return ipcl_error_set(error, "cannot make %s: %s", fifo, strerror(errno));
    if (open_ends(host, fifo, output, error) < 0)
        return -1;
    snprintf(control, sizeof(control), "-oControlPath=%s/%u", host->set->folder, host->number);
    ssh_command_remote(agent, remote);
    const char **argv = ssh_command_start(host, fifo, control, remote);
    if (!argv)
        return ipcl_error_set(error, "no memory for ssh's command line");
    struct ipcl_spawn spawn = {.argv = argv, .output_path = output, .exited = ssh_set_exited};
    host->pid = host->set->services->spawn(host->set->services->base.host, &spawn, error);
    free(argv);
    if (host->pid < 0)
        return -1;
    host->born = host->set->services->process_born(host->set->services->base.host, host->pid);
    host->state = SSH_CONNECTING;
    text_add_bytes(&host->queue, agent->bytes, agent->size);
    return 0;
}

int ssh_host_adopt(struct ssh_host *host)
{
    char fifo[SSH_PATH_BYTES], output[SSH_PATH_BYTES];
    struct ipcl_error error;
    void *services = host->set->services->base.host;
    bool there = host->state < SSH_LOST && fifo_path(host, fifo, &error) == 0 &&
                 ssh_host_output(host, output, sizeof(output)) == 0 &&
                 open_ends(host, fifo, output, &error) == 0;
    if (host->output < 0 && ssh_host_output(host, output, sizeof(output)) == 0)
        host->output = trust_open(output, O_RDONLY, 0, NULL, &error);
    ssh_host_poll(host);
    if (there &&
        host->set->services->adopt(services, host->pid, host->born, ssh_set_exited, &error) == 0)
        return 0;
    host->pid = 0;
    return -1;
}

static void write_queue(struct ssh_host *host)
{
    while (host->input >= 0 && host->sent < host->queue.size) {
        ssize_t size =
            write(host->input, host->queue.bytes + host->sent, host->queue.size - host->sent);
        if (size <= 0)
            return; /* full: it is tried again */
        host->sent += (size_t)size;
    }
    text_clear(&host->queue);
    host->sent = 0;
}

static void end_line(struct ssh_host *host)
{
    size_t size = host->line_size;
    host->line_size = 0;
    while (size && host->line[size - 1] == '\r')
        size--;
    host->line[size] = '\0';
    if (size)
        ssh_event_line(host, host->line);
}

void ssh_host_poll(struct ssh_host *host)
{
    char chunk[8192];
    ssize_t size;
    write_queue(host);
    while (host->output >= 0 &&
           (size = pread(host->output, chunk, sizeof(chunk), host->offset)) > 0) {
        host->offset += size;
        for (ssize_t i = 0; i < size; i++) {
            if (chunk[i] == '\n')
                end_line(host);
            else if (host->line_size + 1 < sizeof(host->line))
                host->line[host->line_size++] = chunk[i];
        }
    }
    if (host->exited) {
        host->exited = false;
        ssh_event_exited(host);
    }
}

void ssh_host_tell(struct ssh_host *host, const char *word, int number)
{
    if (host->pid <= 0)
        return;
    text_format(&host->queue, "%s %d\n", word, number);
    write_queue(host);
    ssh_set_poll(host->set);
}

void ssh_host_cut(struct ssh_host *host)
{
    struct ipcl_error error;
    if (host->pid > 0)
        host->set->services->kill(host->set->services->base.host, host->pid, SIGKILL, &error);
}

void ssh_host_clear(struct ssh_host *host)
{
    if (host->input >= 0)
        close(host->input);
    if (host->output >= 0)
        close(host->output);
    text_clear(&host->queue);
    free(host->name);
    free(host->destination);
    list_free(host->arguments);
}
