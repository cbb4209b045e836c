"""Views and results: what a person asks of engines, and what they get."""

import asyncio
import builtins
import functools
import gc
import json
import os
import threading
import time
import weakref

import pytest
import zmq

from controller_peer import Engine
from support import LONG, typed, wait_for_file, wait_until


@pytest.fixture
def ipp(programs):
    import ipcluster

    return ipcluster


@typed
def double(x):
    return 2 * x


@typed
def fail(x):
    raise ValueError(f"no {x}")


# Calls


def test_engines_are_chosen_as_members_of_a_list(client):
    assert client[0].targets == 0 and client[-1].targets == 1
    assert client[:].targets == [0, 1] and client[[1]].targets == [1] and client[::2].targets == [0]
    assert [view.targets for view in client] == [0, 1]
    with pytest.raises(IndexError):
        client[7]
    with pytest.raises(TypeError):
        client["x"]


def test_a_call_gives_one_result_an_engine(client, view, cluster):
    assert view.apply_sync(os.getpid) == [engine.pid for engine in cluster.engines] or len(view) == 2
    assert client[1].apply_sync(double, 4) == 8
    assert client[0].apply_async(double, x=5).get() == 10
    view.block = True
    assert view.apply(double, 1) == [2, 2]


def test_functions_travel_with_closures_defaults_and_partials(view):
    def outer(k):
        def f(a, b=[1, 2], *, c=3):
            return a + k + len(b) + c

        return typed(f)

    assert view.apply_sync(outer(10), 1) == [16, 16]
    assert view.apply_sync(functools.partial(outer(10), c=0), 1, b=[]) == [11, 11]
    assert view.apply_sync(max, [3, 9, 4]) == [9, 9]


def test_arrays_and_bytes_travel_whole(view, client):
    numpy = pytest.importorskip("numpy")
    array = numpy.random.rand(200, 300)
    view.push({"a": array, "b": b"x" * 3_000_000, "c": {"k": array[:3]}}, block=True)
    for got in view["a"]:
        assert numpy.array_equal(got, array)
    assert client[0]["len(b)"] == 3_000_000 and client[0]["b"] == b"x" * 3_000_000
    assert numpy.array_equal(client[1]["c"]["k"], array[:3])
    assert client[0].apply_sync(numpy.sum, array) == pytest.approx(array.sum())
    assert client[0].apply_sync(typed(lambda x: x.T.copy()), array).shape == (300, 200)


def test_what_was_read_of_a_message_is_freed_with_the_last_who_has_it(programs):
    from ipcluster import canning

    numpy = pytest.importorskip("numpy")
    gc.disable()
    try:
        for value in (double, lambda x=1: x, [numpy.zeros(9)], {"f": double}):
            canned = canning.loads(canning.serialize(value)[0])
            (inner,) = canned if isinstance(canned, list) else canned.values() if isinstance(canned, dict) else [canned]
            freed = weakref.ref(inner)
            del canned, inner
            assert freed() is None, f"of {value} something waits for the garbage collector"
    finally:
        gc.enable()


def test_names_are_a_dictionary(view, client):
    view["x"] = 5
    client[1]["x"] = 6
    assert view["x"] == [5, 6] and view.get("x * 2") == [10, 12]
    view.update({"y": "ä", "d": {}})
    client[0].push({"d['k']": 1}, block=True)
    assert client[0].pull(["y", "d"], block=True) == ["ä", {"k": 1}]
    view.clear(block=True)
    with pytest.raises(Exception, match="NameError"):
        view["x"]


def test_a_reference_is_looked_up_on_the_engine(view, ipp):
    view.scatter("part", list(range(5)), block=True)
    assert view.apply_sync(sum, ipp.Reference("part")) == [3, 7]


def test_decorators(view, client):
    @client[0].remote(block=True)
    @typed
    def one(x):
        return x + 1

    @view.parallel(block=True)
    @typed
    def doubled(part):
        return [2 * x for x in part]

    assert one(3) == 4
    assert doubled(list(range(5))) == [0, 2, 4, 6, 8]


def test_imports_happen_on_both_sides(view, capsys):
    with view.sync_imports():
        import colorsys
    assert "importing colorsys on engine(s)" in capsys.readouterr().out
    assert view["colorsys.__name__"] == ["colorsys"] * 2


def test_import_statements_bind_the_same_names_on_both_sides(view):
    before = set(view.pull("list(globals())", block=True)[0])

    def all_forms():
        with view.sync_imports(quiet=True):
            import email.mime.text as texts
            import wave as waves
            import xml.dom.minidom
            from email import charset as sets, mime
            from json import dumps, loads as read
        return {name: value.__name__ for name, value in locals().items() if name != "view"}

    bound = all_forms()
    assert sorted(bound) == ["dumps", "mime", "read", "sets", "texts", "waves", "xml"]
    for names in view["list(globals())"]:
        assert {name for name in set(names) - before if not name.startswith("_")} == set(bound)
    assert view[f"{{name: globals()[name].__name__ for name in {list(bound)}}}"] == [bound] * 2
    assert view["xml.dom.minidom.__name__"] == ["xml.dom.minidom"] * 2


def test_relative_imports_and_stars_reach_the_engines(view, tmp_path, monkeypatch):
    package = tmp_path / "relatives"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "cousin.py").write_text("value = 7\ndef f(): return 8\n")
    (package / "user.py").write_text(
        """
def use(view):
    with view.sync_imports(quiet=True):
        from . import cousin as relative
        from .cousin import f, value as v
    return relative.value, f(), v
"""
    )
    monkeypatch.syspath_prepend(tmp_path)
    view.execute(f"import sys; sys.path.insert(0, {str(tmp_path)!r})", block=True)
    from relatives import user

    assert [user.use(view)] * 2 == view["relative.value, f(), v"] == [(7, 8, 7)] * 2
    exec("with view.sync_imports(quiet=True):\n    from relatives.cousin import *", {"view": view})
    assert view["value"] == [7, 7]


def test_blocks_of_imports_in_several_threads_leave_nothing_behind(view):
    before = builtins.__import__
    entered, end = threading.Event(), threading.Event()

    def other_block():
        with view.sync_imports(quiet=True):
            entered.set()
            end.wait(LONG)
            import quopri

    thread = threading.Thread(target=other_block)
    with view.sync_imports(quiet=True):
        thread.start()
        entered.wait(LONG)
        import sched
    end.set()
    thread.join()
    assert builtins.__import__ is before
    assert view["'quopri' in globals() and 'sched' in globals()"] == [True, True]


def test_a_file_runs_on_all_engines(view, tmp_path):
    path = tmp_path / "program.py"
    path.write_text("def f():\n    return 'f'\nvalue = f()\nif value:\n    more = 1\n    ")
    view.run(path, block=True)
    assert view["value + str(more)"] == ["f1", "f1"]


# Load balancing


def test_work_spreads_over_the_engines(balanced, cluster, tmp_path):
    @typed
    def work(folder):
        """Ends when both engines are at it."""
        import os, time

        open(f"{folder}/{os.getpid()}", "w").close()
        while len(os.listdir(folder)) < 2:
            time.sleep(0.01)
        return os.getpid()

    assert len(set(balanced.map_async(work, [str(tmp_path)] * 12).get(timeout=LONG))) == 2


def test_tasks_keep_to_their_targets(client):
    one = client.load_balanced_view(targets=[1])
    assert set(one.map_sync(typed(lambda _: __import__("os").getpid()), range(6))) == {client[1].apply_sync(os.getpid)}


def test_tasks_say_what_they_depend_on(balanced, client):
    first = balanced.apply_async(double, 1)
    with balanced.temp_flags(after=first, follow=first.msg_ids, retries=2, timeout=3, targets=[1]):
        metadata = json.loads(balanced.metadata())
    assert metadata["after"] == metadata["follow"] == first.msg_ids
    assert metadata["retries"] == 2 and metadata["timeout"] == 3
    assert metadata["targets"] == [uuid for engine, uuid in client.connection.engines() if engine == 1]


def test_tasks_run_after_others_and_where_they_ran(balanced, client, ipp):
    held = [client[i].apply_async(time.sleep, 0.5) for i in client.ids]
    first = balanced.apply_async(os.getpid)
    with balanced.temp_flags(follow=first):
        followers = [balanced.apply_async(os.getpid) for _ in range(5)]
    assert {result.get(timeout=LONG) for result in followers} == {first.get()}
    broken = balanced.apply_async(fail, "luck")
    with balanced.temp_flags(after=broken):
        never = balanced.apply_async(double, 1)
    with balanced.temp_flags(after=ipp.Dependency([first, broken], failure=True)):
        both = balanced.apply_async(double, 2)
    with balanced.temp_flags(after=ipp.Dependency([never, broken], success=False, failure=True), targets=[1]):
        cleanup = balanced.apply_async(double, 3)
    assert both.get(timeout=LONG) == 4 and cleanup.get(timeout=LONG) == 6 and cleanup.engine_id == 1
    assert both.started >= first.completed and both.started >= broken.completed
    with pytest.raises(ipp.RemoteError, match="ImpossibleDependency"):
        never.get(timeout=LONG)
    with balanced.temp_flags(after="nobody"), pytest.raises(ipp.RemoteError, match="InvalidDependency.*nobody"):
        balanced.apply_sync(double, 1)
    client.wait(held, timeout=LONG)


def test_flags_are_checked(balanced, view):
    with pytest.raises(KeyError, match="no flag"):
        view.set_flags(retries=1)
    with pytest.raises(TypeError):
        balanced.set_flags(retries="x")
    with pytest.raises(ValueError):
        balanced.set_flags(timeout=-1)


def test_flags_of_a_call_are_not_those_of_other_threads_calls(view, ipp, tmp_path):
    begun, gate = tmp_path / "begun", tmp_path / "gate"
    held = view.remote(block=True, targets=[0])(wait_for_file)
    thread = threading.Thread(target=held, args=(str(gate), None, str(begun)))
    thread.start()
    try:
        wait_until(begun.exists, 20, "the call runs")
        assert (view.block, view.targets) == (False, [0, 1])
        pending = view.apply(double, 1)
        assert isinstance(pending, ipp.AsyncResult) and len(pending) == 2
    finally:
        gate.touch()
        thread.join()
    assert pending.get(timeout=LONG) == [2, 2]


def test_calls_set_nothing_on_their_view(client, monkeypatch):
    views = [client[:], client.load_balanced_view(), client.broadcast_view()]

    def set_nothing(self, name, value):
        assert name.startswith("_") or not any(self is view for view in views), f"{name} is set on a view"
        object.__setattr__(self, name, value)

    monkeypatch.setattr("ipcluster.view.View.__setattr__", set_nothing, raising=False)
    for view in views:
        assert view.remote(block=True, label="a")(double)(2) in ([4, 4], 4)
        assert view.parallel(block=True, label="a")(typed(lambda part: [2 * x for x in part]))([1, 2]) == [2, 4]
        assert view.map(double, [1, 2], block=True, label="a") == list(view.imap(double, [1, 2])) == [2, 4]
        assert view.executor.submit(double, 2).result(LONG) in ([4, 4], 4)
        if not view.balanced:
            view.execute("a = 1", block=True, label="a")


def test_labels_go_with_requests_of_all_kinds(new_cluster):
    client = new_cluster(1, controller=["--dictdb"]).client()
    for view in client[:], client.load_balanced_view(), client.broadcast_view():
        label = type(view).__name__
        results = [view.remote(label=label)(double)(1), view.map_async(double, [1], label=label)]
        if not view.balanced:
            results.append(view.execute("a = 1", label=label))
        wanted = {msg_id for result in results for msg_id in result.msg_ids}
        wait_until(lambda label=label, wanted=wanted: {record["msg_id"] for record in client.db_query({"label": label}, ["msg_id"])} == wanted,
                   20, "the hub has all of them under their label")  # fmt: skip
        client.wait(results, LONG)


# Results


def test_a_remote_error_has_its_traceback_and_engine(client, ipp):
    with pytest.raises(ipp.RemoteError) as caught:
        client[1].apply_sync(fail, "luck")
    error = caught.value
    assert error.ename == "ValueError" and error.evalue == "no luck" and error.engine_info["engine_id"] == 1
    assert "raise ValueError" in "\n".join(error.render_traceback()) or "ValueError" in error.traceback
    assert "engine 1" in str(error)


def test_several_errors_are_one_with_all_in_it(view, ipp, capsys):
    with pytest.raises(ipp.CompositeError) as caught:
        view.apply_sync(fail, "x")
    error = caught.value
    assert len(error.elist) == 2 and "[0:apply]: ValueError: no x" in str(error)
    error.print_traceback(1)
    assert "ValueError" in capsys.readouterr().out
    with pytest.raises(ipp.RemoteError):
        error.raise_exception(0)


def test_errors_can_be_returned(view, balanced, ipp):
    result = balanced.map_async(typed(lambda x: 1 // x), [0, 1], return_exceptions=True)
    first, second = result.get()
    assert isinstance(first, ipp.RemoteError) and second == 1
    values = view.apply_async(fail, 1).get(return_exceptions=True)
    assert [type(value) for value in values] == [ipp.RemoteError] * 2


def test_a_result_tells_what_is_known_of_it(client, view, tmp_path):
    def wait(path):
        import os, time

        while not os.path.exists(path):
            time.sleep(0.01)
        time.sleep(0.3)

    result = client[0].apply_async(typed(wait), str(tmp_path / "gate"))
    assert not result.ready() and result.progress == 0 and not result.wait(0.01)
    with pytest.raises(TimeoutError):
        result.get(timeout=0.01)
    (tmp_path / "gate").touch()
    assert result.get(timeout=LONG) is None and result.ready() and result.successful() and result.progress == 1
    assert result.engine_id == 0 and result.metadata["status"] == "ok"
    assert (
        0.25 < result.serial_time < 600
        and result.wall_time >= result.serial_time * 0.9
        and result.elapsed == result.wall_time
    )
    assert result.started <= result.completed and (result.completed - result.submitted).total_seconds() >= 0.25
    several = view.apply_async(os.getpid)
    assert several.get_dict() == dict(zip(several["engine_id"], several.get()))
    assert list(several) == several.r and several[0] == several.r[0] and len(several) == 2


def test_output_comes_with_the_result(view, capfd):
    result = view.execute("import sys\nprint('out')\nprint('err', file=sys.stderr)\n6 * 7", silent=False, block=True)
    assert result.stdout == ["out\n"] * 2 and result.stderr == ["err\n"] * 2
    result.display_outputs()
    captured = capfd.readouterr()
    assert "[stdout:0] out\n[stdout:1] out\n" in captured.out and "[stderr:1] err\n" in captured.err


def test_what_code_gave_is_there_with_its_reply(client):
    results = [client[0].execute(f"{number} * 2", silent=False) for number in range(100)]
    assert [result.get().execute_result["data"]["text/plain"] for result in results] == [
        str(2 * number) for number in range(100)
    ]


class Printing:
    """An engine that is sockets only, with a client's request. The test decides when its output comes."""

    def __init__(self, peer, ipcluster):
        self.peer = peer
        self.engine = Engine(peer).open().beat()
        self.iopub = peer.connect(zmq.XPUB, peer.engine["iopub"])
        self.client = ipcluster.Client(str(peer.client_file), timeout=LONG)
        wait_until(lambda: self.iopub.poll(100) and b"engine." in self.iopub.recv(), 20, "the client's subscription")
        self.result = self.client[0].apply_async(abs, 1)
        self.route, self.header, _ = self.engine.take()

    def print(self, text):
        frames, _ = self.peer.message("stream", {"name": "stdout", "text": text}, parent=self.header)
        self.iopub.send_multipart([b"engine.0.stdout", *frames])

    def answer(self, published):
        self.engine.answer(self.route, self.header, published=published)


def test_output_that_was_lost_is_not_confirmed_and_what_comes_late_is_taken(controller, ipcluster, capfd):
    engine = Printing(controller("--transport=ipc"), ipcluster)
    client, result = engine.client, engine.result
    engine.print("one\n")
    wait_until(lambda: client.metadata[result.msg_ids[0]].stdout == "one\n", 20, "the first line has come")
    engine.answer(published=3)
    assert result.wait_for_output(LONG) is False
    assert (result.stdout, result.output_missing, result.metadata.output_missing) == ("one\n", 2, 2)
    result.display_outputs()
    assert "2 messages of output are missing" in capfd.readouterr().err
    engine.print("two\n")
    engine.print("three\n")
    wait_until(lambda: result.output_missing == 0, 20, "what comes late is taken")
    assert result.wait_for_output(LONG) is True
    assert result.stdout == "one\ntwo\nthree\n"


def test_output_that_comes_a_moment_behind_its_reply_is_streamed(controller, ipcluster, capfd):
    engine = Printing(controller("--transport=ipc"), ipcluster)
    engine.answer(published=1)
    with engine.result.stream_output():
        assert engine.result.wait(LONG)
        late = threading.Timer(0.2, engine.print, ["hello\n"])
        late.start()
    late.join()
    assert capfd.readouterr().out == "[stdout:0] hello\n"


def test_output_streams_while_code_runs(client, capfd, tmp_path):
    gate = tmp_path / "gate"
    result = client[0].execute(
        "import os, time\nfor i in range(3):\n    print('step', i, flush=True)\n    time.sleep(0.1)\n"
        f"    while not os.path.exists({str(gate)!r}): time.sleep(0.01)"
    )
    wait_until(lambda: "step 0" in (result.stdout or ""), 10, "output comes before the result")
    assert not result.ready()
    gate.touch()
    with result.stream_output():
        result.get()
        result.wait_for_output()
    assert capfd.readouterr().out == "[stdout:0] step 0\nstep 1\nstep 2\n"


def test_callbacks_and_await(balanced, view):
    called = threading.Event()
    result = balanced.apply_async(time.sleep, 0.2)
    result.add_done_callback(lambda done: called.set() if done is result else None)
    assert called.wait(LONG)
    late = []
    result.add_done_callback(late.append)
    assert late == [result]

    async def both():
        return await asyncio.gather(
            self_await(view.apply_async(double, 2)), self_await(balanced.apply_async(double, 3))
        )

    async def self_await(pending):
        return await pending

    assert asyncio.run(both()) == [[4, 4], 6]


def test_results_can_be_asked_for_later(view, client):
    pending = view.apply_async(double, 1)
    again = client.get_result(pending.msg_ids)
    assert again.get() == [2, 2]
    assert client.history[-1] == pending.msg_ids[-1]
    assert client.wait(timeout=LONG) and not client.outstanding


def test_dependencies_choose_the_engine(client, balanced, ipp):
    client[1].execute("here = True", block=True)

    @typed
    def is_here():
        return "here" in globals()

    @ipp.depend(is_here)
    @typed
    def where():
        import os

        return os.getpid()

    results = [balanced.apply_async(where) for _ in range(4)]
    assert {result.get(timeout=LONG) for result in results} == {client[1].apply_sync(os.getpid)}

    @ipp.require("json", double)
    @typed
    def needs(x):
        return json.dumps(double(x))

    assert balanced.apply_sync(needs, 4) == "8"


def test_results_that_were_iterated_over_are_forgotten(balanced, client):
    before = len(client.requests.futures)
    for ordered in (True, False):
        assert sorted(balanced.map_async(double, range(200), ordered=ordered)) == [2 * x for x in range(200)]
    assert list(client[:].apply_async(double, 3)) == [6, 6]
    assert len(client.requests.futures) <= before


def test_many_results_leave_nothing_behind(balanced, client):
    for _ in range(3):
        assert balanced.map_sync(double, range(2000)) == [2 * x for x in range(2000)]
    assert len(client.requests.futures) < 600
