"""A bad day: programs of a cluster are killed, stopped and replaced at random moments, several in a row, under every kind of work, and
every answer is counted."""

import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter

import psutil
from support import LONG, PATIENCE, PYTHON, kill, named, typed, wait_until

RECORDED = ["--reuse", "--sqlitedb", "--IPController.registration_timeout=4"]
ENGINES = 3
RETRIES = 3
# How a request may end if something that it needed was killed. Anything else is a failure.
EXCUSES = {"EngineError", "ConnectionError", "NoEnginesRegistered"}
# There is no record of what a client had not sent, or a controller not written, when it was killed.
NO_RECORD = {"KeyError"}
# So many requests of each kind of work may be open at a time.
OPEN_MAX = 40

# A client that reads from the records the results of the previous client's requests, which a file names, and then asks for more.
CLIENT = """
import sys
import ipcluster
file, excuses = sys.argv[2], sys.argv[3].split()
client = ipcluster.Client(sys.argv[1], timeout=60)
view = client.load_balanced_view()
for line in open(file).read().split("\\n")[:-1]:
    msg_id, number = line.split()
    try:
        value = client.get_result(msg_id).get(timeout=float(sys.argv[4]))
        if value != int(number) + 1:
            print(f"FAULT: {msg_id} has the result {value!r} and not {number} + 1", flush=True)
    except Exception as error:
        name = getattr(error, "ename", None) or type(error).__name__
        if name not in excuses:
            print(f"FAULT: {msg_id} has no result: {name}: {error}", flush=True)
open(file, "w").close()
print("has read", flush=True)
while True:
    asked = []
    for number in range(50):
        asked.append(view.apply_async(number.__add__, 1))
        with open(file, "a") as ids:
            print(asked[-1].msg_ids[0], number, file=ids)
    for result in asked:
        result.wait()
"""


@typed
def note(path, name, seconds):
    """Leaves a line each time it runs."""
    import os
    import time

    file = os.open(path, os.O_WRONLY | os.O_APPEND)
    os.write(file, f"{name} {os.getpid()} {time.time():.3f}\n".encode())
    os.close(file)
    time.sleep(seconds)
    return name


class Work:
    """Requests of one kind: `submit(view, name)` makes one, `good(value, name)` tells whether its answer is right, and a name may run
    `runs_max` times, if runs are `noted`."""

    def __init__(self, kind, submit, good, runs_max=1, noted=True):
        self.kind, self.submit, self.good, self.runs_max, self.noted = kind, submit, good, runs_max, noted
        self.answers = Counter()
        self.wrong = []
        self.names = {}  # those that were submitted, and whether they were answered rightly

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
        # The errors of several engines are in one text.
        told = [
            excuse
            for excuse in sorted(EXCUSES)
            if kind == excuse or (kind == "CompositeError" and excuse in str(error))
        ]
        if told:
            self.answers[told[0]] += 1
        else:
            self.wrong.append(f"{name} fails with {kind}: {error}")


def watchers(sandbox, engine):
    """The process that watches an engine of this pid, where it has one."""
    found = []
    for process in named(sandbox, "engine-watcher"):
        with contextlib.suppress(psutil.NoSuchProcess):
            # One that is ending has no command line any more.
            if " ".join(process.cmdline()).split() == ["engine-watcher", str(engine)]:
                found.append(process)
    return found


class BadDay:
    """A cluster, work of every kind, and the harm that is done to it."""

    def __init__(self, cluster, seed):
        self.cluster = cluster
        self.random = random.Random(seed)
        self.runs = cluster.sandbox.dir / "runs"
        self.runs.write_text("")
        self.asked = cluster.sandbox.dir / "asked"
        self.asked.write_text("")
        self.alive = list(cluster.engines)
        self.done = Counter()
        self.client = cluster.client()
        self.found = []  # faults that are known already
        self.strangers = []
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
            Work(
                "retried",
                lambda name, numbers: again.apply_async(note, path, name, seconds(numbers)),
                equal,
                RETRIES + 1,
            ),
            Work(
                "direct",
                lambda name, numbers: client.direct_view(numbers.choice(client.ids or [0])).apply_async(
                    note, path, name, 0
                ),
                equal,
            ),
            Work(
                "broadcast",
                lambda name, numbers: client.broadcast_view().apply_async(typed(lambda text: text), name),
                lambda value, name: value and set(value) == {name},
                noted=False,
            ),
            Work(
                "map",
                lambda name, numbers: again.map_async(abs, range(-20, 0), chunksize=4),
                lambda value, name: list(value) == list(range(20, 0, -1)),
                noted=False,
            ),
            Work(
                "large",
                lambda name, numbers: plain.apply_async(len, bytes(numbers.choice([100, 100_000, 2_000_000]))),
                lambda value, name: value in (100, 100_000, 2_000_000),
                noted=False,
            ),
            Work("execute", printed, lambda value, name: True, noted=False),
        ]

    # The harm. Each returns a function that makes it good.

    def kill_engine(self):
        return self._end_engine(lambda engine: engine.popen.kill())

    def end_engine(self):
        return self._end_engine(lambda engine: engine.send_signal(signal.SIGTERM))

    def kill_watcher_and_engine(self):
        """Nobody says how the engine died."""

        def end(engine):
            kill(watchers(self.cluster.sandbox, engine.pid))
            engine.popen.kill()

        return self._end_engine(end)

    def kill_watcher(self):
        kill(watchers(self.cluster.sandbox, self.random.choice(self.alive).pid))
        return lambda: None

    def stop_engine(self):
        return self._stop_for_a_while(self.random.choice(self.alive), self.random.uniform(0.05, 2))

    def stop_controller(self):
        return self._stop_for_a_while(self.cluster.controller, self.random.uniform(0.05, 2))

    def kill_controller(self):
        self.cluster.controller.popen.kill()
        self.cluster.controller.wait()
        return lambda: self.cluster.start_controller("--restore", "--sqlitedb", RECORDED[-1])

    def kill_client(self):
        if self.strangers:
            self.strangers[-1].popen.kill()
        return self._start_client

    def _start_client(self):
        words = [self.cluster.client_file, self.asked, " ".join(EXCUSES | NO_RECORD), 2 * LONG]
        self.strangers.append(self.cluster.sandbox.start(PYTHON, "-c", CLIENT, *words, python=True))

    def _end_engine(self, end):
        if len(self.alive) < 2:
            return lambda: None
        end(self.alive.pop(self.random.randrange(len(self.alive))))
        return lambda: self.alive.append(self.cluster.start_engine())

    @staticmethod
    def _stop_for_a_while(process, seconds):
        process.send_signal(signal.SIGSTOP)

        def go_on():
            time.sleep(seconds)
            process.send_signal(signal.SIGCONT)

        return go_on

    def befall(self, seconds):
        """Does harm for `seconds`: mostly one kind at a time, and sometimes several, in a row or all at once."""
        blows = [
            self.kill_engine,
            self.kill_engine,
            self.end_engine,
            self.kill_watcher,
            self.kill_watcher_and_engine,
            self.stop_engine,
            self.stop_controller,
            self.kill_controller,
            self.kill_controller,
            self.kill_client,
        ]
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            at_once = self.random.random() < 0.5
            make_good = []
            for blow in dict.fromkeys(self.random.sample(blows, self.random.choice([1, 1, 1, 2, 3, 4]))):
                make_good.append(blow())
                self.done[blow.__name__] += 1
                if not at_once:
                    make_good.pop()()
            self.random.shuffle(make_good)
            for action in make_good:
                action()
            time.sleep(self.random.uniform(0, 2) * PATIENCE)

    def live(self, seconds):
        """The day: returns once everything that was asked for has been answered."""
        threads = [
            threading.Thread(target=work.run, args=(random.Random(self.random.random()), self.over))
            for work in self.work
        ]
        for thread in threads:
            thread.start()
        try:
            self.befall(seconds)
            wait_until(lambda: len(self.client.ids) >= ENGINES, 60, "engines are back")
            # After the last of several controllers a client needs some seconds to see that an engine has gone. Until then no broadcast
            # reaches all.
            wait_until(lambda: all(work.answers["good"] for work in self.work), 60, "work of each kind succeeds")
        finally:
            self.over.set()
            for thread in threads:
                thread.join()
        # The last client reads what the previous one has asked for.
        self.kill_client()()
        self.strangers[-1].wait_for_output("has read", 4 * LONG)
        self.strangers[-1].popen.kill()
        self.found += [
            line for client in self.strangers for line in client.output.splitlines() if line.startswith("FAULT")
        ]

    # What is counted

    def faults(self):
        """Sentences of what went wrong."""
        runs = {}
        for line in self.runs.read_text().splitlines():
            runs.setdefault(line.split()[0], []).append(line)
        found = list(self.found)
        for work in self.work:
            found += work.wrong
            if not work.noted:
                continue
            for name, answered in work.names.items():
                times = runs.get(name, [])
                if len(times) > work.runs_max:
                    found.append(f"{name} ran {len(times)} times: {times}")
                if answered and not times:
                    found.append(f"{name} was answered and never ran")
        return found

    def summary(self):
        lines = [f"{sum(self.done.values())} blows: {dict(self.done)}"]
        lines += [f"{work.kind}: {sum(work.answers.values())} answers, {dict(work.answers)}" for work in self.work]
        return "\n".join(lines)


class SupervisedDay:
    """Lives of a cluster that `ipcluster start` supervises, in a sandbox. In each there is work, and engines and watchers are killed. At
    its end the supervisor is killed, alone or with others, or told to end. What is left is stopped, or replaced by the next life.
    """

    def __init__(self, box, seed):
        self.box = box
        self.random = random.Random(seed)
        self.runs = box.dir / "runs"
        self.runs.write_text("")
        self.done = Counter()
        self.work = []
        self.found = []

    def _start(self):
        self.supervisor = self.box.begin("start", f"--n={ENGINES}", "--IPClusterEngines.early_shutdown=0")

    def _engines(self):
        return named(self.box, "ipengine")

    # The harm. Each returns whether the cluster goes on.

    def kill_supervisor(self):
        self.supervisor.stop(signal.SIGKILL)
        return True

    def kill_supervisor_and_controller(self):
        kill([*named(self.box, "ipcontroller"), *named(self.box, "ipcluster")])
        return False

    def kill_supervisor_and_engines(self):
        self.supervisor.popen.kill()
        kill(self._engines())
        return False

    def end_supervisor(self):
        self.supervisor.send_signal(self.random.choice([signal.SIGTERM, signal.SIGINT]))
        return False

    def stop_by_command(self):
        self.box.ipcluster("stop", check=True)
        return False

    def _harm_engines(self):
        for _ in range(self.random.randrange(3)):
            victims = self._engines()
            if len(victims) < 2:
                return  # one is left to work
            if self.random.random() < 0.5:
                victims = [watcher for engine in victims for watcher in watchers(self.box, engine.pid)]
            victims = self.random.sample(victims, min(1, len(victims)))
            kill(victims)
            wait_until(lambda: not set(victims) & set(self.box.marked()), 10, "what was killed is dead")
            time.sleep(self.random.uniform(0, 0.5))

    def _kinds_of_work(self, client, life):
        path, view = str(self.runs), client.load_balanced_view(retries=RETRIES)
        return [
            Work(
                f"task-{life}",
                lambda name, numbers: client.load_balanced_view().apply_async(
                    note, path, name, numbers.choice([0, 0.01])
                ),
                lambda value, name: value == name,
            ),
            Work(
                f"retried-{life}",
                lambda name, numbers: view.apply_async(note, path, name, numbers.choice([0, 0.01])),
                lambda value, name: value == name,
                RETRIES + 1,
            ),
            Work(
                f"direct-{life}",
                lambda name, numbers: client.direct_view(numbers.choice(client.ids or [0])).apply_async(
                    note, path, name, 0
                ),
                lambda value, name: value == name,
            ),
        ]

    def _go_on(self, work):
        """After a supervisor's end its cluster answers as before."""
        before = work.answers["good"]
        wait_until(lambda: work.answers["good"] > before + OPEN_MAX, 30, "the cluster works without its supervisor")

    def _work_and_end(self, client, life):
        over, work = threading.Event(), self._kinds_of_work(client, life)
        self.work += work
        threads = [threading.Thread(target=each.run, args=(random.Random(self.random.random()), over)) for each in work]
        for thread in threads:
            thread.start()
        try:
            wait_until(lambda: all(each.answers["good"] for each in work), 30, "work is done")
            self._harm_engines()
            blow = self.random.choice(
                [
                    self.kill_supervisor,
                    self.kill_supervisor_and_controller,
                    self.kill_supervisor_and_engines,
                    self.end_supervisor,
                    self.stop_by_command,
                ]
            )
            self.done[blow.__name__] += 1
            if blow():
                self._harm_engines()
                self._go_on(work[1])
            self._clear_up(blow == self.kill_supervisor_and_engines)
        finally:
            over.set()
            for thread in threads:
                thread.join()

    def _clear_up(self, engines_gone=False):
        """Stops the cluster, and nothing is left. Sometimes leaves that to the next start, but not if engines have gone: work waits for
        others."""
        if not engines_gone and self.random.random() < 0.5:
            return
        self.box.ipcluster("stop")
        self.box.wait_for_no_processes()

    def live(self, seconds):
        import ipcluster

        until, life = time.monotonic() + seconds, 0
        while time.monotonic() < until:
            life += 1
            self._start()
            if self.random.random() < 0.3:
                time.sleep(self.random.uniform(0, 1.5))
                self.supervisor.stop(signal.SIGKILL)
                self.done["kill_supervisor_at_its_start"] += 1
                self._clear_up()
                continue
            self.supervisor.wait_for_output("The cluster is up", 60)
            with ipcluster.Client(
                str(self.box.profile_dir() / "security/ipcontroller-client.json"), timeout=LONG
            ) as client:
                self._work_and_end(client, life)
            if self.supervisor.alive:
                self.supervisor.wait(60)
        self.box.ipcluster("stop")
        self.box.wait_for_no_processes()

    faults, summary = BadDay.faults, BadDay.summary


def duration():
    """How long the day is, in seconds: $IPCLUSTER_BAD_DAY_SECONDS."""
    return float(os.environ.get("IPCLUSTER_BAD_DAY_SECONDS", 40))
