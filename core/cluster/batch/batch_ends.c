/* Ends of single engines of a batch job. The batch system says nothing about these while the job
 * goes on. So each engine runs in a wrapper that adds a line to a file in the log folder. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "cluster/batch/batch_private.h"
#include "cluster/batch/template.h"

#define ENDS_BYTES_MAX (1 << 20)

/* Writes HOST PID STATUS. The shell that becomes the program prints its pid; the program's output
 * goes where the wrapper's does. Batch systems send signals to all processes of a job: the wrapper
 * outlives them. */
static const char wrapper[] =
    "trap : HUP INT QUIT ALRM TERM USR1 USR2; "
    "{ p=$(exec sh -c 'echo $$; exec \"$@\" >&3 3>&-' sh \"$@\"); s=$?; } "
    "3>&1; echo \"$(uname -n) $p $s\" >> \"$0\"; exit $s";

char *batch_wrap(const char *ends, const char *const *words)
{
    size_t count = 0;
    while (words[count])
        count++;
    const char **argv = calloc(count + 5, sizeof(*argv));
    if (!argv)
        return NULL;
    argv[0] = "sh";
    argv[1] = "-c";
    argv[2] = wrapper;
    argv[3] = ends;
    for (size_t i = 0; i < count; i++)
        argv[4 + i] = words[i];
    char *text = template_quote(argv);
    free(argv);
    return text;
}

static void report(struct batch_job *job, const char *line)
{
    const struct ipcl_launcher_services *services = job->batch->services;
    char host[128], how[96], reason[2 * BATCH_TEXT_BYTES];
    long long pid;
    int status;
    if (sscanf(line, "%127s %lld %d\n", host, &pid, &status) != 3)
        return;
    if (status > 128)
        snprintf(how, sizeof(how), "was ended by signal %d (%s)", status - 128,
                 strsignal(status - 128));
    else
        snprintf(how, sizeof(how), "ended with exit status %d", status);
    snprintf(reason, sizeof(reason), "process %lld on %s, of %s job %s, %s", pid, host,
             job->batch->system->name, job->id, how);
    services->stopped(services->base.host, job->first + job->ended++, status,
                      status ? reason : NULL);
}

void batch_pass_ends(struct batch_job *job)
{
    size_t size;
    struct ipcl_error error;
    char *text = *job->ends ? path_read_file(job->ends, ENDS_BYTES_MAX, &size, &error) : NULL;
    job->written = 0;
    for (const char *at = text; at && (at = strchr(at, '\n')); at++)
        job->written++;
    job->told = job->written;
    free(text);
}

/* An end is reported if it was also there at the previous look, because the end of the whole job
 * has the better reason. The last copy's end is reported with the job's, which may have more to
 * do. */
bool batch_read_ends(struct batch_job *job)
{
    size_t size;
    struct ipcl_error error;
    unsigned number = 0, before = job->written;
    char *text = *job->ends ? path_read_file(job->ends, ENDS_BYTES_MAX, &size, &error) : NULL;
    for (char *line = text, *end; line && (end = strchr(line, '\n')); line = end + 1) {
        *end = '\0';
        if (number == job->told && number < before && job->ended + 1 < job->count) {
            job->told++;
            report(job, line);
        }
        number++;
    }
    free(text);
    job->written = number;
    return number > before;
}
