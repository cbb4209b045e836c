/* ipcluster trace: what happens to messages in the processes of a cluster, as one picture. */
#include <stdio.h>
#include <string.h>

#include "cluster/commands/commands.h"
#include "cluster/commands/trace_merge.h"

static const struct settings_program program = {
    .name = "ipcluster",
    .page = "ipcluster-trace",
    .usage = "ipcluster trace merge [options] FILE|FOLDER...",
    .description =
        "Makes one file of the traces that controller, engines and clients have written "
        "(--trace, or the environment variable IPCLUSTER_TRACE), which shows the way of each "
        "request through all of them. Perfetto shows it (https://ui.perfetto.dev, which keeps it "
        "in the browser), and so does Chrome (chrome://tracing).",
    .exit_status = "0   The file is written.\n"
                   "1   A file cannot be read or written, or is no trace.\n",
    .examples = "IPCLUSTER_TRACE=~/trace ipcluster start --n=2 --daemonize\n"
                "IPCLUSTER_TRACE=~/trace python3 program.py\n"
                "ipcluster trace merge ~/trace -o picture.json\n",
    .words = "merge",
    .classes = CLUSTER_CLASSES,
};

static const struct ipcl_option options[] = {
    {"output", IPCL_STRING, "trace.json", "o", NULL, "The file to write."},
};
static const struct ipcl_option_table table = {"IPClusterTrace", options,
                                               sizeof(options) / sizeof(*options)};

static int merge(struct cluster *cluster, struct ipcl_error *error)
{
    char to[PATH_BYTES];
    if (cluster->word_count < 2) {
        ipcl_error_set(error, "say which traces, files or folders: ipcluster trace merge FOLDER");
        return EXIT_WRONG;
    }
    if (path_expand(settings_string(cluster->settings, "IPClusterTrace", "output"), to, error) < 0)
        return EXIT_WRONG;
    int files = trace_merge(cluster->words + 1, cluster->word_count - 1, to, error);
    if (files < 0)
        return EXIT_WRONG;
    printf("%s has what %d %s: open it in https://ui.perfetto.dev\n", to, files,
           files == 1 ? "file says" : "files say");
    return EXIT_FINE;
}

static const struct {
    const char *word;
    int (*act)(struct cluster *cluster, struct ipcl_error *error);
} actions[] = {{"merge", merge}};

static int act(struct cluster *cluster, struct ipcl_error *error)
{
    const char *word = cluster->word_count > 0 ? cluster->words[0] : "";
    for (size_t i = 0; i < sizeof(actions) / sizeof(*actions); i++)
        if (!strcmp(word, actions[i].word))
            return actions[i].act(cluster, error);
    ipcl_error_set(error, "say what to do: ipcluster trace merge FOLDER");
    return EXIT_WRONG;
}

const struct cluster_command command_trace = {
    .name = "trace",
    .summary = "make one picture of what happens to messages",
    .program = &program,
    .table = &table,
    .need = NEED_ANY_PROFILE,
    .run = act,
};
