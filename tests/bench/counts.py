"""make bench-check: instructions of the hot paths, beside those that counts.json keeps. A slow machine does not change them.

counts.py BUILD-TREE [--update] counts, prints what was kept, what it has counted and the ratio, and ends with 1 if a path takes more than
was kept, by more than its tolerance. With --update it keeps the new numbers.

One program of a small cluster at a time runs under callgrind. It is the slow one then, so its queues are full where many requests are
under way, as under full load. What the kernel does, such as copying to and from sockets, is not counted.
"""

import json
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from harness import HERE, PYTHON, Program, cluster, say
from support import sanitizers, wait_until

KEPT = HERE / "counts.json"
# The same sources gave counts within 0.6%, and of a task alone in the controller within 2%: threads wake up in another order.
TOLERANCE = 0.03
# One seal is for all messages of an envelope, and how many these are depends on when threads wake up: up to 18% were seen.
LIBCRYPTO_TOLERANCE = 0.3
ROUNDS = 3  # of which the one with the fewest counts: what else a program does now and then only adds to it
PATIENCE = 300  # seconds for what takes a few without callgrind
CALLGRIND = ["valgrind", "--tool=callgrind", "--quiet", "--trace-children=yes", "--fair-sched=yes", "--dump-line=no",
             "--compress-strings=no"]  # fmt: skip
# Libraries choose code by the processor. All processors of an architecture have what is left here; and libcrypto is counted by itself,
# because the instructions for hashes that it uses outside of callgrind are many times faster.
ENVIRONMENT = {
    "OPENSSL_ia32cap": "~0x1000000000000000:0",  # neither AVX nor what came later
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX_Usable,-AVX2_Usable,-AVX,-AVX2,-AVX_Fast_Unaligned_Load,-ERMS,-BMI1,-BMI2,-LZCNT,-MOVBE",
    "PYTHONHASHSEED": "0",
}
# No heart beats while it is counted; and the window is fixed, because the one that follows the work follows the clock.
SETTINGS = ["--HeartMonitor.period=600000", "--TaskScheduler.hwm=8"]


class Way(NamedTuple):
    """A hot path: so many requests that a client is asked for, and the program whose instructions are counted."""

    program: str
    name: str
    client: str
    request: str
    count: int


WAYS = [
    Way("controller", "a task", "C", "tasks", 2000),
    Way("controller", "a task, alone", "C", "trips", 500),
    Way("controller", "a direct request", "C", "direct", 2000),
    Way("controller", "a task of Python's map", "Python", "map", 2000),
    Way("engine", "a task", "C", "tasks", 500),
    Way("engine", "a task, alone", "C", "trips", 500),
    Way("engine", "a task of Python's map", "Python", "map", 500),
    Way("C client", "a task", "C", "tasks", 2000),
    Way("C client", "a task, alone", "C", "trips", 500),
    Way("Python client", "a task", "Python", "tasks", 500),
    Way("Python client", "a task of a map", "Python", "map", 500),
]


def read_counts(path):
    """The instructions that a file of callgrind's has: (all but libcrypto's, libcrypto's)."""
    own = crypto = 0
    library, callee = "", False
    for line in path.read_text().splitlines():
        if line.startswith("ob="):
            library = line
        elif line.startswith("calls="):
            callee = True  # the next line has what was called, which is counted where it is
        elif re.match(r"[\d+*-]", line):
            if not callee:
                cost = int(line.split()[1])
                own, crypto = (own, crypto + cost) if "libcrypto" in library else (own + cost, crypto)
            callee = False
    return own, crypto


class Counted:
    """A small cluster, with one program under callgrind: one engine, and the clients that the ways need."""

    def __init__(self, running, build, program, log):
        self.running, self.build, self.program, self.log = running, build, program, log
        self.sandbox = running.sandbox
        self.sandbox.env.update(ENVIRONMENT)
        self.counts = self.sandbox.dir / "counts"
        self.counts.mkdir()
        programs = self.sandbox.programs
        self.pids = {
            "controller": self.sandbox.start(*self._before("controller"), programs.ipcontroller, *SETTINGS).pid
        }
        wait_until(running.connection_file.exists, PATIENCE, "the controller listens")
        self.pids["engine"] = self.sandbox.start(*self._before("engine"), programs.ipengine).pid
        self.clients = {}

    def _before(self, program):
        return [*CALLGRIND, f"--callgrind-out-file={self.counts}/%p"] if program == self.program else []

    def client(self, name):
        if name not in self.clients:
            command = {
                "C": [self.build / "tests/bench/crowd", self.running.connection_file],
                "Python": [PYTHON, HERE / "request_client.py", self.running.connection_file],
            }[name]
            client = Program(self.running, self.log, *self._before(f"{name} client"), *command)
            self.clients[name], self.pids[f"{name} client"] = client, client.popen.pid
            if client.ask(f"engines 1 {PATIENCE}").get("engines") != 1:
                raise RuntimeError(f"the {name} client has no engine")
        return self.clients[name]

    def _callgrind(self, what):
        subprocess.run(["vgdb", f"--pid={self.pids[self.program]}", what], env=self.sandbox.env, check=True,
                       stdout=self.log, stderr=self.log)  # fmt: skip

    def count(self, way):
        """Instructions for each request: (all but libcrypto's, libcrypto's)."""
        client = self.client(way.client)
        found = []
        for _ in range(ROUNDS + 1):
            self._callgrind("zero")
            ran = client.ask(f"{way.request} {way.count}")
            if ran.get("failed") != 0:
                raise RuntimeError(f"{way.program}, {way.name}: tasks failed: {ran}")
            self._callgrind("dump")
            newest = max(self.counts.glob(f"{self.pids[self.program]}.*"), key=lambda path: int(path.suffix[1:]))
            found.append(tuple(round(each / way.count) for each in read_counts(newest)))
        say(f"{way.program}, {way.name}: {found}")
        return min(found[1:])  # the first warms what is counted

    def end(self):
        for client in self.clients.values():
            client.kill()


def count_all(build, log):
    """Instructions by the names of ways."""
    found = {}
    for program in dict.fromkeys(way.program for way in WAYS):
        say(f"counting in the {program}")
        with cluster(build) as running:
            counted = Counted(running, build, program, log)
            try:
                for way in (way for way in WAYS if way.program == program):
                    name = f"{way.program}: {way.name}"
                    found[name], found[f"{name}, libcrypto"] = counted.count(way)
            finally:
                counted.end()
    return found


def first_line(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[0]


def versions(build):
    """What the counts depend on beside the sources."""
    made = dict(re.findall(r"^(CC|CFLAGS) = (.*)$", (build / "Makefile").read_text(), re.MULTILINE))
    return {
        "architecture": platform.machine(),
        "compiler": first_line(*made["CC"].split(), "--version"),
        "flags": made["CFLAGS"],
        "Python": platform.python_version(),
        "libc": " ".join(platform.libc_ver()),
        "libzmq": first_line("pkg-config", "--modversion", "libzmq"),
        "valgrind": first_line("valgrind", "--version"),
    }


def tolerance_of(name):
    return LIBCRYPTO_TOLERANCE if name.endswith(", libcrypto") else TOLERANCE


def compare(kept, found):
    """Prints both. Returns (what is wrong, a sentence each; whether something became better)."""
    wrong, better = [], False
    print(f"{'instructions':48}{'kept':>12}{'now':>12}{'ratio':>8}")
    for name in dict.fromkeys([*kept, *found]):
        old, new = kept.get(name), found.get(name)
        if old is None or new is None:
            wrong.append(f"{name} is {'not kept' if old is None else 'kept, and was not counted'}.")
            ratio = "-"
        else:
            ratio = f"{new / old:.3f}"
            better |= new < old * (1 - tolerance_of(name))
            if new > old * (1 + tolerance_of(name)):
                wrong.append(
                    f"{name} takes {new:,} instructions, {new / old - 1:.1%} more than the {old:,} that are kept."
                )
        print(f"{name:48}{'-' if old is None else old:>12}{'-' if new is None else new:>12}{ratio:>8}")
    return wrong, better


def main(build, *options):
    here = versions(build)
    kept = json.loads(KEPT.read_text()) if KEPT.exists() else {"counted with": here, "instructions": {}}
    then = kept["counted with"]
    if sanitizers(build):
        sys.exit("Sanitizers have instructions of their own: count in a build without them.")
    if "--update" not in options and then["architecture"] != here["architecture"]:
        sys.exit(f"{KEPT.name} has the instructions of {then['architecture']}. make bench-check-update has those of this machine instead, "
                 "for as long as you compare on it.")  # fmt: skip
    with open("bench-check.log", "w") as log:
        found = count_all(build, log)
    wrong, better = compare(kept["instructions"], found)
    if others := [f"{name} {then[name]} (here {value})" for name, value in here.items() if value != then[name]]:
        print(f"what is kept was counted with {', '.join(others)}")
    if "--update" in options:
        KEPT.write_text(json.dumps({"counted with": here, "instructions": found}, indent=2) + "\n")
    elif wrong:
        sys.exit(
            "\n".join(
                [
                    *wrong,
                    "If this is meant, make bench-check-update keeps the new numbers: commit them with the change.",
                ]
            )
        )
    elif better:
        print("Some are better: make bench-check-update keeps this, so that it is not lost unseen.")


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), *sys.argv[2:])
