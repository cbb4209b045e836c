"""Seeds of the fuzzers that read no packed messages: files, settings, templates, queries, and the bytes of connections."""

import json

from message_seeds import FRAME


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
        ("beside", 0, {**file, "local": {"host": "boot", "interface": "ipc:///tmp/x/port"}}),
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


PLAIN = {
    "connection": connection,
    "elf": elf,
    "files": files,
    "gate": gate,
    "query": queries,
    "settings": settings,
    "template": template,
}
