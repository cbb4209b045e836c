"""The session of the parallel computing documentation, as the README has it, typed into the stock ipython3 after `make install`, on MPI
engines started in each of the documented ways."""

import ast
import json
import re
import signal

import pexpect
import pytest

import docblocks
from support import OVERSUBSCRIBE, PYTHON, SLOWNESS, TOP, listeners, wait_until

# The blocks of the README: the users' program, and what is typed.
PSUM, TYPED = (
    block
    for block in docblocks.blocks(TOP / "README.md")
    if block.note("tested by") == "tests/session/test_psum_session.py"
)
TERMINAL_CODES = re.compile(r"\x1b(\[[0-9;?]*[A-Za-z]|[()][AB0]|[=>])|\x07|\r")


@pytest.fixture
def box(installed_sandbox):
    """The sandbox of the installed programs, with the profile, and the users' program in the working folder."""
    assert PSUM.text == (TOP / "tests/session/psum.py").read_text(), "the README names that file"
    (installed_sandbox.work / "psum.py").write_text(PSUM.text)
    installed_sandbox.run(installed_sandbox.programs.ipcluster, "profile", "create", "mpi", check=True)
    return installed_sandbox


class Terminal:
    """A program on a pseudo-terminal, as a person uses it."""

    def __init__(self, sandbox, *argv):
        env = {**sandbox.env, "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1"}
        self.child = pexpect.spawn(
            str(argv[0]),
            [str(word) for word in argv[1:]],
            env=env,
            cwd=str(sandbox.work),
            encoding="utf-8",
            codec_errors="replace",
            dimensions=(50, 200),
            timeout=100 * SLOWNESS,
        )

    def expect(self, pattern):
        """Waits until it has printed `pattern`; returns all that came before and the match, without terminal codes."""
        try:
            self.child.expect(pattern)
        except (pexpect.EOF, pexpect.TIMEOUT) as error:
            raise AssertionError(
                f"no {pattern!r}: {type(error).__name__}; it printed:\n"
                f"{TERMINAL_CODES.sub('', self.child.before or '')}"
            ) from None
        return TERMINAL_CODES.sub("", self.child.before + self.child.after)

    def end(self):
        """Waits for its end and returns the exit status."""
        self.child.expect(pexpect.EOF)
        self.child.close()
        return self.child.exitstatus


class IPython(Terminal):
    """Debian's ipython3: commands are typed at its numbered prompts."""

    def __init__(self, sandbox):
        super().__init__(sandbox, "/usr/bin/ipython3", "--no-banner")
        self.number = 1
        self._prompt()

    def _prompt(self):
        # The prompt's parts are coloured one by one, so terminal codes stand between them.
        code = r"(?:\x1b\[[0-9;?]*[A-Za-z])*"
        return self.expect(rf"In {code}\[{code}{self.number}{code}\]:")

    def type(self, line):
        """Types one line and returns what was printed until the next prompt."""
        self.child.send(line + "\r")
        self.number += 1
        return self._prompt()


def type_the_session(sandbox):
    """Types the documented session and compares the engines' sums with the one computed here."""
    ipython = IPython(sandbox)
    said = {}
    for line, _ in TYPED.inputs:
        said[line] = ipython.type(line)
        assert "Error" not in said[line] and "Traceback" not in said[line], said[line]
    for line in ("px a = np.random.rand(100)", "px s = psum(a)"):
        assert "Parallel execution on engines: [0,1,2,3]" in said[line].replace(", ", ","), said[line]
    answer = re.search(r"Out\s*\[9\]:(.*?)In\s*\[", said["view['s']"], re.DOTALL)
    assert answer, said["view['s']"]
    shown = [float(number) for number in re.findall(r"\d+\.\d+", answer.group(1))]
    assert len(shown) == 4 and len(set(shown)) == 1, answer.group(1)

    # Four arrays come here and are summed here: the engines' sums must be that one.
    ipython.type("import numpy as np, json")
    ipython.type("mine = float(np.sum([np.sum(a) for a in view['a']]))")
    ipython.type("json.dump([mine] + [float(s) for s in view['s']], open('sums.json', 'w'))")
    mine, *theirs = json.loads((sandbox.work / "sums.json").read_text())
    assert theirs == pytest.approx([mine] * 4, rel=1e-12)
    assert shown[0] == pytest.approx(mine, rel=1e-6)
    ipython.child.sendline("exit()\r")
    ipython.end()


def connection_files(sandbox, profile):
    return sorted((sandbox.profile_dir(profile) / "security").glob("ipcontroller*.json"))


def sockets_of(files):
    """The sockets that listen on the ports which connection files name."""
    ports = set()
    for file in files:
        for value in json.loads(file.read_text()).values():
            values = value if isinstance(value, list) else [value]
            ports.update(v for v in values if isinstance(v, int) and 1024 <= v <= 65535)
    sockets = listeners(ports)
    assert {port for port, _ in sockets} == ports
    return sockets


def assert_nothing_left(sandbox, profile, sockets):
    """No process, no listening socket, no connection file."""
    sandbox.wait_for_no_processes(30)
    assert not list((sandbox.profile_dir(profile) / "security").iterdir())
    assert not sockets & listeners({port for port, _ in sockets})


def session_then_interrupt(sandbox, profile, *start):
    """`ipcluster start ...` on a terminal; once its engines are there the session; then Ctrl-C."""
    cluster = Terminal(sandbox, sandbox.programs.ipcluster, "start", *start)
    try:
        cluster.expect("The cluster is up")
        assert len(connection_files(sandbox, profile)) == 2
        sockets = sockets_of(connection_files(sandbox, profile))
        type_the_session(sandbox)
        cluster.child.sendintr()
        cluster.end()
        assert_nothing_left(sandbox, profile, sockets)
    finally:
        cluster.child.close(force=True)


def test_start_with_the_mpi_launcher_and_interrupt(box):
    session_then_interrupt(box, "mpi", "--profile=mpi", "--n=4", "--elauncher=MPIExecEngineSetLauncher")


def test_start_from_a_profile_and_interrupt(box):
    config = box.profile_dir("mpi") / "ipcluster_config.json"
    config.write_text(json.dumps({"Cluster": {"engine_launcher_class": "MPIExecEngineSetLauncher"}}))
    session_then_interrupt(box, "mpi", "--profile=mpi", "--n=4")


def session_by_hand(box, mpi, env):
    """A controller, and engines that a person starts with mpiexec."""
    controller = box.start(box.programs.ipcontroller, "--profile=mpi")
    # Four ranks on fewer cores: mpiexec must be told that this is meant.
    engines = box.start(
        "mpiexec", "-n", "4", box.programs.ipengine, f"--mpi={mpi}", "--profile=mpi", env={**OVERSUBSCRIBE, **env}
    )
    wait_until(lambda: len(connection_files(box, "mpi")) == 2, 30, "the controller's connection files")
    sockets = sockets_of(connection_files(box, "mpi"))
    box.run(
        PYTHON, "-c", "from ipcluster import Client; Client(profile='mpi').wait_for_engines(4, timeout=100)", check=True
    )
    type_the_session(box)
    ranks = box.run(
        PYTHON,
        "-c",
        "from ipcluster import Client; v = Client(profile='mpi')[:]\n"
        "v.execute('from mpi4py import MPI; r = MPI.COMM_WORLD.Get_rank()', block=True); print(v['r'])",
        check=True,
    )
    assert ast.literal_eval(ranks.out) == [0, 1, 2, 3], "an engine's id is its rank"
    engines.stop(signal.SIGINT, 60)
    controller.stop(signal.SIGINT)
    assert_nothing_left(box, "mpi", sockets)


def test_engines_by_hand_with_mpi4py(box):
    session_by_hand(box, "mpi4py", {})


def test_engines_by_hand_with_pytrilinos(box, pytrilinos):
    """PyTrilinos is not packaged any more: this is a stand-in for its packaging over the real Epetra and MPI."""
    session_by_hand(box, "pytrilinos", {"PYTHONPATH": str(pytrilinos)})


# How quickstart says to go on


def test_what_quickstart_says_at_its_end_is_the_readmes_session_with_the_programs_that_it_has_installed(box):
    others = box.dir / "others"
    others.mkdir()
    for name in ("ipcluster", "ipcontroller", "ipengine"):
        (others / name).write_text("#!/bin/sh\necho 8.4.0\n")
        (others / name).chmod(0o755)
    top = box.dir / "top"
    (top / "build").mkdir(parents=True)
    (top / "build/installed").symlink_to(box.programs.ipcluster.parent.parent)
    (top / "tests").symlink_to(TOP / "tests")
    text = re.search(r"(?s)\nas_root=.*?\ncat <<GO_ON\n.*?\nGO_ON\n", (TOP / "scripts/quickstart").read_text()).group()
    env = {"PATH": f"{others}:/usr/bin:/bin", "PYTHONUSERBASE": ""}
    said = box.run("bash", "-euc", f"top={top}\n{text}", env=env, check=True).out
    lines = [line.strip() for line in said.splitlines() if line.startswith("    ")]
    begin, first, second = lines[:2], lines[2:4], lines[4:]
    shell = "\n".join(
        [
            *begin,
            "command -v ipcluster ipcontroller ipengine",
            "/usr/bin/python3 -c 'import ipcluster; print(ipcluster.__file__)'",
        ]
    )
    found = box.run("bash", "-euc", shell, env=env, check=True).out.splitlines()
    assert len(found) == 4 and all(line.startswith(f"{top}/build/installed/") for line in found)
    page = [typed for block in docblocks.blocks(TOP / "README.md") if block.kind == "sh" for typed, _ in block.commands]
    assert set(first) <= set(page)
    assert second == ["ipython3", *(typed for typed, _ in TYPED.inputs)]
