"""The controller by itself: its files and flags, and registration and death of engines."""

import json
import signal
import stat
import time
import uuid

import pytest
import zmq

from controller_peer import Engine, Peer
from support import wait_until


def test_files_are_private_and_go_with_it(sandbox, controller):
    peer = controller()
    security = peer.client_file.parent
    assert stat.S_IMODE(security.stat().st_mode) == 0o700
    for path in (peer.client_file, peer.engine_file):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert peer.client["interface"] == "tcp://127.0.0.1"
    assert peer.process.stop(signal.SIGTERM) == 0
    assert not peer.client_file.exists() and not peer.engine_file.exists()
    assert not list((sandbox.profile_dir() / "pid").iterdir())


def test_a_hangup_ends_it_in_order_unless_it_is_ignored(sandbox, controller):
    peer = controller()
    assert peer.process.stop(signal.SIGHUP) == 0
    assert not list((sandbox.profile_dir() / "security").iterdir())
    process = sandbox.start("nohup", sandbox.programs.ipcontroller)
    process.wait_for_output("connection files:")
    process.send_signal(signal.SIGHUP)
    assert Peer(sandbox.profile_dir()).engines() == {}, "it goes on"
    assert process.stop() == 0


def test_interrupt_ends_it_and_clients_hear_of_it(controller):
    peer = controller()
    notification = peer.subscribe(peer.client["notification"])
    assert peer.process.stop(signal.SIGINT) == 0
    assert peer.receive(notification)[1]["msg_type"] == "shutdown_notification"


def test_a_second_one_is_refused(sandbox, controller):
    peer = controller()
    before = peer.client_file.read_text()
    second = sandbox.run(sandbox.programs.ipcontroller)
    assert second.status == 1
    assert "running already" in second.err and str(peer.process.pid) in second.err
    assert peer.client_file.read_text() == before
    controller(cluster_id="other")
    assert peer.engines() == {}


def test_after_a_kill_it_starts_again(controller):
    peer = controller()
    peer.process.stop(signal.SIGKILL)
    assert peer.client_file.exists()
    again = controller()
    wait_until(lambda: json.loads(again.client_file.read_text())["key"] != peer.client["key"], 20, "new files")


def test_flags(sandbox, controller):
    peer = controller(
        "--ip=0.0.0.0",
        "--location=127.0.0.1",
        "--ping=500",
        "--scheme=lru",
        "--hwm=2",
        "--dictdb",
        "--ssh=user@gate",
        "--log-level=DEBUG",
        "--IPController.enable_curve=false",
        "--IPController.allow_unencrypted=true",
        profile="flags",
        cluster_id="x",
    )
    assert peer.client["interface"] == "tcp://0.0.0.0" and peer.client["location"] == "127.0.0.1"
    assert peer.client["ssh"] == "user@gate" and not peer.engine["ssh"]
    assert peer.client["task_scheme"] == "lru" and not peer.client["curve_serverkey"]


def test_ports_of_a_range_in_use_are_passed_over(controller, sandbox):
    first = controller("--ports=20101-20300")
    second = controller("--ports", "20101-20300", profile="second")
    ports = [peer.client[name] for peer in (first, second) for name in ("registration", "mux", "task")]
    assert len(set(ports)) == 6 and all(20101 <= port <= 20300 for port in ports)
    finished = sandbox.run(sandbox.programs.ipcontroller, "--cluster-id=x", f"--port={ports[0]}")
    assert finished.status == 1 and "in use" in finished.err
    third = controller(f"--ports={ports[0]}", cluster_id="third")
    assert "none of the given ports (1) is free" in third.process.output


def test_log_to_file(sandbox, controller):
    controller("--log-to-file")
    (log,) = (sandbox.profile_dir() / "log").glob("ipcontroller-*.log")
    wait_until(lambda: "listening" in log.read_text(), 20, "the log says where it listens")


def test_ipc(sandbox, controller):
    peer = controller("--transport=ipc")
    assert peer.client["interface"].startswith("ipc://") and not peer.client["curve_serverkey"]
    assert Engine(peer).beat().id == 0
    assert peer.process.stop() == 0
    assert not list(peer.client_file.parent.iterdir())


def test_reused_files(controller):
    first = controller("--reuse")
    first.process.stop()
    second = controller("--reuse")
    assert second.client == first.client and second.engine == first.engine
    assert first.engines() == {}


@pytest.mark.parametrize(
    "argument, expected",
    [
        ("--scheme=none", "one of leastload,"),
        ("--TaskScheduler.finished_max=-1", "TaskScheduler.finished_max"),
        ("--scheme=best", "one of leastload,"),
        ("--IPController.db_class=nosuchstore", "no store plugin 'nosuchstore'"),
        ("--mongodb", "this controller cannot keep records in MongoDB"),
        (
            "--IPController.db_class=ipyparallel.controller.mongodb.MongoDB",
            "this controller cannot keep records in MongoDB",
        ),
        ("--IPController.records_backlog=0", "number of bytes"),
        ("--transport=udp", "one of tcp,ipc"),
        ("--ping=0", "HeartMonitor.period"),
        ("--hwm=-2", "TaskScheduler.hwm"),
        ("--ports=abc", "neither a port"),
        ("--cluster-id=a/b", "without / "),
        ("--HeartMonitor.perod=5", "period"),
        ("word", "is not an option"),
    ],
)
def test_wrong_settings_are_errors(sandbox, argument, expected):
    finished = sandbox.run(sandbox.programs.ipcontroller, argument)
    assert finished.status == 1 and expected in finished.err, finished
    assert not list(sandbox.profile_dir().glob("security/*.json"))


def test_a_full_disk_under_the_log(controller):
    peer = controller("--log-file=/dev/full", "--log-level=DEBUG")
    assert Engine(peer).beat().id == 0
    assert peer.process.stop() == 0


# --- engines ------------------------------------------------------------------------------------------------------------------


def test_ids(controller):
    peer = controller()
    first, second = Engine(peer, wanted=3).beat(), Engine(peer, wanted=3).beat()
    assert first.id == 3 and second.id == 4
    assert Engine(peer).beat().id == 5
    assert Engine(peer, wanted=0).beat().id == 0
    assert sorted(peer.engines()) == ["0", "3", "4", "5"]


def test_an_engine_that_asks_once_more_keeps_its_id_and_nobody_is_said_to_have_it(controller):
    peer = controller()
    words = {"wanted": 3, "ids": [3, 7], "route": uuid.uuid4().hex}
    engine = Engine(peer, **words)
    assert (engine.id, Engine(peer, name=engine.uuid, **words).id) == (3, 3)
    assert "in use" not in peer.process.output
    assert Engine(peer, wanted=3, ids=[3, 7]).id == 7


def test_a_uuid_in_use_is_refused(controller):
    peer = controller()
    engine = Engine(peer).beat()
    reply = Engine(peer, name=engine.uuid).reply
    assert reply["status"] == "error" and "in use" in reply["evalue"]
    assert peer.engines() == {"0": engine.uuid}


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"uuid": 5},
        {"uuid": ""},
        {"uuid": "x" * 64},
        {"uuid": "a b"},
        {"uuid": "nul\0"},
        {"uuid": "fine", "id": -1},
        {"uuid": "fine", "id": 10**12},
        {"uuid": "fine", "id": "0"},
    ],
)
def test_nonsense_registrations_are_refused(controller, content):
    peer = controller()
    query = peer.connect(zmq.DEALER, peer.engine["registration"])
    _, reply = peer.ask(query, "registration_request", content)
    assert reply["status"] == "error" and reply["evalue"]
    assert Engine(peer).beat().id == 0


def test_a_registration_that_stalls_expires(controller):
    peer = controller("--IPController.registration_timeout=1")
    engine = Engine(peer, wanted=7)
    assert engine.id == 7 and peer.engines() == {}
    wait_until(lambda: Engine(peer, name=engine.uuid).reply["status"] == "ok", 20, "the uuid is free again")


def test_arrivals_and_departures_are_announced(controller):
    peer = controller()
    notification = peer.subscribe(peer.client["notification"])
    engine = Engine(peer).beat()
    assert peer.notified(notification, "registration_notification") == {"id": 0, "uuid": engine.uuid}
    frames, _ = peer.message("unregistration_request", {"id": 0})
    engine.registration.send_multipart(frames)
    assert peer.notified(notification, "unregistration_notification") == {
        "id": 0,
        "uuid": engine.uuid,
        "reason": f"engine 0 ({engine.uuid}) left",
    }


def test_an_end_is_that_of_the_engine_with_its_uuid_whatever_id_it_had_before(controller):
    peer = controller()
    notification = peer.subscribe(peer.client["notification"])
    other, engine = Engine(peer).beat(), Engine(peer).beat()
    wait_until(lambda: len(peer.engines()) == 2, 20, "both are registered")
    frames, _ = peer.message("unregistration_request", {"id": int(other.id), "uuid": engine.uuid})
    engine.registration.send_multipart(frames)
    assert peer.notified(notification, "unregistration_notification")["uuid"] == engine.uuid
    assert peer.engines() == {str(other.id): other.uuid}


def test_what_an_engine_says_of_itself_is_given_to_clients(controller):
    peer = controller()
    info = {"host": "node", "pid": 7, "language_version": "3.11.2"}
    notification = peer.subscribe(peer.client["notification"])
    engine = Engine(peer, info=info).beat()
    assert peer.notified(notification, "registration_notification", id=0) == {
        "id": 0,
        "uuid": engine.uuid,
        "info": info,
    }
    Engine(peer).beat()
    assert peer.connection()["engine_info"] == {"0": info}


@pytest.mark.parametrize(
    "info",
    [
        None,
        [],
        "node",
        {"host": ["node"]},
        {"host": "no\nde"},
        {"host": "n" * 1000},
        {"pid": None},
        {str(number): number for number in range(1000)},
    ],
)
def test_nonsense_that_an_engine_says_of_itself_is_dropped_and_logged(controller, info):
    peer = controller()
    engine = Engine(peer, info=info).beat()
    known = peer.connection()
    assert known["engines"] == {"0": engine.uuid} and known["engine_info"] == {}
    peer.process.wait_for_output("the description that engine 0 sent of itself is dropped: ")


def test_why_an_engine_ended_is_kept_for_whoever_asks_later(controller):
    peer = controller("--ping=60000")
    query = peer.connect(zmq.DEALER, peer.client["registration"])
    infos = [
        {"engine_set": "one", "host": "node", "pid": 1, "job": "Slurm job 8"},
        {"engine_set": "one", "host": "node", "pid": 2, "job": "Slurm job 88"},
        {"engine_set": "one", "host": "node", "pid": 3},
        {"engine_set": "two", "host": "node", "pid": 3},
        {"engine_set": "two", "host": "node", "pid": 4},
        *(
            {"engine_set": "arrays", "host": "node", "pid": 5, "job": job}
            for job in ("PBS job 7[2].server", "PBS job 71[2].server", "SGE job 7.2", "SGE job 71.2")
        ),
        {"engine_set": "two", "host": "far", "pid": 5, "copy": 1},
    ]
    engines = [Engine(peer, info=info).beat() for info in infos]

    def explain(reason, **whom):
        return peer.ask(query, "explain_request", {"reason": reason, **whom})[0]

    assert (
        explain("Slurm job 88 was cancelled", engine_set="one", all=False) == "explain_reply"
    ), "before the end is known"
    for engine in engines:
        engine.die()
    wait_until(lambda: not peer.engines(), 30, "all are gone")
    assert explain("signal 9 ended it", engine_set="two", all=False, host="node", pid=3) == "explain_reply"
    assert explain("PBS job 7[].server was held", engine_set="arrays", all=False) == "explain_reply"
    assert explain("SGE job 7 was killed", engine_set="arrays", all=False) == "explain_reply"
    assert explain("process 5 on far: it is full", engine_set="two", all=False, host="node", copy=1) == "explain_reply"
    assert explain("its host went down", engine_set="one", all=True) == "explain_reply"
    for nonsense in ("", "x" * 5000, None, 7):
        assert explain(nonsense, engine_set="one", all=True) == "hub_error"
    departed = {gone["id"]: gone for gone in peer.ask(query, "departed_request")[1]["departed"]}
    assert [departed[number]["info"] for number in range(10)] == infos
    assert [departed[number]["reason"].replace("died, or cannot be reached", "died") for number in range(10)] == [
        "engine 0 (node, process 1, Slurm job 8) died; its host went down",
        "engine 1 (node, process 2, Slurm job 88) died; Slurm job 88 was cancelled; its host went down",
        "engine 2 (node, process 3) died; its host went down",
        "engine 3 (node, process 3) died; signal 9 ended it",
        "engine 4 (node, process 4) died",
        "engine 5 (node, process 5, PBS job 7[2].server) died; PBS job 7[].server was held",
        "engine 6 (node, process 5, PBS job 71[2].server) died",
        "engine 7 (node, process 5, SGE job 7.2) died; SGE job 7 was killed",
        "engine 8 (node, process 5, SGE job 71.2) died",
        "engine 9 (far, process 5) died; process 5 on far: it is full",
    ]
    assert abs(departed[0]["ended"] - time.time()) < 600


def test_engines_that_end_together_are_one_question_to_whoever_knows_why(controller):
    peer = controller("--ping=60000")
    infos = [{"engine_set": "s", "host": "node", "pid": number, "job": "Slurm job 8"} for number in range(10)]
    engines = [Engine(peer, info=info).beat() for info in infos]
    notification = peer.subscribe(peer.client["notification"])
    query = peer.connect(zmq.DEALER, peer.client["registration"])
    assert (
        peer.ask(query, "connection_request", {"connections": 0, "explains": ["s"], "work": True})[1]["work"]["waiting"]
        == 0
    )
    for engine in engines:
        engines[0].registration.send_multipart(
            peer.message("unregistration_request", {"id": engine.id, "uuid": engine.uuid, "cause": "signal"})[0]
        )
    answers = []
    while not answers or answers[-1]["engines"]:
        answers.append(peer.receive(query)[4])
    assert len(answers) < len(engines), "each names all that are left"
    assert all("work" in answer for answer in answers), "it is answered as it had asked"
    query.send_multipart(
        peer.message("explain_request", {"engine_set": "s", "all": True, "reason": "its host went down"})[0]
    )
    assert {peer.notified(notification, "unregistration_notification")["reason"] for _ in engines} == {
        f"engine {engine.id} (node, process {engine.id}, Slurm job 8) left; its host went down" for engine in engines
    }


def test_a_dead_engine_is_noticed_by_its_connection(controller):
    peer = controller("--ping=60000")
    engine = Engine(peer).beat()
    engine.die()
    wait_until(lambda: not peer.engines(), 30, "the engine is gone")


def test_a_silent_engine_is_noticed_by_its_misses(controller):
    peer = controller("--ping=1000", "--HeartMonitor.max_heartmonitor_misses=3")
    Engine(peer).beat()
    wait_until(lambda: not peer.engines(), 30, "the engine is gone")
