"""What the tests of the program ipcluster share."""

import json

import pytest

from support import listeners, named

LOCAL = []
MPI = ["--elauncher=MPIExecEngineSetLauncher"]
WITH_BOTH = pytest.mark.parametrize("launcher", [LOCAL, MPI], ids=["local", "mpiexec"])
UP = r"The cluster is up"


def ports(profile_dir, cluster_id=""):
    """The ports that a cluster's connection files name."""
    found = set()
    for role in ("client", "engine"):
        stem = f"ipcontroller-{cluster_id}-{role}" if cluster_id else f"ipcontroller-{role}"
        content = json.loads((profile_dir / "security" / f"{stem}.json").read_text())
        found.update(value for value in content.values() if isinstance(value, int) and value > 1023)
    return found


def assert_nothing_left(box, profile_dir, known_sockets=frozenset()):
    box.wait_for_no_processes()
    assert not list((profile_dir / "security").iterdir())
    assert not list((profile_dir / "pid").iterdir())
    assert not known_sockets & listeners({port for port, _ in known_sockets})


def listed(box, *words):
    return json.loads(box.ipcluster("list", "--json", *words, check=True).out)


def engine_pids(box):
    return [process.pid for process in named(box, "ipengine")]
