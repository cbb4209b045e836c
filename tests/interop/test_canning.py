"""Functions and values, canned by our client and by ipyparallel's, on our engines, with ipyparallel beside them and without, and on
ipyparallel's."""

import os
import pickle
import re
import subprocess
import sys
from pathlib import Path

import pytest

from support import LONG, PYTHON, find_build, without

pytest.importorskip("ipyparallel")
pytest.importorskip("numpy")


def start_engines(cluster, sandbox, kinds):
    for kind in kinds:
        if kind == "theirs":
            sandbox.start(PYTHON, "-m", "ipyparallel.engine", f"--profile-dir={cluster.profile_dir}")
        else:
            cluster.start_engine(env=without(sandbox, "ipyparallel") if kind == "alone" else None)


@pytest.mark.parametrize("package, engines, switch", [
    ("ipcluster", ["ours", "alone"], None),
    ("ipyparallel", ["ours", "alone"], None),
    ("ipcluster", ["theirs"], None),
    ("ipcluster", ["ours", "alone"], "use_dill"),
    ("ipyparallel", ["ours", "alone"], "use_dill"),
    ("ipcluster", ["ours", "alone"], "use_cloudpickle"),
    ("ipyparallel", ["ours", "alone"], "use_cloudpickle"),
    ("ipcluster", ["theirs"], "use_cloudpickle"),
], ids=lambda value: "+".join(value) if isinstance(value, list) else str(value))  # fmt: skip
def test_canned(new_cluster, sandbox, package, engines, switch):
    if switch:
        pytest.importorskip(switch.removeprefix("use_"))
    cluster = new_cluster(0)
    start_engines(cluster, sandbox, engines)
    peer = "peer" if package == "ipyparallel" or "theirs" in engines else "alike"
    words = [switch] if switch else []
    finished = sandbox.run(PYTHON, "-W", "ignore", Path(__file__).with_name("canned.py"), package, cluster.client_file,
                           len(engines), peer, *words, python=True, timeout=120)  # fmt: skip
    assert finished.status == 0 and " 0 failed" in finished.out, finished


# Other versions of Python


def other_pythons():
    """Programs of other versions of Python, by the names of these: those of pyenv and on PATH that run here."""
    found = {}
    folders = [*Path.home().glob(".pyenv/versions/*/bin"), *map(Path, os.environ["PATH"].split(os.pathsep))]
    for program in (path for folder in folders for path in folder.glob("python3.*")):
        version = re.fullmatch(r"python(3\.(\d+))", program.name)
        if version and int(version[2]) >= 8 and int(version[2]) != sys.version_info.minor:
            if not subprocess.run([program, "-c", ""], capture_output=True).returncode:
                found.setdefault(f"Python {version[1]}", program)
    return found


def requests_of(python, package, how):
    """What foreign.py makes in another Python; nothing where a package does not run in that."""
    import ipyparallel

    sources, packages = find_build() / "python", Path(ipyparallel.__file__).parents[1]
    made = subprocess.run([python, Path(__file__).with_name("foreign.py"), package, how, sources, packages],
                          capture_output=True, timeout=LONG)  # fmt: skip
    assert made.returncode == 0 or how != "pickle", made.stderr
    return pickle.loads(made.stdout) if made.returncode == 0 else {}


def refusal(client, buffers):
    """What engine 0 says against a request with these buffers."""
    from ipcluster import AsyncResult, RemoteError, _client

    future = client.requests.submit(_client.DIRECT, 0, "apply_request", None, None, buffers)
    with pytest.raises(RemoteError) as caught:
        AsyncResult(client, [future]).get(timeout=LONG)
    return str(caught.value)


@pytest.mark.parametrize("how", ["pickle", "cloudpickle", "dill"])
def test_an_engine_lives_through_functions_of_other_pythons_and_says_so(new_cluster, how):
    if how != "pickle":
        pytest.importorskip(how)
    pythons = other_pythons()
    if not pythons:
        pytest.skip("there is no other version of Python on PATH or in ~/.pyenv/versions")
    client = new_cluster(1).client()
    view = client[0]
    view.block = True
    if how == "dill":  # what dill writes, only dill reads
        view.execute("import ipcluster; ipcluster.use_dill()")
    view.execute("import os")
    pid = view["os.getpid()"]
    ours = f"Python {sys.version_info.major}.{sys.version_info.minor}"
    refused = 0
    for named, python in pythons.items():
        for package, theirs in (("ipcluster", named), ("ipyparallel", "another version of Python")):
            for name, buffers in requests_of(python, package, how).items():
                text = refusal(client, buffers)
                assert f"VersionError: a function that was compiled by {theirs} cannot run in {ours}: " in text, (
                    named,
                    package,
                    name,
                )
                refused += 1
        assert view["os.getpid()"] == pid
    assert refused >= 5 * len(pythons)
