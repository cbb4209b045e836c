"""An unmodified ipyparallel.Cluster starts our programs in place of its own, and every setting of its programs is known to ours."""

import json
import subprocess

import pytest

import docblocks
from support import PYTHON, TOP

pytest.importorskip("ipyparallel")

# What the guide tells users to write, for the programs under test.
(SETTINGS,) = (
    block.text
    for block in docblocks.blocks(TOP / "docs/howto/ipyparallel.md")
    if block.note("tested by") == "tests/interop/test_ipyparallel_cluster.py"
)
for name in ("controller", "engine"):
    SETTINGS = SETTINGS.replace(f'"/usr/local/bin/ip{name}"', name)
# The rest is what a user of Cluster does.
SESSION = """
import logging, os, signal, sys, time
import ipyparallel as ipp
from traitlets.config import Config

kind, controller, engine = sys.argv[1:]
c = Config()
{SETTINGS}
c.MPILauncher.mpi_args = ["--oversubscribe"]
cluster = ipp.Cluster(config=c, engine_launcher_class=kind, n=2, log_level=logging.WARNING)

def programs(view):  # what the engines' Python runs
    return {open(f"/proc/{pid}/cmdline").read().split("\\0")[1] for pid in view.apply_sync(os.getpid)}

ours = os.path.join(os.path.dirname(engine), "../../python/ipengine.py")

with cluster as rc:
    assert programs(rc[:]) == {os.path.normpath(ours)}
    assert os.path.realpath(f"/proc/{cluster.controller.pid}/exe") == os.path.realpath(controller)
    if kind == "mpi":
        rc[:].execute("ranks = (mpi_rank, mpi_size, MPI.COMM_WORLD.Get_rank())", block=True)
        assert rc[:]["ranks"] == [(0, 2, 0), (1, 2, 1)]

    again = ipp.Cluster.from_file(cluster.cluster_file)
    other = again.connect_client_sync()
    assert other.ids == [0, 1]
    other.close()

    if kind == "local":  # mpiexec ends all its ranks when it is interrupted, whoever's they are
        def sleep(folder):
            import os, time
            open(f"{folder}/begun-{os.getpid()}", "w").close()
            time.sleep(600)
        running = rc[:].apply_async(sleep, os.getcwd())
        while sum(name.startswith("begun-") for name in os.listdir()) != 2:
            time.sleep(0.05)
        cluster.signal_engines_sync(signal.SIGINT)
        try:
            running.get(timeout=60)
        except ipp.error.CompositeError as error:
            assert "KeyboardInterrupt" in str(error), error
        else:
            raise AssertionError("not interrupted")

    more = cluster.start_engines_sync(n=1)
    rc.wait_for_engines(3, timeout=60)
    cluster.stop_engines_sync(more)
    while len(rc.ids) != 2:
        time.sleep(0.05)
    before = set(rc[:].apply_sync(os.getpid))
    cluster.restart_engines_sync()
    now = before
    while len(now) != 2 or now & before:
        rc.wait_for_engines(2, timeout=60)
        try:
            now = set(rc[:].apply_sync(os.getpid))
        except ipp.error.RemoteError:  # the old ones were still known
            pass
    assert programs(rc[:]) == {os.path.normpath(ours)}

security = os.path.join(cluster.profile_dir, "security")
assert not os.listdir(security), os.listdir(security)
print("the session is done")
"""


@pytest.mark.parametrize("kind", ["local", "mpi"])
def test_ipyparallels_cluster_starts_our_programs(sandbox, kind):
    programs = sandbox.programs
    session = SESSION.replace("{SETTINGS}", SETTINGS)
    done = sandbox.run(PYTHON, "-c", session, kind, programs.ipcontroller, programs.ipengine, timeout=100)
    assert done.status == 0 and "the session is done" in done.out, done


WALK = """
import json, sys
from ipyparallel.controller.app import IPController
from ipyparallel.engine.app import IPEngine
from ipyparallel.cluster.app import IPClusterStart

found = {}
for app in (IPController(), IPEngine(), IPClusterStart()):
    classes = {one.__name__: sorted(one.class_traits(config=True)) for one in app._classes_inc_parents()
               if hasattr(one, "class_traits")}
    found[app.name] = {"classes": classes, "aliases": [str(alias) for alias in app.aliases],
                       "flags": [str(flag) for flag in app.flags]}
json.dump(found, sys.stdout)
"""


@pytest.fixture(scope="module")
def theirs():
    """{program: classes with their traits, aliases, flags} of the ipyparallel that is installed."""
    return json.loads(subprocess.run([PYTHON, "-c", WALK], capture_output=True, text=True, check=True).stdout)


PROGRAMS = {"ipcontroller": [], "ipengine": [], "ipcluster": ["start"]}


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_setting_of_ipyparallels_program_is_known(sandbox, theirs, name):
    config = sandbox.work / "all.json"
    # null leaves a setting as it is; a name that is not known is an error all the same.
    config.write_text(
        json.dumps({class_name: dict.fromkeys(traits) for class_name, traits in theirs[name]["classes"].items()})
    )
    sandbox.run(
        getattr(sandbox.programs, name), *PROGRAMS[name], "--init", f"--config={config}", "--show-config", check=True
    )


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_alias_and_flag_of_ipyparallels_program_is_known(sandbox, theirs, name):
    help_text = sandbox.run(getattr(sandbox.programs, name), *PROGRAMS[name], "--help-all", check=True).out
    for alias in theirs[name]["aliases"]:
        typed = f"-{alias} " if len(alias) == 1 else f"--{alias}"
        assert typed in help_text, alias
    for flag in theirs[name]["flags"]:
        assert f"--{flag}\n" in help_text or f"--{flag}[=" in help_text, flag


def test_the_files_of_a_new_profile_of_ipythons_are_converted(sandbox):
    """They are all comments; IPython writes them with `ipython profile create --parallel`."""
    sandbox.run(PYTHON, "-m", "IPython", "profile", "create", "new", "--parallel", check=True)
    done = sandbox.run(sandbox.programs.ipcluster, "profile", "convert", f"--python={PYTHON}", "new")
    assert done.status == 0 and done.out.count(": 0 settings carried over") == 3, done


def test_our_files_of_settings_are_read_by_ipyparallel(sandbox):
    """Also those that `profile create` and `profile convert` write, with what they say of themselves."""
    folder = sandbox.profile_dir("both")
    sandbox.run(sandbox.programs.ipcluster, "profile", "create", "both", "--n=3", "--elauncher=mpi", check=True)
    old = folder / "ipcontroller_config.py"
    old.write_text("c.HubFactory.ip = '*'\nc.IPController.ports = [10101, 10102]\nc.Nobody.knows = 1\n")
    convert = sandbox.run(sandbox.programs.ipcluster, "profile", "convert", "--force", f"--python={PYTHON}", str(old))
    assert convert.status == 7
    old.unlink()
    show = sandbox.run(
        PYTHON,
        "-c",
        """
import ipyparallel as ipp
from ipyparallel.controller.app import IPController
from traitlets.config import Config
cluster = ipp.Cluster(profile="both", config=Config())
print(cluster.n, cluster.engine_launcher_class.__name__)
app = IPController(profile="both")
app.init_profile_dir()
app.init_config_files()
app.load_config_file(suppress_errors=False)
print(app.ip, app.ports[0], len(app.ports))
""",
        check=True,
    )
    assert show.out.split() == ["3", "MPIEngineSetLauncher", "*", "10101", "2"]


FOUND = """
import json, os, sys, time
import ipyparallel as ipp
from ipyparallel.cluster.cluster import ClusterManager

keys = list(ClusterManager().load_clusters())
cluster = ipp.Cluster.from_file()
with cluster.connect_client_sync() as client:
    client.wait_for_engines(3, timeout=60)
    pids = client[:].apply_sync(os.getpid)
named = {place["pid"] for engines in cluster.to_dict()["engines"]["sets"].values() for place in engines["engines"].values()}
print(json.dumps({"keys": keys, "sets": len(cluster.engines), "pids": sorted(pids), "named": sorted(named)}), flush=True)
cluster.stop_cluster_sync()
"""


def test_ipyparallel_finds_a_cluster_of_ours_and_stops_it(sandbox):
    """With a set of engines that was added to it."""
    ipcluster, file = sandbox.programs.ipcluster, sandbox.profile_dir() / "security/cluster-.json"
    sandbox.run(ipcluster, "start", "--n=2", "--daemonize", check=True)
    sandbox.run(ipcluster, "engines", "--n=1", "--daemonize", check=True)
    assert file.stat().st_mode & 0o777 == 0o600
    found = json.loads(sandbox.run(PYTHON, "-c", FOUND, check=True, timeout=60).out)
    assert found["keys"] == ["default:"] and found["sets"] == 2
    assert found["named"] == found["pids"] and len(found["pids"]) == 3
    sandbox.wait_for_no_processes(30)
    assert not file.exists()
