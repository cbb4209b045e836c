"""Command lines that shells complete: what the programs offer, and that bash, zsh and fish ask them."""

import shlex
import shutil

import pexpect
import pytest

import docblocks
from support import PATIENCE, TOP, wait_until


@pytest.fixture
def offered(box):
    """offered(program, *words): what is offered for the last of them, without what is said of it."""

    def ask(*words, program="ipcluster"):
        done = box.run(getattr(box.programs, program), "--complete", *words, check=True)
        assert not done.err
        return [line.partition("\t")[0] for line in done.out.splitlines()]

    return ask


def test_commands_options_and_their_words_are_offered_as_far_as_they_were_typed(offered):
    assert {"start", "stop", "status", "stats"} == set(offered("st"))
    assert {"--n=", "--elauncher=", "--daemonize", "--help"} <= set(offered("start", "--n=4", ""))
    assert offered("start", "--dae") == ["--daemonize"]
    assert offered("start", "--Cluster.engine_t") == ["--Cluster.engine_timeout="]
    assert offered("profile", "c") == ["create", "convert"] and not offered("profile", "create", "c")
    assert offered("list", "-o", "") == ["text", "json"] and offered("list", "-o", "j") == ["json"]
    assert offered("help", "sto") == ["stop"] and not offered("help", "stop", "")
    assert offered("--TaskScheduler.scheme_name=t", program="ipcontroller") == ["--TaskScheduler.scheme_name=twobin"]
    assert "--mpi" in offered("--m", program="ipengine")


def test_plugins_are_offered_where_a_setting_names_one(offered):
    assert {"--mpi=mpi4py", "--mpi=pytrilinos"} <= set(offered("--mpi=", program="ipengine"))
    assert offered("start", "--mpi=mpi4") == offered("--mpi=mpi4", program="ipengine") == ["--mpi=mpi4py"]
    assert offered("start", "--SlurmEngineSetLauncher.mpi=py") == ["--SlurmEngineSetLauncher.mpi=pytrilinos"]
    assert offered("--IPEngine.kernel=", program="ipengine") == ["--IPEngine.kernel=python"]
    assert offered("--IPController.db_class=sql", program="ipcontroller") == [
        "--IPController.db_class=sqlitedb",
        "--IPController.db_class=sqlite",
    ]
    assert offered("--Session.packer=m", program="ipcontroller") == ["--Session.packer=msgpack"]


def test_profiles_launchers_clusters_and_sets_are_offered_by_name(box, offered):
    box.ipcluster("profile", "create", "large", check=True)
    assert offered("start", "--profile=l") == ["--profile=large"] and offered("start", "--profile", "l") == ["large"]
    assert {"slurm", "ssh"} <= set(offered("start", "--elauncher", "s"))
    assert "--controller=LocalControllerLauncher" in offered("start", "--controller=L")
    box.ipcluster(
        "start", "--profile=large", "--cluster-id=one", "--n=1", "--engine-set=first", "--daemonize", check=True
    )
    assert offered("stop", "--profile=large", "--cluster-id=") == ["--cluster-id=one"]
    assert offered("scale", "--profile=large", "--cluster-id=one", "--engine-set=") == ["--engine-set=first"]
    assert not offered("stop", "--profile=large", "--engine-set=")
    box.ipcluster("stop", "--profile=large", "--cluster-id=one", check=True)


def test_a_command_line_that_is_completed_does_nothing(box, offered):
    for words in (
        ["start", "--n=1", "--daemonize", ""],
        ["start", "--", ""],
        ["start", "--", "--n"],
        ["profile", "create", "more", ""],
    ):
        offered(*words)
    for words in ([], ["--reuse"]):
        offered("--profile-dir=/there/is/none", *words, "--d", program="ipcontroller")
    assert not box.marked() and not list(box.ipython_dir.iterdir())


# What is typed, and the command that is then run.
TYPED = {
    "ipcluster prof\t list": "profile list",
    "ipcluster start --profile=la\t": "start --profile=large",
    "ipcluster start --profile lar\t --clau\tmpi": "start --profile large --clauncher=mpi",
    "ipcluster start --config=fi\t": "start --config=file.json",
}
SHELLS = {
    "bash": (["--norc", "--noprofile", "-i"], "{0}; complete -p ipcluster ipcontroller ipengine"),
    "zsh": (["-f", "-i"], "autoload -U compinit; compinit -u -D; {0}"),
}


def told_to_type(shell):
    """The lines that this shell is to read, by the page on installing."""
    (block,) = [
        block
        for block in docblocks.blocks(TOP / "docs/howto/install.md")
        if block.note("tested by") == "tests/session/test_completion.py"
    ]
    (line,) = [typed.partition(" #")[0].strip() for typed, _ in block.commands if f"completion {shell}" in typed]
    return line


@pytest.fixture
def typing(box):
    """A folder first on the path, whose ipcluster notes its arguments; and a profile and a file with names to complete."""
    folder = box.dir / "noting"
    folder.mkdir()
    program = folder / "ipcluster"
    program.write_text(
        f'#!/bin/sh\ncase $1 in --complete | --version | completion) exec {box.programs.ipcluster} "$@" ;; esac\n'
        f'echo "$@" >>{folder}/told\n'
    )
    program.chmod(0o755)
    box.ipcluster("profile", "create", "large", check=True)
    (box.work / "file.json").touch()
    box.env["PATH"] = f"{folder}:{box.env['PATH']}"
    return folder


def needs(shell):
    if not shutil.which(shell):
        pytest.skip(f"there is no {shell} here: apt-get install {shell}")


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes_what_is_typed(box, typing, shell):
    needs(shell)
    arguments, read = SHELLS[shell]
    told = typing / "told"
    with pexpect.spawn(
        shell, arguments, env=box.env, cwd=str(box.work), encoding="utf-8", timeout=20 * PATIENCE
    ) as terminal:
        terminal.sendline(read.format(told_to_type(shell)) + "; echo re''ad")
        terminal.expect("read\r")
        for count, (keys, _) in enumerate(TYPED.items(), 1):
            terminal.sendline(keys)
            wait_until(lambda: told.exists() and len(told.read_text().splitlines()) == count, 20, f"{keys!r} is run")
        terminal.sendline("exit")
        terminal.expect(pexpect.EOF)
    assert told.read_text().splitlines() == list(TYPED.values())


def test_fish_completes_what_is_typed(box, typing):
    needs("fish")
    (box.home / ".config/fish/completions").mkdir(parents=True)
    box.run("sh", "-c", told_to_type("fish"), check=True)
    for typed, whole in {"ipcluster prof": "profile", "ipcluster start --profile=la": "--profile=large", "ipcluster start --clau": "--clauncher=",
                         "ipcluster start --profile lar": "large"}.items():  # fmt: skip
        done = box.run(
            "fish",
            "-c",
            f"complete -C {shlex.quote(typed)}",
            env={"XDG_CONFIG_HOME": str(box.home / ".config")},
            check=True,
        )
        assert [line.partition("\t")[0] for line in done.out.splitlines()] == [whole], done


def test_a_program_of_another_package_is_not_asked(box, typing):
    other = typing / "ipcontroller"
    other.write_text(f'#!/bin/sh\necho 8.4.0\n[ "$1" = --version ] || echo other >>{typing}/told\n')
    other.chmod(0o755)
    script = box.ipcluster("completion", "bash", check=True).out
    asked = box.run(
        "bash",
        "-c",
        f"{script}\nCOMP_LINE='ipcontroller --'; COMP_POINT=15; _ipcluster ipcontroller; echo ${{#COMPREPLY[@]}}",
    )
    assert asked.out == "0\n" and not (typing / "told").exists(), asked


def test_packages_have_what_shells_look_for(installed):
    share = installed.ipcluster.parent.parent / "share"
    names = ["ipcluster", "ipcontroller", "ipengine"]
    for name in names:
        assert "complete -o default -F _ipcluster" in (share / "bash-completion/completions" / name).read_text()
        assert "complete -c $program" in (share / f"fish/vendor_completions.d/{name}.fish").read_text()
    assert (share / "zsh/site-functions/_ipcluster").read_text().startswith("#compdef " + " ".join(names))
