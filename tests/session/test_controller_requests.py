"""What the controller does with requests: direct ones, control, tasks, and queries of the hub."""

import json
import re
import time

import pytest
import zmq

import framing
from controller_peer import Engine, next_frames, submit
from hub_queries import MEMBERS, ROLES
from support import TOP, wait_until


def test_direct_requests_and_unknown_engines(controller):
    peer = controller()
    engine = Engine(peer).beat()
    direct = peer.connect(zmq.DEALER, peer.client["mux"])
    frames, msg_id = peer.message("apply_request", buffers=[b"b" * 100000, b""])
    direct.send_multipart([engine.uuid.encode(), *frames])  # the engine connects later
    time.sleep(0.1)
    route, header, received = engine.open().take()
    assert received[-len(frames) :] == peer.signed(frames, peer.engine)
    engine.answer(route, header)
    idents, _, parent, _, content = peer.receive(direct)
    assert idents == [engine.uuid.encode()] and parent["msg_id"] == msg_id and content["status"] == "ok"
    for name in (b"nobody", b"\xff\xfe", b"", b"x" * 200):
        frames, msg_id = peer.message("apply_request")
        direct.send_multipart([name, *frames])
        _, header, parent, _, content = peer.receive(direct)
        assert header["msg_type"] == "apply_reply" and parent["msg_id"] == msg_id
        assert content["ename"] == "EngineError" and "not registered" in content["evalue"]


def test_control_requests(controller):
    peer = controller()
    engine = Engine(peer).open().beat()
    control = peer.connect(zmq.DEALER, peer.client["control"])
    frames, _ = peer.message("abort_request", {"msg_ids": []})
    control.send_multipart([engine.uuid.encode(), *frames])
    assert next_frames(engine.control)[-len(frames) :] == peer.signed(frames, peer.engine)


def test_tasks_wait_for_engines_and_go_to_the_least_loaded(controller):
    peer = controller()
    task = peer.connect(zmq.DEALER, peer.client["task"])
    sent = [submit(peer, task) for _ in range(4)]
    engines = [Engine(peer).open().beat() for _ in range(2)]
    done = []
    for _ in range(2):
        for engine in engines:
            route, header, _ = engine.take()
            done.append(json.loads(header)["msg_id"])
            engine.answer(route, header)
    assert sorted(done) == sorted(sent)
    assert sorted(peer.receive(task)[2]["msg_id"] for _ in sent) == sorted(sent)


def test_a_dead_engines_task_is_answered_with_its_name(controller):
    peer = controller()
    task = peer.connect(zmq.DEALER, peer.client["task"])
    engine = Engine(peer).open().beat()
    msg_id = submit(peer, task)
    engine.take()
    engine.die()
    _, _, parent, metadata, content = peer.receive(task)
    assert parent["msg_id"] == msg_id and content["ename"] == "EngineError"
    assert f"engine 0 ({engine.uuid})" in content["evalue"] and metadata["engine"] == engine.uuid


def test_retries_after_death_and_failure(controller):
    peer = controller()
    task = peer.connect(zmq.DEALER, peer.client["task"])
    first = Engine(peer).open().beat()
    msg_id = submit(peer, task, {"retries": 2})
    first.take()
    second = Engine(peer).open().beat()
    first.die()
    signatures = set()
    for status in ("error", "ok"):
        route, header, frames = second.take()
        assert frames == peer.signed(frames, peer.engine)
        signatures.add(framing.read(frames).signature)
        second.answer(route, header, status)
    assert len(signatures) == 2, "an engine accepts each signature once"
    _, _, parent, _, content = peer.receive(task)
    assert parent["msg_id"] == msg_id and content["status"] == "ok"


def test_unmet_dependencies_move_a_task(controller):
    peer = controller()
    task = peer.connect(zmq.DEALER, peer.client["task"])
    one, other = Engine(peer).open().beat(), Engine(peer).open().beat()
    submit(peer, task)
    first = wait_until(
        lambda: next((engine for engine in (one, other) if engine.shell.poll(0)), None), 20, "one gets it"
    )
    second = other if first is one else one
    route, header, _ = first.take()
    first.answer(route, header, "error", dependencies_met=False)
    route, header, _ = second.take()
    second.answer(route, header)
    assert peer.receive(task)[4]["status"] == "ok"
    submit(peer, task, {"targets": [one.uuid]})
    route, header, _ = one.take()
    one.answer(route, header, "error", dependencies_met=False)
    assert peer.receive(task)[4]["ename"] == "ImpossibleDependency"


@pytest.mark.parametrize(
    "metadata, ename",
    [
        ({"retries": -1}, "ValueError"),
        ({"retries": "x"}, "ValueError"),
        ({"timeout": -1}, "ValueError"),
        ({"targets": 5}, "ValueError"),
        ({"targets": [5]}, "ValueError"),
        ({"targets": ["nobody"]}, "ImpossibleDependency"),
        ({"after": ["x"]}, "InvalidDependency"),
        ({"follow": {"dependencies": ["x"]}}, "InvalidDependency"),
        ({"timeout": 0.2}, "TaskTimeout"),
    ],
)
def test_tasks_that_cannot_run_are_answered(controller, metadata, ename):
    peer = controller()
    task = peer.connect(zmq.DEALER, peer.client["task"])
    msg_id = submit(peer, task, metadata)
    _, _, parent, _, content = peer.receive(task)
    assert parent["msg_id"] == msg_id and content["ename"] == ename, content


def test_a_task_that_is_pending_is_not_taken_twice(controller):
    peer = controller()
    task = peer.connect(zmq.DEALER, peer.client["task"])
    msg_id = submit(peer, task)
    submit(peer, task, {"retries": 1}, msg_id=msg_id)
    assert "pending" in peer.receive(task)[4]["evalue"]


def test_a_vanished_client_leaves_nothing_behind(controller):
    peer = controller()
    engine = Engine(peer).open().beat()
    task = peer.connect(zmq.DEALER, peer.client["task"])
    submit(peer, task)
    route, header, _ = engine.take()
    task.close()
    time.sleep(0.2)
    engine.answer(route, header)
    query = peer.connect(zmq.DEALER, peer.client["registration"])
    wait_until(
        lambda: peer.ask(query, "queue_request", {"targets": None})[1]["0"]["tasks"] == 0, 10, "nothing is pending"
    )


# --- queries ------------------------------------------------------------------------------------------------------------------


def test_queues_and_loads(controller):
    peer = controller()
    query = peer.connect(zmq.DEALER, peer.client["registration"])
    task = peer.connect(zmq.DEALER, peer.client["task"])
    first = submit(peer, task)
    wait_until(lambda: peer.ask(query, "queue_request", {"targets": None})[1]["unassigned"] == 1, 10, "it waits")
    engine = Engine(peer).open().beat()
    second = submit(peer, task)
    route, header, _ = engine.take()
    content = {"targets": [0], "verbose": True}
    wait_until(lambda: peer.ask(query, "queue_request", content)[1]["unassigned"] == [second], 10, "one waits")
    assert peer.ask(query, "queue_request", content)[1]["0"] == {"queue": [], "tasks": [first], "completed": []}
    assert peer.ask(query, "load_request", {"targets": 0}) == ("load_reply", {"status": "ok", "0": 1})
    assert peer.ask(query, "result_request", {"msg_ids": [first]})[1]["pending"] == [first]
    engine.answer(route, header)
    wait_until(lambda: peer.ask(query, "queue_request", {"targets": 0})[1]["0"]["completed"] == 1, 10, "it is done")


def test_records_with_dictdb(controller):
    peer = controller("--dictdb", "--DictDB.record_limit=2")
    query = peer.connect(zmq.DEALER, peer.client["registration"])
    task = peer.connect(zmq.DEALER, peer.client["task"])
    engine = Engine(peer).open().beat()
    sent = []
    for _ in range(3):
        sent.append(submit(peer, task))
        route, header, _ = engine.take()
        engine.answer(route, header)
        peer.receive(task)
    wait_until(lambda: peer.ask(query, "history_request")[1]["history"] == sent[1:], 10, "the newest two are kept")
    reply = wait_until(
        lambda: (r := peer.ask(query, "result_request", {"msg_ids": sent[1:]})[1])["pending"] == [] and r,
        20,
        "their ends are recorded",
    )
    assert reply[sent[2]]["result_content"] == {"status": "ok"}
    kind, reply = peer.ask(query, "result_request", {"msg_ids": [sent[0]]})
    assert kind == "result_reply" and reply["status"] == "error" and reply["ename"] == "KeyError"
    assert peer.ask(query, "purge_request", {"msg_ids": [sent[1]]}) == ("purge_reply", {"status": "ok"})
    assert peer.ask(query, "purge_request", {"msg_ids": "all"}) == ("purge_reply", {"status": "ok"})
    assert peer.ask(query, "history_request")[1]["history"] == []


@pytest.mark.parametrize(
    "msg_type, content",
    [
        ("no_such_request", {}),
        ("", {}),
        ("queue_request", {"targets": [99]}),
        ("queue_request", {"targets": {}}),
        ("load_request", {"targets": "nobody"}),
        ("result_request", {}),
        ("result_request", {"msg_ids": [5]}),
        ("result_request", {"msg_ids": ["unknown"]}),
        ("unregistration_request", {}),
        ("unregistration_request", {"id": 99}),
        ("unregistration_request", {"id": "0"}),
        ("purge_request", {"msg_ids": 5}),
        ("purge_request", {"engine_ids": [9]}),
        ("connection_request", []),
        ("connection_request", "text"),
        ("history_request", {}),
        ("db_request", {}),
        ("db_request", {"query": {"msg_id": {"$near": 1}}}),
        ("db_request", {"query": [], "keys": 5}),
        ("db_request", {"query": {}, "keys": ["no_key"]}),
        ("db_request", {"query": {"$or": 5}}),
        ("resubmit_request", {"msg_ids": ["unknown"]}),
        ("resubmit_request", {}),
        ("become_dask_request", {}),
    ],
)
def test_nonsense_queries_are_answered(controller, msg_type, content):
    for arguments in [], ["--dictdb"]:
        peer = controller(*arguments, cluster_id="".join(arguments))
        query = peer.connect(zmq.DEALER, peer.client["registration"])
        kind, reply = peer.ask(query, msg_type, content)
        if arguments and (msg_type, content) in (("history_request", {}), ("db_request", {})):
            assert kind == msg_type.replace("request", "reply") and reply["status"] == "ok"
            continue
        assert kind in ("hub_error", msg_type.replace("request", "reply"))
        assert reply["status"] == "error" and reply["evalue"]
        assert peer.engines() == {}


ODD = (None, True, -1, 1 << 62, 1e308, "", "x", [], [[]], [5], {"x": {}})


@pytest.mark.parametrize("msg_type", sorted(ROLES))
def test_every_query_is_answered_whatever_its_content_has(controller, msg_type):
    peer = controller("--dictdb", "--HeartMonitor.max_heartmonitor_misses=100000")  # nobody answers pings meanwhile
    engine = Engine(peer).beat()
    role = "client" if ROLES[msg_type] == "CLIENT" else "engine"
    socket = peer.connect(zmq.DEALER, getattr(peer, role)["registration"])
    contents = [[], "text", 5, {}, *({name: value} for name in MEMBERS for value in ODD)]
    for content in contents[:3] if msg_type == "shutdown_request" else contents:
        kind, reply = peer.ask(socket, msg_type, content)
        if reply["status"] == "ok":
            assert kind == msg_type.replace("request", "reply") and isinstance(content, dict), content
        else:
            assert reply["status"] == "error" and reply["ename"] and reply["evalue"], content
    assert peer.engines() == {"0": engine.uuid}
    assert peer.counted(f'ipcluster_messages_accepted_total{{socket="hub",side="{role}",type="{msg_type}"}}')


def test_the_page_on_the_wire_has_a_row_of_every_query():
    page = (TOP / "docs/reference/wire.md").read_text()
    section = re.search(r"^## Questions to the hub\n(.*?)^## ", page, re.MULTILINE | re.DOTALL)[1]
    first_cells = re.findall(r"^\| (`[^|]*) \|", section, re.MULTILINE)
    told = {name for cell in first_cells for name in re.findall(r"\w+", cell)}
    assert (
        set(ROLES) <= told
    ), "give each a row in docs/reference/wire.md, below 'Questions to the hub': what it asks, and what is answered"
    assert told <= set(ROLES), "docs/reference/wire.md tells of queries that are not in the table of hub_queries.c"


def test_a_client_can_shut_it_down(controller):
    peer = controller()
    query = peer.connect(zmq.DEALER, peer.client["registration"])
    assert peer.ask(query, "shutdown_request") == ("shutdown_reply", {"status": "ok"})
    assert peer.process.wait() == 0
    assert not peer.client_file.exists()
