"""Many engines. IPCLUSTER_TEST_SCALE=5 makes them as many as are promised."""

import collections
import json
import os
import signal
import socket
import subprocess

from ipcluster_box import UP, assert_nothing_left

from support import kill, named, wait_until

SCALE = int(os.environ.get("IPCLUSTER_TEST_SCALE", "1"))


class Simulated:
    """Engines of a set whose processes only sleep: what registers for them, and says that it is them, is one process."""

    def __init__(self, box, count):
        sleeper = box.dir / "sleeper"
        sleeper.write_text("#!/bin/sh\nexec sleep 3600\n")
        sleeper.chmod(0o755)
        self.box, self.count = box, count
        self.supervisor = box.begin("start", f"--n={count}", f"--EngineLauncher.engine_cmd={sleeper}", "--", "--IPController.enable_curve=false")
        self.set = wait_until(self._saved, 60, "all processes are started")
        self.pids = [pid for pid, _ in self.set["job"]["processes"]]

    def _saved(self):
        file = self.box.profile_dir() / "pid/ipcluster.json"
        sets = json.loads(file.read_text())["sets"] if file.exists() else []
        return sets and sets[0]["job"] and len(sets[0]["job"]["processes"]) == self.count and sets[0]

    def register(self):
        said = self.box.dir / "said"
        said.write_text(json.dumps([{"host": socket.gethostname(), "pid": pid, "engine_set": self.set["name"]} for pid in self.pids]))
        file = self.box.profile_dir() / "security/ipcontroller-engine.json"
        self.process = subprocess.Popen([self.box.programs.build / "tests/bench/engines", file, str(self.count), said], env=self.box.env,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert json.loads(self.process.stdout.readline())["registered"] == self.count
        self.supervisor.wait_for_output(UP, 60)

    def end(self):
        self.process.communicate("leave\n")
        kill(named(self.box, "sleep"))


def calls(box, *words):
    """How often a command of ipcluster's opens a file, connects, sends and asks for the host's name; and what it prints."""
    trace = box.dir / "trace"
    done = box.run("strace", "-f", "-qq", "-o", trace, "-e", "trace=openat,connect,sendto,uname", box.programs.ipcluster, *words,
                   env=box.no_leak_check())  # which itself traces
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

    # Whether what a killed supervisor has started is still there costs a look at each, and one at all processes.
    engines.supervisor.stop(signal.SIGKILL)
    engines.end()
    for words, few in zip(commands[:3], before):
        many, _ = calls(box, *words)
        assert many["openat"] - few["openat"] < 6 * engines.count + 1000, (words, few, many)
    box.ipcluster("stop", check=True)
    assert_nothing_left(box, box.profile_dir())
