"""Maps, scatter and gather: what they take, in which order, and how far ahead."""

import itertools
import os
import queue
import threading
from array import array
from collections import deque

import pytest

from support import LONG, typed, wait_for_file, wait_until
from test_views import double


@typed
def same(*members):
    return members


@pytest.fixture
def pandas():
    return pytest.importorskip("pandas")


@pytest.fixture
def numpy():
    return pytest.importorskip("numpy")


class Numbered:
    """Has members by number, and no slices. `of` gives the member for any index."""

    def __init__(self, of):
        self.of = of

    def __len__(self):
        return 5

    def __getitem__(self, number):
        if isinstance(number, int) and number >= 5:
            raise IndexError(number)
        return self.of(number)


def not_far(members=100):
    """A sequence that is endless as far as anybody should read it."""
    yield from range(members)
    raise AssertionError("read too far")


def test_map_is_map(view, balanced):
    for each in (view, balanced):
        assert each.map_sync(double, range(11)) == list(map(double, range(11)))
        assert each.map_sync(typed(lambda a, b: a * b), [1, 2, 3], [4, 5, 6]) == [4, 10, 18]
        assert each.map_sync(double, []) == []
        assert list(each.map_async(double, (x for x in range(5)))) == [0, 2, 4, 6, 8]
        assert list(each.imap(double, range(6))) == [0, 2, 4, 6, 8, 10]
    assert balanced.map_sync(double, range(100), chunksize=7) == list(map(double, range(100)))


def test_map_takes_arguments_as_the_builtin_does(view, balanced, numpy, pandas, tmp_path):
    (tmp_path / "lines").write_text("a\nb\nc\nd\n")
    kinds = [
        lambda: {3, 1, 2}, lambda: {"a": 1, "b": 2, "c": 3}, lambda: {1: 2, 3: 4}.items(), lambda: (x for x in range(7)), lambda: deque("abcde"),
        lambda: open(tmp_path / "lines"), lambda: "abcde", lambda: b"abcde", lambda: bytearray(b"abc"), lambda: array("d", [1, 2, 3]),
        lambda: memoryview(b"abcde"), lambda: memoryview(array("i", [1000, 2, 3])), lambda: Numbered(lambda n: n * (n > 1)),
        lambda: Numbered(lambda n: (n, n)), lambda: numpy.arange(12).reshape(6, 2), lambda: numpy.ma.array([1, 2, 3], mask=[0, 1, 0]),
        lambda: pandas.Series(range(10), index=numpy.linspace(0, 5, 10)), lambda: pandas.Series(list("abc"), index=[2, 0, 1], dtype="category"),
        lambda: pandas.DataFrame({"a": range(5), "b": range(5), "c": 0}), lambda: pandas.Index([3, 1, 2]),
    ]  # fmt: skip
    for make in kinds:
        expected = repr(list(map(same, make())))
        beside = repr(list(map(same, not_far(), make(), range(2))))
        for each, options in (view, {}), (balanced, {}), (balanced, {"chunksize": 2}):
            assert repr(each.map_sync(same, make(), **options)) == expected
            assert repr(each.map_sync(same, not_far(), make(), range(2), **options)) == beside
            assert repr(list(each.imap(same, make(), **options))) == expected
    with pytest.raises(TypeError, match="not iterable"):
        balanced.map_sync(double, 5)
    with pytest.raises(TypeError, match="0-d"):
        view.map_sync(double, numpy.array(5))


def test_the_shortest_sequence_ends_a_map(view, balanced):
    for each in (view, balanced):
        assert sorted(each.map_sync(same, {1, 2, 3}, [0, 0])) == list(map(same, list({1, 2, 3})[:2], [0, 0]))
        assert each.map_sync(same, not_far(), [7, 8], {"a": 1, "b": 2, "c": 3}) == [(0, 7, "a"), (1, 8, "b")]
        assert each.map_sync(same, not_far(), "ab", not_far()) == [(0, "a", 0), (1, "b", 1)]
        assert each.map_sync(same, not_far(), []) == []
        pairs = iter(range(6))
        assert each.map_sync(same, pairs, pairs) == [(0, 1), (2, 3), (4, 5)]


def test_chunks_have_a_positive_number_of_members(view, balanced):
    for wrong in (0, -1, 1.5, "2"):
        for call in (
            lambda w=wrong: balanced.map(double, range(4), chunksize=w), lambda w=wrong: balanced.imap(double, range(4), chunksize=w),
            lambda w=wrong: balanced.map_async(double, [], chunksize=w), lambda w=wrong: balanced.parallel(chunksize=w)(double),
            lambda w=wrong: balanced.executor.map(double, range(4), chunksize=w), lambda w=wrong: view.executor.map(double, [1], chunksize=w),
        ):  # fmt: skip
            with pytest.raises(ValueError, match=f"positive integer, not {wrong!r}"):
                call()


def test_an_empty_map_has_taken_no_time(view, balanced):
    for each in (view, balanced):
        result = each.map_async(double, [])
        assert result.ready() and result.successful() and result.get(timeout=LONG) == list(result) == []
        assert result.elapsed == result.wall_time == result.serial_time == result.progress == len(result) == 0
        assert (
            result.timedelta(result.submitted, result.received) == 0
            and result.get_dict() == {}
            and result.metadata == []
        )
        assert result.wait(return_when="FIRST_COMPLETED") == (set(), set())
        result.wait_interactive()
        result.display_outputs()


def test_unordered_results_come_as_they_are_ready(balanced, tmp_path):
    def first_last(x, gate):
        import os
        import time

        if x == 7:
            open(gate, "w").close()
        while x == 0 and not os.path.exists(gate):
            time.sleep(0.01)
        return x

    got = list(balanced.map_async(typed(first_last), range(8), [str(tmp_path / "gate")] * 8, ordered=False))
    assert sorted(got) == list(range(8)) and got[0] != 0
    (tmp_path / "gate").unlink()
    got = list(balanced.imap(typed(first_last), range(8), [str(tmp_path / "gate")] * 8, ordered=False))
    assert sorted(got) == list(range(8)) and got[0] != 0


# Scatter, gather and parallel functions


def test_scatter_and_gather(view):
    numpy = pytest.importorskip("numpy")
    view.scatter("part", numpy.arange(7), block=True)
    assert list(view.gather("part", block=True)) == list(range(7))
    view.scatter("part", list(range(7)), dist="r", block=True)
    assert view["part"] == [[0, 2, 4, 6], [1, 3, 5]]
    assert view.gather("part", dist="r", block=True) == list(range(7))


@pytest.mark.parametrize("dist", ["b", "r"])
def test_what_is_scattered_is_gathered_whole(view, client, numpy, pandas, dist):
    tables = [
        pandas.Series(range(10), index=numpy.linspace(0, 5, 10), name="s"), pandas.Series(list("abcab"), dtype="category"), pandas.Series([7.5], index=[3]),
        pandas.DataFrame({"a": range(7), "b": list("abcdefg")}, index=numpy.linspace(0, 3, 7)), pandas.DataFrame({"t": pandas.date_range("2020", periods=5)}),
        pandas.DataFrame({"a": [1, 2, 3]}, index=pandas.MultiIndex.from_product([["x"], [2, 1, 0]])), pandas.DataFrame({"a": []}),
    ]  # fmt: skip
    arrays = [
        numpy.arange(10).reshape(5, 2), numpy.array([(1, 2.0), (3, 4.0), (5, 6.0)], dtype="i4,f8"), numpy.array([[1, 2], None, [3]], dtype=object),
        numpy.array(["2020", "2021", "2022"], dtype="M8[Y]"), numpy.ma.array([1, 2, 3, 4, 5], mask=[0, 1, 0, 0, 1]),
    ]  # fmt: skip
    for each in (view, client.broadcast_view()):
        for table in tables:
            each.scatter("part", table, dist=dist, block=True)
            gathered = each.gather("part", dist=dist, block=True)
            assert type(gathered) is type(table) and gathered.equals(table)
        for expected in arrays:
            each.scatter("part", expected, dist=dist, block=True)
            gathered = each.gather("part", dist=dist, block=True)
            assert repr(gathered) == repr(expected) and gathered.dtype == expected.dtype
        for make in (
            lambda: {3, 1, 2}, lambda: {"a": 1, "b": 2}, lambda: (x for x in range(7)), lambda: deque([1, 2, 3]), lambda: range(4), lambda: (1, 2, 3),
            lambda: Numbered(lambda n: n * (n > 1)), lambda: Numbered(lambda n: (n, n)), lambda: memoryview(array("i", [1000, 2, 3])),
        ):  # fmt: skip
            each.scatter("part", make(), dist=dist, block=True)
            assert each.gather("part", dist=dist, block=True) == list(make())


def test_a_part_of_one_row_can_be_that_row(view, pandas):
    view.scatter("value", pandas.Series([5, 6], index=[0.5, 7.5]), flatten=True, block=True)
    view.scatter("row", pandas.DataFrame({"a": [5, 6], "b": [7, 8]}, index=[0.5, 7.5]), flatten=True, block=True)
    assert view["value"] == [5, 6] and view["row.a, row.b"] == [(5, 7), (6, 8)]


@pytest.mark.parametrize("dist", ["b", "r"])
def test_parallel_functions_get_rows_of_tables(view, balanced, numpy, pandas, dist):
    table = pandas.DataFrame({"a": range(7), "b": list("abcdefg")}, index=numpy.linspace(0, 3, 7))
    for each in (view, balanced):
        for options in [{}, {"chunksize": 3}]:
            parallel = each.parallel(dist=dist, block=True, **options)
            assert pandas.concat(parallel(same)(table)).sort_index().equals(table)
            assert parallel(typed(lambda part: part * 2))(table).equals(table * 2)
            assert parallel(typed(lambda part, more: part.a + more))(table, range(7)).equals(table.a * 2)
            assert sum(parallel(typed(lambda part: len(part)))(table)) == 7
            assert "ab" in parallel(typed(lambda part: "ab"))([1, 2])


def test_sequences_of_a_parallel_function_have_one_length(view, balanced):
    for each in (view, balanced):
        pairs = each.parallel(block=True)(typed(lambda a, b: [len(a) == len(b)]))
        assert all(pairs({1, 2, 3}, "abc")) and all(pairs(iter("abc"), [1, 2, 3]))
        for unequal in ([1, 2, 3], {1, 2}), ([1], not_far()), ({1, 2}, "abc"):
            with pytest.raises(ValueError, match="different lengths"):
                pairs(*unequal)


def test_a_round_robin_loses_nothing_of_parts_that_have_changed(view):
    some = view.parallel(dist="r", block=True)(typed(lambda part: [x for x in part if x % 2]))
    assert sorted(some(list(range(7)))) == [1, 3, 5]


@pytest.mark.parametrize("kind", ["array", "list", "Series"])
def test_parts_are_iterated_over_alike_before_and_after_all_have_come(client, numpy, pandas, kind, tmp_path):
    gate = tmp_path / "gate"
    make = {"array": numpy.array, "list": list, "Series": pandas.Series}[kind]
    view = client[:]
    view.scatter("waits", [False, True], flatten=True, block=True)

    def part_of(part, gate):
        import os
        import time

        while waits and not os.path.exists(gate[0]):
            time.sleep(0.01)
        return part

    result = view.parallel()(typed(part_of))(make([1, 2, 3, 4]), [str(gate)] * 4)
    members = iter(result)
    assert next(members) == 1 and next(members) == 2 and not result.ready()
    striped = view.parallel(dist="r")(typed(part_of))(make([1, 2, 3, 4]), [str(gate)] * 4)
    got = []
    thread = threading.Thread(target=lambda: got.extend(striped))
    thread.start()
    gate.touch()
    thread.join()
    assert list(members) == [3, 4] and list(result) == got == list(striped) == [1, 2, 3, 4]
    assert result[3] == 4 and list(result[1:3]) == [2, 3]


# imap


def of_imap():
    return [thread for thread in threading.enumerate() if thread.name == "ipcluster-imap"]


def test_imap_reads_no_further_than_it_must(balanced, view):
    for each in (balanced, view):
        taken = []

        def source(taken=taken):
            for x in not_far():
                taken.append(x)
                yield x

        results = each.imap(double, source(), max_outstanding=3)
        wait_until(lambda taken=taken: len(taken) == 3, 20, "the first have been read")
        for number in range(20):
            assert next(results) == 2 * number
            assert len(taken) <= number + 4
        results.close()


@pytest.mark.parametrize("options", [{}, {"ordered": False}, {"max_outstanding": 6}, {"chunksize": 2}], ids=str)
def test_imap_keeps_engines_busy_before_anybody_takes_results(balanced, tmp_path, options):
    gate, folder = tmp_path / "gate", tmp_path / "done"
    folder.mkdir()

    def work(number, gate, folder):
        """The first waits."""
        import os
        import time

        while number == 0 and not os.path.exists(gate):
            time.sleep(0.01)
        open(f"{folder}/{number}", "w").close()
        return number

    results = balanced.imap(
        typed(work), not_far(), itertools.repeat(str(gate)), itertools.repeat(str(folder)), **options
    )
    wait_until(lambda: len(os.listdir(folder)) >= 4, 20, "the other engine goes on")
    gate.touch()
    assert sorted(itertools.islice(results, 6)) == list(range(6)) or options == {"ordered": False}
    results.close()


@pytest.mark.parametrize("ordered", [True, False])
def test_imap_has_at_most_so_many_out_and_not_taken(balanced, client, ordered):
    before = len(balanced.history)
    results = balanced.imap(double, not_far(), max_outstanding=5, ordered=ordered)
    for taken in range(4):
        wait_until(lambda taken=taken: len(balanced.history) == before + taken + 5, 20, "as many are out as may be")
        client.wait(timeout=LONG)
        assert len(balanced.history) == before + taken + 5
        next(results)
    del results
    wait_until(lambda: not of_imap(), 20, "nobody reads on for an iterator that is gone")
    with pytest.raises(ValueError, match="max_outstanding .* not -1"):
        balanced.imap(double, [1], max_outstanding=-1)


def test_imap_that_is_closed_sends_nothing_more(balanced, client):
    for view in balanced, client[:]:
        results = view.imap(double, not_far(), ordered=view is balanced)
        next(results)
        results.close()
        sent = len(client.history)
        assert client.wait(timeout=LONG) and len(client.history) == sent and list(results) == []
    wait_until(lambda: not of_imap(), 20, "nobody reads on")


def test_imap_that_is_dropped_waits_for_nothing_that_is_being_sent(balanced):
    begun, dropped = threading.Event(), threading.Event()
    in_time = []

    class Slow:
        def __reduce__(self):
            begun.set()
            in_time.append(dropped.wait(LONG))
            return int, ()

    results = balanced.imap(double, [Slow()])
    begun.wait(LONG)
    del results
    dropped.set()
    wait_until(lambda: not of_imap(), 20, "nobody reads on")
    assert in_time == [True]


def test_imap_does_not_wait_for_a_source_that_is_slow(balanced, view):
    for each in (balanced, view):
        asked = queue.Queue()
        asked.put(1)
        got = []
        for result in each.imap(double, iter(lambda asked=asked: asked.get(timeout=LONG), None)):
            got.append(result)
            asked.put(result if result < 32 else None)  # what comes next is made of what came
        assert got == [2, 4, 8, 16, 32]


@pytest.mark.parametrize("ordered", [True, False])
def test_what_a_sequence_raises_comes_after_the_results_of_before(balanced, ordered):
    def source():
        yield from range(3)
        raise LookupError("no more")

    results = balanced.imap(double, source(), ordered=ordered)
    assert sorted(next(results) for _ in range(3)) == [0, 2, 4]
    with pytest.raises(LookupError, match="no more"):
        next(results)
    assert list(results) == []
    for wrong in ((), (5,), ([1], None)):
        with pytest.raises(TypeError):
            balanced.imap(double, *wrong)


def test_imap_goes_on_behind_a_member_that_failed(balanced, view, programs):
    from ipcluster import RemoteError

    for each in (balanced, view):
        results = each.imap(typed(lambda x: 1 // x), [1, 0, 1])
        assert next(results) == 1
        with pytest.raises(RemoteError, match="ZeroDivisionError"):
            next(results)
        assert list(results) == [1]
        values = list(each.imap(typed(lambda x: 1 // x), [1, 0, 1], return_exceptions=True))
        assert values[::2] == [1, 1] and isinstance(values[1], RemoteError)


def test_imap_of_a_direct_view_takes_few_requests_where_lengths_are_known(view):
    before = len(view.history)
    assert list(view.imap(double, range(1000))) == list(map(double, range(1000)))
    assert list(view.executor.map(double, range(1000))) == list(map(double, range(1000)))
    assert len(view.history) - before == 2 * 20


def test_tasks_of_imap_have_the_flags_of_the_call(balanced, client):
    with balanced.temp_flags(targets=[1]):
        results = balanced.imap(typed(lambda _: __import__("os").getpid()), range(20), max_outstanding=2)
    assert set(results) == {client[1].apply_sync(os.getpid)}


def test_imap_of_a_client_that_is_closed_ends(cluster, tmp_path):
    client = cluster.client()
    results = client.load_balanced_view().imap(
        wait_for_file, itertools.repeat(str(tmp_path / "gate")), max_outstanding=1
    )
    client.close()
    with pytest.raises(Exception, match="closed"):
        next(results)
    wait_until(lambda: not of_imap(), 20, "nobody reads on")


def test_a_function_that_changes_itself_is_new_in_each_task(client):
    one = client.load_balanced_view([client.ids[0]])

    @typed
    def counts(x, step=None):
        from inspect import currentframe

        frame = currentframe()
        made = next(f for f in __import__("gc").get_referrers(frame.f_code) if hasattr(f, "__code__"))
        made.calls = getattr(made, "calls", 0) + 1
        return made.calls

    assert one.map_sync(counts, range(5)) == [1] * 5
    assert one.map_sync(counts, range(3), range(3)) == [1] * 3


def test_calls_that_are_alike_but_for_one_part_are_told_apart(client):
    """The engine remembers the function and the number of arguments of the call before."""
    one = client.load_balanced_view([client.ids[0]])

    @typed
    def first(*args, **kwargs):
        return "first", args, kwargs

    @typed
    def second(*args, **kwargs):
        return "second", args, kwargs

    @typed
    def add(x, y=10):
        return x + y

    long = list(range(100))
    calls = [
        (first, (1,), {}), (first, (2,), {}), (second, (2,), {}), (second, (2, 3), {}), (second, (), {"a": 2}),
        (second, (), {}), (second, (2, 3), {}), (first, (long, 3), {}), (first, (3, long), {}), (first, (None, 2.5), {}),
        (first, ("x" * 40,), {}), (first, ("x" * 5,), {}), (first, ({"a": [1, {2}]},), {}), (first, (abs,), {}),
    ]  # fmt: skip
    results = [one.apply_async(f, *args, **kwargs) for f, args, kwargs in calls]
    for (f, args, kwargs), result in zip(calls, results):
        name, got, keywords = result.get(60)
        assert (name, keywords) == (f.__name__, kwargs)
        assert got == args
    assert one.map_sync(add, [1, 2], [3, 4]) == [4, 6]
    assert one.map_sync(add, [1, 2]) == [11, 12]


def test_what_is_defined_later_is_seen_by_functions_that_came_before(client):
    one = client.load_balanced_view([client.ids[0]])

    @typed
    def reads(x):
        return globals()["later"] + x

    client[client.ids[0]].push({"later": 1}, block=True)
    assert one.map_sync(reads, [1, 2]) == [2, 3]
    client[client.ids[0]].push({"later": 10}, block=True)
    assert one.map_sync(reads, [1, 2]) == [11, 12]
    client[client.ids[0]].clear(block=True)
    with pytest.raises(Exception, match="later"):
        one.map_sync(reads, [1])


def test_a_map_of_many_members_has_a_request_for_each(client, balanced):
    """They are handed to the library in batches."""
    result = balanced.map_async(abs, range(-1000, 0))
    assert result.get(60) == list(range(1000, 0, -1))
    assert len(result) == len(set(result.msg_ids)) == 1000
    assert set(result.msg_ids) <= set(client.history)


def test_a_member_that_cannot_be_sent_ends_the_map_that_has_it(balanced):
    with pytest.raises(TypeError):
        balanced.map_async(abs, [1, 2, __import__("threading").Lock()])
    assert balanced.map_sync(abs, [-1]) == [1]
