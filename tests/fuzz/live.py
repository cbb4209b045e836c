#!/usr/bin/python3
"""Odd messages to a running cluster: live.py BUILD [--minutes N] [--seed N].

Starts a controller, engines and a client that works, and sends whatever a peer with the key can send to every socket, for N minutes. Checks
that every request that can be answered is answered, that the client's work goes on, that memory has bounds, that no program dies, and that
the sanitizers of BUILD, if any, report nothing. Ends with 1 if anything was found. A seed determines what is drawn; when and how often it
is sent depends on the machine.
"""

import argparse
import json
import random
import re
import sys
import time
from pathlib import Path

import psutil
import zmq

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS), str(TESTS / "session")]

import framing
from support import PATIENCE, PYTHON, Cluster, Programs, Sandbox

HONEST = """
import itertools, sys
import ipcluster
client = ipcluster.Client(sys.argv[1], timeout=120)
client.wait_for_engines(2, timeout=120)
view, balanced = client[:2], client.load_balanced_view([0, 1])
for number in itertools.count(1):
    assert balanced.map_sync(lambda x: x + 1, range(40)) == list(range(1, 41))
    assert view.apply_sync(lambda x: [x], number) == [[number]] * 2
    client.queue_status()
    print("round", number, flush=True)
"""

# How much a controller may grow: what waits, what it remembers, and some frames of the largest size. With AddressSanitizer it may be twice
# as much. ThreadSanitizer keeps several bytes for each byte. Usually it is a third of this, all in the first seconds.
SANITIZERS_GROWTH = {"": 1, "thread": 8}
GROWTH_BYTES = 512 << 20
RECORDS_BYTES = 64 << 20
LARGE_FRAMES = 6
OUTSTANDING_MAX = 300
ANSWER_SECONDS = 30

QUERIES = [
    "connection",
    "registration",
    "queue",
    "load",
    "result",
    "history",
    "purge",
    "db",
    "resubmit",
    "become_dask",
    "stop_distributed",
    "nothing",
]
ENGINE_REQUESTS = [
    "execute",
    "apply",
    "inspect",
    "complete",
    "is_complete",
    "history",
    "kernel_info",
    "connect",
    "usage",
    "debug",
    "comm_info",
    "abort",
    "clear",
    "nothing",
]
MEMBERS = [
    "msg_ids",
    "targets",
    "after",
    "follow",
    "retries",
    "timeout",
    "is_coalescing",
    "is_broadcast",
    "original_msg_id",
    "label",
    "dependencies_met",
    "status",
    "query",
    "keys",
    "uuid",
    "id",
    "info",
    "pending",
    "engine_ids",
    "verbose",
    "connections",
    "code",
    "silent",
    "user_expressions",
    "cursor_pos",
    "detail_level",
    "attempt",
    "engine",
    "buffers",
    "content",
]


class Odd:
    """Odd values, texts and bytes of one seed."""

    def __init__(self, seed, frame_bytes_max):
        self.random = random.Random(seed)
        self.frame_bytes_max = frame_bytes_max

    def pick(self, values):
        return self.random.choice(values)

    def chance(self, part):
        return self.random.random() < part

    def size(self, most):
        """Mostly small."""
        return int(most ** self.random.random())

    def text(self):
        return self.pick(
            [
                "",
                "a",
                "\u00e9\u4e2d\U0001f600",
                'a"b\\c/d',
                "\n\t\x00\x7f",
                "\ud800",
                " ",
                "../..",
                "%s%n",
                "0",
                "-1",
                "nobody",
                "all",
                "x" * self.size(5000),
                "\u00e9" * self.size(200),
            ]
        )

    def number(self):
        return self.pick(
            [
                0,
                -1,
                1,
                2**31,
                -(2**31),
                2**63 - 1,
                -(2**63),
                2**63,
                10**30,
                -(10**400),
                0.0,
                -0.5,
                1e308,
                -1e-320,
                float("nan"),
                float("inf"),
                True,
                False,
            ]
        )

    def value(self, depth=0):
        kind = self.random.randrange(9 if depth < 3 else 5)
        if kind < 2:
            return self.text()
        if kind < 4:
            return self.number()
        if kind == 4:
            return None
        if kind == 5:
            return {self.pick(MEMBERS + [self.text()]): self.value(depth + 1) for _ in range(self.size(6))}
        if kind == 6:
            return [self.value(depth + 1) for _ in range(self.size(6))]
        if kind == 7:
            return [self.pick([[], {}, "", 0])] * self.size(2000)
        return {str(number): [] for number in range(self.size(300))}

    def mapping(self, **more):
        """A part that its reader may take, with odd members among those that it knows."""
        for _ in range(self.size(5)):
            more[self.pick(MEMBERS)] = self.value()
        return more

    def broken(self):
        """Bytes that are no part."""
        if self.chance(0.7):
            return self.pick(
                [
                    b"",
                    b"[]",
                    b"null",
                    b"\x00",
                    b"{",
                    b"}{",
                    b"{}{}",
                    b'{"a":',
                    b'{"a" 1}',
                    b"\xff\xfe",
                    b'{"\xff": 1}',
                    b"0" * 70000,
                    self.random.randbytes(self.size(200)),
                ]
            )
        depth = self.pick([200, 255, 256, 257, self.size(1_000_000)])
        kind = self.random.randrange(4)
        if kind == 0:
            return b"[" * depth
        if kind == 1:
            return b"[" * depth + b"]" * depth
        if kind == 2:
            return b'{"a":' * depth + b"1" + b"}" * depth
        return b"[" + b"[]," * self.size(2_000_000) + b"[]]"

    def part(self, value):
        """Its bytes, or others."""
        packed = json.dumps(value, ensure_ascii=self.chance(0.5)).encode(errors="surrogatepass")
        if self.chance(0.1) and len(packed) > 2:  # a member twice
            packed = packed[:-1] + b", " + packed[1:]
        if self.chance(0.001):
            packed = packed[:-1].rstrip() + b" " * self.size(self.frame_bytes_max) + packed[-1:]
        if self.chance(0.05):
            return self.broken()
        return packed


class Connection:
    """What a connection file says of one side: its ports, and how messages are signed."""

    def __init__(self, path, context):
        self.file = json.loads(path.read_text())
        self.context = context

    def signed(self, frames):
        return framing.signed(frames, self.file["key"].encode(), self.file["signature_scheme"].partition("-")[2])

    def connect(self, kind, name, identity=None):
        socket = self.context.socket(kind)
        socket.linger = 0
        socket.hwm = 0
        if identity:
            socket.routing_id = identity
        if kind == zmq.SUB:
            socket.subscribe(b"")
        if self.file.get("curve_serverkey"):
            socket.curve_publickey, socket.curve_secretkey = zmq.curve_keypair()
            socket.curve_serverkey = self.file["curve_serverkey"].encode()
        port = self.file[name]
        socket.connect(f"{self.file['interface']}:{port[0] if isinstance(port, list) else port}")
        return socket


class Campaign:
    """Sends odd messages, and remembers those that are to be answered."""

    def __init__(self, sandbox, seed, frame_bytes_max=1 << 22):
        self.odd = Odd(seed, frame_bytes_max)
        self.cluster = Cluster(sandbox)
        self.sandbox = sandbox
        self.context = zmq.Context()
        self.growth_max = (GROWTH_BYTES + LARGE_FRAMES * frame_bytes_max) * SANITIZERS_GROWTH.get(sandbox.sanitizers, 2)
        self.sent = self.answered = self.numbers = 0
        self.open = {}  # the number in a request's header: what was sent, and when
        self.recent_ids = ["a"]

    def start(self):
        if "ASAN_OPTIONS" in self.sandbox.env:  # less freed memory is kept back than by default
            self.sandbox.env["ASAN_OPTIONS"] += ":quarantine_size_mb=32"
        self.cluster.start_controller("--dictdb", f"--DictDB.size_limit={RECORDS_BYTES}")
        for _ in range(2):
            self.cluster.start_engine()
            self.cluster.engines[-1].wait_for_output("registered as engine", 60)
        self.honest = self.sandbox.start(PYTHON, "-c", HONEST, self.cluster.client_file, python=True)
        self.wait_for_rounds(1)
        self.clients = Connection(self.cluster.client_file, self.context)
        self.engines = Connection(self.cluster.engine_file, self.context)
        self.asking = {
            name: self.clients.connect(zmq.DEALER, name)
            for name in ("registration", "mux", "control", "task", "broadcast")
        }
        self.asking["registering"] = self.engines.connect(zmq.DEALER, "registration")
        self.uuids = self.registered()
        identity = b"odd-engine"
        self.answering = {
            name: self.engines.connect(zmq.DEALER, name, identity)
            for name in ("mux", "control", "task", "broadcast", "hb_pong")
        }
        self.publishing = self.engines.connect(zmq.PUB, "iopub")
        self.listening = [
            self.clients.connect(zmq.XSUB, "iopub"),
            self.clients.connect(zmq.XSUB, "notification"),
            self.engines.connect(zmq.XSUB, "hb_ping"),
        ]
        self.memory_before = self.memory()

    def memory(self):
        return psutil.Process(self.cluster.controller.pid).memory_info().rss

    def rounds(self):
        return len(re.findall(r"^round", self.honest.output, re.MULTILINE))

    def wait_for_rounds(self, more):
        wanted = self.rounds() + more
        self.honest.wait_for_output(rf"round {wanted}\b", 60)

    def registered(self):
        number, frames = self.request("connection_request", {}, {}, plain=True)
        self.asking["registration"].send_multipart(frames)
        assert self.asking["registration"].poll(30000 * PATIENCE), "the hub does not answer"
        reply = json.loads(framing.read(self.asking["registration"].recv_multipart()).content)
        del self.open[number]
        return [uuid.encode() for uuid in reply["engines"].values()]

    def header(self, msg_type, plain):
        """A header with a number, which its answer repeats."""
        odd = self.odd
        self.numbers += 1
        msg_id = f"odd_{self.numbers}"
        if not plain and odd.chance(0.3):
            msg_id = odd.pick([odd.text(), odd.pick(self.recent_ids), odd.value(), "m" * odd.size(400)])
        elif odd.chance(0.1):
            self.recent_ids = [*self.recent_ids[-20:], msg_id]
        header = {
            "msg_id": msg_id,
            "msg_type": msg_type,
            "username": "odd",
            "session": "odd",
            "date": "2026-01-01T00:00:00Z",
        }
        if not plain and odd.chance(0.2):
            header[odd.pick(["session", "date", "username", "version", odd.text()])] = odd.value()
        members = [*header.items(), ("number", f"n{self.numbers}")]
        if not plain and odd.chance(0.3):
            odd.random.shuffle(members)
        return dict(members)

    def request(self, msg_type, metadata, content, plain=False, side=None):
        """A request's number and its frames, from the delimiter on. It is to be answered, if its header can be read."""
        odd = self.odd
        header = self.header(msg_type, plain)
        parts = {"header": header, "parent": {}, "metadata": metadata, "content": content}
        parts = {name: json.dumps(part).encode() if plain else odd.part(part) for name, part in parts.items()}
        if not plain and odd.chance(0.1):
            parts["parent"] = odd.part(odd.value())
        buffers = [] if plain or odd.chance(0.9) else [b"x" * odd.size(2000) for _ in range(odd.size(1000))]
        if is_answerable(parts["header"]):
            self.open[self.numbers] = (time.monotonic(), [msg_type, *(part[:300] for part in parts.values())])
        return self.numbers, (side or self.clients).signed(framing.make(buffers=buffers, **parts))

    def metadata(self):
        odd = self.odd
        metadata = odd.mapping()
        if "retries" in metadata and isinstance(metadata["retries"], int) and metadata["retries"] > 5:
            metadata["retries"] = odd.pick([3, 10**30])  # more retries would take longer than the test waits
        if odd.chance(0.3):
            metadata["targets"] = [odd.pick(self.uuids).decode() for _ in range(odd.size(4))]
        if isinstance(metadata.get("timeout"), float) and odd.chance(0.5):
            metadata["timeout"] = 0.01
        for name in ("after", "follow"):
            if odd.chance(0.1):
                metadata[name] = [odd.pick(self.recent_ids) for _ in range(odd.size(4))]
        return metadata

    def ask(self):
        """Sends one odd request of a client."""
        odd = self.odd
        name = odd.pick(list(self.asking))
        prefix = []
        metadata, content = self.metadata(), odd.mapping()
        if name in ("registration", "registering"):
            kind = odd.pick(QUERIES)
            if kind == "registration":
                content = {
                    "uuid": odd.pick(["odd-engine-2", odd.value()]),
                    "id": odd.pick([None, odd.value()]),
                    **content,
                }
        else:
            kind = odd.pick(ENGINE_REQUESTS)
            if name in ("mux", "control"):
                prefix = [odd.pick([*self.uuids, b"nobody", b"", b"\xff" * 300])]
            if name == "broadcast":
                metadata["targets"] = odd.pick(
                    [
                        [odd.pick(self.uuids).decode()] * odd.size(4),
                        [[uuid.decode(), 0] for uuid in self.uuids],
                        [f"nobody-{number}" for number in range(odd.size(200))],
                        odd.value(),
                    ]
                )
                metadata["is_coalescing"] = odd.pick([True, False, odd.value()])
            if kind == "execute":
                content["code"] = odd.pick(["1", "1/0", "print(1)", odd.value()])
                content["allow_stdin"] = False
                content["silent"] = odd.pick([False, True, odd.value()])
            if kind in ("abort", "clear"):
                content["msg_ids"] = [odd.pick([*self.recent_ids, odd.text()]) for _ in range(1 + odd.size(3))]
        msg_type = f"{kind}_request"
        if odd.chance(0.03):
            msg_type = odd.text() + "_request"
        number, frames = self.request(
            msg_type, metadata, content, side=self.engines if name == "registering" else self.clients
        )
        if odd.chance(0.03):
            prefix = [odd.text().encode(errors="replace") for _ in range(odd.size(3) + 1)]
        if number in self.open:
            self.open[number][1][:0] = [name, prefix]
        self.asking[name].send_multipart([*prefix, *frames])
        self.sent += 1

    def other(self):
        """Sends something that has no answer, by any socket."""
        odd = self.odd
        header = {
            "msg_id": f"other_{self.sent}",
            "msg_type": odd.pick(["apply_reply", "stream", "error", "comm_msg", odd.text()]),
            "session": "odd",
        }
        parent = {"msg_id": odd.pick([*self.recent_ids, odd.value()]), "session": "odd", "msg_type": "apply_request"}
        frames = framing.make(
            header=odd.part(header),
            parent=odd.part(parent),
            metadata=odd.part(self.metadata()),
            content=odd.part(odd.mapping(status=odd.pick(["ok", odd.value()]))),
            buffers=[b"x" * odd.size(100) for _ in range(odd.size(5))],
        )
        frames = self.engines.signed(frames)
        if odd.chance(0.2):
            odd.random.shuffle(frames)
        if odd.chance(0.005):
            frames += [b""] * odd.size(70_000)
        socket = odd.pick([*self.answering.values(), self.publishing, *self.listening])
        if socket is self.publishing:
            frames = [odd.pick([b"engine.0.stdout", b"status.0", b"", b"\xff"]), *frames]
        elif socket in self.listening:
            frames = [
                odd.pick([b"\1", b"\0", b"\2", b""]) + odd.text().encode(errors="replace")[:200],
                *odd.pick([[], frames]),
            ]
        elif socket is self.answering["hb_pong"]:
            frames = odd.pick([frames, [json.dumps(odd.number()).encode()], [b""], [b"-" * 300]])
        else:
            frames = [odd.pick([b"odd", b"", *self.uuids]), *frames]
        socket.send_multipart(frames)
        self.sent += 1

    def read(self, timeout_ms=0):
        """Takes what has come, and strikes off what it answers."""
        poller = zmq.Poller()
        for socket in [*self.asking.values(), *self.answering.values(), *self.listening]:
            poller.register(socket, zmq.POLLIN)
        for socket, _ in poller.poll(timeout_ms):
            for _ in range(1000):
                try:
                    frames = socket.recv_multipart(zmq.DONTWAIT)
                except zmq.Again:
                    break
                parent = framing.read(frames).parent if framing.is_message(frames) else b""
                number = re.search(rb'"number":\s*"n(\d+)"', parent)
                if number and self.open.pop(int(number.group(1)), None):
                    self.answered += 1

    def check(self):
        for process in (self.cluster.controller, *self.cluster.engines, self.honest):
            assert process.alive, f"{process.name} ended with {process.popen.returncode}:\n{process.output[-5000:]}"
        grown = self.memory() - self.memory_before
        assert grown < self.growth_max, f"the controller has grown by {grown >> 20} MiB"

    def overdue(self):
        first = next(iter(self.open.values()), None)
        return first and time.monotonic() - first[0] > ANSWER_SECONDS * PATIENCE

    def run(self, seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end and not self.overdue():
            for _ in range(20):
                if len(self.open) < OUTSTANDING_MAX:
                    self.ask()
                self.other()
            self.read(0 if len(self.open) < OUTSTANDING_MAX else 20)
            self.check()

    def finish(self):
        """Waits for the answers that are left, and for honest work."""
        deadline = time.monotonic() + ANSWER_SECONDS * PATIENCE
        while self.open and time.monotonic() < deadline:
            self.read(100)
        left = "\n".join(str(parts) for _, parts in list(self.open.values())[:20])
        assert (
            not self.open
        ), f"{len(self.open)} of {self.answered + len(self.open)} requests were not answered:\n{left}"
        self.wait_for_rounds(2)
        self.check()

    def close(self):
        self.context.destroy(linger=0)


def no_number(text):
    raise ValueError(f"JSON has no {text}")


def is_answerable(header):
    """Whether these bytes are a header that says which request is to be answered."""
    try:
        value = json.loads(header, parse_constant=no_number)
    except (ValueError, RecursionError):
        return False
    return isinstance(value, dict) and "msg_id" in value and "number" in value


def campaign(sandbox, seed, seconds, **options):
    """Runs one, and returns a line that says how much there was."""
    print(f"seed {seed}", flush=True)
    one = Campaign(sandbox, seed, **options)
    try:
        one.start()
        rounds = one.rounds()
        one.run(seconds)
        one.finish()
        return (
            f"{one.sent:,} messages in {seconds:.0f} s, {one.answered:,} requests answered, {one.rounds() - rounds} rounds of work meanwhile, "
            f"{(one.memory() - one.memory_before) >> 20} MiB more in the controller"
        )
    finally:
        one.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("build", type=Path)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    arguments = parser.parse_args()
    sandbox = Sandbox(Programs.of_build(arguments.build.resolve()))
    passed = False
    try:
        print(campaign(sandbox, arguments.seed, arguments.minutes * 60, frame_bytes_max=100 << 20))
        passed = True
    finally:
        sandbox.end(strict=passed)


if __name__ == "__main__":
    main()
