/* ipcluster completion: what a shell reads to complete the command lines of these programs. */
#include <stdio.h>
#include <string.h>

#include "cluster/commands/commands.h"
#include "cluster/completion_scripts.h"

static const struct settings_program program = {
    .name = "ipcluster",
    .page = "ipcluster-completion",
    .usage = "ipcluster completion bash | zsh | fish",
    .description =
        "Writes a script. With it a shell completes command lines of ipcluster, ipcontroller "
        "and ipengine: commands, options, and values such as profiles, launchers and sets of "
        "engines. Packages install it where shells look for it. Otherwise have your shell read "
        "it when it starts.",
    .examples = "source <(ipcluster completion bash)                                in ~/.bashrc\n"
                "source <(ipcluster completion zsh)                 in ~/.zshrc, after compinit\n"
                "ipcluster completion fish >~/.config/fish/completions/ipcluster.fish\n",
    .words = "bash,zsh,fish",
    .classes = CLUSTER_CLASSES,
};

static const struct {
    const char *shell;
    const char *script;
} scripts[] = {{"bash", bash_script}, {"zsh", zsh_script}, {"fish", fish_script}};

static int write_script(struct cluster *cluster, struct ipcl_error *error)
{
    const char *shell = cluster->word_count == 1 ? cluster->words[0] : "";
    for (size_t i = 0; i < sizeof(scripts) / sizeof(*scripts); i++) {
        if (strcmp(shell, scripts[i].shell) != 0)
            continue;
        fputs(scripts[i].script, stdout);
        return EXIT_FINE;
    }
    ipcl_error_set(error, "name a shell: ipcluster completion bash, zsh or fish");
    return EXIT_WRONG;
}

const struct cluster_command command_completion = {
    .name = "completion",
    .summary = "write a script that makes a shell complete command lines",
    .program = &program,
    .need = NEED_NO_PROFILE,
    .run = write_script,
};
