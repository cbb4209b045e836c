"""Controllers and engines that are started by hand: ipcluster knows them, lists them, ends them, and starts nothing over them."""

import os
import re
import signal
import socket

import pytest

from ipcluster_box import UP, listed
from support import kill, named


def test_a_controller_started_by_hand_is_not_started_over(new_cluster, box):
    cluster = new_cluster(0)
    refused = box.ipcluster("start", "--n=1")
    assert refused.status == 10 and f"started by hand (process {cluster.controller.pid} on " in refused.err
    assert "stop it with ipcluster stop," in refused.err
    assert cluster.client_file.exists()
    cluster.controller.stop()


@pytest.mark.parametrize("how", ["default", "cluster id", "profile", "profile folder", "ipc, keeping files"])
def test_a_cluster_started_by_hand_is_listed_and_stopped(new_cluster, box, how):
    """With its engines, which end by themselves and are not killed."""
    profile = "mine" if how.startswith("profile") else "default"
    words = {
        "cluster id": ["--cluster-id=a"],
        "profile": ["--profile=mine"],
        "profile folder": [f"--profile-dir={box.profile_dir('mine')}"],
    }.get(how, [])
    cluster = new_cluster(
        2,
        profile=profile,
        cluster_id="a" if how == "cluster id" else "",
        controller=["--reuse", "--transport=ipc"] if how.startswith("ipc") else [],
    )
    cluster.client().close()  # the engines have registered
    [found] = listed(box, *words)
    assert (found["state"], found["pid"], found["engines"]) == ("by hand", cluster.controller.pid, 2), found
    assert found["cluster_id"] == cluster.cluster_id and found["profile_dir"] == str(cluster.profile_dir)
    assert re.search(rf"\bby hand +{cluster.controller.pid} +2\b", box.ipcluster("list", *words, check=True).out)
    stopped = box.ipcluster("stop", *words, check=True)
    assert f"started by hand, process {cluster.controller.pid}" in stopped.out and "Stopped" in stopped.out
    assert [cluster.controller.wait(), *[engine.wait() for engine in cluster.engines]] == [0, 0, 0]
    assert all("a client told the engine to end" in engine.output for engine in cluster.engines)
    assert listed(box, *words) == [] and box.ipcluster("stop", *words).status == 11
    assert cluster.client_file.exists() == how.startswith("ipc")


def test_stop_ends_the_clusters_that_it_is_asked_for_whoever_started_them(new_cluster, box):
    box.ipcluster("start", "--n=1", "--daemonize", check=True)
    by_hand = [new_cluster(1, cluster_id=name) for name in ("a", "b")]
    other = new_cluster(0, profile="other")
    box.ipcluster("engines", "--n=1", "--cluster-id=b", "--daemonize", check=True)
    assert sorted((c["cluster_id"], c["state"]) for c in listed(box, "--profile=default")) == [
        ("", "running"),
        ("a", "by hand"),
        ("b", "by hand"),
        ("b", "running"),
    ]
    box.ipcluster("stop", "--cluster-id=a", check=True)
    assert by_hand[0].controller.wait() == 0
    assert sorted(c["cluster_id"] for c in listed(box, "--profile=default")) == ["", "b", "b"]
    box.ipcluster("stop", "--all", check=True)
    assert by_hand[1].controller.wait() == 0
    assert [(c["profile"], c["state"]) for c in listed(box)] == [("other", "by hand")]
    assert other.controller.stop() == 0


def test_a_file_whose_controller_has_gone_is_no_cluster_also_when_its_process_number_is_anothers(new_cluster, box):
    cluster = new_cluster(0)
    cluster.controller.stop(signal.SIGKILL)
    pid_file = cluster.profile_dir / "pid/ipcontroller.pid"
    assert pid_file.exists() and cluster.client_file.exists()
    assert listed(box) == [] and box.ipcluster("stop").status == 11
    bystander = box.start("sleep", "1000")
    pid_file.write_text(f"{bystander.pid}\n{socket.gethostname()}\n")
    assert listed(box) == [] and box.ipcluster("stop").status == 11
    assert bystander.alive
    bystander.stop()


def test_a_controller_of_another_machine_is_told_apart_and_left_alone(box):
    folder = box.profile_dir() / "pid"
    folder.mkdir(parents=True, mode=0o700)
    (folder / "ipcontroller.pid").write_text(f"{os.getpid()}\nfar-away\n")
    [found] = listed(box)
    assert (found["state"], found["host"], found["pid"], found["engines"]) == (
        "elsewhere",
        "far-away",
        os.getpid(),
        None,
    )
    stopped = box.ipcluster("stop")
    assert stopped.status == 6 and "runs on far-away: stop it there" in stopped.err


def test_what_a_stale_cluster_left_is_not_taken_from_the_controller_that_was_started_by_hand_since(new_cluster, box):
    start = box.begin("start", "--n=0")
    start.wait_for_output(UP, 60)
    start.stop(signal.SIGKILL)
    kill(named(box, "ipcontroller"))
    box.wait_for_no_processes()
    cluster = new_cluster(0)
    cluster.controller.wait_for_output("connection files:")
    cluster.start_engine()
    cluster.client().close()
    assert sorted(c["state"] for c in listed(box)) == ["by hand", "stopped"]
    box.ipcluster("stop", check=True)
    assert cluster.controller.wait() == 0 and cluster.engines[0].wait() == 0
    assert listed(box) == []
