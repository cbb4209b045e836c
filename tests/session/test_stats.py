"""What the controller counts: what goes through its sockets, its tasks, its engines, and what it refuses."""

import contextlib
import json
import re
import signal
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import Counter

import ipcluster
import psutil
import pytest
import zmq
from prometheus_client.openmetrics.parser import text_string_to_metric_families

import framing
from controller_peer import Peer
from support import LONG, TOP, wait_for_file, wait_until


def grown(client, before):
    """What has grown since: by how much."""
    return Counter({name: value - before.get(name, 0) for name, value in client.stats().items()})


def wait_for(client, expected, before=None):
    """Waits until these numbers, or their growth, are as expected: they are read while the threads go on."""
    seen = {}

    def is_so():
        now = client.stats() if before is None else grown(client, before)
        seen.update({name: now[name] for name in expected})
        return seen == expected

    try:
        wait_until(is_so)
    except AssertionError:
        assert seen == expected


def of(which, side, **labels):
    text = ",".join(f'{name}="{value}"' for name, value in {"socket": which, "side": side, **labels}.items())
    return "{" + text + "}"


def test_messages_and_tasks_are_counted_exactly_as_they_were(new_cluster, tmp_path):
    client = new_cluster(4).client()
    view = client.load_balanced_view()
    before = client.stats()
    count = 40
    results = [view.apply(time.sleep, 0.01) for _ in range(count - 2)]
    results += [view.apply(int, "no number") for _ in range(2)]
    for result in results[: count - 2]:
        result.get()
    for result in results[count - 2 :]:
        with pytest.raises(ipcluster.RemoteError):
            result.get()
    wait_for(
        client,
        {
            "ipcluster_messages_received_total" + of("task", "client"): count,
            "ipcluster_messages_sent_total" + of("task", "engine"): count,
            "ipcluster_messages_received_total" + of("task", "engine"): count,
            "ipcluster_messages_sent_total" + of("task", "client"): count,
            "ipcluster_messages_accepted_total" + of("task", "client", type="apply_request"): count,
            "ipcluster_messages_accepted_total" + of("task", "engine", type="apply_reply"): count,
            "ipcluster_messages_received_total" + of("direct", "client"): 0,
            "ipcluster_tasks_submitted_total": count,
            "ipcluster_tasks_sent_total": count,
            'ipcluster_tasks_finished_total{end="ok"}': count - 2,
            'ipcluster_tasks_finished_total{end="failed"}': 2,
            "ipcluster_task_queue_seconds_count": count,
            "ipcluster_task_work_seconds_count": count,
            'ipcluster_task_work_seconds_bucket{le="+Inf"}': count,
        },
        before,
    )
    found = grown(client, before)
    # Those that slept for ten milliseconds are above this bound.
    assert found['ipcluster_task_work_seconds_bucket{le="0.004096"}'] <= 2
    assert found["ipcluster_task_work_seconds_sum"] >= (count - 2) * 0.01
    for side in "client", "engine":
        in_bytes = found["ipcluster_received_bytes_total" + of("task", side)]
        assert in_bytes > 200 * count, "a message has its header, at the least"
    assert found["ipcluster_loop_rounds_total" + '{thread="task"}'] > 0

    # What is there now.
    gate = tmp_path / "gate"
    held = [view.apply(wait_for_file, str(gate)) for _ in range(4)]
    wait_for(client, {"ipcluster_tasks_running": 4})
    held += [view.apply(wait_for_file, str(gate)) for _ in range(3)]
    with view.temp_flags(after=held):
        held.append(view.apply(wait_for_file, str(gate)))
    expected = {
        "ipcluster_tasks_running": 4,
        "ipcluster_tasks_waiting": 3,
        "ipcluster_tasks_blocked": 1,
        "ipcluster_requests_pending": 8,
        "ipcluster_tasks_unassigned": 4,
        'ipcluster_engines{state="busy"}': 4,
        'ipcluster_engines{state="idle"}': 0,
    }
    wait_for(client, expected)
    assert client.stats()["ipcluster_tasks_held_bytes"] > 8 * 200
    gate.touch()
    client.wait(held)
    expected = {**dict.fromkeys(expected, 0), 'ipcluster_engines{state="idle"}': 4, "ipcluster_tasks_held_bytes": 0}
    wait_for(client, expected)


def test_what_is_refused_is_counted_by_the_reason(new_cluster):
    cluster = new_cluster(0)
    client = cluster.client()
    peer = Peer(cluster.profile_dir)
    before = client.stats()
    task = peer.connect(zmq.DEALER, peer.client["task"])
    good, _ = peer.message("apply_request")
    for _ in range(3):
        task.send_multipart(framing.changed(good, signature=b"0" * 64))
    for _ in range(2):
        task.send_multipart(framing.changed(good, signature=b""))
    task.send_multipart(framing.truncated(good)[-1])
    task.send_multipart([b"one", b"too many", *peer.message("apply_request")[0]])
    task.send_multipart(good)
    task.send_multipart(good)
    subscriber = peer.connect(zmq.XSUB, peer.client["iopub"])
    subscriber.send(b"\2 no subscription")
    query = peer.connect(zmq.DEALER, peer.client["registration"])
    assert peer.ask(query, "no_such_request")[0] == "hub_error"
    refused = "ipcluster_messages_refused_total"
    wait_for(
        client,
        {
            refused + of("task", "client", reason="forged"): 3,
            refused + of("task", "client", reason="unsigned"): 2,
            refused + of("task", "client", reason="truncated"): 1,
            refused + of("task", "client", reason="identities"): 1,
            refused + of("task", "client", reason="repeated"): 1,
            refused + of("iopub", "client", reason="subscription"): 1,
            refused + of("hub", "client", reason="query"): 1,
            "ipcluster_messages_received_total" + of("task", "client"): 9,
        },
        before,
    )
    peer.close()


def scraped(url):
    """What is at the metrics' address, as Prometheus' own parser reads it: numbers by names as those of stats()."""
    with urllib.request.urlopen(url, timeout=LONG) as answer:
        assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=1.0.0")
        text = answer.read().decode()
    assert text.endswith("# EOF\n")
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    assert samples
    return {
        sample.name
        + (
            "{" + ",".join(f'{name}="{value}"' for name, value in sample.labels.items()) + "}" if sample.labels else ""
        ): (sample.value)
        for sample in samples
    }


def metrics_url(controller):
    return wait_until(lambda: re.search(r"metrics are at (http://\S+/metrics)", controller.output))[1]


def test_metrics_are_what_stats_says_and_a_stopped_scraper_disturbs_nobody(new_cluster):
    cluster = new_cluster(1, controller=["--metrics=0"])
    client = cluster.client()
    url = metrics_url(cluster.controller)
    address = urllib.parse.urlsplit(url)
    assert address.hostname == "127.0.0.1"
    process = psutil.Process(cluster.controller.popen.pid)
    assert len({listener.laddr.port for listener in process.connections() if listener.status == "LISTEN"}) == 16

    # More connections than are let in, which send nothing, or half of a request, or a request whose answer they do not read.
    with contextlib.ExitStack() as stack:
        for said in (b"", b"GET /metrics HTTP/1.1\r\n", b"GET /metrics HTTP/1.1\r\n\r\n") * 20:
            scraper = stack.enter_context(socket.socket())
            scraper.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            scraper.connect((address.hostname, address.port))
            with contextlib.suppress(OSError):  # it has made room for others
                scraper.sendall(said)
        files = process.num_fds()
        assert client.load_balanced_view().map_sync(abs, range(-20, 0)) == list(range(20, 0, -1))
        quiet = dict.fromkeys(
            ["ipcluster_requests_pending", "ipcluster_tasks_running", "ipcluster_tasks_held_bytes"], 0
        )
        wait_for(client, {**quiet, 'ipcluster_engines{state="idle"}': 1})
        shown, told = scraped(url), client.stats()
    assert process.num_fds() <= files + 2
    same = [name for name in told if "tasks" in name or "engine" in name and "socket" not in name or "refused" in name]
    assert same and all(shown[name] == told[name] for name in same)
    started = "process_start_time_seconds"
    assert shown[started] == pytest.approx(told[started], rel=0, abs=0.001)
    assert set(told) - set(shown) <= {"ipcluster_messages_accepted_total" + of("hub", "client", type="stats_request")}

    # What else is asked is not there.
    for path in "/", "/metrics/more", "/metricsx":
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"http://{address.netloc}{path}", timeout=LONG)
    # Another controller does not start if the port is in use.
    done = cluster.sandbox.run(
        cluster.sandbox.programs.ipcontroller, "--cluster-id=b", f"--metrics={address.netloc}", timeout=60
    )
    assert done.status == 1 and "IPController.metrics" in done.out + done.err
    for wrong in "nine", "localhost:1", "70000", "1.2.3:4", "127.127.127.1271:0":
        done = cluster.sandbox.run(cluster.sandbox.programs.ipcontroller, "--cluster-id=b", f"--metrics={wrong}")
        assert done.status == 1 and "IPController.metrics is a port" in done.out + done.err

    # The page's queries are of metrics that there are.
    page = (TOP / "docs/howto/monitoring.md").read_text()
    known = {re.sub(r"\{.*", "", name) for name in shown}
    queries = re.search(r"^```promql\n(.*?)^```", page, re.MULTILINE | re.DOTALL)[1]
    of_types = "ipcluster_messages_refused_total"  # there once a message was refused
    assert set(re.findall(r"\bipcluster_\w+", queries)) <= known | {of_types}


def test_the_command_shows_what_was_counted(new_cluster):
    cluster = new_cluster(1)
    client = cluster.client()
    client.load_balanced_view().map_sync(abs, range(3))
    wait_for(client, {"ipcluster_requests_pending": 0})
    box = cluster.sandbox
    shown = box.run(box.programs.ipcluster, "stats", check=True).out
    assert re.search(r"^METRIC +OF +VALUE", shown)
    assert re.search(r"^engines +idle +1", shown, re.MULTILINE)
    assert re.search(r"^task_work_seconds +on average +[\d.]+ m?s", shown, re.MULTILINE)
    assert " 0 " not in shown
    told = json.loads(box.run(box.programs.ipcluster, "stats", "--json", check=True).out)
    assert told["values"]["ipcluster_tasks_submitted_total"] == client.stats()["ipcluster_tasks_submitted_total"]
    assert told["metrics"]["ipcluster_tasks_waiting"]["kind"] == "gauge"
    watching = box.start(box.programs.ipcluster, "stats", "--watch", "--interval=1", "--json")
    wait_until(lambda: watching.output.count("\n") >= 2)
    first, second = (json.loads(line)["time"] for line in watching.output.splitlines()[:2])
    assert second >= first + 1
    watching.popen.send_signal(signal.SIGINT)
    watching.popen.wait()
    cluster.controller.popen.terminate()
    cluster.controller.popen.wait()
    done = box.run(box.programs.ipcluster, "stats")
    assert done.status == 11 and "no cluster runs here" in done.out + done.err


def finished(end):
    return 'ipcluster_engine_requests_finished_total{end="' + end + '"}'


def test_engines_count_what_they_run_also_while_user_code_runs(new_cluster, tmp_path):
    client = new_cluster(2).client()
    first, second = client[client.ids[0]], client[client.ids[1]]
    before = client.stats("all")
    assert sorted(before) == client.ids
    for _ in range(3):
        first.apply_sync(time.sleep, 0.01)
    with pytest.raises(ipcluster.RemoteError):
        first.apply_sync(int, "no number")
    with pytest.raises(ipcluster.RemoteError):
        first.execute("1 / 0").get()
    gate = tmp_path / "gate"
    held = [second.apply_async(wait_for_file, str(gate)) for _ in range(3)]
    wait_until(lambda: client.stats(second.targets)[second.targets]["ipcluster_engine_requests_waiting"] == 2)
    now = client.stats("all")
    one, other = ({name: now[id][name] - before[id].get(name, 0) for name in now[id]} for id in client.ids)
    assert (one[finished("ok")], one[finished("failed")], one[finished("not_run")]) == (3, 2, 0)
    assert one["ipcluster_engine_request_work_seconds_count"] == 5
    assert 0.03 <= one["ipcluster_engine_request_work_seconds_sum"]
    assert one['ipcluster_engine_messages_received_total{socket="shell"}'] == 5
    assert one['ipcluster_engine_messages_sent_total{socket="shell"}'] == 5
    assert one['ipcluster_engine_messages_accepted_total{socket="shell",type="apply_request"}'] == 4
    assert one['ipcluster_engine_messages_accepted_total{socket="control",type="stats_request"}'] == 1
    assert one['ipcluster_engine_sent_bytes_total{socket="shell"}'] > 5 * 200
    assert other["ipcluster_engine_requests_running"] == 1 and other[finished("ok")] == 0
    assert now[second.targets]["process_resident_memory_bytes"] > 1e6
    held[2].cancel()
    gate.touch()
    client.wait(held)
    last = client.stats(second.targets)[second.targets]
    assert (last[finished("ok")] - before[second.targets][finished("ok")], last[finished("not_run")]) == (2, 1)
    assert last["ipcluster_engine_requests_waiting"] == last["ipcluster_engine_requests_running"] == 0


def test_the_command_shows_each_engine(new_cluster):
    cluster = new_cluster(2)
    client = cluster.client()
    client[:].apply_sync(abs, -1)
    box = cluster.sandbox
    shown = box.run(box.programs.ipcluster, "stats", "--engines", check=True).out
    assert re.search(r"^ENGINE +HOST +RAN +FAILED", shown)
    host = re.escape(client.engine_info[0]["host"])
    for engine_id in client.ids:
        assert re.search(rf"^{engine_id} +{host} +1 +0 +0 +[\d.]+ m?s ", shown, re.MULTILINE), shown
    told = json.loads(box.run(box.programs.ipcluster, "stats", "--engines", "--json", check=True).out)
    assert list(told["engines"]) == [str(engine_id) for engine_id in client.ids]
    assert told["engines"]["0"]["values"][finished("ok")] == 1
    assert told["metrics"]["ipcluster_engine_requests_waiting"]["kind"] == "gauge"
    watching = box.start(box.programs.ipcluster, "stats", "--engines", "--watch", "--interval=1")
    wait_until(lambda: watching.output.count("AT WORK") >= 1)
    client[0].apply_async(time.sleep, 600)
    wait_until(lambda: re.search(r"^0 .* (9\d|100|101) %$", watching.output, re.MULTILINE), LONG)
    assert not re.search(r"^1 .* [1-9]\d* %$", watching.output, re.MULTILINE)
    watching.popen.send_signal(signal.SIGINT)
    watching.popen.wait()
    client.interrupt(0, block=True)


def test_whoever_watches_goes_on_with_the_controller_that_takes_the_place_of_the_first(new_cluster):
    cluster = new_cluster(0, controller=["--reuse"])
    box = cluster.sandbox
    watching = box.start(box.programs.ipcluster, "stats", "--watch", "--interval=1", "--json")
    wait_until(lambda: "\n" in watching.output)
    # It waits some seconds for a controller's answer: while it is stopped, the new controller's start takes none of them.
    watching.popen.send_signal(signal.SIGSTOP)
    cluster.controller.stop(signal.SIGKILL)
    cluster.start_controller("--reuse")
    watching.popen.send_signal(signal.SIGCONT)
    begun = time.time()

    def told():
        """What was told since."""
        answers = [json.loads(line) for line in watching.output.splitlines(keepends=True) if line.endswith("\n")]
        assert all("ipcluster_tasks_waiting" in answer.get("values", {}) for answer in answers)
        assert watching.alive, watching.output
        return [answer for answer in answers if answer["time"] > begun]

    wait_until(lambda: len(told()) >= 2, LONG)


def test_a_long_time_between_two_looks_is_as_long_as_it_is_said_to_be(new_cluster):
    box = new_cluster(0).sandbox
    # 2^32 microseconds and a few
    watching = box.start(box.programs.ipcluster, "stats", "--watch", "--interval=4295", "--json")
    wait_until(lambda: "\n" in watching.output)
    time.sleep(1)
    assert watching.output.count("\n") == 1
