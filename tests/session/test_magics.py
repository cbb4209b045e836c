"""IPython's px magics, as they are typed."""

import re
import textwrap

import pexpect
import pytest

from support import LONG, PYTHON

# Runs cells in a fresh IPython. Before a cell's output it prints a line with the cell's number.
DRIVER = """
import sys
import ipcluster_hook
import ipcluster.magics
ipcluster.magics.PROGRESS_AFTER = 60  # a slow machine's progress is not what is tested
from IPython.terminal.interactiveshell import TerminalInteractiveShell
shell = TerminalInteractiveShell.instance(colors="NoColor", simple_prompt=True)
shell.automagic = True
for number, cell in enumerate(sys.stdin.read().split("\\n----\\n")):
    print(f"=={number}", flush=True)
    result = shell.run_cell(cell, store_history=True)
    sys.stdout.flush()
print("==end")
"""


@pytest.fixture
def type_cells(cluster, sandbox):
    """type_cells(cell, ...): what each cell printed, on both streams."""
    cluster.client()

    def run(*cells):
        start = f"from IPython.parallel import Client\nc = Client({str(cluster.client_file)!r})\nview = c[:]\nview.activate()"
        cells = [start, *(textwrap.dedent(cell).strip("\n") for cell in cells)]
        code = f"import sys; sys.stderr = sys.stdout\n{DRIVER}"
        finished = sandbox.run(PYTHON, "-c", code, stdin="\n----\n".join(cells), python=True, check=True)
        printed = re.sub(r"\x1b\[[0-9;]*m", "", finished.out).split("==")
        return [part.partition("\n")[2] for part in printed[2:-1]]

    return run


def test_px_says_where_and_runs_there(type_cells):
    first, second, shown = type_cells("px a = 20", "px print(a + 1)", "px a * 2")
    assert first == "Parallel execution on engines: [0,1]\n"
    assert second == "Parallel execution on engines: [0,1]\n[stdout:0] 21\n[stdout:1] 21\n" or sorted(
        second.splitlines()[1:]
    ) == ["[stdout:0] 21", "[stdout:1] 21"]
    assert "Out[0:3]: 40\n" in shown and "Out[1:3]: 40\n" in shown


def test_lines_of_several_engines_are_not_torn_where_nothing_can_be_updated(type_cells):
    (shown,) = type_cells(
        """
        %%px --no-verbose
        import time
        for i in range(10):
            print(i, end=" ", flush=True)
            time.sleep(0.05)
        print("end", end="")
        """
    )
    assert sorted(shown.splitlines()) == [f"[stdout:{engine}] 0 1 2 3 4 5 6 7 8 9 end" for engine in (0, 1)]


def test_remote_errors_are_shown_with_their_engines(type_cells):
    (shown,) = type_cells("px 1 / 0")
    assert "[0:execute]" in shown and "[1:execute]" in shown and shown.count("ZeroDivisionError: division by zero") == 2


def test_on_a_terminal_there_is_a_block_for_each_engine_under_one_bar(cluster, sandbox):
    """The last lines of all while they come, as many as the terminal has room for; in the end all of each."""
    cluster.client()
    cell = "%px import time; [(print('line', i, flush=True), time.sleep(0.05)) for i in range(20)] and None"
    code = (
        "from IPython.terminal.interactiveshell import TerminalInteractiveShell\nimport ipcluster\n"
        "shell = TerminalInteractiveShell.instance(colors='NoColor', simple_prompt=True)\n"
        f"c = ipcluster.Client({str(cluster.client_file)!r})\n"
        f"shell.run_line_magic('pxconfig', '--progress-after 0 --no-verbose')\nshell.run_cell({cell!r})\n"
    )
    child = pexpect.spawn(
        PYTHON,
        ["-c", code],
        env={**sandbox.python_env(), "TERM": "xterm"},
        encoding="utf-8",
        timeout=LONG,
        dimensions=(10, 80),
    )
    child.expect(pexpect.EOF)
    shown = child.before.replace("\r\n", "\n")
    final = shown.rpartition("\x1b[?7h")[2]
    bar, *lines = final.splitlines()
    assert "100%" in bar and "| 2/2 [" in bar
    assert lines == [
        line for engine in "01" for line in (f"[stdout:{engine}] line 0", *(f"line {i}" for i in range(1, 20)))
    ]
    frames = re.findall(r"\x1b\[\?7l(.*?)\x1b\[\?7h", shown, re.DOTALL)
    drawn = [re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text) for text in frames]
    assert max(text.count("\n") for text in drawn) <= 9, shown
    assert any(re.search(r"%px: .*\n\[stdout:0\] line .*\n(line .*\n)+\[stdout:1\] line ", text) for text in drawn)


def test_a_cell_has_its_options(type_cells):
    shown, here, kept, plain = type_cells(
        """
        %%px --targets 1 --no-verbose
        b = 5
        print(b)
        """,
        """
        %%px --local -o kept
        import os
        both = 1
        """,
        "print(kept.get() is not None, both, view['both'])",
        """
        %%px --noblock --targets ::2
        1
        """,
    )
    assert shown == "[stdout:1] 5\n"
    assert "Async parallel execution on engines: [0,1]" in here
    assert kept == "True 1 [1, 1]\n"
    assert "Async parallel execution on engines: [0]" in plain and "<AsyncResult: %px" in plain


def test_results_of_earlier_executions_are_shown_later(type_cells):
    _, started, shown, _, after = type_cells(
        "%pxconfig --noblock", "px print('later')", "%pxresult", "%pxconfig --block --targets 0", "px print('now')"
    )
    assert "Async parallel execution" in started and "later" not in started
    assert "[stdout:0] later\n[stdout:1] later\n" in shown
    assert after == "Parallel execution on engines: [0]\n[stdout:0] now\n"


def test_a_file_runs_with_pxrun(type_cells, sandbox):
    (sandbox.work / "program.py").write_text("value = 12\n")
    _, shown = type_cells("%pxrun program.py", "view['value']")
    assert "[12, 12]" in shown


def test_autopx_sends_everything_until_it_is_typed_again(type_cells):
    on, _, printed, off, local = type_cells("%autopx", "x = 7", "print(x)", "%autopx", "print('x' in dir(), view['x'])")
    assert on == "%autopx enabled\n" and off == "%autopx disabled\n"
    assert "[stdout:0] 7" in printed and "[stdout:1] 7" in printed
    assert local == "False [7, 7]\n"


def test_suffixes_make_more_magics(type_cells):
    _, shown = type_cells("c[1].activate('_one')", "%px_one print('one')")
    assert shown == "Parallel execution on engines: [1]\n[stdout:1] one\n"


def test_a_magic_without_a_view_says_what_to_do(sandbox, programs):
    code = (
        "import sys; sys.stderr = sys.stdout\nfrom IPython.terminal.interactiveshell import TerminalInteractiveShell\n"
        "shell = TerminalInteractiveShell.instance(colors='NoColor', simple_prompt=True)\n"
        "shell.run_cell('%load_ext parallel_magic'); shell.run_cell('%px 1')"
    )
    finished = sandbox.run(PYTHON, "-c", code, python=True)
    assert "view.activate()" in finished.out


def test_the_old_name_is_found_and_nothing_else_changes(sandbox, programs):
    code = (
        "import ipcluster_hook, importlib.util, sys\n"
        "assert 'ipcluster' not in sys.modules and 'IPython' not in sys.modules\n"
        "assert importlib.util.find_spec('IPython.nothing') is None\n"
        "from IPython.parallel import Client, RemoteError\nimport ipcluster\n"
        "assert Client is ipcluster.Client and RemoteError is ipcluster.RemoteError\n"
    )
    sandbox.run(PYTHON, "-c", code, python=True, check=True)


def test_where_python_reads_no_pth_file_importing_ipcluster_is_enough(sandbox, programs):
    """-S: no site folders, whose .pth files Python reads; the package is found as by PYTHONPATH."""
    code = (
        "import sys; sys.path += ['/usr/lib/python3/dist-packages']\n"
        "assert 'ipcluster_hook' not in sys.modules\nimport ipcluster\n"
        "from IPython.parallel import Client, require\nfrom IPython.parallel.util import interactive\n"
        "from IPython.parallel.client.view import DirectView\nimport IPython.parallel.error as error\n"
        "assert Client is ipcluster.Client and interactive is ipcluster.interactive and DirectView is ipcluster.DirectView\n"
        "assert error.CompositeError is ipcluster.CompositeError\n"
        "from IPython.terminal.interactiveshell import TerminalInteractiveShell\n"
        "shell = TerminalInteractiveShell.instance(colors='NoColor', simple_prompt=True)\n"
        "shell.run_cell('%load_ext parallel_magic').raise_error()\nassert shell.find_line_magic('px')\n"
        "try:\n    import IPython.parallel.nothing\nexcept ModuleNotFoundError as error:\n    assert error.name == 'IPython.parallel.nothing'\n"
    )
    sandbox.run(PYTHON, "-S", "-c", code, python=True, check=True)


def test_an_interrupt_can_be_sent_on_to_the_engines(type_cells):
    _, _, _, shown, after = type_cells(
        "px 1",
        "%pxconfig --signal-on-interrupt SIGINT --no-stream",
        """
        import os, signal, sys, threading, time, traceback
        main = threading.get_ident()
        signal.signal(signal.SIGUSR1, signal.default_int_handler)
        def interrupt():
            while not all(c.queue_status(i)["queue"] for i in c.ids):
                time.sleep(0.05)
            # It waits for the engines: no sooner does an interrupt mean them.
            while "_wait" not in [frame.name for frame in traceback.extract_stack(sys._current_frames()[main])]:
                time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGUSR1)
        threading.Thread(target=interrupt).start()
        """,
        "px import time; time.sleep(60)",
        "px 6 * 7",
    )
    assert "sending SIGINT to the engines" in shown and shown.count("KeyboardInterrupt") >= 2
    assert after.count(": 42\n") == 2
