"""Files and folders: those that another user could change are not used, nor are keys that others can read. Usual home folders work."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import psutil
import pytest
import zmq

from ipcluster_box import UP
from support import named, wait_until
from test_plugins import build

ANOTHER = 12345  # a user
DAEMON = 1  # another user, with a name and a group


@pytest.fixture
def root():
    if os.geteuid():
        pytest.skip("only root can be another user, or give a file away")


@pytest.fixture
def profile(box):
    box.ipcluster("profile", "create", "default", check=True)
    return box.profile_dir()


def refused(done, *words):
    """Whether a program ended with an error that has these words."""
    return done.status != 0 and all(word in done.out + done.err for word in words)


# What others can change

PROGRAMS = {
    "ipcontroller": ["ipcontroller"],
    "ipengine": ["ipengine", "--IPEngine.wait_for_url_file=0.1"],
    "ipcluster": ["ipcluster", "start", "--n=0", "--daemonize"],
}


def run(box, program):
    name, *arguments = PROGRAMS[program]
    return box.run(getattr(box.programs, name), *arguments, timeout=20)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("folder", [".", "security", "log", "pid"])
def test_a_profile_that_others_can_write_to_is_used_by_no_program(box, profile, program, folder):
    path = (profile / folder).resolve()
    path.chmod(0o777)
    assert refused(run(box, program), f"{path} can be written by everybody, and is not used: chmod o-w {path}")
    path.chmod(0o775)
    if os.getegid():
        path.chmod(0o755)
    else:
        os.chown(path, -1, ANOTHER)
        assert refused(run(box, program), f"{path} can be written by its group, and is not used: chmod g-w {path}")


def test_an_engine_that_others_can_write_to_is_not_loaded(box, installed):
    program, module = box.dir / "moved/bin/ipengine", box.dir / "moved/lib/ipcluster/engine.so"
    for path in program, module:
        path.parent.mkdir(parents=True)
        shutil.copy(installed.ipengine.parent.parent / path.relative_to(box.dir / "moved"), path)
    box.run(program, "--version", check=True)
    for path in module, module.parent:
        path.chmod(0o777)
        done = box.run(program, "--version")
        assert refused(done, f"{path} can be written by everybody, and is not used: chmod o-w {path}")
        path.chmod(0o755)


@pytest.mark.parametrize("program", PROGRAMS)
@pytest.mark.parametrize("what", ["security", "log", "pid", "SETTINGS", "."])
def test_a_profile_of_another_user_is_used_by_no_program_not_even_by_roots(root, box, profile, program, what):
    path = (profile / what.replace("SETTINGS", f"{program}_config.json")).resolve()
    os.chown(path, ANOTHER, ANOTHER)
    assert refused(run(box, program), f"{path} is owned by user {ANOTHER}, neither root nor you")


@pytest.mark.parametrize("program", PROGRAMS)
def test_settings_that_others_can_write_are_not_read(box, profile, program):
    settings = profile / f"{program}_config.json"
    settings.chmod(0o666)
    assert refused(run(box, program), f"chmod o-w {settings}")


def test_settings_that_another_users_link_names_are_not_read(root, box, profile):
    """The file is our own, but the other user chooses which file it is."""
    settings = profile / "ipcontroller_config.json"
    settings.rename(profile / "kept.json")
    settings.symlink_to("kept.json")
    os.chown(settings, ANOTHER, ANOTHER, follow_symlinks=False)
    assert refused(run(box, "ipcontroller"), f"the link {settings} is owned by user {ANOTHER}")


def test_a_startup_script_that_others_can_write_does_not_run(sandbox, peer):
    startup = sandbox.profile_dir() / "startup"
    startup.mkdir(parents=True)
    for name in ("00-sound.py", "10-open.py", "20-open.ipy"):
        (startup / name).write_text(f"ran = globals().get('ran', []) + [{name!r}]")
    (startup / "10-open.py").chmod(0o666)
    (startup / "20-open.ipy").chmod(0o666)
    (sandbox.profile_dir() / "ipython_config.py").write_text("c.InteractiveShellApp.exec_lines = ['ran = []']")
    (sandbox.profile_dir() / "ipython_config.py").chmod(0o666)
    engine = sandbox.start(sandbox.programs.ipengine, f"--file={peer.file}")
    peer.register(timeout=60)
    assert peer.apply(lambda: ran).result == ["00-sound.py"]
    for name in ("startup/10-open.py", "startup/20-open.ipy", "ipython_config.py"):
        engine.wait_for_output(f"chmod o-w {re.escape(str(sandbox.profile_dir() / name))}")


def state_of(pid, profile):
    """The state of a cluster, as a process that ipcluster does not know might write it for this one."""
    born = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
    return {
        "version": 1,
        "profile_dir": str(profile),
        "cluster_id": "",
        "host": socket.gethostname(),
        "boot": Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
        "state": "up",
        "engines_only": False,
        "engine_set": "x",
        "pid": pid,
        "born": born,
        "n": 0,
        "started": time.time(),
        "controller": None,
        "engines": None,
    }


def test_another_users_state_file_ends_no_process(root, box, profile):
    victim = subprocess.Popen(["sleep", "600"])
    try:
        state = profile / "pid/ipcluster.json"
        state.write_text(json.dumps(state_of(victim.pid, profile)))
        os.chown(state, ANOTHER, ANOTHER)
        done = box.ipcluster("stop")
        assert refused(done, f"{state} is owned by user {ANOTHER}")
        assert victim.poll() is None
    finally:
        victim.kill()
        victim.wait()


def test_another_users_link_leads_no_log_elsewhere(root, box, profile):
    elsewhere = box.dir / "elsewhere"
    elsewhere.write_text("kept")
    log = profile / "log/mine.log"
    log.symlink_to(elsewhere)
    os.chown(log, ANOTHER, ANOTHER, follow_symlinks=False)
    for program in ("ipcontroller", "ipengine", "ipcluster"):
        arguments = ["start", "--n=0", "--daemonize"] if program == "ipcluster" else []
        done = box.run(getattr(box.programs, program), *arguments, f"--BaseParallelApplication.log_file={log}")
        assert refused(done, f"the link {log} is owned by user {ANOTHER}")
    assert elsewhere.read_text() == "kept"


FLIP = """
import os, sys
folder, own, theirs = sys.argv[1:]
os.setuid(int({another}))
print(flush=True)
while True:
    os.symlink(theirs, folder)
    os.unlink(folder)
    os.symlink(own, folder)
    os.unlink(folder)
"""


def test_a_plugin_behind_another_users_link_is_not_loaded_however_it_flips(root, box):
    """The link leads to a plugin of ours. Between two checks it leads to another user's, which ends a program that loads it."""
    own, theirs, shared = box.dir / "own", box.dir / "theirs", box.dir / "shared"
    for folder in (own, theirs):
        (folder / "launchers").mkdir(parents=True)
    shared.mkdir()
    shared.chmod(0o1777)
    box.dir.chmod(0o755)
    build(own / "launchers/odd.so", CREATE="something")
    build(theirs / "launchers/odd.so", ON_LOAD=1)
    for path in (theirs, theirs / "launchers", theirs / "launchers/odd.so"):
        os.chown(path, ANOTHER, ANOTHER)
    flipping = subprocess.Popen(
        ["/usr/bin/python3", "-c", FLIP.replace("{another}", str(ANOTHER)), shared / "link", own, theirs],
        stdout=subprocess.PIPE,
    )
    try:
        flipping.stdout.readline()
        for _ in range(10):
            done = box.ipcluster("plugins", "--json", "odd", env={"IPCLUSTER_PLUGIN_PATH": str(shared / "link")})
            assert done.status in (0, 1), done
            assert not any("version" in shown for shown in json.loads(done.out or "[]")), done
        assert flipping.poll() is None
    finally:
        flipping.kill()
        flipping.wait()
        flipping.stdout.close()


def test_a_connection_file_that_others_could_put_there_is_not_used(cluster, sandbox):
    import ipcluster

    open_folder = sandbox.dir / "open"
    open_folder.mkdir()
    copy = open_folder / "client.json"
    copy.write_bytes(cluster.client_file.read_bytes())
    copy.chmod(0o600)
    open_folder.chmod(0o777)
    with pytest.raises(Exception, match=f"chmod o-w {open_folder}"):
        ipcluster.Client(copy)
    open_folder.chmod(0o755)
    with ipcluster.Client(copy) as client:
        assert client is not None


def test_an_ssh_key_of_another_user_is_not_given_to_ssh(root, cluster, sandbox):
    import ipcluster

    key = sandbox.dir / "id"
    key.touch(mode=0o600)
    os.chown(key, ANOTHER, ANOTHER)
    with pytest.raises(Exception, match=f"{key} is owned by user {ANOTHER}"):
        ipcluster.Client(cluster.client_file, sshserver="127.0.0.1", sshkey=key)


# What others can read


def start_controller(sandbox, *arguments):
    return sandbox.run(sandbox.programs.ipcontroller, *arguments, timeout=20)


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_key_file_that_others_can_read_is_refused(sandbox, mode):
    keyfile = sandbox.work / "key"
    keyfile.write_text("a secret\n")
    keyfile.chmod(mode)
    assert refused(
        start_controller(sandbox, f"--keyfile={keyfile}"), f"{keyfile} can be read by others", f"chmod 600 {keyfile}"
    )


@pytest.mark.parametrize(
    "settings",
    [{"Session": {"key": "a secret"}}, {"IPController": {"curve_secretkey": zmq.curve_keypair()[1].decode()}}],
)
def test_settings_with_a_key_that_others_can_read_are_refused(box, profile, settings):
    path = profile / "ipcontroller_config.json"
    path.write_text(json.dumps(settings))
    path.chmod(0o644)
    assert refused(start_controller(box), f"{path} can be read by others", f"chmod 600 {path}")
    path.write_text(json.dumps({"Session": {"key": "random"}, "IPController": {"reuse_files": False}}))
    done = start_controller(box, "--show-config")
    assert "reuse_files" in done.out and not done.err


def test_a_curve_secret_that_others_can_read_is_refused(controller, sandbox):
    controller("--reuse").process.stop()
    secret = sandbox.profile_dir() / "security/ipcontroller-curve.key"
    secret.chmod(0o644)
    assert refused(start_controller(sandbox, "--reuse"), f"{secret} can be read by others", f"chmod 600 {secret}")


def test_records_that_others_can_write_are_refused_and_those_that_they_can_read_become_private(controller, sandbox):
    controller("--sqlitedb").process.stop()
    file = sandbox.profile_dir() / "tasks.db"
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o666)
    assert refused(start_controller(sandbox, "--sqlitedb"), f"chmod o-w {file}")
    file.chmod(0o644)
    controller("--sqlitedb")
    assert [path.stat().st_mode & 0o777 for path in sandbox.profile_dir().glob("tasks.db*")] == [0o600] * 2


# Keys on the command line


def words_of(process):
    return psutil.Process(process.pid).cmdline()


GIVEN = pytest.mark.parametrize("given", [["--Session.key=a-secret"], ["--Session.key", "a-secret"]])


@GIVEN
def test_a_key_on_the_command_line_is_overwritten_at_once_and_the_log_says_what_to_use_instead(new_cluster, given):
    cluster = new_cluster(0, controller=given)
    assert json.loads(cluster.client_file.read_text())["key"] == "a-secret"
    assert "a-secret" not in " ".join(words_of(cluster.controller))
    cluster.controller.wait_for_output(r"--Session.key .*--keyfile=FILE.*IPCLUSTER_SESSION_KEY")
    assert "a-secret" not in cluster.controller.output


@GIVEN
def test_a_key_for_the_controller_is_on_no_command_line_of_what_ipcluster_starts(box, given):
    cluster = box.begin("start", "--n=1", "--", *given)
    cluster.wait_for_output(UP, 60)
    processes = [*named(box, "ipcluster"), *named(box, "ipcontroller"), *named(box, "ipengine")]
    assert len(processes) == 3
    assert not [process.cmdline() for process in processes if "a-secret" in " ".join(process.cmdline())]
    assert json.loads((box.profile_dir() / "security/ipcontroller-client.json").read_text())["key"] == "a-secret"
    assert "IPCLUSTER_SESSION_KEY" in cluster.output
    assert cluster.stop(signal.SIGINT, 60) == 0


# What goes on working


def as_daemon(box, *argv, umask="022"):
    return [
        "setpriv",
        f"--reuid={DAEMON}",
        f"--regid={DAEMON}",
        "--clear-groups",
        "sh",
        "-c",
        f'umask {umask}; exec "$@"',
        "sh",
        *argv,
    ]


def is_reachable(path):
    return all(folder.stat().st_mode & 0o005 == 0o005 for folder in [path, *path.parents])


@pytest.mark.parametrize(
    "owner, mode, umask",
    [
        (DAEMON, 0o755, "022"),
        (DAEMON, 0o700, "077"),
        (0, 0o751, "022"),  # a home above that is root's
        (DAEMON, 0o750, "027"),
        (DAEMON, 0o775, "002"),  # the user's own group may write
        (0, 0o1777, "022"),  # as /tmp
    ],
)
def test_usual_homes_go_on_working(root, box, build, owner, mode, umask):
    if not is_reachable(build):
        pytest.skip(f"another user cannot reach {build}")
    above = box.dir / "above"
    home = above / "home"
    home.mkdir(parents=True)
    for path in (box.dir, home):
        path.chmod(0o755)
    os.chown(home, DAEMON, DAEMON)
    os.chown(above, owner, DAEMON)
    above.chmod(mode)
    (box.dir / "tmp").chmod(0o1777)
    env = {"HOME": str(home), "IPYTHONDIR": str(home / ".ipython")}
    process = box.start(*as_daemon(box, box.programs.ipcontroller, "--sqlitedb", umask=umask), env=env, cwd="/")
    file = home / ".ipython/profile_default/security/ipcontroller-client.json"
    wait_until(lambda: file.exists() or not process.alive, 20, "the controller writes its files")
    assert process.alive, process.output
    assert process.stop() == 0
