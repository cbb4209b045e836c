"""What the hub records of requests, in each store: queries, purges, resubmission, restarts, and stores that are slow or full."""

import contextlib
import json
import shlex
import signal
import sqlite3
import subprocess
from datetime import datetime, timedelta, timezone

import pytest
import zmq

import framing
from controller_peer import Engine, Peer, pack, submit
from support import TOP, wait_for_commit, wait_until

STORES = ["dictdb", "sqlitedb"]


class Records:
    """A controller that keeps records, with one engine and a client."""

    def __init__(self, peer):
        self.peer = peer
        self.query = peer.connect(zmq.DEALER, peer.client["registration"])
        self.task = peer.connect(zmq.DEALER, peer.client["task"])
        self.mux = peer.connect(zmq.DEALER, peer.client["mux"])
        self.engine = Engine(peer).open().beat()

    def ask(self, msg_type, **content):
        """The reply's content, with its frames as "buffers"."""
        frames, _ = self.peer.message(msg_type + "_request", content)
        self.query.send_multipart(frames)
        reply = self.peer.receive_message(self.query)
        assert json.loads(reply.header)["msg_type"] == msg_type + "_reply"
        return {**json.loads(reply.content), "buffers": reply.buffers}

    def submit(self, msg_type="apply_request", content=None, metadata=None, buffers=(), date=None):
        """A task that an engine may take; returns its msg_id."""
        header = {
            "msg_id": f"m{self.peer.count}-{id(self)}",
            "msg_type": msg_type,
            "username": "test",
            "session": "the-client",
            "date": date or datetime.now(timezone.utc).isoformat(),
            "version": "5.3",
        }
        self.peer.count += 1
        frames = framing.make(
            header=pack(header),
            parent=b"{}",
            metadata=pack(metadata or {}),
            content=pack(content or {}),
            buffers=buffers,
        )
        self.task.send_multipart(self.peer.signed(frames))
        return header["msg_id"]

    def answer(self, content=None, buffers=(), socket=None):
        """Lets the engine answer its next request; returns the request's frames."""
        route, header, request = self.engine.take()
        metadata = {
            "status": "ok",
            "engine": self.engine.uuid,
            "dependencies_met": True,
            "started": "2026-02-03T04:05:06.700000+01:00",
        }
        frames, _ = self.peer.message(
            "apply_reply", content or {"status": "ok"}, metadata, parent=header, buffers=buffers
        )
        self.engine.shell.send_multipart([*route, *frames])
        self.peer.receive(socket or self.task)
        return request

    def run(self, **request):
        """A task that is answered and recorded; returns its msg_id."""
        msg_id = self.submit(**request)
        self.answer()
        self.wait_for(msg_id)
        return msg_id

    def wait_for(self, msg_id):
        wait_until(
            lambda: msg_id in self.ask("result", msg_ids=[msg_id], status_only=True).get("completed", ()),
            20,
            "the result is recorded",
        )

    def wait_for_commit(self, folder=None):
        folder = folder or self.peer.client_file.parent.parent
        wait_for_commit(folder / "tasks.db", self.found({}, ["completed", "engine_uuid"]))

    def found(self, query, keys=None):
        answer = self.ask("db", query=query, keys=keys)
        assert answer["status"] == "ok", answer
        return answer["records"]

    def ids(self, query):
        return [record["msg_id"] for record in self.found(query, ["msg_id"])]


@pytest.fixture(params=STORES)
def records(request, controller):
    return Records(controller(f"--{request.param}"))


def test_a_result_is_found_with_its_buffers_and_what_it_printed(records):
    published = records.peer.connect(zmq.PUB, records.peer.engine["iopub"])
    msg_id = records.submit(metadata={"x": 1})
    wait_until(lambda: records.ask("queue")["0"]["tasks"] == 1, 20, "the task is assigned")
    assert records.ask("result", msg_ids=[msg_id]) == {
        "status": "ok",
        "pending": [msg_id],
        "completed": [],
        "buffers": [],
    }
    route, header, _ = records.engine.take()

    def printed():
        for name in "stdout", "stderr":
            frames, _ = records.peer.message("stream", {"name": name, "text": name + "!"}, parent=header)
            published.send_multipart([b"engine.0.stream", *frames])
        found = records.found({"msg_id": msg_id}, ["stdout", "stderr"])
        return found and found[0]["stdout"] and found[0]["stderr"]

    wait_until(printed, 20, "output is recorded")
    frames, _ = records.peer.message(
        "apply_reply",
        {"status": "ok"},
        {"engine": records.engine.uuid, "status": "ok"},
        parent=header,
        buffers=[b"one", b"\0two"],
    )
    records.engine.shell.send_multipart([*route, *frames])
    records.wait_for(msg_id)
    answer = records.ask("result", msg_ids=[msg_id, msg_id])
    assert answer["completed"] == [msg_id] and answer["pending"] == [] and answer["buffers"] == [b"one", b"\0two"]
    result = answer[msg_id]
    assert result["header"]["msg_id"] == msg_id and result["metadata"] == {"x": 1}
    assert result["result_content"] == {"status": "ok"} and result["result_header"]["msg_type"] == "apply_reply"
    assert set(result["io"]["stdout"]) == set("stdout!") and "stderr!" in result["io"]["stderr"]
    assert result["received"]


def test_a_record_has_ipyparallels_keys_and_only_what_is_asked_for(records):
    msg_id = records.submit(
        content={"code": 5}, metadata={"label": "mine"}, buffers=[b"in"], date="2026-02-03T04:05:06+01:00"
    )
    records.answer(buffers=[b"out", b""])
    records.wait_for(msg_id)
    (record,) = records.found({})
    assert set(record) == {
        "msg_id",
        "header",
        "metadata",
        "content",
        "submitted",
        "client_uuid",
        "engine_uuid",
        "started",
        "completed",
        "resubmitted",
        "received",
        "result_header",
        "result_metadata",
        "result_content",
        "queue",
        "execute_input",
        "execute_result",
        "error",
        "stdout",
        "stderr",
        "label",
    }
    assert record["submitted"] == "2026-02-03T03:05:06.000000Z" and record["started"] == "2026-02-03T03:05:06.700000Z"
    assert record["client_uuid"] == "the-client" and record["engine_uuid"] == records.engine.uuid
    assert record["queue"] == "task" and record["content"] == {"code": 5} and record["stdout"] == ""
    assert records.found({}, ["queue"]) == [{"msg_id": msg_id, "queue": "task"}]
    assert records.ids({"label": "mine"}) == [msg_id] and records.ids({"label": None}) == []
    answer = records.ask("db", query={}, keys=["result_buffers", "buffers"])
    assert answer["records"] == [{"msg_id": msg_id}]
    assert answer["buffer_lens"] == [1] and answer["result_buffer_lens"] == [2]
    assert answer["buffers"] == [b"in", b"out", b""]
    # Dates are compared as times, however they are written.
    assert records.ids({"submitted": "2026-02-02T22:05:06.0-05:00"}) == [msg_id]
    assert records.ids({"submitted": {"$gt": "2026-02-03T03:05:05Z", "$lt": "2026-02-03T04:05:06.5+01:00"}}) == [msg_id]
    assert records.ids({"$or": [{"submitted": {"$in": ["2026-02-03T03:05:06Z"]}}]}) == [msg_id]


def test_history_is_in_the_order_of_submission(records):
    now = datetime.now(timezone.utc)
    sent = {minutes: records.run(date=(now + timedelta(minutes=minutes)).isoformat()) for minutes in (3, 1, 2)}
    assert records.ask("history")["history"] == [sent[1], sent[2], sent[3]]


def test_purges(records):
    ids = [records.run() for _ in range(4)]
    pending = records.submit()
    wait_until(lambda: records.ask("queue")["0"]["tasks"] == 1, 20, "the task is assigned")
    assert records.ask("purge", msg_ids=[pending])["ename"] == "IndexError"
    assert records.ask("purge", msg_ids=[ids[0], "unknown"], engine_ids=[])["status"] == "ok"
    assert records.ask("history")["history"] == ids[1:] + [pending]
    assert records.ask("purge", msg_ids=[], engine_ids=[99])["ename"] == "IndexError"
    assert records.ask("purge", msg_ids=[], engine_ids=[0])["status"] == "ok"
    assert records.ask("history")["history"] == [pending]
    records.answer()
    records.wait_for(pending)
    assert records.ask("purge", msg_ids="all")["status"] == "ok"
    assert records.ask("history")["history"] == []
    gone = records.ask("result", msg_ids=[pending])
    assert gone["status"] == "error" and gone["ename"] == "KeyError" and pending in gone["evalue"]


def test_queue_status_lists_what_is_completed(records):
    done = [records.run() for _ in range(2)]
    pending = records.submit()
    records.engine.take()
    wait_until(lambda: records.ask("queue")["0"]["tasks"] == 1, 20, "the task is assigned")
    assert records.ask("queue", verbose=True) == {
        "status": "ok",
        "unassigned": [],
        "buffers": [],
        "0": {"queue": [], "tasks": [pending], "completed": done},
    }
    assert records.ask("queue")["0"] == {"queue": 0, "tasks": 1, "completed": 2}


def test_nobody_takes_the_hubs_place_where_tasks_are_submitted_again(records):
    msg_id = records.run()
    thief = records.peer.connect(zmq.DEALER, records.peer.client["task"], b"tasks")
    submit(records.peer, thief)
    records.answer(socket=thief)
    again = records.ask("resubmit", msg_ids=[msg_id])["resubmitted"][msg_id]
    route, header, _ = records.engine.take()
    assert json.loads(header)["msg_id"] == again
    records.engine.answer(route, header)
    records.wait_for(again)


def test_a_task_is_submitted_again_under_a_new_id(records):
    msg_id = records.submit(content={"n": 1}, metadata={"retries": 1}, buffers=[b"call", b"args"])
    first = records.answer(buffers=[b"first"])
    records.wait_for(msg_id)
    mapping = records.ask("resubmit", msg_ids=[msg_id])["resubmitted"]
    assert list(mapping) == [msg_id]
    new_id = mapping[msg_id]
    assert new_id != msg_id and records.ask("result", msg_ids=[new_id])["pending"] == [new_id]
    route, header, frames = records.engine.take()
    request, before = framing.read(frames), framing.read(first)
    again, original = json.loads(header), json.loads(before.header)
    assert again.pop("msg_id") == new_id and again.pop("date") != original.pop("date")
    original.pop("msg_id")
    assert again == original
    assert frames == records.peer.signed(frames, records.peer.engine)
    assert json.loads(request.content) == {"n": 1} and json.loads(request.metadata) == {}
    assert request.buffers == before.buffers == [b"call", b"args"]
    frames, _ = records.peer.message(
        "apply_reply",
        {"status": "ok"},
        {"engine": records.engine.uuid, "status": "ok"},
        parent=header,
        buffers=[b"second"],
    )
    records.engine.shell.send_multipart([*route, *frames])
    records.wait_for(new_id)
    answer = records.ask("result", msg_ids=[msg_id, new_id])
    assert sorted(answer["buffers"]) == [b"first", b"second"]
    assert records.found({"msg_id": msg_id}, ["resubmitted"])[0]["resubmitted"] == new_id
    assert records.ask("history")["history"] == [msg_id, new_id]
    assert records.ask("resubmit", msg_ids=[msg_id, "unknown"])["ename"] == "KeyError"
    assert not records.engine.shell.poll(200)


def test_an_engine_that_dies_completes_its_requests_with_an_error(records):
    frames, msg_id = records.peer.message("apply_request")
    records.mux.send_multipart([records.engine.uuid.encode(), *frames])
    records.engine.take()
    records.engine.die()
    records.wait_for(msg_id)
    result = records.ask("result", msg_ids=[msg_id])[msg_id]
    assert (
        result["result_content"]["ename"] == "EngineError" and records.engine.uuid in result["result_content"]["evalue"]
    )
    assert result["header"]["msg_id"] == msg_id


def test_others_are_answered_while_many_records_are_purged(controller, sandbox):
    before = Records(controller("--sqlitedb"))
    before.run()
    before.peer.process.stop()
    database = sqlite3.connect(sandbox.profile_dir() / "tasks.db")
    database.execute(
        """WITH RECURSIVE count(n) AS (SELECT 1 UNION SELECT n + 1 FROM count WHERE n < 30000)
        INSERT INTO "ipython-tasks" (msg_id, submitted, completed, received, queue, bytes, output)
        SELECT 'old-' || n, '2026-01-01', '2026-01-01', '2026-01-01', 'task', 600, 0 FROM count"""
    )
    database.execute('UPDATE "ipython-tasks-totals" SET records = 30001')
    database.commit()
    database.close()
    records = Records(controller("--sqlitedb"))
    assert len(records.ids({"queue": "task"})) == 30001
    pending = records.submit()
    wait_until(lambda: records.ask("queue")["0"]["tasks"] == 1, 20, "the task is assigned")
    sent = [
        records.peer.message("purge_request", {"msg_ids": "all"}),
        records.peer.message("result_request", {"msg_ids": [pending]}),
        records.peer.message("db_request", {"query": {"msg_id": pending}, "keys": ["queue"]}),
    ]
    for frames, _ in sent:
        records.query.send_multipart(frames)
    answers = [records.peer.receive(records.query, 60) for _ in sent]
    assert [header["msg_type"] for _, header, _, _, _ in answers] == ["result_reply", "db_reply", "purge_reply"]
    assert answers[0][4]["pending"] == [pending]
    assert answers[1][4]["records"] == [{"msg_id": pending, "queue": "task"}]
    assert answers[2][4] == {"status": "ok"}
    assert records.ask("history")["history"] == [pending]
    records.answer()
    records.wait_for(pending)


# --- stores that outlive the controller --------------------------------------------------------------------------------------------


def test_records_outlive_a_controller_that_is_killed(controller, sandbox):
    before = Records(controller("--sqlitedb"))
    done = before.submit(content={"n": 1}, buffers=[b"in"])
    before.answer(buffers=[b"result"])
    before.wait_for(done)
    unfinished = before.submit()
    before.engine.take()
    wait_until(lambda: before.found({"msg_id": unfinished, "engine_uuid": before.engine.uuid}), 20, "it is recorded")
    file = sandbox.profile_dir() / "tasks.db"
    assert file.stat().st_mode & 0o777 == 0o600
    before.wait_for_commit()
    before.peer.process.stop(signal.SIGKILL)
    for name in "client", "engine":
        (before.peer.client_file.parent / f"ipcontroller-{name}.json").unlink()
    before.engine.die()
    after = Records(controller("--IPController.db_class=ipyparallel.controller.sqlitedb.SQLiteDB"))
    assert after.ask("history")["history"][:2] == [done, unfinished]
    answer = after.ask("result", msg_ids=[done])
    assert answer[done]["result_content"] == {"status": "ok"} and answer["buffers"] == [b"result"]
    lost = after.ask("result", msg_ids=[unfinished])[unfinished]["result_content"]
    assert lost["ename"] == "EngineError" and "the controller ended" in lost["evalue"]
    again = after.ask("resubmit", msg_ids=[done])["resubmitted"][done]
    _, header, request = after.engine.take()
    assert json.loads(header)["msg_id"] == again and request[-1] == b"in"
    after.peer.process.stop()
    # It ends properly: the file is whole, and other programs can read it.
    database = sqlite3.connect(file)
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    assert (again,) in database.execute('SELECT msg_id FROM "ipython-tasks"').fetchall()
    database.close()


def test_a_record_whose_id_is_no_text_hides_no_other_from_the_next_controller(controller):
    peer = controller("--sqlitedb", "--reuse")
    file = peer.client_file.parent.parent / "tasks.db"
    task = peer.connect(zmq.DEALER, peer.client["task"], identity=b"test")  # the session in what it sends
    bad, good = submit(peer, task), submit(peer, task)
    wait_for_commit(file, [{"msg_id": bad}, {"msg_id": good}])
    peer.process.stop(signal.SIGKILL)
    with contextlib.closing(sqlite3.connect(file)) as database, database:
        database.execute("""UPDATE "ipython-tasks" SET msg_id = CAST(x'ff' AS TEXT) WHERE msg_id = ?""", [bad])
    peer.process = controller("--sqlitedb", "--restore").process
    peer.process.wait_for_output("1 tasks that waited in the previous controller go on")
    engine = Engine(peer).open().beat()
    route, header, _ = engine.take()
    assert json.loads(header)["msg_id"] == good
    engine.answer(route, header)
    assert peer.receive(task)[2]["msg_id"] == good


def test_what_a_surviving_engine_still_runs_is_pending_after_a_restart(new_cluster):
    cluster = new_cluster(1, controller=["--reuse", "--sqlitedb"])
    client = cluster.client()
    flag = cluster.sandbox.dir / "go"
    cell = f"import os, time\nwhile not os.path.exists({str(flag)!r}): time.sleep(0.02)\nanswer = 42"
    client[0].execute(cell)
    peer = Peer(cluster.profile_dir)
    query = peer.connect(zmq.DEALER, peer.client["registration"])

    def the_id():
        found = peer.ask(
            query, "db_request", {"query": {"content.x": None, "completed": None}, "keys": ["engine_uuid"]}
        )
        return [r["msg_id"] for r in found[1]["records"] if r["engine_uuid"]]

    (msg_id,) = wait_until(the_id, 20, "the request is recorded")
    cluster.controller.stop(signal.SIGTERM)
    cluster.start_controller("--restore", "--sqlitedb")
    query = peer.connect(zmq.DEALER, peer.client["registration"])
    assert peer.ask(query, "result_request", {"msg_ids": [msg_id]})[1]["pending"] == [msg_id]
    cluster.engines[0].wait_for_output("registered again")
    assert peer.ask(query, "result_request", {"msg_ids": [msg_id]})[1]["pending"] == [msg_id]
    flag.touch()

    def completed():
        return peer.ask(query, "result_request", {"msg_ids": [msg_id]})[1]["completed"] == [msg_id]

    wait_until(completed, 20, "the engine's result is recorded")
    assert peer.ask(query, "result_request", {"msg_ids": [msg_id]})[1][msg_id]["result_content"]["status"] == "ok"
    peer.close()


def test_a_second_controller_does_not_take_the_file_of_the_first(controller, sandbox):
    controller("--sqlitedb", "--SQLiteDB.filename=shared.db")
    finished = sandbox.run(
        sandbox.programs.ipcontroller, "--cluster-id=b", "--sqlitedb", "--SQLiteDB.filename=shared.db"
    )
    assert (
        finished.status == 1
        and "shared.db: cannot be opened" in finished.err
        and "it is in use by another" in finished.err
    )
    # Without that name each cluster of a profile has its own.
    controller("--sqlitedb", cluster_id="c")
    assert (sandbox.profile_dir() / "tasks-c.db").exists()
    finished = sandbox.run(
        sandbox.programs.ipcontroller, "--cluster-id=d", "--sqlitedb", "--SQLiteDB.location=/nowhere"
    )
    assert finished.status == 1 and "/nowhere/tasks-d.db cannot be written" in finished.err


def test_limits_hold_for_the_file(controller):
    records = Records(controller("--sqlitedb", "--SQLiteDB.record_limit=3"))
    ids = [records.run() for _ in range(6)]
    wait_until(lambda: records.ask("history")["history"] == ids[3:], 20, "the newest three are kept")


# --- stores that are slow or full --------------------------------------------------------------------------------------------------


@pytest.fixture
def stuck(sandbox, controller, build):
    """stuck(*arguments): a controller whose store waits for the file `.go`."""
    folder = sandbox.dir / "plugins/stores"
    folder.mkdir(parents=True, mode=0o700)
    flags = subprocess.run(
        ["pkg-config", "--cflags", "--libs", "jansson"], capture_output=True, text=True, check=True
    ).stdout
    subprocess.run(
        [
            "gcc",
            "-shared",
            "-fPIC",
            "-O1",
            "-o",
            folder / "stuck.so",
            TOP / "tests/session/stuck_store.c",
            f"-I{TOP}/core/include",
            *shlex.split(flags),
            "-ldl",
        ],
        check=True,
    )
    (folder / "stuck.so").chmod(0o700)

    def start(*arguments):
        go = sandbox.dir / "go"
        sandbox.env.update(
            IPCLUSTER_PLUGIN_PATH=str(folder.parent),
            STUCK_STORE_GO=str(go),
            MEMORY_STORE=str(build / "plugins/stores/.libs/memory.so"),
        )
        records = Records(controller("--IPController.db_class=stuck", *arguments))
        records.go = go
        return records

    return start


def test_no_message_waits_for_a_store(stuck):
    records = stuck()
    ids = []
    for _ in range(300):
        ids.append(submit(records.peer, records.task))
        records.answer()
    wait_until(lambda: records.ask("queue")["0"]["completed"] == 300, 20, "the hub has heard of all")
    assert Engine(records.peer).beat().id == 1
    assert records.ask("load")["1"] == 0
    frames, _ = records.peer.message("history_request")
    records.query.send_multipart(frames)
    assert not records.query.poll(300), "the records' thread waits for the store"
    records.go.touch()
    assert len(records.peer.receive(records.query, 30)[4]["history"]) == 300
    answer = records.ask("result", msg_ids=[ids[0], ids[299]])
    assert answer["completed"] == sorted([ids[0], ids[299]])


def test_what_waits_for_a_store_is_bounded(stuck):
    records = stuck("--IPController.records_backlog=1000000")
    ids = []
    for _ in range(40):
        ids.append(records.submit(buffers=[bytes(100000)]))
        records.answer()
    records.peer.process.wait_for_output("the store is too slow, and")
    records.go.touch()
    kept = wait_until(
        lambda: [m for m in ids if m in records.ids({"completed": {"$ne": None}})], 30, "the store goes on"
    )
    assert ids[0] in kept
    kinds = set()
    for msg_id in ids:
        answer = records.ask("result", msg_ids=[msg_id])
        kinds.add(answer[msg_id]["result_content"]["status"] if msg_id in answer else answer["ename"])
    # Some records are whole, some only say that the task was answered, and some are missing. None is pending for ever.
    assert "ok" in kinds and "error" in kinds and kinds <= {"ok", "error", "KeyError"}
    # What comes now is recorded again.
    assert records.ask("db", query={"msg_id": records.run()}, keys=["queue"])["records"][0]["queue"] == "task"


def test_a_full_disk_loses_records_and_nothing_else(sandbox):
    process = sandbox.start("/usr/bin/prlimit", "--fsize=400000", sandbox.programs.ipcontroller, "--sqlitedb")
    security = sandbox.profile_dir() / "security"
    wait_until(
        lambda: (security / "ipcontroller-engine.json").exists() and (security / "ipcontroller-client.json").exists(),
        20,
        "the connection files are there",
    )
    peer = Peer(sandbox.profile_dir())
    records = Records(peer)
    first = records.run()
    records.wait_for_commit()
    for _ in range(20):
        records.submit(buffers=[bytes(50000)])
        records.answer()
    process.wait_for_output("changes of records are lost")
    assert first in records.ask("history")["history"]
    small = records.submit()
    records.answer()
    wait_until(lambda: records.ask("queue")["0"]["completed"] == 22, 20, "the hub has heard of all")
    assert small and process.stop() == 0
    peer.close()
