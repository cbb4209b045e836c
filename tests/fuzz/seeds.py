#!/usr/bin/python3
"""Writes the seeds that have a shape of their own: seeds.py FOLDER.

Each fuzzer begins with these, which run.py has written anew, and with what fuzzing has found: tests/fuzz/seeds/NAME. An input is frames with FF FE between them, and for threads messages with FF FD between them, each behind a byte that
says how it comes (module.h, fuzz_engine.c, fuzz_frontends.c, fuzz_watch.c).
"""

import json
import sys
from pathlib import Path

import msgpack

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
import framing
from hub_queries import ROLES

FRAME, MESSAGE = b"\xff\xfe", b"\xff\xfd"
PACKERS = {"json": (0, lambda value: json.dumps(value).encode()), "msgpack": (1, msgpack.packb)}
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


# What a query is asked with, where more comes of it so.
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


def files(_, __):
    saved = {
        "profile_dir": "/p",
        "cluster_id": "",
        "host": "vm",
        "boot": "b",
        "state": "running",
        "engines_only": False,
        "pid": 5,
        "born": 6,
        "started": 1.5,
        "controller": {"class": "L", "state": {"count": 1}},
    }
    job = {"class": "L", "state": {"count": 2}, "processes": [[1, 2]]}
    state = {
        "version": 2,
        **saved,
        "label": "",
        "sets": [{"name": "a", "n": 2, "job": job}, {"name": "b", "n": 0, "job": None}],
    }
    local = {"count": 2, "stem": "/p", "copies": [{"index": 0, "pid": 1, "born": 2}, {"index": 1, "pid": 3, "born": 2}]}
    mpiexec = {"count": 2, "pid": 3, "born": 5, "stem": "/p", "path": "/p", "output": "/p"}
    engines = {"engines": {"0": "e0", "5": "e5"}, "next_id": 7, "info": {"0": {"host": "h"}}}
    for name, which, value in (
        ("engines", 0, engines),
        ("state", 2, state),
        ("local", 4, local),
        ("mpiexec", 7, mpiexec),
    ):
        yield name, bytes([which]) + json.dumps(value).encode()


def connection(_, __):
    ports = {
        name: 10000 + number
        for number, name in enumerate("registration control mux task iopub notification hb_ping hb_pong".split())
    }
    file = {
        "interface": "tcp://127.0.0.1",
        "location": "vm",
        "ssh": "u@h:22",
        "key": "k",
        "signature_scheme": "hmac-sha256",
        "pack": "json",
        "unpack": "json",
        "task_scheme": "leastload",
        "reuse": False,
        "broadcast": [9, 10],
        **ports,
    }
    for name, role, value in (
        ("client", 0, file),
        ("engine", 1, file),
        ("local", 1, {**file, "interface": "ipc:///tmp/x"}),
        (
            "elsewhere",
            0,
            {
                **file,
                "interface": "tcp://*",
                "location": "elsewhere",
                "curve_serverkey": "a" * 40,
                "addresses": ["192.0.2.1", "203.0.113.1"],
            },
        ),
    ):
        yield name, bytes([role]) + json.dumps(value).encode()


def gate(_, __):
    """What libzmq's peers send by themselves, and what nobody should, see fuzz_gate.c."""

    def greeting(major, mechanism):
        return b"\xff" + bytes(7) + b"\x01\x7f" + bytes([major, 1]) + mechanism.ljust(20, b"\0") + bytes(32)

    def command(name, body=b""):
        return bytes([len(name)]) + name + body

    def property_of(name, value):
        return command(name, len(value).to_bytes(4, "big") + value)

    without, subscriber, libzmq = 1, 2, 4
    dealer = property_of(b"Socket-Type", b"DEALER") + property_of(b"Identity", b"i" * 255)
    ready, hello, initiate = (
        command(b"READY", dealer),
        command(b"HELLO", bytes(194)),
        command(b"INITIATE", bytes(248) + dealer),
    )
    ping, topic = command(b"PING", bytes(18)), b"t" * 1023
    for version in (0, 8):
        yield f"null-{version}", bytes([libzmq | version | without, 0x35]) + FRAME.join([ready, b"", b"a" * 300, ping])
        yield f"curve-{version}", bytes([libzmq | version, 0x2C]) + FRAME.join(
            [hello, initiate, command(b"MESSAGE", bytes(400))]
        )
        yield f"topics-{version}", bytes([libzmq | version | without | subscriber, 0]) + FRAME.join(
            [ready, b"\1" + topic, command(b"SUBSCRIBE", b"t"), ping]
        )
    peer = greeting(3, b"NULL") + b"\4\x19" + command(b"READY", property_of(b"Socket-Type", b"SUB"))
    for name, how, data in (
        ("version-1", without, b"\x01\x00\x02\x01x"),
        ("version-2", without, greeting(1, b"")),
        ("web", 0, b"GET / HTTP/1.1\r\n\r\n"),
        ("huge-hello", 0, greeting(3, b"CURVE") + b"\6" + (1 << 32).to_bytes(8, "big") + bytes(99)),
        (
            "zero-name",
            without,
            greeting(3, b"NULL") + b"\4\x17" + command(b"READY", property_of(b"Identity", bytes(4))),
        ),
        ("huge-frame", without, peer + b"\3" + b"\xff" * 8),
        ("long-topic", without | subscriber, peer + b"\2" + (1025).to_bytes(8, "big")),
    ):
        yield name, bytes([how, 0x1F]) + data


def elf(_, __):
    yield "program", b"\x01"
    yield "truncated", b"\x00\x7fELF\x02\x01\x01"
    yield "segments", b"\x10" + b"\xff" * 16
    yield "sections", b"\x0a" + bytes(24)


def settings(_, __):
    for name, file, words in (
        (
            "words",
            {"IPController": {"ip": "*", "ports": ["10101-10120"], "regport": 5}},
            ["--ip=1.2.3.4", "--nodb", "--log-level", "DEBUG"],
        ),
        (
            "choices",
            {"TaskScheduler": {"scheme_name": "lru"}, "IPController": {"db_class": "SQLiteDB"}},
            ["--scheme=pure", "--scheme", "x"],
        ),
        ("help", {}, ["--help-all"]),
        ("man", {"A": {"b": 1}, "//": "x"}, ["--A.b=2", "--help-man"]),
        (
            "lists",
            {"HubFactory": {"client_ip": "x"}, "DictDB": {"record_limit": 5}},
            ["--IPController.ports=[1,2]", "--ports=1,2,3"],
        ),
    ):
        yield name, FRAME.join([json.dumps(file).encode(), *[word.encode() for word in words]])


def queries(_, __):
    rows = [
        {"submitted": "2026-01-01", "completed": None, "engine_uuid": "e", "header": {"x": 1}},
        {"submitted": "2025", "completed": "2026", "queue": "task", "content": "y"},
    ]
    for name, value in {
        "null": {"completed": None, "label": None},
        "between": {"submitted": {"$gt": "2025", "$lte": "2026"}},
        "groups": {"$or": [{"msg_id": "m1"}, {"$and": [{"queue": {"$in": ["task", None]}}]}]},
        "lists": {"msg_id": {"$nin": ["m1"], "$ne": None}, "queue": {"$all": ["task"]}},
        "others": {"engine_uuid": {"$exists": True}, "header": {"$mod": [3, 1]}, "content": {"$eq": "y"}},
    }.items():
        yield name, FRAME.join(json.dumps(each).encode() for each in (value, *rows))


def template(_, __):
    for name, text, values in (
        ("names", "#PBS -q {b}\ncd {a}; echo {{$HOME}}\n", ["/home/u", "a b"]),
        ("numbers", "{n//4} {(n+7)//8} {a%b:03d} {-(a*2)}", ["7", "-3", "0", "0", "0", "10"]),
        ("overflow", "{a+1}{a*a}{(-a-1)//-1}{a//0}", ["9223372036854775807"]),
        ("wrong", "{a!r} {c[0]} {} {a", ["x"]),
    ):
        yield name, FRAME.join(word.encode() for word in (text, *values))


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
PLAIN = {
    "connection": connection,
    "elf": elf,
    "files": files,
    "gate": gate,
    "query": queries,
    "settings": settings,
    "template": template,
}

WORDS = """msg_id msg_type session status targets retries timeout after follow dependencies all success failure is_coalescing is_broadcast
    uuid id pending info watched died reason msg_ids engine_ids query keys buffers result_buffers verbose ok error aborted e0 e1 $or $and $in
    $nin $gt $mod $all $exists $ne completed submitted engine_uuid label dependencies_met restart sig SIGUSR1 connections tasks unbegun gone life keep leaving""".split()
REQUESTS = [name.removesuffix("_request") for name in ROLES]
REQUESTS += "execute apply abort clear interrupt kernel_info connect usage signal recall".split()


def dictionary():
    """libFuzzer's: what it puts into inputs as a whole."""
    words = (
        [word.encode() for word in WORDS]
        + [json.dumps(word).encode() + b":" for word in WORDS]
        + [msgpack.packb(word) for word in WORDS]
    )
    words += [f"{name}_{kind}".encode() for name in REQUESTS for kind in ("request", "reply")]
    words += [FRAME, MESSAGE, FRAME + b"D" + FRAME]
    return "".join('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in words)


def main(folder):
    for name, inputs in (PACKED | PLAIN).items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for kind, (bits, pack) in PACKERS.items() if name in PACKED else {"": (0, None)}.items():
            for what, data in inputs(bits, pack):
                (folder / name / "-".join(filter(None, (kind, what.lower())))).write_bytes(data)
    (folder / "dictionary").write_text(dictionary())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
