"""One build for every Python: one build serves each CPython of this machine from 3.11 on. An engine runs in the Python of whoever starts
it, with the packages of that Python and no others."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import ipcluster
import pytest

from ipcluster import EngineError
from support import LONG, MARKER, PYTHON, TOP, find_build, kill, named, sanitizers, wait_until

pytestmark = pytest.mark.skipif(
    bool(sanitizers(find_build())), reason="what other Pythons keep until their end is not told from leaks"
)

NO_OTHERS = "this machine has no other Python of 3.11 or later below ~/.pyenv/versions"


def pyenv(minors):
    """The interpreters of pyenv of these minor versions."""
    found = sorted(Path("~/.pyenv/versions").expanduser().glob("3.*/bin/python"))
    return [str(path) for path in found if int(path.parts[-3].split(".")[1]) in minors]


KERNEL = tuple(map(int, re.match(r"(\d+)\.(\d+)", os.uname().release).groups()))
OTHERS = pyenv(range(11, 100))
TOO_OLD = pyenv(range(6, 11))


def make_environment(folder, python, *words):
    """A virtual environment with a module that no other has; its interpreter."""
    subprocess.run([python, "-m", "venv", "--without-pip", *words, folder], check=True, timeout=LONG)
    return only_here(folder)


def make_conda_environment(folder, python):
    """A stand-in for a conda environment, as conda's packages come from nowhere but its own channels: a Python of pyenv's, copied into the
    layout of conda's. Its interpreter finds a library beside it, and the folder of conda's records is there."""
    if not shutil.which("patchelf"):
        pytest.skip(
            "there is no patchelf here, which moves a Python to a conda environment's place: apt-get install patchelf"
        )
    origin = Path(python).resolve()
    unneeded = shutil.ignore_patterns("site-packages", "test", "config-*", "*.a", "__pycache__")
    shutil.copytree(origin.parent.parent / "lib", folder / "lib", symlinks=True, ignore=unneeded)
    (folder / f"lib/{origin.name}/site-packages").mkdir()
    (folder / "bin").mkdir()
    shutil.copy2(origin, folder / "bin")
    for name in ("python", "python3"):
        (folder / "bin" / name).symlink_to(origin.name)
    subprocess.run(["patchelf", "--set-rpath", "$ORIGIN/../lib", folder / "bin" / origin.name], check=True)
    (folder / "conda-meta").mkdir()
    (folder / "conda-meta/history").touch()
    return only_here(folder)


def only_here(folder):
    (packages,) = folder.glob("lib/python3.*/site-packages")
    (packages / "only_here.py").write_text(f"PLACE = {str(folder)!r}\n")
    return folder / "bin/python"


@pytest.fixture(scope="session")
def others():
    """Interpreters of other versions or builds than Debian's."""
    if not OTHERS:
        pytest.skip(NO_OTHERS)
    return OTHERS


LOOK = """
import importlib.util, sys
library = sorted({line.split()[-1] for line in open("/proc/self/maps") if "/libpython" in line})
seen = str([sys.executable, sys.prefix, bool(importlib.util.find_spec("only_here")), library])
"""


class Interpreter:
    """A Python that engines are to run in."""

    def __init__(self, path):
        self.path = Path(path)
        self.folder = self.path.parent.parent
        self.seen = self.output(f"{LOOK}print(seen)")
        self.has_library = "/libpython" in self.seen
        self.activated = {"PATH": f"{self.path.parent}:{os.environ['PATH']}", "PYTHONPATH": "", "VIRTUAL_ENV": ""}
        if (self.folder / "conda-meta").exists():
            self.activated.update(CONDA_PREFIX=str(self.folder), CONDA_DEFAULT_ENV=self.folder.name, CONDA_SHLVL="1")
        else:
            self.activated.update(VIRTUAL_ENV=str(self.folder))

    def output(self, code):
        said = subprocess.run(
            [self.path, "-c", code],
            check=True,
            capture_output=True,
            text=True,
            env={"PATH": "/usr/bin:/bin"},
            timeout=LONG,
        )
        return said.stdout.strip()


def with_library(pythons):
    """One of them that is linked to a shared libpython. Debian's own is not."""
    found = [python for python in pythons if Interpreter(python).has_library]
    if not found:
        pytest.skip("no Python below ~/.pyenv/versions has a shared libpython")
    return found[-1]


KINDS = {
    "Debian's": lambda folder, others: PYTHON,
    "a venv": lambda folder, others: make_environment(folder, PYTHON),
    "a venv of copies": lambda folder, others: make_environment(folder, PYTHON, "--copies"),
    "another with a shared library": lambda folder, others: with_library(others()),
    "a venv of another version": lambda folder, others: make_environment(folder, others()[-1]),
    "a stand-in for a conda environment": lambda folder, others: make_conda_environment(folder, with_library(others())),
}


@pytest.fixture(scope="session", params=KINDS)
def interpreter(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("python") / "env"
    return Interpreter(KINDS[request.param](folder, lambda: request.getfixturevalue("others")))


# A client warns of engines that run in another Python than it does.
of_another_python = pytest.mark.filterwarnings("ignore:.*Python")


def seen_by(client):
    """What each engine says of its Python."""
    client[:].execute(LOOK, block=True)
    return client[:].pull("seen", block=True)


@of_another_python
def test_an_engine_runs_in_the_python_of_whoever_starts_it(new_cluster, interpreter):
    cluster = new_cluster(0)
    sandbox, named = cluster.sandbox, f"--python={interpreter.path}"
    activated, alone = interpreter.activated, {"PYTHONPATH": ""}
    module = {"PYTHONPATH": sandbox.programs.python_path[0]}
    engine, mpiexec = sandbox.programs.ipengine, ["mpiexec", "-n", 1, "--oversubscribe"]
    for words, env in [([engine], activated), ([engine, named], alone), ([interpreter.path, "-m", "ipcluster.engine"], module),
                       ([*mpiexec, engine], activated), ([*mpiexec, engine, named], alone)]:  # fmt: skip
        count = len(sandbox.processes)
        # If two of Open MPI's mpiexec start at the same time, both make the same folder, and one fails.
        (folder := sandbox.work / f"tmp{count}").mkdir()
        sandbox.start(*words, env={**env, "TMPDIR": str(folder)}, python=words[0] == interpreter.path)
    client = cluster.client(wait_for=5)
    assert seen_by(client) == [interpreter.seen] * 5
    said = client.engines[client.ids[0]]
    assert said.executable == str(interpreter.path)
    client.shutdown(block=True)


CLUSTER = """
import sys
sys.path.insert(0, {path!r})
from ipcluster import Cluster
with Cluster(1, progress=True) as client:
    client[:].execute({look!r}, block=True)
    print(client[0].pull("seen", block=True))
"""


@of_another_python
@pytest.mark.parametrize("activated", [True, False], ids=["activated", "not activated"])
def test_ipcluster_and_cluster_of_python_start_engines_in_that_python_and_say_which(
    box, ipcluster, interpreter, activated
):
    env = interpreter.activated if activated else {"PYTHONPATH": ""}
    script = CLUSTER.format(path=box.programs.python_path[0], look=LOOK)
    done = box.run(interpreter.path, "-c", script, env=env, python=True, check=True)
    assert done.out.splitlines()[-1] == interpreter.seen
    version = interpreter.output("import platform; print(platform.python_version())")
    line = f"Python {version}, {interpreter.path}\n"
    assert line in done.err
    named = [] if activated else [f"--python={interpreter.path}"]
    started = box.ipcluster("start", "--daemonize", "--n=1", *named, env=env, check=True)
    assert line in started.out
    (engine,) = json.loads(box.ipcluster("status", "--json", check=True).out)["engines"]
    assert (engine["language_version"], engine["executable"]) == (version, str(interpreter.path))
    assert version in box.ipcluster("status", check=True).out
    with ipcluster.Client() as client:
        assert seen_by(client) == [interpreter.seen]
    box.ipcluster("stop", check=True)


def test_every_python_takes_the_same_client_library(others, sandbox):
    code = "from ipcluster import Client, _client; print(_client.__file__)"
    taken = {sandbox.run(python, "-c", code, python=True, check=True).out.strip() for python in [PYTHON, *others]}
    assert taken == {f"{sandbox.programs.python_path[0]}/ipcluster/_client.abi3.so"}


def test_an_installed_engine_brings_nothing_of_another_python_into_an_environment(
    installed_sandbox, new_cluster, tmp_path
):
    """An engine does not see the packages of the Python that ipcluster was installed for, though ours are beside them. Processes that
    multiprocessing spawns find ours. This also holds after the installation was moved."""
    cluster = new_cluster(0)
    prefix = installed_sandbox.dir / "moved"
    shutil.copytree(installed_sandbox.programs.ipcluster.parent.parent, prefix, symlinks=True)
    python = make_environment(tmp_path / "env", PYTHON)
    installed_sandbox.start(
        prefix / "bin/ipengine", f"--file={cluster.engine_file}", f"--python={python}", env={"PYTHONPATH": ""}
    )
    view = cluster.client(wait_for=1)[0]
    view.execute(
        """
import multiprocessing, os, subprocess, sys
import ipcluster
path = [folder for folder in sys.path if folder and not folder.startswith((sys.prefix, sys.base_prefix + "/lib/python3"))]
from ipcluster import _engine
engine = _engine.__file__
others = [folder for folder in sys.path if "packages" in folder and not folder.startswith(sys.prefix)]
with multiprocessing.get_context("spawn").Pool(1) as pool:
    spawned = pool.apply(eval, ("__import__('ipcluster').__file__",))
""",
        block=True,
    )
    path, others, spawned = view.pull(["path", "others", "spawned"], block=True)
    assert [Path(folder).relative_to(prefix).name for folder in path] == ["python"] and others == []
    assert Path(spawned).is_relative_to(prefix) and view["engine"].startswith(f"{prefix}/")
    assert sorted(os.listdir(path[0])) == ["ipcluster", "ipcluster_hook.py", "ipengine.py", "parallel_magic.py"]


def fails(sandbox, *words, env=None):
    ended = sandbox.run(sandbox.programs.ipengine, *words, env=env)
    assert ended.status == 1
    (line,) = ended.err.splitlines()
    return line


def test_a_python_that_cannot_be_an_engines_is_refused_in_one_sentence(sandbox, tmp_path):
    text, folder = tmp_path / "text", tmp_path / "folder"
    text.write_text("no program")
    folder.mkdir()
    assert f"{tmp_path}/none cannot be the engine's Python: No such file or directory" in fails(
        sandbox, f"--python={tmp_path}/none"
    )
    assert "it may not be executed" in fails(sandbox, f"--python={text}")
    assert "it is not a file" in fails(sandbox, f"--python={folder}")
    assert "no program python3.2 on PATH" in fails(sandbox, "--python=python3.2")
    text.chmod(0o755)
    assert f"this engine cannot run in {text}: Exec format error" in fails(sandbox, f"--python={text}")
    for line in (fails(sandbox, f"--python={tmp_path}/none"), fails(sandbox, f"--python={text}")):
        assert "--python=PATH" in line


@pytest.mark.skipif(KERNEL < (6, 15), reason="once a process is reaped this kernel says no more how it ended")
def test_a_python_that_is_killed_before_its_engine_runs_is_not_said_to_be_none(sandbox, tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexec sleep 600\n")
    python.chmod(0o755)
    engine = sandbox.start(sandbox.programs.ipengine, f"--python={python}")
    wait_until(lambda: Path(f"/proc/{engine.pid}/comm").read_text() == "sleep\n", 20, "it has become the program")
    (watcher,) = named(sandbox, "engine-watcher")
    watcher.suspend()
    engine.popen.terminate()
    engine.popen.wait()
    watcher.resume()
    wait_until(lambda: not named(sandbox, "engine-watcher"), 20, "the watcher ends")
    assert "ended before an engine" not in engine.output


def test_a_program_that_is_no_python_and_ends_without_a_word_is_named(sandbox):
    said = "/bin/true ended before an engine ran in it: it is not CPython 3.11 or later"
    for program, *words in (("ipengine",), ("ipcluster", "start", "--n=1")):
        ended = sandbox.run(getattr(sandbox.programs, program), *words, "--python=/bin/true")
        assert said in ended.err and "Name another Python with --python=PATH" in ended.err


def test_what_an_engines_python_starts_before_the_engine_has_none_of_its_files(sandbox, new_cluster, tmp_path):
    cluster = new_cluster(0)
    (tmp_path / "sitecustomize.py").write_text(
        "import os, subprocess\n"
        "if os.environ.get('IPCLUSTER_ENGINE_WATCHER'):\n"
        "    subprocess.Popen(['sleep', '600'], close_fds=False, start_new_session=True)\n"
    )
    mark = {"IPCLUSTER_SUPERVISOR": "1-1"}
    engine = sandbox.start(sandbox.programs.ipengine, env={"PYTHONPATH": str(tmp_path), **mark})
    client = cluster.client(wait_for=1)
    (child,) = named(sandbox, "sleep")
    assert child.environ()["IPCLUSTER_SUPERVISOR"] == f"1-1-{engine.pid}"
    files = [os.readlink(f"/proc/{child.pid}/fd/{fd}") for fd in os.listdir(f"/proc/{child.pid}/fd")]
    assert not [file for file in files if file.startswith(("pipe:", "/memfd:"))], files
    result = client[0].apply_async(time.sleep, 600)
    engine.send_signal(signal.SIGKILL)
    with pytest.raises(EngineError, match="killed by signal 9"):
        result.get(LONG)
    wait_until(lambda: not named(sandbox, "engine-watcher"), 20, "the watcher has ended")
    kill([child])


def test_a_python_is_named_from_the_folder_where_it_is_typed(sandbox, new_cluster, tmp_path):
    typed, work = tmp_path / "typed", tmp_path / "work"
    (typed / "bin").mkdir(parents=True)
    work.mkdir()
    (typed / "bin/python").symlink_to(PYTHON)
    words = ["--python=bin/python", f"--work-dir={work}"]
    for command in ("start", "engines"):
        sandbox.run(sandbox.programs.ipcluster, command, "--n=1", "--daemonize", *words, cwd=typed, check=True)
    engine = sandbox.start(sandbox.programs.ipengine, *words, cwd=typed)
    with ipcluster.Client(timeout=LONG) as client:
        client.wait_for_engines(3, timeout=LONG)
        client[:].execute("import os, sys", block=True)
        assert client[:].pull(["sys.executable"], block=True) == 3 * [[str(typed / "bin/python")]]
        assert client[:].apply_sync(os.getcwd) == 3 * [str(work)]
    engine.stop()
    sandbox.run(sandbox.programs.ipcluster, "stop", check=True)


@pytest.mark.skipif(not TOO_OLD, reason="this machine has no Python before 3.11 below ~/.pyenv/versions")
def test_a_python_that_is_too_old_says_which_it_is_and_what_is_needed(sandbox):
    for python in (TOO_OLD[0], TOO_OLD[-1]):
        version = re.search(r"3\.\d+", python.split("versions/")[1]).group()
        line = fails(sandbox, f"--python={python}", env={"PYTHONPATH": ""})
        assert (
            f"{python} cannot be the engine's Python: it is Python {version}, and an engine needs 3.11 or later" in line
        )


def test_the_python_of_a_client_that_is_not_on_the_engines_host_is_passed_over_with_a_sentence(new_cluster, tmp_path):
    cluster = new_cluster(0)
    engine = cluster.start_engine(
        env={"IPCLUSTER_PYTHON": f"{tmp_path}/laptop/bin/python", "VIRTUAL_ENV": f"{tmp_path}/gone"}
    )
    client = cluster.client(wait_for=1)
    assert client[0].apply_sync(eval, "__import__('sys').executable") == PYTHON
    assert f"{tmp_path}/laptop/bin/python, cannot be used here: No such file or directory" in engine.output
    assert f"the Python of $VIRTUAL_ENV, {tmp_path}/gone/bin/python, cannot be used here" in engine.output


def test_what_user_code_starts_is_told_nothing_that_was_for_the_engine(new_cluster):
    """For example the Python of whoever started the engine: user code may activate another environment."""
    cluster = new_cluster(0)
    cluster.start_engine(env={"IPCLUSTER_PYTHON": PYTHON})
    view = cluster.client(wait_for=1)[0]
    view.execute(
        "import os, subprocess\nseen = [*os.environ, *subprocess.check_output('env', text=True).splitlines()]",
        block=True,
    )
    assert [name for name in view["seen"] if name.startswith("IPCLUSTER_") and not name.startswith(MARKER)] == []


def test_the_wheels_ipengine_runs_in_its_own_python_unless_another_is_named(sandbox, tmp_path):
    """Its programs are functions of the package, by this name."""
    line = re.search(r"^ipengine = (\S+):(\S+)$", (TOP / "scripts/wheel_of_make.py").read_text(), re.M)
    script = tmp_path / "ipengine"
    script.write_text(f"from {line[1]} import {line[2]}\n{line[2]}()\n")
    own, other = make_environment(tmp_path / "own", PYTHON), tmp_path / "other"
    other.write_text("#!/bin/sh\necho other\n")
    other.chmod(0o755)

    def said(*words):
        return sandbox.run(own, script, "--show-config", *words, check=True).out

    sandbox.profile_dir().mkdir()
    assert json.loads(said())["IPEngine"]["client_python"] == str(own)
    assert said(f"--python={other}") == "other\n"
    (sandbox.profile_dir() / "ipengine_config.json").write_text(json.dumps({"IPEngine": {"python": str(other)}}))
    assert said() == "other\n"


def test_engines_of_several_pythons_are_named_each_and_take_data_and_source(box, others):
    box.ipcluster("start", "--daemonize", "--n=1", f"--python={PYTHON}", check=True)
    joined = box.ipcluster("engines", "--daemonize", "--n=1", f"--python={others[-1]}", check=True)
    assert others[-1] in joined.out
    shown = box.ipcluster("status", check=True).out
    version = others[-1].split("versions/")[1].split("/")[0]
    assert version in shown
    box.ipcluster("stop", check=True)


def test_without_ipython_what_needs_it_says_how_to_install_it_in_that_python(new_cluster, tmp_path):
    from ipcluster import RemoteError

    cluster = new_cluster(0)
    python = make_environment(tmp_path / "env", PYTHON)
    cluster.start_engine(f"--python={python}")
    view = cluster.client(wait_for=1)[0]
    for code in ("x = 1\n%timeit x", "!ls", "display(1)", "from IPython.display import HTML"):
        with pytest.raises(RemoteError) as caught:
            view.execute(code, block=True)
        assert f"{python} -m pip install ipython" in caught.value.evalue, code
    view.execute("x = 5 % 3\nprint('%d' % x)", block=True)
    assert view["x"] == 2


def test_a_plain_look_at_processes_finds_engines_and_which_python_they_run_in(cluster):
    import psutil

    pids = cluster.client()[:].apply_sync(os.getpid)
    for process in map(psutil.Process, pids):
        assert process.name() == "ipengine"
        assert process.cmdline()[:2] == [PYTHON, str(cluster.sandbox.programs.build / "python/ipengine.py")]
