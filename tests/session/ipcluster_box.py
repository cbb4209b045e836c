"""What the tests of the program ipcluster share."""

import json

import pytest

from support import listeners, named

LOCAL = []
MPI = ["--elauncher=MPIExecEngineSetLauncher"]
WITH_BOTH = pytest.mark.parametrize("launcher", [LOCAL, MPI], ids=["local", "mpiexec"])
UP = r"The cluster is up"


def one_by_one(box):
    """An option with which the second of two engines comes once `come` is there, in the box's folder."""
    program = box.dir / "one-by-one"
    program.write_text(
        f'#!/bin/sh\nmkdir "{box.dir}/first" 2>/dev/null || until [ -e "{box.dir}/come" ]; do sleep 0.1; done\n'
        f'exec {box.programs.ipengine} "$@"\n'
    )
    program.chmod(0o755)
    return f"--EngineLauncher.engine_cmd={program}"


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
