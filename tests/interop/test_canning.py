"""Functions and values, canned by our client and by ipyparallel's, on our engines, with ipyparallel beside them and without, and on
ipyparallel's."""

from pathlib import Path

import pytest

from support import PYTHON

pytest.importorskip("ipyparallel")
pytest.importorskip("numpy")

HIDE = """
import sys

class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "ipyparallel":
            raise ModuleNotFoundError(f"No module named {name!r}")

sys.meta_path.insert(0, Hide())
"""


def start_engines(cluster, sandbox, kinds):
    hide = sandbox.dir / "hide"
    hide.mkdir()
    (hide / "sitecustomize.py").write_text(HIDE)
    for kind in kinds:
        if kind == "theirs":
            sandbox.start(PYTHON, "-m", "ipyparallel.engine", f"--profile-dir={cluster.profile_dir}")
        else:
            path = f"{hide}:{sandbox.env.get('PYTHONPATH', '')}" if kind == "alone" else sandbox.env.get("PYTHONPATH", "")
            cluster.start_engine(env={"PYTHONPATH": path})


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
