"""Seeds of the fuzzers that read messages, packed by `pack`, and of the threads that messages come to.

An input is frames with FF FE between them, and for threads messages with FF FD between them, each behind a byte that says how it comes
(module.h, fuzz_engine.c, fuzz_frontends.c, fuzz_watch.c).
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import framing
from hub_queries import ROLES

FRAME, MESSAGE = b"\xff\xfe", b"\xff\xfd"
DATE = "2026-11-28T10:00:00.000000Z"


def header(msg_id, msg_type):
    return {"msg_id": msg_id, "msg_type": msg_type, "session": "s", "username": "u", "date": DATE, "version": "5.3"}


def message(
    pack,
    msg_type,
    content=None,
    metadata=None,
    parent=None,
    identities=(b"c",),
    msg_id="s_1",
    buffers=(),
    signature=b"",
):
    parts = {
        "header": header(msg_id, msg_type),
        "parent": parent or {},
        "metadata": metadata or {},
        "content": content or {},
    }
    packed = {name: pack(part) for name, part in parts.items()}
    frames = framing.make(identities, buffers, signature=signature, **packed)
    return FRAME.join(b"D" if frame == framing.DELIMITER else frame for frame in frames)


def thread(bits, *events):
    """An input for a thread: what comes by which socket, in order."""
    return bytes([bits]) + MESSAGE.join(bytes([how]) + what for how, what in events)


# How an event comes, by module.h.
def socket(index):
    return index % 5 | index // 5 << 3


def later(steps):
    return (5 | steps << 3, b"x")


def gone(engine):
    return (6 | engine << 3, b"x")


def there(engine):
    return (7 | engine << 3, b"x")


def abort(bits, pack):
    for name, ids in {"one": "m1", "list": ["m1", "m2"], "all": [], "none": None, "wrong": [1]}.items():
        yield name, bytes([bits]) + message(pack, "abort_request", {"msg_ids": ids})


def broadcast(bits, pack):
    for coalescing in (False, True):
        flags = {"is_coalescing": coalescing, "is_broadcast": True}
        targets = {**flags, "targets": [["e0", 0], ["e1", 1], ["e9", 9]]}

        def reply(engine, status="ok"):
            return message(
                pack,
                "apply_reply",
                {"status": status, "ename": "E", "evalue": "v", "traceback": ["t"]},
                flags,
                {"msg_id": f"s_1_{engine}", "session": "s"},
                (engine.encode(), b"c"),
                "r" + engine,
                (b"a", b"b"),
            )

        request = message(pack, "apply_request", {}, targets, buffers=(b"x",))
        yield f"coalescing-{coalescing}", thread(
            bits,
            (1, request),
            (0, reply("e0")),
            (0, reply("e1", "error")),
            gone(1),
            later(2),
            there(3),
            (0x81, message(pack, "apply_request", {}, targets, msg_id="2")),
        )


def client(bits, pack):
    """Of a client that has submitted one request of each kind, see fuzz_client.c."""
    session = "00000000-0000-4000-8000-0000000000c0"

    def reply(number, how, msg_type="execute_reply", content=None, metadata=None, suffix=""):
        parent = {**header(f"{session}_{number:012x}{suffix}", "execute_request"), "session": session}
        return how, message(
            pack,
            msg_type,
            content or {"status": "ok"},
            metadata,
            parent,
            (b"e0",),
            f"r{number}{msg_type}{suffix}",
            (b"x",),
        )

    def acts(what):
        return 7 | what << 3, b"x"

    failed = {"status": "error", "ename": "E", "evalue": "v", "traceback": ["t"]}
    yield "replies", thread(
        bits,
        reply(0, 3, metadata={"engine": "e0", "output": 2}),
        reply(0, 2, "stream", {"name": "stdout", "text": "x"}),
        reply(1, 4, content=failed),
        reply(2, 5),
        reply(3, 6, suffix="_e0"),
        reply(3, 6, content={"results": []}),
        acts(6),
    )
    yield "engines", thread(
        bits,
        (1, message(pack, "registration_notification", {"id": 3, "uuid": "e3", "info": {"host": "h"}})),
        (1, message(pack, "unregistration_notification", {"id": 0, "uuid": "e0", "reason": "died"}, msg_id="2")),
        acts(5),
        acts(6),
        reply(4, 0, "connection_reply", {"status": "ok", "engines": {"1": "e1"}, "engine_info": {}}),
        (1, message(pack, "shutdown_notification", {"status": "ok"}, msg_id="3")),
    )
    yield "fetches", thread(
        bits,
        acts(4),
        reply(4, 0, "result_reply", {"status": "ok", "pending": [], "completed": [f"{session}_{0:012x}"]}),
        acts(6),
    )


def direct(bits, pack):
    to_engine = (b"c", b"e0")
    yield "requests", thread(
        bits,
        (1, message(pack, "execute_request", {"code": "1"}, identities=to_engine)),
        (1, message(pack, "apply_request", identities=(b"c", b"nobody"), msg_id="2")),
        (
            0,
            message(
                pack,
                "execute_reply",
                {"status": "ok"},
                parent=header("s_1", "execute_request"),
                identities=(b"e0", b"c"),
                msg_id="r",
            ),
        ),
        (0x81, message(pack, "execute_request", identities=(b"c", b"e1"), msg_id="3")),
        later(1),
        gone(1),
        there(1),
        (0, message(pack, "x", identities=(b"e9", b"c"), msg_id="4")),
    )


def engine(bits, pack):
    ids = (b"r", b"c")

    def request(msg_type, content=None, msg_id="1", how=3):
        return how, message(pack, msg_type, content, identities=ids, msg_id=msg_id)

    def registered(content):
        return 0, message(pack, "registration_reply", content, identities=())

    job_done, job_failed = (6 | 13 << 3, b"x"), (6 | 3 << 3, b"x")
    yield "requests", thread(
        bits | 2,
        request("execute_request", {"code": "1"}, "1", 2),
        request("apply_request", None, "2", 2),
        request("abort_request", {"msg_ids": ["2", "zz"]}, "3"),
        job_failed,
        request("clear_request", None, "4"),
        request("kernel_info_request", None, "5"),
        request("connect_request", None, "6"),
        request("usage_request", None, "7"),
        request("stats_request", None, "8"),
        request("trace_request", {"on": True}, "12"),
        request("signal_request", {"sig": "SIGUSR1"}, "8"),
        request("debug_request", None, "10"),
        request("comm_msg", None, "11", 2),
        (4, b"\x01status.3"),
        request("interrupt_request", None, "12"),
        request("shutdown_request", {"restart": True}, "13"),
        job_done,
    )
    yield "registration", thread(
        bits,
        registered({"status": "ok", "id": 3, "hb_period": 3000}),
        request("execute_request", {"code": "1"}, "1", 2),
        job_done,
        (1, b"\x00\x02\x00\x00\x00\x00"),
        (1, b"\x00\x10\x00\x00\x00\x00"),
        (7, b"x"),
        registered({"status": "ok", "id": 5, "hb_period": 1}),
        (5, b"1.5"),
    )
    yield "refused", thread(
        bits, registered({"status": "error", "ename": "KeyError", "evalue": "in use"}), (7 | 15 << 3, b"x")
    )
    by_scheduler = (b"task", b"c")
    tasks = [(2, message(pack, "apply_request", identities=by_scheduler, msg_id=number)) for number in "123"]
    recall = message(
        pack,
        "recall_request",
        {"life": "0" * 32, "tasks": {"1": 0, "2": 7, "9": 0}},
        identities=by_scheduler,
        msg_id="4",
    )
    yield "recall", thread(bits | 2, *tasks, job_done, (2, recall), job_done)


def frontends(bits, pack):
    """Of an engine at which bind_kernel() was called; what frontends send is JSON."""
    if bits:
        return
    request, shell, control, stdin, heartbeat, iopub, done, asks = (
        {"identities": (b"f",)},
        0,
        1,
        2,
        3,
        4,
        (6 | 1 << 3, b"x"),
        (7, b"x"),
    )
    yield "questions", thread(
        bits,
        (iopub, b"\x01status."),
        (shell, message(pack, "execute_request", {"code": "input()", "allow_stdin": True}, **request)),
        asks,
        (stdin, message(pack, "input_reply", {"value": "v"}, identities=(b"g",), msg_id="2")),
        (stdin, message(pack, "input_reply", {"value": "v"}, msg_id="3", **request)),
        done,
        asks,
        (heartbeat, FRAME.join([b"f", b"ping"])),
        (iopub, b"\x00status."),
    )
    yield "requests", thread(
        bits,
        (5, message(pack, "execute_request", {"code": "1"}, identities=(b"r", b"c"))),
        asks,
        done,
        (shell, message(pack, "kernel_info_request", **request)),
        (control, message(pack, "connect_request", msg_id="2", **request)),
        (shell, message(pack, "complete_request", {"code": "a", "cursor_pos": 1}, msg_id="3", **request)),
        done,
        (shell, message(pack, "comm_msg", {"comm_id": "a"}, msg_id="4", **request)),
        done,
        (control, message(pack, "debug_request", msg_id="5", **request)),
        (0x81, message(pack, "interrupt_request", msg_id="6", **request)),
        (control, message(pack, "shutdown_request", {"restart": False}, msg_id="7", **request)),
    )


def heart(bits, pack):
    if bits:
        return
    yield "pongs", thread(
        bits,
        (1, FRAME.join([b"e0", b"0.001"])),
        (1, FRAME.join([b"e1", b"nan"])),
        (2, b"\x01"),
        later(1),
        (0, b"\x00\x02\x05\x00\x00\x00"),
        gone(1),
        there(3),
        (2, b"\x01engine."),
        later(12),
    )


def registration(pack, engine):
    return message(
        pack,
        "registration_request",
        {
            "uuid": engine,
            "id": 0,
            "pending": ["a", "b"],
            "watched": True,
            "info": {"host": "h", "pid": 5, "engine_set": "s", "job": "S job 1"},
        },
    )


# Contents for the queries that do more if they have one.
CONTENTS = {
    "connection_request": {"connections": 8, "explains": ["s"]},
    "queue_request": {"targets": [0], "verbose": True},
    "load_request": {"targets": "e0"},
    "result_request": {"msg_ids": ["x"], "status_only": False},
    "purge_request": {"msg_ids": "all", "engine_ids": [0]},
    "db_request": {"query": {}, "keys": ["msg_id"]},
    "resubmit_request": {"msg_ids": ["x"]},
    "explain_request": {"engine_set": "s", "all": True, "reason": "it was cancelled", "blameless": True},
    "trace_request": {"on": True},
    "registration_request": {"uuid": "e1"},
}


def query(pack, msg_type, content=None):
    return 0, message(pack, msg_type, content or CONTENTS.get(msg_type), msg_id=msg_type)


def hub(bits, pack):
    last = "shutdown_request"
    left = {"id": 0, "uuid": "e0", "died": True, "cause": "signal", "reason": "killed"}
    for settings in (0, 2, 4):
        pong = socket(5 if settings & 2 else 4), FRAME.join([b"e0", b"0.001"])
        yield f"queries-{settings}", thread(
            bits | settings,
            (1, registration(pack, "e0")),
            pong,
            *(query(pack, name) for name in ROLES if name != last),
            (2, b"\x01"),
            (1, message(pack, last, msg_id="not an engine's")),
            later(4),
            (1, message(pack, "unregistration_request", left, msg_id="e0's")),
            *(query(pack, name) for name in ("explain_request", "departed_request", last)),
            later(12),
        )


def iopub(bits, pack):
    output = message(
        pack,
        "stream",
        {"name": "stdout", "text": "x"},
        parent=header("a", "execute_request"),
        identities=(b"engine.0.stdout",),
    )
    yield "output", thread(bits, (0, b"\x01engine."), (1, output), (0, b"\x00engine."), (0, b"\x02x"))


def records(bits, pack):
    """Sockets by fuzz_records.c: the hub's queries 0 and registration 1, the heart's pongs 5, the direct scheduler's 7 and 8, the task
    scheduler's 9 and 10."""
    request = message(pack, "execute_request", {"code": "1"}, identities=(b"c", b"e0"), msg_id="t1", buffers=(b"buf",))
    task = message(pack, "apply_request", {}, {"label": "l"}, msg_id="t2", buffers=(b"p" * 300,))

    def reply(to):
        return message(
            pack,
            "execute_reply",
            {"status": "ok"},
            {"engine": "e0", "started": DATE, "status": "ok"},
            header(to, "x_request"),
            (b"e0", b"c"),
            "r" + to,
            (b"r",),
        )

    yield "queries", thread(
        bits,
        (1, registration(pack, "e0")),
        (socket(5), FRAME.join([b"e0", b"0.001"])),
        (socket(8), request),
        (socket(7), reply("t1")),
        (socket(10), task),
        (socket(9), reply("t2")),
        query(pack, "result_request", {"msg_ids": ["t1", "zz"], "status_only": False}),
        query(pack, "history_request"),
        query(
            pack, "db_request", {"query": {"completed": {"$ne": None}}, "keys": ["buffers", "result_buffers", "header"]}
        ),
        query(pack, "resubmit_request", {"msg_ids": ["t1"]}),
        query(pack, "queue_request", {"verbose": True}),
        query(pack, "purge_request", {"msg_ids": ["t1"], "engine_ids": []}),
        later(2),
    )


def task(bits, pack):
    dependent = {
        "targets": ["e0", "e1"],
        "retries": 3,
        "timeout": 1.5,
        "follow": ["2"],
        "after": {"dependencies": ["1"], "all": True, "success": False, "failure": True},
    }

    def submit(number, metadata=None, how=1):
        return how, message(pack, "apply_request", {}, metadata, msg_id=str(number), buffers=(b"p" * 300,))

    def reply(number, engine=b"e0", metadata=None):
        return 0, message(
            pack,
            "apply_reply",
            {"status": "ok"},
            metadata or {"status": "ok", "dependencies_met": True},
            {"msg_id": str(number), "session": "s"},
            (engine, b"c"),
            f"r{number}",
        )

    only_there = {"targets": ["e0"], "retries": 1}
    yield "lost-with-its-only-engine", thread(bits, submit(1, only_there), gone(0), later(1))
    for settings in (0, 2, 4, 8, 16):
        yield f"tasks-{settings}", thread(
            bits | settings,
            submit(1),
            submit(2, dependent),
            submit(3, {"after": ["1"], "retries": 1}),
            reply(1),
            reply(1, b"e1"),
            submit(4, {"follow": ["1"], "targets": ["e0", "e1"]}),
            reply(3, b"e1", {"status": "error"}),
            (
                0,
                message(
                    pack,
                    "recall_reply",
                    {"unbegun": ["4"], "gone": ["5", 6]},
                    identities=(b"e0", b"scheduler"),
                    msg_id="r6",
                ),
            ),
            reply(4, b"e0", {"dependencies_met": False, "status": "error"}),
            (1, message(pack, "abort_request", {"msg_ids": ["2"]}, msg_id="6")),
            later(1),
            gone(0),
            there(3),
            submit(5, None, 0x81),
        )
    yield "leaving", thread(
        bits,
        submit(1, {"keep": False, "retries": 1}),
        submit(2, {"keep": False, "after": ["1"]}),
        submit(3, {"after": ["2"]}),
        submit(4, {"keep": False, "targets": ["e0"]}),
        (1, message(pack, "abort_request", {"leaving": True}, msg_id="6")),
        reply(1, b"e0", {"status": "error"}),
        later(3),
        later(3),
    )


def watch(bits, pack):
    info = {"host": "h", "pid": 5, "engine_set": "s"}

    def reply(engines, **more):
        return 1, message(
            pack,
            "connection_reply",
            {"status": "ok", "engines": engines, "engine_info": {"0": info}, **more},
            identities=(),
            msg_id=f"r{len(engines)}",
        )

    def notification(msg_type, content, msg_id):
        return 2, message(pack, msg_type, content, identities=(), msg_id=msg_id)

    for settings in (0, 2):
        yield f"engines-{settings}", thread(
            bits | settings,
            reply({"0": "e0"}, requests=0),
            notification("registration_notification", {"id": 1, "uuid": "e1", "info": info}, "1"),
            reply({"0": "e0", "1": "e1"}, requests=3),
            (7, b"x"),
            (3, b"x"),
            (0x83, b"x"),
            (0, b"\x00\x02\x00\x00\x00\x00"),
            notification("unregistration_notification", {"id": 0, "uuid": "e0", "reason": "died"}, "2"),
            (0, b"\x00\x10\x00\x00\x00\x00"),
            (5, message(pack, "abort_reply", {"status": "ok", "abort": []}, identities=(), msg_id="4")),
            reply({}, ending=True),
            notification("shutdown_notification", {"status": "ok"}, "3"),
        )


def metadata(bits, pack):
    for name, value in {
        "all": {
            "targets": ["e1", "e2"],
            "retries": 3,
            "timeout": 1.5,
            "follow": ["b"],
            "after": {"dependencies": ["a"], "all": True, "success": False, "failure": True},
        },
        "empty": {},
        "text": {"after": "x", "timeout": 1},
        "negative": {"retries": -1},
        "reply": {"dependencies_met": False, "status": "error"},
    }.items():
        yield name, bytes([bits]) + pack(value)


def one_message(bits, pack):
    for wide in (0, 4):
        yield f"signed-{wide}", bytes([bits | 2 | wide | 1 << 3]) + message(
            pack, "execute_request", {"code": "1"}, buffers=(b"x",), signature=b"0" * (128 if wide else 64)
        )
    yield "forged", bytes([bits | 1 << 3]) + message(pack, "execute_request", {"code": "1"}, signature=b"0" * 64)


def serial(bits, pack):
    for name, value in {
        "reply": {
            "msg_id": "a_1",
            "msg_type": "apply_request",
            "status": "ok",
            "a": [1, 2.5, None, True],
            "targets": {"x": {"y": []}},
            "session": "s",
        },
        "text": {"a": "\u00e9\u0000\U0001f600", "\u00e9": 1, "": 2},
        "numbers": {"msg_id": 2**63 - 1, "a": -1.5e300},
    }.items():
        yield name, bytes([bits | 7 << 1]) + pack(value)


PACKED = {
    "abort": abort,
    "broadcast": broadcast,
    "client": client,
    "direct": direct,
    "engine": engine,
    "frontends": frontends,
    "heart": heart,
    "hub": hub,
    "iopub": iopub,
    "message": one_message,
    "metadata": metadata,
    "records": records,
    "serial": serial,
    "task": task,
    "watch": watch,
}
