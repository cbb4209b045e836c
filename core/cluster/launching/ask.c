/* Asking a program something: text to its standard input, its standard output back. */
#include "cluster/launching/ask.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/secret.h"

/* A file in memory that holds `text` and is read from its beginning. NULL on failure. */
static FILE *file_of(const char *text)
{
    int fd = memfd_create("input", MFD_CLOEXEC);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "w+");
    if (fd >= 0 && !file)
        close(fd);
    if (file && fputs(text, file) != EOF && !fflush(file) && !fseek(file, 0, SEEK_SET))
        return file;
    if (file)
        fclose(file);
    return NULL;
}

/* All that comes until the other end is closed. NULL if memory is short. */
static char *read_all(int fd)
{
    FILE *stream = fdopen(fd, "r");
    char *text = NULL;
    size_t size = 0;
    if (!stream) {
        close(fd);
        return NULL;
    }
    ssize_t length = getdelim(&text, &size, '\0', stream);
    fclose(stream);
    if (length < 0 && text)
        *text = '\0';
    return text;
}

static int spawn(const char *const *argv, FILE *input, int output, pid_t *pid)
{
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fileno(input), STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
    secret_start_child(false);
    int code = posix_spawnp(pid, argv[0], &actions, NULL, (char **)(uintptr_t)argv, environ);
    secret_start_child(true);
    posix_spawn_file_actions_destroy(&actions);
    return code;
}

char *ask_program(const char *const *argv, const char *input, int *status, struct ipcl_error *error)
{
    int ends[2], outcome;
    pid_t pid;
    FILE *file = file_of(input);
    if (!file || pipe2(ends, O_CLOEXEC)) {
        ipcl_error_set(error, "%s cannot be run: %s", argv[0], strerror(errno));
        if (file)
            fclose(file);
        return NULL;
    }
    int code = spawn(argv, file, ends[1], &pid);
    fclose(file);
    close(ends[1]);
    if (code) {
        close(ends[0]);
        ipcl_error_set(error, "%s cannot be run: %s", argv[0], strerror(code));
        return NULL;
    }
    char *output = read_all(ends[0]);
    while (waitpid(pid, &outcome, 0) < 0 && errno == EINTR)
        ;
    *status = WIFEXITED(outcome) ? WEXITSTATUS(outcome) : -1;
    if (!output)
        ipcl_error_set(error, "no memory for what %s writes", argv[0]);
    return output;
}
