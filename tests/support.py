"""What the session tests share: the programs under test, a sandbox that starts and ends them, and waits with deadlines."""

import contextlib
import ctypes
import errno
import fcntl
import json
import os
import random
import re
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

import psutil

TOP = Path(__file__).resolve().parent.parent
PYTHON = "/usr/bin/python3"
ANOTHER = 12345  # a user
# Every process of a test carries this variable with the test's own value: so it is found however it was started.
MARKER = "IPCLUSTER_TEST_MARKER"
# By these an engine knows its batch job: tests may run in one.
BATCH_JOBS = "SLURM_", "PBS_", "LSB_", "SGE_", "CONDOR_", "JOB_ID"
# How many times slower than usual programs may be: sanitizers are slow.
SLOWNESS = float(os.environ.get("IPCLUSTER_TEST_SLOWNESS", "1"))
# Deadlines are multiplied by this: machines on which tests run are busy.
PATIENCE = 2 * SLOWNESS
# For mpiexec on a machine with fewer cores than engines: tells Open MPI 4 and 5 that this is meant.
OVERSUBSCRIBE = {"OMPI_MCA_rmaps_base_oversubscribe": "1", "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe"}
# Seconds to wait for anything, for calls that have a deadline of their own, such as get(timeout=).
LONG = 60 * SLOWNESS


def wait_until(predicate, timeout=20, what="the condition", interval=0.02):
    """Calls `predicate` until it returns something true, and returns that; fails after `timeout` seconds, with PATIENCE."""
    deadline = time.monotonic() + timeout * PATIENCE
    while True:
        last = time.monotonic() > deadline  # read first: a process that was not given time looks once more
        value = predicate()
        if value:
            return value
        if last:
            raise AssertionError(f"{what}: not within {timeout * PATIENCE:g} s")
        time.sleep(interval)


_libc = ctypes.CDLL(None, use_errno=True)
_machines_network = None


def own_loopback():
    """Gives this process, and all that it starts, a network with nothing but a loopback: no other test can take a port that is free for a
    moment. Only the superuser may do so; others share the machine's network. For a process with one thread.
    """
    global _machines_network
    new_network, set_flags, up = 0x40000000, 0x8914, 0x1  # CLONE_NEWNET, SIOCSIFFLAGS, IFF_UP
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    if _libc.unshare(new_network) != 0:
        os.close(before)
        if ctypes.get_errno() not in (errno.EPERM, errno.EINVAL, errno.ENOSYS):
            raise OSError(ctypes.get_errno(), "unshare")
        return
    _machines_network = before
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, set_flags, struct.pack("16sh14x", b"lo", up))


def has_own_network():
    return _machines_network is not None


def machines_network():
    """In a child process, before it executes what has to reach other machines: the opposite of own_loopback()."""
    if _machines_network is not None and _libc.setns(_machines_network, 0) != 0:
        raise OSError(ctypes.get_errno(), "setns")


def find_build():
    """The build tree: $IPCLUSTER_BUILD, the current folder or one above it, build/ in the sources, or the sources."""
    named = os.environ.get("IPCLUSTER_BUILD")
    here = Path.cwd()
    candidates = [Path(named)] if named else [here, *here.parents, TOP / "build", TOP]
    for folder in candidates:
        if (folder / "config.status").exists():
            return folder.resolve()
    raise RuntimeError("no build tree: set IPCLUSTER_BUILD to the folder in which configure was run")


class Programs:
    """Where the programs and the Python package are, in a build tree or below a prefix."""

    def __init__(self, ipcluster, ipcontroller, ipengine, python_path, build=None, env=None):
        self.ipcluster = Path(ipcluster)
        self.ipcontroller = Path(ipcontroller)
        self.ipengine = Path(ipengine)
        self.python_path = [str(folder) for folder in python_path]
        self.build = build
        self.env = env or {}

    @classmethod
    def of_build(cls, build):
        core = build / "core"
        # ThreadSanitizer is for the controller and the client library: engines may come from another build tree.
        engine = Path(os.environ.get("IPCLUSTER_ENGINE_BUILD", build)) / "core/engine/ipengine"
        return cls(
            core / "cluster/ipcluster", core / "controller/ipcontroller", engine, [build / "python"], build=build
        )

    @classmethod
    def of_prefix(cls, prefix):
        """Programs that `make install` put below `prefix`, whose Python package is that of the user's site."""
        programs = prefix / "bin"
        return cls(
            programs / "ipcluster",
            programs / "ipcontroller",
            programs / "ipengine",
            [],
            env={"PYTHONUSERBASE": str(prefix)},
        )

    @property
    def folders(self):
        return list(dict.fromkeys(str(p.parent) for p in (self.ipcluster, self.ipcontroller, self.ipengine)))


def sanitizers(build):
    """What the build tree was configured with: "", "address,undefined" or "thread"."""
    text = (build / "Makefile").read_text()
    found = re.search(r"^SANITIZE_FLAGS = .*-fsanitize=(\S+)", text, re.MULTILINE)
    return found.group(1) if found else ""


def sanitizer_runtime(kind):
    """The shared library that a stock interpreter must preload to load code built with the sanitizer."""
    name = "libtsan.so" if "thread" in kind else "libasan.so"
    return subprocess.run(
        ["gcc", f"-print-file-name={name}"],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"]},
    ).stdout.strip()


def install(build):
    """`make install` of a build tree configured by scripts/build, whose prefix lies inside it; returns the prefix.
    Another tree is built below this one first. Once in a run: other workers may be using what is installed."""
    run = os.environ.get("PYTEST_XDIST_TESTRUNUID", "")
    with open(build / "install.lock", "a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.seek(0)
        serves = f"prefix = {build / 'installed'}\n" in (build / "Makefile").read_text()
        tree = build if serves else build / "to-install"
        if not run or lock.read() != run:
            if not serves:
                subprocess.run([TOP / "scripts/build", tree], check=True, stdout=subprocess.DEVNULL)
            subprocess.run(["make", "-s", "-C", tree, "install"], check=True, stdout=subprocess.DEVNULL)
            lock.truncate(0)
            lock.write(run)
    return tree / "installed"


class Process:
    """A started program in a session of its own, its two output streams in one file."""

    def __init__(self, argv, env, cwd, output_path):
        self.argv = [str(word) for word in argv]
        self.name = Path(self.argv[0]).name
        self.output_path = output_path
        with open(output_path, "wb") as out:
            self.popen = subprocess.Popen(
                self.argv,
                env=env,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self.popen.pid

    @property
    def output(self):
        return self.output_path.read_text(errors="replace")

    @property
    def alive(self):
        return self.popen.poll() is None

    def wait_for_output(self, pattern, timeout=20):
        """Waits until what it printed matches, and returns the match; fails at once where it ends without."""

        def look():
            ended = not self.alive
            found = re.search(pattern, self.output)
            if not found and ended:
                raise AssertionError(
                    f"{self.name} ended with {self.popen.returncode} and never printed "
                    f"{pattern!r}; it printed:\n{self.output}"
                )
            return found

        try:
            return wait_until(look, timeout, f"{self.name} prints {pattern!r}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.output}") from None

    def wait(self, timeout=20):
        """Waits for its end and returns the exit status."""
        try:
            return self.popen.wait(timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"{self.name} has not ended within {timeout * PATIENCE:g} s; it printed:\n" f"{self.output}"
            ) from None

    def send_signal(self, signum):
        if self.alive:
            self.popen.send_signal(signum)

    def stop(self, signum=signal.SIGTERM, timeout=20):
        """Signals it, waits for its end and returns the exit status."""
        self.send_signal(signum)
        return self.wait(timeout)


class Finished:
    """What a program that ran to its end left: `status`, `out`, `err`."""

    def __init__(self, argv, status, out, err):
        self.argv, self.status, self.out, self.err = argv, status, out, err

    def __repr__(self):
        return f"{self.argv} ended with {self.status}\n--- out\n{self.out}\n--- err\n{self.err}"


class Sandbox:
    """A folder with a home and an IPYTHONDIR of its own, the environment for programs, and all that was started."""

    def __init__(self, programs):
        self.programs = programs
        self.marker = uuid.uuid4().hex
        # Short, because the path of an ipc socket has room for 107 bytes.
        self.dir = Path(tempfile.mkdtemp(prefix="ipcl-", dir="/tmp"))
        self.home = self.dir / "home"
        self.ipython_dir = self.home / ".ipython"
        self.work = self.dir / "work"
        self.temporary = self.dir / "tmp"
        for folder in (self.home, self.ipython_dir, self.work, self.temporary):
            folder.mkdir(mode=0o700)
        self.sanitizers = sanitizers(programs.build) if programs.build else ""
        self.env = self._environment()
        self.processes = []

    def _environment(self):
        env = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(
                (
                    "OMPI_",
                    "PMIX_",
                    "PRTE_",
                    "LINES",
                    "COLUMNS",
                    "PYTEST_",
                    "IPCLUSTER_",
                    "PYTHON",
                    "LD_PRELOAD",
                    *BATCH_JOBS,
                )
            )
        }
        env.update(
            {
                MARKER: self.marker,
                "HOME": str(self.home),
                "IPYTHONDIR": str(self.ipython_dir),
                "TMPDIR": str(self.temporary),
                "PATH": os.pathsep.join([*self.programs.folders, "/usr/bin", "/bin", "/usr/sbin", "/sbin"]),
                "LC_ALL": "C.UTF-8",
                "TERM": "dumb",
                "PYTHONDONTWRITEBYTECODE": "1",
            }
        )
        env.update(self.programs.env)
        if self.programs.python_path:
            env["PYTHONPATH"] = os.pathsep.join(self.programs.python_path)
        if os.geteuid() == 0:
            env["OMPI_ALLOW_RUN_AS_ROOT"] = env["OMPI_ALLOW_RUN_AS_ROOT_CONFIRM"] = "1"
        if self.sanitizers:
            env.update(self._sanitizer_options())
        return env

    def _sanitizer_options(self):
        report = f"log_path={self.dir}/sanitizer"
        tests = TOP / "tests"
        return {
            # Each of Python's allocations goes to malloc: the interpreter's arenas would be taken for leaks.
            "PYTHONMALLOC": "malloc",
            # The leak check would read the thread-local storage of libraries that Open MPI has unloaded, and crash.
            "ASAN_OPTIONS": f"{report}:detect_leaks=1:abort_on_error=0:detect_odr_violation=0:intercept_tls_get_addr=0",
            "UBSAN_OPTIONS": f"{report}:print_stacktrace=1",
            "LSAN_OPTIONS": f"suppressions={tests}/lsan.supp:print_suppressions=0",
            "TSAN_OPTIONS": f"{report}:suppressions={tests}/tsan.supp:second_deadlock_stack=1:exitcode=66",
        }

    def python_env(self, **more):
        """The environment for a stock interpreter that imports our extension: sanitizers must be preloaded there."""
        env = dict(self.env)
        if self.sanitizers:
            env["LD_PRELOAD"] = sanitizer_runtime(self.sanitizers)
            # The interpreter itself frees nothing at its end.
            env["ASAN_OPTIONS"] = env["ASAN_OPTIONS"].replace("detect_leaks=1", "detect_leaks=0")
        env.update(more)
        return env

    def no_leak_check(self):
        """For engines with MPI: Open MPI's components are unloaded before leaks are looked for, so that their leaks cannot be told from
        ours."""
        return {"ASAN_OPTIONS": self.env.get("ASAN_OPTIONS", "").replace("detect_leaks=1", "detect_leaks=0")}

    def profile_dir(self, name="default"):
        return self.ipython_dir / f"profile_{name}"

    def start(self, *argv, env=None, cwd=None, python=False):
        """Starts a program and returns its Process. `env` is added to the sandbox's; python=True: it is an interpreter."""
        output = self.dir / f"{len(self.processes):02d}-{Path(str(argv[0])).name}.out"
        base = self.python_env() if python else self.env
        process = Process(argv, {**base, **(env or {})}, cwd or self.work, output)
        self.processes.append(process)
        return process

    def run(self, *argv, env=None, cwd=None, timeout=60, check=False, python=False, stdin=""):
        """Runs a program to its end and returns a Finished. With check=True a status other than 0 fails the test."""
        base = self.python_env() if python else self.env
        argv = [str(word) for word in argv]
        popen = subprocess.Popen(
            argv,
            env={**base, **(env or {})},
            cwd=cwd or self.work,
            text=True,
            errors="replace",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            out, err = popen.communicate(stdin, timeout=timeout * PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(popen.pid, signal.SIGKILL)
            out, err = popen.communicate()
            raise AssertionError(f"{argv} has not ended within {timeout * PATIENCE:g} s\n{out}\n{err}") from None
        finished = Finished(argv, popen.returncode, out, err)
        if check:
            assert finished.status == 0, finished
        return finished

    def marked(self):
        """The processes of this test that run now, whoever started them."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARKER) == self.marker:
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found

    def wait_for_no_processes(self, timeout=10):
        """Fails where a process of this test still runs after `timeout` seconds."""
        try:
            wait_until(lambda: not self.marked(), timeout, "every process has ended")
        except AssertionError as error:
            raise AssertionError(f"{error}; left: {[describe(process) for process in self.marked()]}") from None

    def end(self, strict):
        """Ends everything. With strict=True it fails if a process is left, or if a sanitizer has reported something."""
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
            if process.argv[0].endswith("ipcontroller"):
                continue
            _wait_quietly(process.popen, 10)
        for process in self.processes:
            _wait_quietly(process.popen, 10)
        deadline = time.monotonic() + (15 * PATIENCE if strict else 0.5)
        while self.marked() and time.monotonic() < deadline:
            time.sleep(0.05)
        left = self._kill_all()
        reports = [path.read_text(errors="replace") for path in sorted(self.dir.glob("sanitizer.*"))]
        shutil.rmtree(self.dir, ignore_errors=True)
        if reports:
            raise AssertionError("a sanitizer reported:\n" + "\n".join(reports))
        if left and strict:
            raise AssertionError("left running by this test: " + ", ".join(left))

    def _kill_all(self):
        left = []
        # A dying supervisor may start another while we look: hence more than one pass.
        for _ in range(5):
            marked = self.marked()
            if not marked:
                break
            left.extend(describe(process) for process in marked)
            kill(marked)
            psutil.wait_procs(marked, timeout=2)
        return left


def build_c_example(sandbox, installed):
    """Builds the example of the C library against what is installed; returns its path, and the environment that it needs."""
    libraries = installed.ipcluster.parent.parent / "lib"
    folder = sandbox.dir / "c_client"
    shutil.copytree(TOP / "docs/examples/c_client", folder)
    env = {**sandbox.env, "PKG_CONFIG_PATH": str(libraries / "pkgconfig")}
    subprocess.run(["make", "-s", "-C", folder], env=env, check=True)
    return folder / "c_client", {"LD_LIBRARY_PATH": str(libraries)}


def without(sandbox, *packages):
    """The environment of an engine for which these Python packages are not installed."""
    block = sandbox.dir / "block"
    block.mkdir()
    (block / "sitecustomize.py").write_text(
        f"""
from importlib.machinery import PathFinder
_find = PathFinder.find_spec
def _find_spec(name, path=None, target=None):
    return None if name.partition(".")[0] in {packages!r} else _find(name, path, target)
PathFinder.find_spec = staticmethod(_find_spec)
"""
    )
    return {"PYTHONPATH": f"{block}:{sandbox.env['PYTHONPATH']}"}


def _wait_quietly(popen, timeout):
    try:
        popen.wait(timeout * PATIENCE)
    except subprocess.TimeoutExpired:
        pass


def named(sandbox, *names):
    """The processes of a test that are called so."""
    found = []
    for process in sandbox.marked():
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.name() in names:
                found.append(process)
    return found


def kill(processes):
    """Kills those that are still there."""
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def describe(process):
    try:
        return f"{process.pid} {' '.join(process.cmdline())}"
    except psutil.Error:
        return str(process.pid)


class Cluster:
    """A controller and engines, started as separate programs in one sandbox."""

    def __init__(self, sandbox, profile="default", cluster_id=""):
        self.sandbox = sandbox
        self.profile = profile
        self.cluster_id = cluster_id
        self.controller = None
        self.engines = []
        self.clients = []

    @property
    def profile_dir(self):
        return self.sandbox.profile_dir(self.profile)

    def _file(self, role):
        stem = f"ipcontroller-{self.cluster_id}" if self.cluster_id else "ipcontroller"
        return self.profile_dir / "security" / f"{stem}-{role}.json"

    @property
    def client_file(self):
        return self._file("client")

    @property
    def engine_file(self):
        return self._file("engine")

    def tcp_file(self, role):
        """A copy of a connection file, for programs that are to connect by TCP."""
        content = json.loads(self._file(role).read_text())
        del content["local"]
        copy = self.sandbox.dir / f"tcp-{role}.json"
        copy.touch(0o600)
        copy.write_text(json.dumps(content))
        return copy

    def _words(self):
        words = [f"--profile={self.profile}"]
        return words + [f"--cluster-id={self.cluster_id}"] if self.cluster_id else words

    def start_controller(self, *arguments, env=None):
        self.profile_dir.mkdir(mode=0o700, exist_ok=True)
        self.controller = self.sandbox.start(self.sandbox.programs.ipcontroller, *self._words(), *arguments, env=env)

        def ready():
            if not self.controller.alive:
                raise AssertionError(
                    f"ipcontroller ended with {self.controller.popen.returncode}; it printed:\n"
                    f"{self.controller.output}"
                )
            return self.client_file.exists() and self.engine_file.exists()

        wait_until(ready, 20, "ipcontroller writes its connection files")
        return self.controller

    def start_engine(self, *arguments, env=None):
        """Starts one engine and returns its Process; does not wait for its registration."""
        engine = self.sandbox.start(self.sandbox.programs.ipengine, *self._words(), *arguments, env=env)
        self.engines.append(engine)
        return engine

    def client(self, wait_for=None, file=None, **options):
        """An ipcluster.Client in this process, closed when the test ends; waits for that many engines."""
        import ipcluster

        client = ipcluster.Client(str(file or self.client_file), **{"timeout": LONG, **options})
        self.clients.append(client)
        count = len(self.engines) if wait_for is None else wait_for
        wait_until(lambda: len(client.ids) >= count, 30, f"{count} engines register")
        return client

    def close(self):
        for client in self.clients:
            try:
                client.close()
            except Exception as error:  # the test may have closed it, or ended its controller
                print(f"closing a client: {error}")
        self.clients.clear()


@contextlib.contextmanager
def cluster_maker(sandbox, kind=Cluster):
    """make(n, profile=, cluster_id=, controller=[...], engine=[...], env=): a cluster of that kind, its controller ready, and n
    engines that register soon. All are closed at the end."""
    clusters = []

    def make(n=0, profile="default", cluster_id="", controller=(), engine=(), env=None):
        cluster = kind(sandbox, profile, cluster_id)
        clusters.append(cluster)
        cluster.start_controller(*controller, env=env)
        for _ in range(n):
            cluster.start_engine(*engine, env=env)
        return cluster

    try:
        yield make
    finally:
        for cluster in clusters:
            cluster.close()


def wait_for_commit(file, known):
    """Waits until the file of a SQLite store has what the hub says of records: their msg_id, completed, engine_uuid and stdout."""

    def is_there():
        kept = _records_in(file)
        return all(
            record["msg_id"] in kept
            and all(kept[record["msg_id"]][key] for key in ("completed", "engine_uuid", "stdout") if record.get(key))
            for record in known
        )

    wait_until(is_there, 20, "what was recorded is in the file", interval=0.1)


def _records_in(file):
    """What a SQLite store has committed, by msg_id. The controller has the file locked, so a copy is read; a copy that was made while the
    file changed is not used."""
    with tempfile.TemporaryDirectory() as folder:
        for suffix in ("", "-wal"):
            if os.path.exists(f"{file}{suffix}"):
                shutil.copy(f"{file}{suffix}", f"{folder}/copy.db{suffix}")
        try:
            with contextlib.closing(sqlite3.connect(f"{folder}/copy.db")) as database:
                database.row_factory = sqlite3.Row
                database.text_factory = lambda data: data.decode(errors="replace")
                return {
                    row["msg_id"]: row
                    for row in database.execute(
                        'SELECT msg_id, completed, engine_uuid, id IN (SELECT record FROM "ipython-tasks-output") AS stdout '
                        'FROM "ipython-tasks"'
                    )
                }
        except sqlite3.Error:
            return {}


def typed(function):
    """The function as if a user had typed it: engines do not have the tests' modules."""
    function.__module__ = "__main__"
    return function


@typed
def wait_for_file(path, answer=None, begun=None):
    """For engines: a request that begins by making the file `begun`, if any, and ends when the file `path` exists."""
    import os
    import time

    if begun:
        open(begun, "w").close()
    while not os.path.exists(path):
        time.sleep(0.01)
    return answer


def free_ports(count):
    """A range of free ports, outside those that the system gives to programs that ask for any port."""
    while True:
        first = random.randrange(20000, 32000 - count)
        ports = range(first, first + count)
        if not listeners(ports):
            return ports


def own_ports(count=40):
    """The option with which ipyparallel's controller listens on free ports. Without it, it chooses ports and binds them so much later that
    another program may have taken them."""
    ports = free_ports(count)
    return f"--IPController.ports={ports[0]}-{ports[-1]}"


def listeners(ports):
    """The sockets that listen on any of `ports`: a set of (port, inode)."""
    found = set()
    for table in ("tcp", "tcp6"):
        try:
            lines = Path("/proc/thread-self/net", table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            fields = line.split()
            if fields[3] == "0A":
                found.add((int(fields[1].rsplit(":", 1)[1], 16), int(fields[9])))
    return {(port, inode) for port, inode in found if port in ports}
