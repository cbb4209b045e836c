"""What the controller counts: what goes through its sockets, its tasks, its engines, and what it refuses."""

import time
from collections import Counter

import ipcluster
import pytest
import zmq

from controller_peer import DELIMITER, Peer
from support import wait_for_file, wait_until


def grown(client, before):
    """What has grown since: by how much."""
    return Counter({name: value - before.get(name, 0) for name, value in client.stats().items()})


def wait_for(client, expected, before=None):
    """Waits until these numbers, or what they have grown by, are exactly so: they are read while their threads go on."""
    seen = {}

    def is_so():
        now = client.stats() if before is None else grown(client, before)
        seen.update({name: now[name] for name in expected})
        return seen == expected

    try:
        wait_until(is_so)
    except AssertionError:
        assert seen == expected


def of(socket, side, **labels):
    text = ",".join(f'{name}="{value}"' for name, value in {"socket": socket, "side": side, **labels}.items())
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
    for socket in "client", "engine":
        in_bytes = found["ipcluster_received_bytes_total" + of("task", socket)]
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
        task.send_multipart([DELIMITER, b"0" * 64, *good[2:]])
    for _ in range(2):
        task.send_multipart([DELIMITER, b"", *good[2:]])
    task.send_multipart(good[:3])
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
