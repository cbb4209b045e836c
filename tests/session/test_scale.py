"""Many engines: with IPCLUSTER_TEST_SCALE=5 as many as are promised."""

import collections
import json
import os
import re
import signal
import socket
import subprocess
import threading
import time

import controller_peer
import framing
import pytest
import zmq
from ipcluster_box import UP, assert_nothing_left
from own_slurm import Slurm

from support import LONG, kill, named, typed, wait_until

SCALE = int(os.environ.get("IPCLUSTER_TEST_SCALE", "1"))


class Simulated:
    """Engines of a set. Their processes only sleep: another process registers for all of them, under their pids."""

    def __init__(self, box, count):
        sleeper = box.dir / "sleeper"
        sleeper.write_text("#!/bin/sh\nexec sleep 3600\n")
        sleeper.chmod(0o755)
        self.box, self.count = box, count
        self.supervisor = box.begin(
            "start", f"--n={count}", f"--EngineLauncher.engine_cmd={sleeper}", "--", "--IPController.enable_curve=false"
        )
        self.set = wait_until(self._saved, 60, "all processes are started")
        self.pids = [pid for pid, _ in self.set["job"]["processes"]]

    def _saved(self):
        file = self.box.profile_dir() / "pid/ipcluster.json"
        sets = json.loads(file.read_text())["sets"] if file.exists() else []
        return sets and sets[0]["job"] and len(sets[0]["job"]["processes"]) == self.count and sets[0]

    def register(self):
        said = self.box.dir / "said"
        said.write_text(
            json.dumps(
                [{"host": socket.gethostname(), "pid": pid, "engine_set": self.set["name"]} for pid in self.pids]
            )
        )
        file = self.box.profile_dir() / "security/ipcontroller-engine.json"
        self.process = subprocess.Popen(
            [self.box.programs.build / "tests/bench/engines", file, str(self.count), said],
            env=self.box.env,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert json.loads(self.process.stdout.readline())["registered"] == self.count
        self.supervisor.wait_for_output(UP, 60)

    def end(self):
        self.process.communicate("leave\n")
        kill(named(self.box, "sleep"))


def calls(box, *words):
    """How often a command of ipcluster's opens a file, connects, sends and asks for the host's name; and what it prints."""
    trace = box.dir / "trace"
    done = box.run(
        "strace",
        "-f",
        "-qq",
        "-o",
        trace,
        "-e",
        "trace=openat,connect,sendto,uname",
        box.programs.ipcluster,
        *words,
        env=box.no_leak_check(),
    )  # which itself traces
    return collections.Counter(line.split()[1].partition("(")[0] for line in trace.read_text().splitlines()), done.out


def test_how_much_status_asks_does_not_depend_on_the_number_of_engines(box):
    engines = Simulated(box, 200 * SCALE)
    commands = ("status", "--json"), ("status",), ("list",), ("logs", "0")
    before = [calls(box, *words)[0] for words in commands]
    engines.register()
    for words, few in zip(commands, before):
        many, printed = calls(box, *words)
        assert not {name: count for name, count in (many - few).items() if count > 40}, (words, few, many)
        if words == ("status", "--json"):
            shown = json.loads(printed)["engines"]
            assert sorted(engine["pid"] for engine in shown) == sorted(engines.pids)
            assert all(engine["log"].endswith(f"-{engine['pid']}.log") for engine in shown)

    # To know whether a killed supervisor's engines are still there costs a look at each, and one at all processes.
    engines.supervisor.stop(signal.SIGKILL)
    engines.end()
    for words, few in zip(commands[:3], before):
        many, _ = calls(box, *words)
        assert many["openat"] - few["openat"] < 6 * engines.count + 1000, (words, few, many)
    box.ipcluster("stop", check=True)
    assert_nothing_left(box, box.profile_dir())


# Engines in batch jobs: how many are asked for, and how many jobs have room on the nodes at a time.
JOBS, ENGINES, TASKS, SECONDS = (5, 4, 2000, 0.01) if SCALE == 1 else (25, 8, 50000, 0.25)
NODES, PROCESSORS = (3, 4) if SCALE == 1 else (5, 32)
ROOM = NODES * PROCESSORS // ENGINES
OUTSTANDING = 1000


@pytest.fixture
def slurm(box, tmp_path_factory):
    made = Slurm(tmp_path_factory.mktemp("slurm"), NODES, PROCESSORS)
    box.env.update(made.env)
    yield made
    made.cancel_all()
    made.stop()


@typed
def answer_later(number, seconds):
    import time

    time.sleep(seconds)
    return number


class Tasks(threading.Thread):
    """A client of its own that sends tasks and counts every answer. The last of them wait until `finish` is set."""

    def __init__(self, box):
        super().__init__(daemon=True)
        from ipcluster import canning

        self.canning = canning
        self.peer = controller_peer.Peer(box.profile_dir())
        self.socket = self.peer.connect(zmq.DEALER, self.peer.client["task"])
        self.finish = threading.Event()
        self.numbers = {}  # by msg_id
        self.answers = collections.Counter()
        self.wrong = []

    def run(self):
        deadline = time.monotonic() + 5 * LONG
        while len(self.answers) < TASKS and time.monotonic() < deadline:
            allowed = TASKS if self.finish.is_set() else TASKS * 9 // 10
            while len(self.numbers) < min(allowed, len(self.answers) + OUTSTANDING):
                buffers = self.canning.pack_apply(answer_later, (len(self.numbers), SECONDS))
                self.numbers[controller_peer.submit(self.peer, self.socket, {"retries": 10}, buffers=buffers)] = len(
                    self.numbers
                )
            if self.socket.poll(100):
                self.take(self.socket.recv_multipart())
        while self.socket.poll(500):  # what is answered twice
            self.take(self.socket.recv_multipart())
        self.peer.close()

    def take(self, frames):
        reply = framing.read(frames)
        msg_id = json.loads(reply.parent)["msg_id"]
        self.answers[msg_id] += 1
        content = json.loads(reply.content)
        if content["status"] != "ok" or self.canning.deserialize(reply.buffers)[0] != self.numbers[msg_id]:
            self.wrong.append((self.numbers[msg_id], content))

    def wait_for(self, share):
        """Until that share of all is answered."""
        wait_until(
            lambda: len(self.answers) >= share * TASKS or not self.is_alive(), 300, f"{share} of the tasks are answered"
        )


def test_every_task_is_answered_once_and_status_is_right_where_jobs_are_cancelled_and_time_out(box, slurm):
    def jobs(word):
        return sorted((job for job, state in slurm.states().items() if state == word), key=int)

    cluster = box.begin(
        "start",
        f"--n={JOBS * ENGINES}",
        f"--n-min={ROOM * ENGINES}",
        "--elauncher=slurm",
        "--SlurmLauncher.timelimit=30",
        f"--SlurmLauncher.engines_per_job={ENGINES}",
        "--IPClusterEngines.early_shutdown=0",
    )
    cluster.wait_for_output(UP, 120)
    running, waiting = jobs("RUNNING"), jobs("PENDING")
    assert (len(running), len(waiting)) == (ROOM, JOBS - ROOM)
    # Slurm looks at the limits twice a minute, and none is less than a minute.
    limited = running[1:3] if SCALE > 1 else []
    for job in limited:
        slurm.command("scontrol", "update", f"jobid={job}", "timelimit=1")
    tasks = Tasks(box)
    tasks.start()
    tasks.wait_for(0.1)
    cancelled = [running[0], waiting[-1]]
    slurm.command("scancel", *cancelled)
    ends = {**dict.fromkeys(cancelled, "was cancelled"), **dict.fromkeys(limited, "has reached its time limit")}
    for job, end in ends.items():
        cluster.wait_for_output(f"Slurm job {job} {end}", 120)
    tasks.wait_for(0.5)
    left = [job for job in running + waiting if job not in ends]
    run, wait = left[:ROOM], left[ROOM:]
    registered = ENGINES * len(run)
    wait_until(
        lambda: len(json.loads(box.ipcluster("status", "--json").out)["engines"]) == registered,
        60,
        "waiting jobs have found room",
    )
    tasks.finish.set()
    tasks.join()

    assert not tasks.wrong
    assert len(tasks.answers) == TASKS and set(tasks.answers.values()) == {1}
    status = json.loads(box.ipcluster("status", "--json").out)
    engines = next(one for one in status["sets"] if one["role"] == "engines")
    assert (engines["asked"], engines["running"]) == (JOBS * ENGINES, registered), engines
    said = (
        f"{len(wait)} job of {JOBS} pending: .*; {len(run)} running" if wait else f"{len(run)} jobs of {JOBS} running"
    )
    assert re.fullmatch(said, engines["said"])
    assert collections.Counter(engine["job"] for engine in status["engines"]) == {
        f"Slurm job {job}": ENGINES for job in run
    }
    assert {engine["state"] for engine in status["engines"]} == {"idle"} and status["unassigned"] == 0
    assert (jobs("RUNNING"), jobs("PENDING")) == (run, wait)
    reasons = json.loads(
        box.run(
            "/usr/bin/python3",
            "-c",
            "import ipcluster, json\nprint(json.dumps([one['reason'] for one in " "ipcluster.Client().departed]))",
            python=True,
            check=True,
        ).out
    )
    assert collections.Counter(reason.rpartition("; ")[2] for reason in reasons) == {
        f"Slurm job {job} {end}, with its {ENGINES} engines": ENGINES for job, end in ends.items() if job in running
    }, reasons
    for job, end in ends.items():
        assert cluster.output.count(f"Slurm job {job} {end}") == 1
    assert "No further engine" not in cluster.output  # neither those that wait nor those that have ended are late
    assert cluster.stop(signal.SIGINT, 120) == 0
    wait_until(lambda: set(map(slurm.state, run)) == {"COMPLETED"}, 60, "the jobs have ended by themselves")
    assert not jobs("PENDING") + jobs("RUNNING")
