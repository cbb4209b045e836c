"""Local sockets: programs of the controller's host and user connect by them, all others by TCP, encrypted."""

import json
import os
import shutil
import signal
import socket
import stat
from pathlib import Path

import psutil
import pytest

from controller_peer import Engine
from support import ANOTHER, PYTHON

LISTENERS = []  # which stay open
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
WAY = """
import os, sys, psutil, ipcluster
client = ipcluster.Client(sys.argv[1], timeout=60)
client.wait_for_engines(1, timeout=60)
print(client[:].apply_sync(os.getpid), len([c for c in psutil.Process().connections("tcp") if c.raddr]))
"""


def local(file):
    """The folder of the local sockets that a connection file names."""
    return Path(json.loads(Path(file).read_text())["local"]["interface"].removeprefix("ipc://")).parent


def by_tcp(pid):
    return [c for c in psutil.Process(pid).connections("tcp") if c.raddr]


def test_programs_of_the_controllers_host_connect_by_local_sockets_in_a_private_folder(new_cluster):
    cluster = new_cluster(2)
    folder = local(cluster.client_file)
    client = cluster.client()
    assert set(client[:].apply_sync(os.getpid)) == {engine.popen.pid for engine in cluster.engines}
    assert not any(by_tcp(process.popen.pid) for process in cluster.engines + [cluster.controller])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700 and local(cluster.engine_file) == folder
    client.close()
    cluster.controller.stop(signal.SIGTERM)
    assert not folder.exists()


def lead_elsewhere(file):
    file["local"]["host"] = "another kernel"


def open_to_others(file):
    Path(file["local"]["interface"].removeprefix("ipc://")).parent.chmod(0o755)


def remove(file):
    shutil.rmtree(Path(file["local"]["interface"].removeprefix("ipc://")).parent)


def leave_dead(file):
    """What killed processes leave."""
    path = file["local"]["interface"].removeprefix("ipc://") + f":{file['registration']}"
    os.unlink(path)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(path)


def give_away(file):
    folder = Path(file["local"]["interface"].removeprefix("ipc://")).parent
    os.chown(folder, ANOTHER, ANOTHER)


def lead_by_a_link(file):
    folder = Path(file["local"]["interface"].removeprefix("ipc://")).parent
    folder.rename(f"{folder}-moved")
    folder.symlink_to(f"{folder}-moved")


def open_the_folder_above(file):
    Path(file["local"]["interface"].removeprefix("ipc://")).parent.parent.chmod(0o777)


def let_another_listen(file):
    """Another user's process, in the folder, which is this user's."""
    path = file["local"]["interface"].removeprefix("ipc://") + f":{file['registration']}"
    os.unlink(path)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    os.seteuid(ANOTHER)
    try:
        listener.listen()  # by which the kernel knows whose it is
    finally:
        os.seteuid(0)
    LISTENERS.append(listener)


def say_nothing(file):
    del file["local"]


@pytest.mark.parametrize(
    "change",
    [
        lead_elsewhere,
        open_to_others,
        remove,
        leave_dead,
        say_nothing,
        open_the_folder_above,
        lead_by_a_link,
        pytest.param(give_away, marks=needs_root),
        pytest.param(let_another_listen, marks=needs_root),
    ],
)
def test_who_cannot_use_the_local_sockets_connects_by_tcp_encrypted(new_cluster, change):
    cluster = new_cluster(1)
    file = json.loads(cluster.client_file.read_text())
    assert file["curve_serverkey"]
    change(file)
    copy = cluster.sandbox.dir / "copy.json"
    copy.touch(0o600)
    copy.write_text(json.dumps(file))
    said = cluster.sandbox.run(PYTHON, "-c", WAY, copy, python=True, check=True).out.split()
    assert said == [f"[{cluster.engines[0].popen.pid}]", "7"]


def test_local_sockets_can_be_turned_off(new_cluster):
    cluster = new_cluster(1, controller=["--IPController.local_sockets=false"])
    assert "local" not in json.loads(cluster.client_file.read_text())
    assert cluster.client()[0].apply_sync(os.getpid) == cluster.engines[0].popen.pid
    assert by_tcp(cluster.engines[0].popen.pid)


@needs_root
def test_no_other_user_connects_by_local_sockets(controller, sandbox, as_another, everybodys):
    sandbox.env["TMPDIR"] = str(everybodys)
    peer = controller()
    folder = local(peer.client_file)
    path = f"{folder}/client:{peer.client['registration']}"
    knock = f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({path!r}); print(s.recv(1))"
    done = sandbox.run(*as_another, "/usr/bin/python3", "-c", knock, cwd="/")
    assert "PermissionError" in done.err
    assert sandbox.run("/usr/bin/python3", "-c", knock).out.startswith("b'\\xff"), "its own user is greeted"
    for opened in folder.parent, folder, Path(path):
        opened.chmod(0o777)
    done = sandbox.run(*as_another, "/usr/bin/python3", "-c", knock, cwd="/")
    assert done.out == "b''\n" or "ConnectionResetError" in done.err
    peer.process.wait_for_output("a connection of another user by a local socket was not accepted")


@needs_root
@pytest.mark.parametrize("whose", ["another user's", "everybody's", "a link"])
def test_what_another_user_has_made_or_can_change_is_not_used_for_local_sockets(controller, sandbox, everybodys, whose):
    made = everybodys / f"ipcluster-{os.geteuid()}"
    if whose == "a link":
        made.symlink_to(sandbox.dir)
    else:
        made.mkdir(mode=0o700)
    if whose == "another user's":
        os.chown(made, ANOTHER, ANOTHER)
    if whose == "everybody's":
        made.chmod(0o777)
    sandbox.env["TMPDIR"] = str(everybodys)
    assert everybodys not in local(controller().client_file).parents


@pytest.mark.parametrize("left", ["as it was", "removed", "removed with the folder above"])
def test_engines_and_clients_come_back_by_local_sockets_when_the_controller_does(new_cluster, left):
    cluster = new_cluster(1, controller=["--reuse"])
    client = cluster.client()
    client[0].push({"a": 1}, block=True)
    folder = local(cluster.client_file)
    cluster.controller.stop(signal.SIGKILL)
    if left != "as it was":
        shutil.rmtree(folder if left == "removed" else folder.parent)
    cluster.start_controller("--reuse")
    assert local(cluster.client_file) == folder
    cluster.controller.wait_for_output("1 in all")
    assert client[0].pull("a", block=True) == 1
    assert not by_tcp(cluster.engines[0].popen.pid)


def test_a_controller_that_reads_the_files_of_one_that_runs_leaves_its_local_sockets_alone(controller, sandbox):
    first = controller("--reuse")
    folder = local(first.client_file)
    there = sandbox.profile_dir("copy") / "security"
    shutil.copytree(first.client_file.parent.parent, there.parent)
    for file in (there.parent / "pid").iterdir():
        file.unlink()
    second = sandbox.run(sandbox.programs.ipcontroller, "--profile=copy", "--reuse")
    assert second.status == 1 and "in use" in second.err
    assert "the local sockets are in another folder than those of the previous controller" in second.err
    assert folder.exists() and list(folder.iterdir())
    assert Engine(first).beat().id == 0
