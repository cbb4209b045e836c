"""What happens to messages is written as a trace, by the rules of its format, and disturbs nobody."""

import json
import os
import resource
import signal
from collections import defaultdict
from xml.etree import ElementTree

import pytest
from support import LONG, PYTHON, TOP, typed, wait_for_file, wait_until

# Prints the msg_ids of a task with output, of one that runs after it, of one that fails and is tried again, and of a part of a broadcast.
PROGRAM = """
import json, sys, time
import ipcluster

def hello(path):
    import os, time
    while not os.path.exists(path):
        time.sleep(0.01)
    print("hello")

def fail_once(path):
    import os
    if not os.path.exists(path):
        open(path, "w").close()
        raise ValueError("the first time")

client = ipcluster.Client(sys.argv[1], timeout=float(sys.argv[2]))
view = client.load_balanced_view()
first = view.apply(hello, sys.argv[4])
with view.temp_flags(after=[first]):
    second = view.apply(int)
while second.msg_ids[0] not in client.queue_status(verbose=True)["unassigned"]:
    time.sleep(0.01)
open(sys.argv[4], "w").close()
with view.temp_flags(retries=1):
    third = view.apply(fail_once, sys.argv[3])
fourth = client.broadcast_view().apply(int)
for result in first, second, third, fourth:
    result.get(float(sys.argv[2]))
first.wait_for_output()
print(json.dumps([result.msg_ids[0] for result in (first, second, third, fourth)]))
"""


def merged(box, *paths):
    """The events of the file that `ipcluster trace merge` makes of these."""
    file = box.dir / "merged.json"
    box.run("ipcluster", "trace", "merge", *paths, "-o", file, check=True)
    return json.loads(file.read_text())


def begun_and_ended(events, begin, end, key):
    """Checks that each end has a begin before it, and returns what has begun only."""
    open_ = defaultdict(list)
    for event in events:
        if event["ph"] == begin:
            open_[key(event)].append(event)
        elif event["ph"] == end:
            assert open_[key(event)], f"nothing has begun that this ends: {event}"
            assert open_[key(event)].pop()["ts"] <= event["ts"]
    return [event for events in open_.values() for event in events]


def check_format(events):
    """The rules of the Trace Event Format. Returns slices that have not ended."""
    last = {}
    for event in events:
        assert {"ph", "pid", "ts", "name"} <= event.keys()
        if event["ph"] in "XBEi":
            thread = event["pid"], event["tid"]
            assert event["ts"] + event.get("dur", 0) >= last.get(thread, 0), f"it goes back in time: {event}"
            last[thread] = event["ts"] + event.get("dur", 0)
            assert event["ph"] != "X" or event["dur"] >= 0
    begun_and_ended(events, "b", "e", lambda event: (event["pid"], event["cat"], event["name"], event["id2"]["local"]))
    return begun_and_ended(events, "B", "E", lambda event: (event["pid"], event["tid"], event["name"]))


def way(events, msg_id):
    """The steps of a message in the order of time: its arrows."""
    arrows = [event for event in events if event["ph"] in "stf" and event["id"] == msg_id]
    return sorted(arrows, key=lambda event: event["ts"])


def steps(events, msg_id):
    return [event["name"] for event in events if event["ph"] in "XB" and event["args"].get("id") == msg_id]


def names(events):
    """What each process is called, by its number."""
    return {
        event["pid"]: event["args"]["name"]
        for event in events
        if event["ph"] == "M" and event["name"] == "process_name"
    }


def test_a_trace_shows_the_way_of_each_request_through_client_controller_and_engines(new_cluster, sandbox):
    folder = sandbox.dir / "trace"
    env = {"IPCLUSTER_TRACE": str(folder)}
    cluster = new_cluster(2, env=env)
    cluster.client().close()
    files = sandbox.dir / "failed", sandbox.dir / "second submitted"
    out = sandbox.run(
        PYTHON, "-c", PROGRAM, cluster.client_file, str(LONG), *files, env=env, python=True, check=True
    ).out
    first, second, third, fourth = json.loads(out.splitlines()[-1])
    for process in (*cluster.engines, cluster.controller):
        process.stop()  # with their last steps in their files
    events = merged(sandbox, folder)
    assert not check_format(events)
    called = names(events)
    assert sorted(called.values()) == ["client", "controller", "engine 0", "engine 1"]
    for msg_id in first, second, third, fourth:
        arrows = way(events, msg_id)
        assert [arrows[0]["ph"], arrows[-1]["ph"]] == ["s", "f"]
        assert {event["ph"] for event in arrows[1:-1]} == {"t"}
        assert [called[arrows[0]["pid"]], called[arrows[-1]["pid"]]] == ["client", "client"]
        assert len({event["pid"] for event in arrows}) >= 3
    assert "set aside until others end" in steps(events, second)
    assert steps(events, third).count("run") == 2
    assert steps(events, third).count("back to the queue") == 1
    waits = [event["name"] for event in events if event["ph"] == "b" and event["id2"]["local"] == second]
    assert sorted(waits) == ["at engine", "queued", "request", "waiting"]
    output = [event["args"]["id"] for event in events if event.get("args", {}).get("of") == first]
    assert len({event["pid"] for event in way(events, output[0])}) == 3
    assert "hello" not in (sandbox.dir / "merged.json").read_text()
    drawn = sandbox.run(PYTHON, TOP / "docs/site/trace_picture.py", sandbox.dir / "merged.json", check=True).out
    titles = [title.text.partition(":")[0] for title in ElementTree.fromstring(drawn).findall(".//{*}title")]
    assert titles.count("run") == [event["name"] for event in events if event["ph"] == "B"].count("run") >= 5
    assert {"submit", "receive", "reply", "result", *waits} <= set(titles)


def test_a_trace_begins_and_ends_while_the_cluster_runs(cluster, sandbox):
    client = cluster.client()
    view = client.load_balanced_view()
    for _ in range(2):  # also a second time
        before, during, after = view.apply(abs, -1), None, None
        before.get(LONG)
        started = sandbox.run("ipcluster", "trace", "start", check=True)
        assert started.out.startswith("Controller and 2 engines write traces")
        sandbox.run("ipcluster", "trace", "start", check=True)  # which changes nothing
        during = view.apply(abs, -2)
        during.get(LONG)
        sandbox.run("ipcluster", "trace", "stop", "-o", sandbox.dir / "all.json", check=True)
        after = view.apply(abs, -3)
        after.get(LONG)
        events = json.loads((sandbox.dir / "all.json").read_text())
        check_format(events)
        assert sorted(names(events).values()) == ["controller", "engine 0", "engine 1"]
        assert steps(events, during.msg_ids[0]).count("run") == 1
        assert not steps(events, before.msg_ids[0]) and not steps(events, after.msg_ids[0])


def test_engines_that_do_not_answer_keep_no_other_from_its_trace(new_cluster, sandbox):
    cluster = new_cluster(3)
    client = cluster.client()
    pids = [client.engines[engine_id].pid for engine_id in client.ids]
    for pid in pids[:2]:
        os.kill(pid, signal.SIGSTOP)
    try:
        started = sandbox.run("ipcluster", "trace", "start")
    finally:
        for pid in pids[:2]:
            os.kill(pid, signal.SIGCONT)
    assert started.status == 7
    assert [f"engine {engine_id}: it does not answer" in started.err for engine_id in client.ids] == [True, True, False]
    assert list(cluster.profile_dir.glob(f"log/*-{pids[2]}.trace.json"))


def test_log_level_debug_logs_the_steps_of_a_request_and_not_what_it_holds(new_cluster):
    cluster = new_cluster(1, controller=["--log-level=DEBUG"], engine=["--log-level=DEBUG"])
    result = cluster.client().load_balanced_view().apply(str.upper, "private")
    assert result.get(LONG) == "PRIVATE"
    controller, engine = cluster.controller, cluster.engines[0]
    for process, step in (controller, "receive"), (controller, "to engine 0"), (engine, "run"), (engine, "reply"):
        line = f"DEBUG: {result.msg_ids[0]}: {step}\n"
        wait_until(lambda process=process, line=line: line in process.output, 20, f"{step} is logged")
    assert "private" not in (controller.output + engine.output).lower()


@pytest.mark.parametrize("program", ["ipcontroller", "ipengine"])
def test_a_trace_that_cannot_be_written_is_an_error_at_the_start(sandbox, program):
    for path, why in ("/dev/full", "No space left on device"), ("/proc/trace", "No such file or directory"):
        finished = sandbox.run(program, f"--trace={path}")
        assert finished.status == 1
        assert path in finished.err and why in finished.err


def test_a_trace_whose_disk_is_full_ends_and_disturbs_nobody(new_cluster, sandbox):
    file = sandbox.dir / "controller.json"
    cluster = new_cluster(1, controller=[f"--trace={file}"])
    view = cluster.client().load_balanced_view()
    resource.prlimit(cluster.controller.pid, resource.RLIMIT_FSIZE, (200_000, 200_000))
    assert view.map_sync(abs, range(1000), chunksize=1) == list(range(1000))
    wait_until(lambda: "the trace has ended" in cluster.controller.output, 20, "the log says so")
    assert view.map_sync(abs, range(100), chunksize=1) == list(range(100))
    assert cluster.controller.output.count("the trace has ended") == 1
    assert f"{file} cannot be written: File too large" in cluster.controller.output
    check_format(merged(sandbox, file))


def test_a_trace_keeps_to_its_bound_with_the_newest(new_cluster, sandbox):
    file = sandbox.dir / "controller.json"
    most = 400_000
    cluster = new_cluster(1, controller=[f"--trace={file}", f"--BaseParallelApplication.trace_bytes_max={most}"])
    view = cluster.client().load_balanced_view()
    for _ in range(4):
        last = view.map_async(abs, range(200), chunksize=1)
        last.get(LONG)
    cluster.controller.stop()  # with its last steps in the file
    before = file.with_name(file.name + ".1")
    assert last.msg_ids[-1] in before.read_text() + file.read_text()
    assert before.stat().st_size + file.stat().st_size <= most + 2 * 2000  # the line at which each is full
    check_format(merged(sandbox, file))


def test_an_engine_that_is_killed_leaves_a_trace_that_says_what_it_ran(new_cluster, sandbox):
    file = sandbox.dir / "engine.json"
    cluster = new_cluster(1, engine=[f"--trace={file}"])
    begun = sandbox.dir / "begun"
    result = cluster.client()[0].apply(typed(wait_for_file), str(sandbox.dir / "never"), None, str(begun))
    wait_until(lambda: begun.exists() and result.msg_ids[0] in file.read_text(), 20, "it runs, and is traced")
    wait_until(lambda: '"ph":"B"' in file.read_text(), 20, "its begin is written")
    cluster.engines[0].send_signal(signal.SIGKILL)
    cluster.engines[0].popen.wait(60)
    left = check_format(merged(sandbox, file))
    assert [event["args"]["id"] for event in left] == result.msg_ids


def test_traces_that_cannot_be_merged_leave_the_picture_that_is_there(sandbox):
    picture = sandbox.dir / "picture.json"
    picture.write_text("[]\n")
    no_trace = sandbox.dir / "other.json"
    no_trace.write_text("{}\n")
    before = sorted(sandbox.dir.iterdir())
    for path, why in (no_trace, "is not a trace of ipcluster"), (sandbox.dir / "nothing", "No such file or directory"):
        finished = sandbox.run("ipcluster", "trace", "merge", path, "-o", picture)
        assert finished.status == 1 and why in finished.err
        assert picture.read_text() == "[]\n"
        assert sorted(sandbox.dir.iterdir()) == before


def test_a_file_is_the_trace_of_one_process(new_cluster, sandbox):
    file = sandbox.dir / "engine.json"
    cluster = new_cluster(1, engine=[f"--trace={file}"])
    cluster.client().close()
    finished = sandbox.run("ipengine", f"--trace={file}")
    assert finished.status == 1
    assert f"{file} is the trace of another process: name a folder" in finished.err
    wait_until(lambda: list(names(merged(sandbox, file)).values()) == ["engine 0"], 20, "it is as it was")
