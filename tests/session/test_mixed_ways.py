"""All ways of a cluster at once: engines and clients by local sockets and by encrypted TCP, windows, envelopes, segments and maps, while
engines, clients and the controller are killed, and tasks aborted, interrupted and tried again."""

import contextlib
import os
import signal
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import zmq

from churn import Churn
from controller_peer import Peer
from engine_peer import resident_kb
from ipcluster import RemoteError, canning
from support import LONG, PYTHON, SLOWNESS, Cluster, cluster_maker, typed, wait_until
from test_churn import collect
from test_envelopes import waiting
from test_local import by_tcp
from test_segments import PUSH, counted, holders, mapped
from test_window import WINDOW_MAX

ENGINES = 4  # of which every other one connects by TCP
MAPPED = 2000 if SLOWNESS == 1 else 500  # tasks of a map, of each client
LARGE_BYTES = 3 << 20  # above the least for a segment
TRIES_MAX = 1000  # of tasks that are hit again and again
SURVIVING = "--TaskScheduler.deaths_max=0"
RESTORED = ["--restore", "--sqlitedb", f"--IPController.registration_timeout={LONG:.0f}"]  # engines may be slow


@typed
def work(name, seconds=0, gate=None, data=b"", size=0):
    """Leaves a line, so that it is known that it has begun; with a gate it ends when that file exists."""
    import os
    import time

    file = os.open(os.environ["BEGUN"], os.O_WRONLY | os.O_APPEND)
    os.write(file, f"{name} {os.getpid()}\n".encode())
    os.close(file)
    time.sleep(seconds)
    while gate and not os.path.exists(gate):
        time.sleep(0.005)
    return (name, len(data), bytes(size)) if size else name


@typed
def fail_until(name, times):
    """Leaves a line, and fails if there are no more than so many of them."""
    import os

    path = os.environ["BEGUN"] + f".{name}"
    for begun in range(times + 1):
        try:
            os.close(os.open(f"{path}.{begun}", os.O_CREAT | os.O_EXCL))
            break
        except FileExistsError:
            pass
    file = os.open(os.environ["BEGUN"], os.O_WRONLY | os.O_APPEND)
    os.write(file, f"{name} {os.getpid()}\n".encode())
    os.close(file)
    if begun < times:
        raise ValueError("meant to")
    return name


class MixedCluster(Cluster):
    def start_engine(self, *arguments, env=None):
        """Every other one connects by TCP."""
        by_tcp = len(self.engines) % 2
        return super().start_engine(*arguments, *([f"--file={self.tcp_file('engine')}"] if by_tcp else []), env=env)


class Ways:
    """A cluster with a client of each way, what they have asked for, and what has begun."""

    def __init__(self, sandbox, make, *options):
        self.sandbox = sandbox
        self.lines = sandbox.dir / "begun"
        self.gate = sandbox.dir / "gate"
        self.lines.write_text("")
        sandbox.env["BEGUN"] = str(self.lines)
        self.cluster = make(ENGINES, controller=options)
        self.clients = [self.cluster.client(), self.cluster.client(file=self.cluster.tcp_file("client"))]
        self.asked = {}  # results by name
        self.begins_max = {}  # by name, where it is not 1
        connections = [bool(by_tcp(engine.pid)) for engine in self.cluster.engines]
        assert connections == [False, True] * (ENGINES // 2)

    # What is asked for

    def note(self, name, result, begins_max=1):
        self.asked[name] = result
        self.begins_max[name] = begins_max

    def map(self, number, count, seconds=0, gate=None):
        """Tasks of a map."""
        names = [f"map-{number}-{task}" for task in range(len(self.asked), len(self.asked) + count)]
        view = self.clients[number].load_balanced_view()
        results = view.map_async(work, names, [seconds] * count, [gate] * count).split()
        for name, result in zip(names, results):
            self.note(name, result)

    def ask(self, number, retries):
        """Everything that a client may ask for, at once."""
        client = self.clients[number]
        view, again = client.load_balanced_view(), client.load_balanced_view(retries=retries)
        self.map(number, MAPPED)
        for task in range(100):
            name = f"{number}-{task}"
            self.note(f"some-{name}", view.apply_async(work, f"some-{name}", 0.003))
            self.note(f"retried-{name}", again.apply_async(work, f"retried-{name}"), retries + 1)
            if retries:
                self.note(f"failing-{name}", again.apply_async(fail_until, f"failing-{name}", 1), retries + 1)
            with contextlib.suppress(ValueError, RemoteError):  # the engine has gone meanwhile
                engine = client.ids[task % len(client.ids)]
                self.note(f"direct-{name}", client[engine].apply_async(work, f"direct-{name}"))
            if task % 10 == 0:
                data = bytes(LARGE_BYTES)
                large = view.apply_async(work, f"large-{name}", 0, None, data, LARGE_BYTES)
                self.note(f"large-{name}", large)
        self.map(number, MAPPED)

    def ask_all(self, retries=3):
        """Both clients ask for everything at the same time."""
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda number: self.ask(number, retries), range(2)))

    def hold(self):
        """Tasks that hold each engine until the gate is opened: they have begun."""
        names = [f"held-{engine}" for engine in self.clients[0].ids]
        for engine, name in zip(self.clients[0].ids, names):
            self.note(name, self.clients[0][engine].apply_async(work, name, 0, str(self.gate)))
        wait_until(lambda: set(names) <= set(self.begun()), 60, "each engine is held")

    def last(self):
        """Tasks of each client that are answered when the gate is opened."""
        for number in range(2):
            self.map(number, 4, gate=str(self.gate))

    def wait_for_engines(self, processes):
        """Waits until both clients know these engines, and no others."""
        pids = {process.pid for process in processes}
        for client in self.clients:
            wait_until(lambda: {engine.pid for engine in client.engines.values()} == pids, LONG, "engines come and go")

    # What has become of it

    def order(self):
        """The name and the process of each beginning, in their order."""
        return [line.split() for line in self.lines.read_text().splitlines()]

    def begun(self):
        return Counter(name for name, _ in self.order())

    def outcomes(self, strangers=()):
        """The values and errors of all, by name. Each is answered, none has begun too often, and none has a value that has not begun."""
        outcomes = {name: outcome(result) for name, result in self.asked.items()}
        begun = self.begun()
        for name, value in outcomes.items():
            assert begun[name] <= self.begins_max[name], name
            if not isinstance(value, Exception):
                assert value == ((name, LARGE_BYTES, bytes(LARGE_BYTES)) if name.startswith("large") else name)
                assert begun[name], name
        assert not set(begun) - set(outcomes) - set(strangers), "what nobody asked for has begun"
        return outcomes

    def check_end(self):
        """The controller has ended each task once, and nobody has segments any more."""
        values = self.clients[0].stats()
        ended = sum(value for key, value in values.items() if key.startswith("ipcluster_tasks_finished_total"))
        assert ended == values["ipcluster_tasks_submitted_total"]
        assert not any(values[f"ipcluster_tasks_{state}"] for state in ("waiting", "blocked", "running"))
        self.wait_for_no_segments()

    def wait_for_no_segments(self):
        wait_until(lambda: not holders(self.sandbox) and counted(self.clients[0]) == 0, LONG, "no segments are left")
        assert mapped(os.getpid())[0] == 0


def outcome(result):
    """The value, or the error."""
    assert result.wait(2 * LONG), "it is not answered"
    try:
        value = result.get(0, return_exceptions=True)
    except Exception as error:
        return error
    return value[0] if isinstance(value, list) else value


def errors(outcomes):
    """The names of errors, by the names of what was asked for."""
    return {
        name: getattr(value, "ename", type(value).__name__)
        for name, value in outcomes.items()
        if isinstance(value, Exception)
    }


@pytest.fixture
def ways(sandbox):
    with cluster_maker(sandbox, MixedCluster) as make:
        yield lambda *options: Ways(sandbox, make, *options)


def test_each_request_is_answered_once_while_engines_are_killed_and_others_join(ways):
    mixed = ways(SURVIVING)
    peer = Peer(mixed.cluster.profile_dir)
    socket = peer.connect(zmq.DEALER, peer.client["task"])
    strange, replies = {}, {}
    with Churn(mixed.cluster) as churn:
        for number in range(500):
            frames, msg_id = peer.message("apply_request", buffers=canning.pack_apply(work, (f"strange-{number}",), {}))
            socket.send_multipart(frames)
            strange[msg_id] = f"strange-{number}"
        mixed.ask_all(TRIES_MAX)
        mixed.last()
        churn.wait_for(4)
        mixed.gate.touch()
        collect(peer, socket, strange, replies)
    peer.close()
    begun, failed = mixed.begun(), {}
    for msg_id, name in strange.items():
        (reply,) = replies[msg_id]
        failed |= {} if reply["status"] == "ok" else {name: reply["ename"]}
        assert begun[name] <= 1 and (begun[name] or name in failed)
    outcomes = mixed.outcomes(strange.values())
    begun = mixed.begun()
    failed |= errors(outcomes)
    assert set(failed.values()) <= {"EngineError"}
    assert not [name for name in failed if name.startswith(("retried", "failing"))]
    # An engine says that a task has begun before it does: it may be killed in between.
    tasks = [name for name in failed if not name.startswith("direct")]
    assert len([name for name in tasks if not begun[name]]) <= churn.killed
    assert len(tasks) <= churn.killed * WINDOW_MAX
    mixed.check_end()


@pytest.mark.parametrize("held", [True, False], ids=["all wait", "some run"])
def test_what_is_aborted_never_runs_and_all_else_does(ways, held):
    mixed = ways()
    if held:
        mixed.hold()
    mixed.ask_all()
    own = [[name for name in mixed.asked if name.split("-")[1] == str(n) and "held" not in name] for n in range(2)]
    # The first of each are those that engines have at hand.
    chosen = [{*names[:50], *names[50::3]} for names in own]
    aborted = [
        set(client.abort([mixed.asked[name] for name in names], block=True))
        for client, names in zip(mixed.clients, chosen)
    ]
    mixed.gate.touch()
    outcomes, begun = mixed.outcomes(), mixed.begun()
    failed = errors(outcomes)
    assert set(failed.values()) <= {"TaskAborted"} and set(failed) <= chosen[0] | chosen[1]
    assert {mixed.asked[name].msg_ids[0] for name in failed} >= aborted[0] | aborted[1]
    for name in failed:
        assert not begun[name] or name.startswith("failing"), "it has run"
    if held:
        assert set(failed) == chosen[0] | chosen[1]
        assert not any(begun[name] for name in failed)
    mixed.check_end()


def test_an_interrupt_ends_the_one_long_task_that_its_engine_runs(ways):
    mixed = ways()
    engines = {pid: engine for engine, pid in mixed.clients[0][:].apply_async(os.getpid).get_dict(LONG).items()}
    mixed.ask_all()
    for number in range(8):
        client, name = mixed.clients[number % 2], f"long-{number}"
        view = client[client.ids[number % ENGINES]] if number > 3 else client.load_balanced_view()
        mixed.note(name, view.apply_async(work, name, 0, str(mixed.gate)))
        wait_until(lambda: name in mixed.begun(), 60, "it runs")
        client.interrupt(engines[int(dict(mixed.order())[name])], block=True)
        assert isinstance(outcome(mixed.asked[name]), RemoteError)
        mixed.map(number % 2, 200)
    outcomes = mixed.outcomes()
    assert errors(outcomes) == {f"long-{number}": "KeyboardInterrupt" for number in range(8)}
    assert set(mixed.begun()) == set(mixed.asked)
    mixed.check_end()


def test_all_is_answered_and_nothing_runs_twice_when_the_controller_is_killed_and_comes_back(ways):
    mixed = ways(*RESTORED)
    mixed.ask_all(TRIES_MAX)
    mixed.last()
    wait_until(lambda: len(mixed.order()) > MAPPED, 60, "it is in the middle")
    mixed.cluster.controller.stop(signal.SIGKILL)
    mixed.cluster.start_controller(*RESTORED)
    mixed.gate.touch()
    outcomes, begun = mixed.outcomes(), mixed.begun()
    failed = errors(outcomes)
    kinds = {name: name.split("-")[0] for name in failed}
    # Clients keep no direct requests, and no large tasks, to send them again to another controller.
    assert {kinds[name] for name in failed if failed[name] == "ConnectionError"} <= {"direct", "large"}
    # Of other tasks an answer may be lost, if they may not run again.
    assert set(failed.values()) <= {"ConnectionError", "EngineError"}
    assert not {"retried", "failing"} & set(kinds.values())
    assert all(begun[name] for name in failed if failed[name] == "EngineError")
    mixed.wait_for_no_segments()


def test_what_fails_at_first_is_tried_again_as_often_as_it_may(ways):
    mixed = ways()
    mixed.ask_all(2)
    always = mixed.clients[1].load_balanced_view(retries=2)
    for number in range(20):
        name = f"always-{number}"
        mixed.note(name, always.apply_async(fail_until, name, 3), 3)
    outcomes, begun = mixed.outcomes(), mixed.begun()
    assert errors(outcomes) == {f"always-{number}": "ValueError" for number in range(20)}
    for name in mixed.asked:
        assert begun[name] == {"always": 3, "failing": 2}.get(name.split("-")[0], 1), name
    mixed.check_end()


def test_rounds_of_large_data_leave_no_segments_and_no_memory(ways, sandbox):
    sandbox.env["MALLOC_MMAP_THRESHOLD_"] = str(1 << 20)  # so that what is freed is no longer resident
    mixed = ways(SURVIVING)
    alive = list(mixed.cluster.engines)
    sizes = []
    for number in range(10):
        script = PUSH + "print('sent', flush=True)\nimport signal\nsignal.pause()"
        other = mixed.sandbox.start(PYTHON, "-c", script, mixed.cluster.client_file, python=True)
        for client in mixed.clients:
            client[:].push({"b": bytes(LARGE_BYTES)}, block=True)
            assert client[:].pull("b", block=True) == [bytes(LARGE_BYTES)] * ENGINES
            balanced = client.load_balanced_view(retries=TRIES_MAX)
            results = [balanced.apply_async(bytes.__add__, bytes(LARGE_BYTES), b"x") for _ in range(10)]
            other.wait_for_output("sent", LONG)
            other.popen.kill()
            if client is mixed.clients[0]:
                mixed.cluster.start_engine().wait_for_output("registered as engine", LONG)
                alive.append(mixed.cluster.engines[-1])
                alive.pop(0).popen.kill()
                mixed.wait_for_engines(alive)
            assert [len(result.get(LONG)) for result in results] == [LARGE_BYTES + 1] * 10
            del results
        mixed.clients[0][:].execute("globals().pop('a', 0); globals().pop('b', 0)", block=True)
        mixed.wait_for_no_segments()
        sizes.append(resident_kb(mixed.cluster.controller.pid))
    # After three rounds, in which comes what is kept for a while, less than two of some hundred large buffers.
    assert sandbox.sanitizers or sizes[-1] - sizes[2] < 2 * LARGE_BYTES >> 10, sizes


@pytest.mark.parametrize("long", [0, 1], ids=["long by local sockets", "long by TCP"])
def test_a_client_with_few_long_tasks_is_not_starved_by_one_with_many_short_ones(ways, long):
    mixed = ways()
    mixed.hold()
    mixed.map(1 - long, 4000)
    mixed.map(long, 60, 0.02)
    wait_until(lambda: waiting(mixed.clients[0]) == 4060, LONG, "all have come")
    mixed.gate.touch()
    assert not errors(mixed.outcomes())
    order = [name.split("-")[1] for name, _ in mixed.order() if name.startswith("map")]
    places = [place for place, client in enumerate(order) if client == str(long)]
    # While both have tasks waiting, each is given an engine as often as the other. Engines may have some more at hand.
    assert all(place <= 2 * number + ENGINES * WINDOW_MAX for number, place in enumerate(places)), places
