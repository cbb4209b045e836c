"""Functions and values, canned by our client and by ipyparallel's, on our engines, with ipyparallel beside them and without, and on
ipyparallel's."""

from pathlib import Path

import pytest

from support import PYTHON, without

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
