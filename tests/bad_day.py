"""A bad day: programs of a cluster are killed, stopped and replaced at random moments, several in a row, under every kind of work, and
every answer is counted."""

import os
import random
import signal
import threading
import time
from collections import Counter

from support import LONG, PATIENCE, PYTHON, typed, wait_until

RECORDED = ["--reuse", "--sqlitedb", "--IPController.registration_timeout=4"]
ENGINES = 3
RETRIES = 3
# What a request may end with where what it needed was killed. Anything else is a failure.
EXCUSES = {"EngineError", "ConnectionError", "NoEnginesRegistered"}
# So many requests of each kind of work may be open at a time.
OPEN_MAX = 40

CLIENT = """
import sys, time
import ipcluster
client = ipcluster.Client(sys.argv[1], timeout=60)
view = client.load_balanced_view()
print("connected", flush=True)
while True:
    open_now = [view.apply_async(time.sleep, 0.01) for _ in range(50)]
    for result in open_now:
        result.wait()
"""


@typed
def note(path, name, seconds):
    """Leaves a line each time it runs."""
    import os
    import time

    file = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.write(file, (name + "\n").encode())
    os.close(file)
    time.sleep(seconds)
    return name


class Work:
    """Requests of one kind: `submit(view, name)` makes one, `good(value, name)` tells whether its answer is right, and a name may run
    `runs_max` times."""

    def __init__(self, kind, submit, good, runs_max=1):
        self.kind, self.submit, self.good, self.runs_max = kind, submit, good, runs_max
        self.answers = Counter()
        self.wrong = []
        self.names = {}  # of those that were submitted: whether they were answered with what they should be

    def run(self, random_numbers, over):
        """Submits until it is over, and goes on until everything is answered."""
        waiting = []
        number = 0
        while not over.is_set():
            if len(waiting) < OPEN_MAX:
                name = f"{self.kind}-{number}"
                number += 1
                try:
                    waiting.append((name, self.submit(name, random_numbers)))
                    self.names[name] = False
                except Exception as error:
                    self._note_error(name, error)
                    time.sleep(0.05)
            waiting = [(name, result) for name, result in waiting if not self._take(name, result)]
            time.sleep(0.002)
        deadline = time.monotonic() + 2 * LONG
        while waiting and time.monotonic() < deadline:
            waiting = [(name, result) for name, result in waiting if not self._take(name, result)]
            time.sleep(0.02)
        self.wrong += [f"{name} is never answered" for name, _ in waiting]

    def _take(self, name, result):
        if not result.ready():
            return False
        try:
            value = result.get(timeout=0)
        except Exception as error:
            self._note_error(name, error)
            return True
        if self.good(value, name):
            self.answers["good"] += 1
            self.names[name] = True
        else:
            self.wrong.append(f"{name} is answered with {value!r}")
        return True

    def _note_error(self, name, error):
        kind = getattr(error, "ename", None) or type(error).__name__
        # Several engines' errors together are told in one text.
        told = [excuse for excuse in sorted(EXCUSES) if kind == excuse or (kind == "CompositeError" and excuse in str(error))]
        if told:
            self.answers[told[0]] += 1
        else:
            self.wrong.append(f"{name} fails with {kind}: {error}")


class BadDay:
    """A cluster, work of every kind, and what befalls it."""

    def __init__(self, cluster, seed):
        self.cluster = cluster
        self.random = random.Random(seed)
        self.runs = cluster.sandbox.dir / "runs"
        self.runs.write_text("")
        self.alive = list(cluster.engines)
        self.done = Counter()
        self.client = cluster.client()
        self.stranger = None
        self.over = threading.Event()
        self.work = self._kinds_of_work()

    def _kinds_of_work(self):
        client, path = self.client, str(self.runs)
        plain = client.load_balanced_view()
        again = client.load_balanced_view(retries=RETRIES)

        def seconds(numbers):
            return numbers.choice([0, 0, 0.001, 0.01, 0.1])

        def printed(name, numbers):
            return client.direct_view(numbers.choice(client.ids or [0])).execute(f"print({name!r})")

        def equal(value, name):
            return value == name

        return [
            Work("task", lambda name, numbers: plain.apply_async(note, path, name, seconds(numbers)), equal),
            Work("retried", lambda name, numbers: again.apply_async(note, path, name, seconds(numbers)), equal, RETRIES + 1),
            Work("direct", lambda name, numbers: client.direct_view(numbers.choice(client.ids or [0])).apply_async(note, path, name, 0), equal),
            Work("broadcast", lambda name, numbers: client.broadcast_view().apply_async(typed(lambda text: text), name),
                 lambda value, name: value and set(value) == {name}),
            Work("map", lambda name, numbers: again.map_async(abs, range(-20, 0), chunksize=4),
                 lambda value, name: list(value) == list(range(20, 0, -1))),
            Work("large", lambda name, numbers: plain.apply_async(len, bytes(numbers.choice([100, 100_000, 2_000_000]))),
                 lambda value, name: value in (100, 100_000, 2_000_000)),
            Work("execute", printed, lambda value, name: True),
        ]

    # What befalls it

    def kill_engine(self):
        engine = self.alive.pop(self.random.randrange(len(self.alive)))
        engine.popen.kill()
        self.alive.append(self.cluster.start_engine())

    def stop_engine(self):
        self._stop_for_a_while(self.random.choice(self.alive), self.random.uniform(0.05, 2))

    def end_engine(self):
        engine = self.alive.pop(self.random.randrange(len(self.alive)))
        engine.send_signal(signal.SIGTERM)
        self.alive.append(self.cluster.start_engine())

    def stop_controller(self):
        self._stop_for_a_while(self.cluster.controller, self.random.uniform(0.05, 2))

    def kill_controller(self):
        self.cluster.controller.popen.kill()
        self.cluster.controller.wait()
        self.cluster.start_controller("--restore", "--sqlitedb", RECORDED[-1])

    def kill_client(self):
        if self.stranger:
            self.stranger.popen.kill()
        self.stranger = self.cluster.sandbox.start(PYTHON, "-c", CLIENT, str(self.cluster.client_file), python=True)

    @staticmethod
    def _stop_for_a_while(process, seconds):
        process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        process.send_signal(signal.SIGCONT)

    def befall(self, seconds):
        """So long, blow after blow: mostly one, and sometimes several in a row."""
        blows = [self.kill_engine, self.kill_engine, self.end_engine, self.stop_engine, self.stop_controller, self.kill_controller,
                 self.kill_client]
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            for _ in range(self.random.choice([1, 1, 1, 2, 4])):
                blow = self.random.choice(blows)
                blow()
                self.done[blow.__name__] += 1
            time.sleep(self.random.uniform(0, 2) * PATIENCE)

    def live(self, seconds):
        """The day: returns once everything that was asked for has been answered."""
        threads = [threading.Thread(target=work.run, args=(random.Random(self.random.random()), self.over)) for work in self.work]
        for thread in threads:
            thread.start()
        try:
            self.befall(seconds)
            wait_until(lambda: len(self.client.ids) >= ENGINES, 60, "engines are back")
        finally:
            self.over.set()
            for thread in threads:
                thread.join()
        if self.stranger:
            self.stranger.popen.kill()

    # What is counted

    def faults(self):
        """Sentences of what went wrong."""
        runs = Counter(self.runs.read_text().splitlines())
        found = []
        for work in self.work:
            found += work.wrong
            if work.kind not in ("task", "retried", "direct"):
                continue
            for name, answered in work.names.items():
                if runs[name] > work.runs_max:
                    found.append(f"{name} ran {runs[name]} times")
                if answered and not runs[name]:
                    found.append(f"{name} was answered and never ran")
        return found

    def summary(self):
        lines = [f"{sum(self.done.values())} blows: {dict(self.done)}"]
        lines += [f"{work.kind}: {sum(work.answers.values())} answers, {dict(work.answers)}" for work in self.work]
        return "\n".join(lines)


def duration():
    """How long the day is, in seconds: $IPCLUSTER_BAD_DAY_SECONDS."""
    return float(os.environ.get("IPCLUSTER_BAD_DAY_SECONDS", 40))
