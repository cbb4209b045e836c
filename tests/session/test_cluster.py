"""The program ipcluster: clusters that start, are watched, stopped and cleaned up after, with each launcher."""

import json
import os
import re
import signal
from pathlib import Path

import pexpect
import psutil
import pytest

from ipcluster_box import MPI, UP, WITH_BOTH, assert_nothing_left, engine_pids, listed, one_by_one, ports
from support import LONG, PATIENCE, kill, listeners, named, wait_until

# Start and stop


@WITH_BOTH
def test_an_interrupt_stops_everything_in_order_and_leaves_nothing(box, launcher):
    cluster = box.begin("start", "--n=2", *launcher)
    cluster.wait_for_output(UP, 60)
    known_sockets = listeners(ports(box.profile_dir()))
    assert known_sockets
    assert len(engine_pids(box)) == 2
    assert cluster.stop(signal.SIGINT, 60) == 0
    said = cluster.output
    assert said.index("Stopping 2 engines") < said.index("Stopping the controller")
    assert "2 of 2 engines have registered" in said
    assert_nothing_left(box, box.profile_dir(), known_sockets)


@WITH_BOTH
def test_a_daemon_is_up_when_start_returns_and_gone_when_stop_returns(box, launcher):
    started = box.ipcluster("start", "-n", "2", "--daemonize", *launcher, check=True)
    assert "The cluster is up" in started.out
    (cluster,) = listed(box)
    assert cluster["state"] == "running" and cluster["engines"] == 2 and cluster["n"] == 2
    assert list(box.profile_dir().glob("log/ipcluster-*.log"))
    box.ipcluster("stop", check=True)
    box.wait_for_no_processes()  # watchers end behind their engines
    assert_nothing_left(box, box.profile_dir())
    assert box.ipcluster("stop").status == 11


@WITH_BOTH
def test_a_killed_supervisor_leaves_a_cluster_that_stop_cleans_up(box, launcher):
    cluster = box.begin("start", "--n=2", *launcher)
    cluster.wait_for_output(UP, 60)
    assert cluster.stop(signal.SIGKILL) == -signal.SIGKILL
    assert len(engine_pids(box)) == 2
    assert [c["state"] for c in listed(box)] == ["stale"]
    box.ipcluster("stop", check=True)
    box.wait_for_no_processes()  # watchers end behind their engines
    assert_nothing_left(box, box.profile_dir())


def test_engines_whose_mpiexec_was_killed_too_are_found_by_stop(box):
    cluster = box.begin("start", "--n=2", *MPI)
    cluster.wait_for_output(UP, 60)
    (mpiexec,) = named(box, "mpiexec", "orterun", "mpirun", "prterun")
    cluster.stop(signal.SIGKILL)
    mpiexec.kill()
    box.ipcluster("stop", check=True)
    box.wait_for_no_processes()  # watchers end behind their engines
    assert_nothing_left(box, box.profile_dir())


def test_start_takes_over_what_a_killed_supervisor_left(box):
    cluster = box.begin("start", "--n=1")
    cluster.wait_for_output(UP, 60)
    cluster.stop(signal.SIGKILL)
    before = set(engine_pids(box))
    again = box.ipcluster("start", "--n=1", "--daemonize", check=True)
    assert "Cleaning up" in again.out
    assert not before & set(engine_pids(box))
    box.ipcluster("stop", check=True)
    assert_nothing_left(box, box.profile_dir())


def test_what_a_killed_program_was_writing_is_removed_by_the_next_and_nothing_else(box):
    box.ipcluster("profile", "create", "default", check=True)
    folders = [box.profile_dir() / name for name in ("pid", "security")]
    names = {
        "ipcluster.json.c0FfEe": False,
        "ipcontroller-x-client.json.a1b2c3": False,
        "ipcluster.json.backup": True,
        "notes.c0FfEe": True,
    }
    for folder in folders:
        for name in names:
            (folder / name).touch()
            os.utime(folder / name, (0, 0))
        (folder / "ipcluster-x.json.aB3dE5").touch()  # new, as if a program was writing it
    cluster = box.begin("start", "--n=0")
    cluster.wait_for_output(UP, 60)
    assert cluster.stop(signal.SIGINT, 60) == 0
    kept = {name for name, is_kept in names.items() if is_kept} | {"ipcluster-x.json.aB3dE5"}
    assert [{path.name for path in folder.iterdir()} for folder in folders] == [kept, kept]


def test_state_of_processes_that_have_all_gone_is_shown_as_stopped_and_removed(box):
    cluster = box.begin("start", "--n=1")
    cluster.wait_for_output(UP, 60)
    cluster.stop(signal.SIGKILL)
    kill(box.marked())
    box.wait_for_no_processes()
    assert [c["state"] for c in listed(box)] == ["stopped"]
    box.ipcluster("stop", check=True)
    assert_nothing_left(box, box.profile_dir())


def test_a_second_cluster_of_one_name_is_refused_and_another_id_is_not(box):
    box.ipcluster("start", "--n=1", "--daemonize", check=True)
    refused = box.ipcluster("start", "--n=1")
    assert refused.status == 10 and "runs already" in refused.err and "ipcluster stop" in refused.err
    box.ipcluster("start", "--n=1", "--daemonize", "--cluster-id=b", check=True)
    assert sorted(c["cluster_id"] for c in listed(box)) == ["", "b"]
    box.ipcluster("stop", "--cluster-id=b", check=True)
    assert [c["cluster_id"] for c in listed(box)] == [""]
    box.ipcluster("stop", "--all", check=True)
    assert_nothing_left(box, box.profile_dir())


def test_a_second_interrupt_hurries_past_an_engine_that_ignores_the_first(box):
    stubborn = box.dir / "stubborn"
    stubborn.write_text(
        f"#!/bin/sh\ntrap '' TERM INT\n{box.programs.ipengine} \"$@\" & wait\n" "while :; do sleep 1; done\n"
    )
    stubborn.chmod(0o755)
    cluster = box.begin(
        "start",
        "--n=1",
        f"--EngineLauncher.engine_cmd={stubborn}",
        "--LocalProcessLauncher.stop_seconds_until_kill=600",
    )
    cluster.wait_for_output(UP, 60)
    cluster.send_signal(signal.SIGINT)
    cluster.wait_for_output("Stopping 1 engine")
    cluster.send_signal(signal.SIGINT)
    cluster.wait_for_output("Hurrying")
    assert cluster.wait() == 0
    assert_nothing_left(box, box.profile_dir())


def test_an_engine_that_ignores_sigterm_is_killed_after_a_while(box):
    stubborn = box.dir / "stubborn"
    stubborn.write_text(
        f"#!/bin/sh\ntrap '' TERM INT\n{box.programs.ipengine} \"$@\" & wait\n" "while :; do sleep 1; done\n"
    )
    stubborn.chmod(0o755)
    cluster = box.begin(
        "start",
        "--n=1",
        f"--EngineLauncher.engine_cmd={stubborn}",
        "--LocalProcessLauncher.stop_seconds_until_kill=0.5",
    )
    cluster.wait_for_output(UP, 60)
    assert cluster.stop(signal.SIGTERM, 60) == 0
    assert_nothing_left(box, box.profile_dir())


def test_what_an_engine_started_itself_goes_with_it(box):
    parent = box.dir / "parent"
    parent.write_text(f'#!/bin/sh\nsleep 1000 &\nexec {box.programs.ipengine} "$@"\n')
    parent.chmod(0o755)
    cluster = box.begin("start", "--n=1", f"--EngineLauncher.engine_cmd={parent}")
    cluster.wait_for_output(UP, 60)
    assert cluster.stop(signal.SIGINT, 60) == 0
    assert_nothing_left(box, box.profile_dir())


def test_work_begins_with_the_engines_that_are_there_and_the_others_come_as_they_can(box):
    started = box.ipcluster(
        "start",
        "--n=2",
        "--n-min=1",
        f"--Cluster.engine_timeout={int(3 * PATIENCE)}",
        "--daemonize",
        one_by_one(box),
        check=True,
    )
    assert "The cluster is up with 1 of 2 engines" in started.out
    (log,) = (box.profile_dir() / "log").glob("ipcluster-*.log")
    wait_until(lambda: "the missing ones may still come" in log.read_text(), what="the log says that one is missing")
    assert [c["engines"] for c in listed(box)] == [1]
    (box.dir / "come").touch()
    wait_until(lambda: "2 of 2 engines have registered" in log.read_text(), what="the second has come")
    box.ipcluster("stop", check=True)
    assert_nothing_left(box, box.profile_dir())


def test_with_none_to_wait_for_a_daemon_is_back_when_engines_are_started_and_ends_where_all_die(box):
    dying = "--EngineLauncher.engine_cmd=['sh', '-c', 'sleep 2; echo no such module; exit 7']"
    started = box.ipcluster("start", "--n=1", "--n-min=0", "--daemonize", dying, check=True)
    assert "The cluster is up with 0 of 1 engine," in started.out
    (log,) = (box.profile_dir() / "log").glob("ipcluster-*.log")
    wait_until(
        lambda: "ended with status 7 before any engine had registered\n" in log.read_text(), what="the end is told"
    )
    wait_until(lambda: "no such module" in log.read_text(), what="the end of its output is shown")
    assert_nothing_left(box, box.profile_dir())


def test_no_engines_are_a_cluster_too(box):
    box.ipcluster("start", "--n=0", "--daemonize", check=True)
    assert [c["engines"] for c in listed(box)] == [0]
    box.ipcluster("stop", check=True)


def test_a_terminal_sees_a_bar(box):
    child = pexpect.spawn(
        str(box.programs.ipcluster),
        ["start", "--n=2"],
        env=box.env,
        cwd=str(box.work),
        timeout=2 * LONG,
        encoding="utf-8",
        dimensions=(24, 120),
    )
    child.expect(r"\[#+\] 2 of 2 engines")
    child.expect(UP)
    child.sendintr()
    child.expect("Stopping the controller")
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0
    assert_nothing_left(box, box.profile_dir())


def test_an_interrupt_before_the_cluster_is_up_stops_what_was_begun(box):
    silent = box.dir / "silent"
    silent.write_text("#!/bin/sh\nexec sleep 1000\n")
    silent.chmod(0o755)
    cluster = box.begin("start", "--n=1", f"--EngineLauncher.engine_cmd={silent}")
    cluster.wait_for_output("Starting 1 engine")
    assert cluster.stop(signal.SIGINT, 60) == 130
    assert_nothing_left(box, box.profile_dir())


def test_a_cluster_under_nohup_survives_its_terminal(box):
    cluster = box.start("/usr/bin/nohup", box.programs.ipcluster, "start", "--n=1")
    cluster.wait_for_output(UP, 60)
    cluster.send_signal(signal.SIGHUP)
    assert [c["engines"] for c in listed(box)] == [1]
    assert cluster.stop(signal.SIGTERM, 60) == 0
    assert_nothing_left(box, box.profile_dir())


def test_quiet_says_nothing_where_all_is_well(box):
    started = box.ipcluster("start", "--n=1", "--daemonize", "--quiet", check=True)
    assert started.out + started.err == ""
    assert "running" in box.ipcluster("list", check=True).out
    stopped = box.ipcluster("stop", "--quiet", check=True)
    assert stopped.out + stopped.err == ""


def test_ipc_sockets_of_a_killed_controller_are_removed(box):
    cluster = box.begin("start", "--n=1", "--", "--transport=ipc")
    cluster.wait_for_output(UP, 60)
    assert len(list((box.profile_dir() / "security").iterdir())) > 2
    cluster.stop(signal.SIGKILL)
    kill(box.marked())
    box.ipcluster("stop", check=True)
    assert_nothing_left(box, box.profile_dir())


# Deaths


def test_an_engine_that_dies_before_registration_is_reported_with_its_last_words(box):
    broken = box.dir / "broken"
    broken.write_text("#!/bin/sh\necho 'no such module: frobnicate' >&2\nexit 7\n")
    broken.chmod(0o755)
    failed = box.ipcluster("start", "--n=2", f"--EngineLauncher.engine_cmd={broken}")
    assert failed.status == 4
    assert (
        "ended with status 7 before all engines had registered\n" in failed.err
        and "no such module: frobnicate" in failed.err
    )
    assert_nothing_left(box, box.profile_dir())


def test_a_mistyped_engine_option_reaches_the_user_also_from_a_daemon(box):
    failed = box.ipcluster("start", "--n=2", "--daemonize", "--EngineLauncher.engine_args=--IPEngine.frobnicate=1")
    assert failed.status == 4
    assert "frobnicate" in failed.out + failed.err
    assert_nothing_left(box, box.profile_dir())


def test_what_mpiexec_says_reaches_the_user(box):
    failed = box.ipcluster("start", "--n=2", *MPI, "--MPILauncher.mpi_args=--no-such-option")
    assert failed.status == 4
    assert "no-such-option" in failed.err
    assert_nothing_left(box, box.profile_dir())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root is refused by Open MPI")
def test_mpiexec_refusing_root_is_shown_and_not_circumvented(box):
    for name in ("OMPI_ALLOW_RUN_AS_ROOT", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"):
        box.env.pop(name, None)
    failed = box.ipcluster("start", "--n=1", *MPI)
    assert failed.status == 4
    assert "root" in failed.err
    assert_nothing_left(box, box.profile_dir())


def test_a_controller_that_dies_at_once_is_reported_with_its_last_words(box):
    failed = box.ipcluster("start", "--n=1", "--", "--ip=not-an-address")
    assert failed.status == 3
    assert "The controller ended" in failed.err and "not-an-address" in failed.err
    assert_nothing_left(box, box.profile_dir())


def test_how_an_engine_that_nobody_watched_died_is_known_from_ipcluster(box):
    cluster = box.begin("start", "--n=2", "--EngineLauncher.engine_args=--IPEngine.enable_nanny=false")
    cluster.wait_for_output(UP, 60)
    code = """
import os, signal, socket, time
import ipcluster
client = ipcluster.Client()
engine, view = client.engines[0], client[0]
try:
    view.apply_sync(os.kill, engine.pid, signal.SIGKILL)
except ipcluster.EngineError as error:
    name = f"engine 0 ({socket.gethostname()}, process {engine.pid})"
    assert name + " died, or cannot be reached" in str(error), error
while "signal 9 (Killed) ended it" not in client.departed[0]["reason"]:
    time.sleep(0.05)
try:
    view.apply_sync(abs, 1)
except ipcluster.EngineError as error:
    assert f"engine 0 is gone ({name} died, or cannot be reached; signal 9 (Killed) ended it)" in str(error), error
client[1].execute("import os; os._exit(3)", block=False)
while "died, or cannot be reached; it exited with status 3" not in client.departed[-1]["reason"]:
    time.sleep(0.05)
print("as it was")
"""
    assert box.run("/usr/bin/python3", "-c", code, python=True, check=True).out == "as it was\n"
    assert cluster.stop(signal.SIGINT, 60) == 0


def test_a_controller_killed_later_ends_the_cluster(box):
    cluster = box.begin("start", "--n=1")
    cluster.wait_for_output(UP, 60)
    (controller,) = named(box, "ipcontroller")
    controller.kill()
    assert cluster.wait(40) == 5
    assert "The controller ended with status 137: signal 9 (Killed) ended it\n" in cluster.output
    assert_nothing_left(box, box.profile_dir())


def test_engines_that_never_register_are_given_up(box):
    silent = box.dir / "silent"
    silent.write_text("#!/bin/sh\necho waiting for nothing\nexec sleep 1000\n")
    silent.chmod(0o755)
    failed = box.ipcluster(
        "start", "--n=1", f"--EngineLauncher.engine_cmd={silent}", "--IPClusterEngines.engine_timeout=5"
    )
    assert failed.status == 4
    assert "waiting for nothing" in failed.err
    assert_nothing_left(box, box.profile_dir())


def test_an_engine_that_never_registers_is_given_up_also_where_others_came_and_all_is_quiet(box):
    failed = box.ipcluster("start", "--n=2", "--quiet", "--Cluster.engine_timeout=1", one_by_one(box))
    assert failed.status == 4
    assert "No further engine has registered for 1 seconds; the cluster is given up" in failed.err
    assert_nothing_left(box, box.profile_dir())


def test_a_program_that_is_not_there_is_an_error_that_names_it(box):
    failed = box.ipcluster("start", "--n=1", "--EngineLauncher.engine_cmd=/no/such/engine")
    assert failed.status == 4 and "/no/such/engine" in failed.err
    failed = box.ipcluster("start", "--n=1", *MPI, "--MPILauncher.mpi_cmd=no-such-mpiexec")
    assert failed.status == 4 and "no-such-mpiexec" in failed.err
    assert_nothing_left(box, box.profile_dir())


# MPI


def test_more_engines_than_cores_just_work_and_that_is_said_once(box):
    count = psutil.cpu_count() + 2
    cluster = box.begin("start", f"--n={count}", *MPI)
    cluster.wait_for_output(UP, 90)
    assert cluster.output.count("--oversubscribe") == 1
    assert cluster.stop(signal.SIGINT, 60) == 0
    assert_nothing_left(box, box.profile_dir())


def test_the_controller_can_be_started_through_mpiexec(box):
    cluster = box.begin("start", "--n=1", "--controller=mpi")
    cluster.wait_for_output(UP, 60)
    assert cluster.stop(signal.SIGINT, 60) == 0
    assert_nothing_left(box, box.profile_dir())


def test_the_initialiser_is_chosen_with_mpi(box):
    cluster = box.begin("start", "--n=1", *MPI, "--mpi=native")
    cluster.wait_for_output(UP, 60)
    assert all("--mpi=native" in engine.cmdline() for engine in named(box, "ipengine"))
    assert cluster.stop(signal.SIGINT, 60) == 0


# Adding engines


@WITH_BOTH
def test_engines_are_added_and_taken_away_again(box, launcher):
    box.ipcluster("start", "--n=1", "--daemonize", check=True)
    more = box.begin("engines", "--n=2", *launcher)
    more.wait_for_output("2 more engines are up", 60)
    (cluster,) = listed(box)
    assert (cluster["engines"], cluster["n"], [one["n"] for one in cluster["sets"]]) == (3, 3, [1, 2])
    assert re.search(r" \+2 .*EngineSetLauncher", box.ipcluster("list", check=True).out)
    assert more.stop(signal.SIGINT, 60) == 0
    wait_until(lambda: [len(c["sets"]) for c in listed(box)] == [1], 20, "the set has gone")
    wait_until(lambda: {c["engines"] for c in listed(box)} == {1}, 10, "the hub notices that two engines left")
    box.ipcluster("stop", check=True)
    assert_nothing_left(box, box.profile_dir())


def test_added_engines_have_settings_environment_and_folder_of_whoever_asked_for_them(box):
    box.ipcluster("start", "--n=1", "--daemonize", "--engine-set=first", env={"WHOSE": "first"}, check=True)
    (box.dir / "elsewhere").mkdir()
    program = box.dir / "elsewhere/tells"
    program.write_text(f'#!/bin/sh\necho "$WHOSE in $PWD"\nexec {box.programs.ipengine} "$@"\n')
    program.chmod(0o755)
    env = {"WHOSE": "second", "PATH": f"{program.parent}:{box.env['PATH']}"}
    more = box.start(
        box.programs.ipcluster,
        "engines",
        "--n=1",
        "--engine-set=second",
        "--EngineLauncher.engine_cmd=tells",
        env=env,
        cwd=program.parent,
    )
    more.wait_for_output("1 more engine is up", 60)
    (log,) = (
        engine["log"]
        for engine in json.loads(box.ipcluster("status", "--json", check=True).out)["engines"]
        if engine["engine_set"] == "second"
    )
    assert open(log).read().startswith(f"second in {program.parent}\n")
    assert len(list(box.profile_dir().glob("pid/ipcluster*.json"))) == 1, "one supervisor has both sets"
    box.ipcluster("stop", check=True)
    assert more.wait() == 0
    assert_nothing_left(box, box.profile_dir())


def test_added_engines_have_them_byte_for_byte_also_where_they_are_no_utf_8(box):
    box.ipcluster("start", "--n=0", "--daemonize", check=True)
    folder = os.fsencode(box.dir) + b"/caf\xe9"
    os.mkdir(folder)
    program = os.path.join(folder, b"tells\xff")
    with open(os.open(program, os.O_CREAT | os.O_WRONLY, 0o755), "wb") as script:
        script.write(b'#!/bin/sh\necho "$WHOSE in $PWD"\nexec %s "$@"\n' % os.fsencode(box.programs.ipengine))
    more = box.start(
        box.programs.ipcluster,
        "engines",
        "--n=1",
        os.fsdecode(b"--EngineLauncher.engine_cmd=" + program),
        env={"WHOSE": os.fsdecode(b"na\xefve")},
        cwd=folder,
    )
    more.wait_for_output("1 more engine is up", 60)
    (log,) = (engine["log"] for engine in json.loads(box.ipcluster("status", "--json", check=True).out)["engines"])
    assert Path(log).read_bytes().startswith(b"na\xefve in %s\n" % folder)
    box.ipcluster("stop", check=True)
    assert more.wait() == 0
    assert_nothing_left(box, box.profile_dir())


def test_a_set_of_engines_is_stopped_by_its_name_and_the_others_work_on(box):
    box.ipcluster("start", "--n=1", "--daemonize", check=True)
    (first,) = engine_pids(box)
    box.ipcluster("engines", "--n=1", "--daemonize", "--engine-set=b", check=True)
    again = box.ipcluster("engines", "--n=1", "--engine-set=b")
    assert again.status == 1 and "a set of engines b already" in again.err
    assert box.ipcluster("engines", "--n=1", "--engine-set=a b").status == 1
    assert box.ipcluster("stop", "--engine-set=b", "--all").status == 1
    assert "Stopped" in box.ipcluster("stop", "--engine-set=b", check=True).out
    assert engine_pids(box) == [first] and [len(c["sets"]) for c in listed(box)] == [1]
    assert box.ipcluster("stop", "--engine-set=b").status == 11
    box.ipcluster("stop", check=True)
    assert_nothing_left(box, box.profile_dir())


def test_a_set_that_does_not_come_up_ends_alone_and_says_why(box):
    box.ipcluster("start", "--n=1", "--daemonize", check=True)
    engine = "--EngineLauncher.engine_cmd=['sh', '-c', 'echo no such library; exit 3']"
    failed = box.ipcluster("engines", "--n=2", "--daemonize", engine)
    assert failed.status == 4 and "no such library" in failed.err and "ended with status 3" in failed.err
    assert box.ipcluster("engines", "--n=1", "--elauncher=nothing").status == 1
    none = box.ipcluster("engines", "--n=0")
    assert none.status == 1 and "a set needs at least one engine" in none.err
    (cluster,) = listed(box)
    assert (cluster["state"], cluster["engines"], [one["n"] for one in cluster["sets"]]) == ("running", 1, [1])
    box.ipcluster("stop", check=True)
    assert_nothing_left(box, box.profile_dir())


def test_a_killed_ipcluster_engines_leaves_its_set_to_the_cluster_and_a_killed_supervisor_is_told(box):
    start = box.begin("start", "--n=0")
    start.wait_for_output(UP, 60)
    for name in ("left", "told"):
        more = box.begin("engines", "--n=1", f"--engine-set={name}")
        more.wait_for_output("1 more engine is up", 60)
        if name == "left":
            more.stop(signal.SIGKILL)
    assert [one["set"] for one in listed(box)[0]["sets"]] == ["left", "told"]
    start.stop(signal.SIGKILL)
    assert more.wait() == 5 and "has ended without a message" in more.output
    assert len(engine_pids(box)) == 2
    assert box.ipcluster("stop", "--engine-set=left").status == 6
    box.ipcluster("stop", check=True)
    assert_nothing_left(box, box.profile_dir())


def test_engines_that_join_before_the_controller_is_there_start_with_the_others(box):
    start = box.begin("start", "--n=1", "--delay=2")
    wait_until(lambda: box.ipcluster("status").status == 20, 60, "it is starting")
    more = box.begin("engines", "--n=1")
    more.wait_for_output("1 more engine is up", 60)
    start.wait_for_output(UP, 60)
    assert start.stop(signal.SIGINT) == 0 and more.wait() == 0
    assert "The cluster is being stopped" in more.output
    assert_nothing_left(box, box.profile_dir())


def test_the_set_with_which_a_cluster_starts_is_not_stopped_before_the_cluster_is_up(box):
    start = box.begin("start", "--n=2", "--engine-set=first", one_by_one(box))
    wait_until(lambda: box.ipcluster("status").status == 20 and engine_pids(box), 60, "an engine is there")
    refused = box.ipcluster("stop", "--engine-set=first")
    assert refused.status == 11 and "the cluster is being started with these engines" in refused.err
    (box.dir / "come").touch()
    start.wait_for_output(UP, 60)
    box.ipcluster("stop", "--engine-set=first", check=True)
    start.wait_for_output("the controller runs on", 60)
    assert start.stop(signal.SIGINT) == 0
    assert_nothing_left(box, box.profile_dir())


def test_stop_ends_added_engines_with_the_cluster(box):
    box.ipcluster("start", "--n=1", "--daemonize", check=True)
    box.ipcluster("engines", "--n=1", "--daemonize", check=True)
    assert len(engine_pids(box)) == 2
    box.ipcluster("stop", check=True)
    box.wait_for_no_processes()  # watchers end behind their engines
    assert_nothing_left(box, box.profile_dir())


def test_engines_need_a_controller(box):
    refused = box.ipcluster("engines", "--n=1")
    assert refused.status == 12 and "ipcluster start" in refused.err


# When things are started, and what is cleaned up


def test_engines_are_started_with_the_delay_between_them(box):
    start = box.begin("start", "--n=3", "--LocalEngineSetLauncher.delay=1")
    start.wait_for_output(UP, 60)
    born = sorted(psutil.Process(pid).create_time() for pid in engine_pids(box))
    assert [later - earlier > 0.9 for earlier, later in zip(born, born[1:])] == [True, True]
    assert start.stop(signal.SIGINT) == 0


def test_old_output_that_is_removed_is_that_of_the_cluster_not_of_one_whose_id_is_a_number(box):
    numbered = box.begin("start", "--n=1", "--cluster-id=7")
    numbered.wait_for_output(UP, 60)
    logs = box.profile_dir() / "log"
    kept = {path.name for path in logs.iterdir()}
    assert any(name.startswith("ipengine-7-") for name in kept)
    for _ in range(2):
        unnamed = box.begin("start", "--n=1")
        unnamed.wait_for_output(UP, 60)
        assert unnamed.stop(signal.SIGINT) == 0
        own = {path.name for path in logs.iterdir()} - kept
        assert kept <= {path.name for path in logs.iterdir()}
        assert len(own) == 2, "of the one before nothing is left"
    assert numbered.stop(signal.SIGINT) == 0


def log_files(cluster_id, time, pid=77):
    """The names of the output files of one cluster with one engine."""
    name = f"-{cluster_id}" if cluster_id else ""
    return {
        f"ipcontroller{name}-{time}-{pid}.log",
        f"ipcluster{name}-{time}-{pid}.log",
        f"ipengine{name}-{time}-{pid}-0.log",
    }


def test_of_clusters_with_ids_of_their_own_the_newest_keep_their_output_and_running_ones_too(box):
    """Each Cluster() has such an id."""
    running = box.begin("start", "--n=1", "--cluster-id=running")
    running.wait_for_output(UP, 60)
    logs = box.profile_dir() / "log"
    others = {path.name for path in logs.iterdir()} | {"ipengine-4711.log", "remarks.log", "ipengine-a-b.log"}
    old = set.union(*(log_files(f"id-{i}-5", 1700000000 + i) for i in range(30)))
    for name in others | old:
        (logs / name).touch()

    def left(*words):
        box.ipcluster("start", "--n=0", "--daemonize", "--cluster-id=new", *words, check=True)
        box.ipcluster("stop", "--cluster-id=new", check=True)
        there = {path.name for path in logs.iterdir()}
        assert others <= there
        return {name for name in old & there}

    assert left("--clean-logs=false") == left("--IPClusterStart.logs_kept=-1") == old
    assert left() == set.union(*(log_files(f"id-{i}-5", 1700000000 + i) for i in range(10, 30)))
    assert left("--IPClusterStart.logs_kept=2") == log_files("id-28-5", 1700000028) | log_files("id-29-5", 1700000029)
    assert left("--IPClusterStart.logs_kept=0") == set()
    assert running.stop(signal.SIGINT) == 0
