"""What a notebook shows of engines: a Jupyter kernel runs cells, and a page is kept of what it publishes."""

import json
import re
from types import SimpleNamespace

import pytest

from support import LONG, PYTHON, without

jupyter_client = pytest.importorskip("jupyter_client")
pytest.importorskip("ipykernel")

MARK = re.compile(r"\x1b\[[0-9;]*m")


class Area(list):
    """What is under one cell: [kind, text or data], as a page keeps it. `published` counts the messages that made it so."""

    def __init__(self):
        super().__init__()
        self.published = []
        self._by_id = {}

    def take(self, message):
        kind, content = message["msg_type"], message["content"]
        name = content.get("transient", {}).get("display_id")
        if kind == "stream":
            if self and self[-1][0] == content["name"]:
                self[-1][1] += content["text"]
            else:
                self.append([content["name"], content["text"]])
        elif kind == "update_display_data":
            self._by_id[name][1] = content["data"]
        elif kind in ("display_data", "execute_result"):
            self.append([kind, content["data"]])
            self._by_id[name] = self[-1]
        elif kind == "error":
            self.append([kind, MARK.sub("", "\n".join(content["traceback"]))])
        else:
            return
        self.published.append(message)

    def of(self, kind):
        return [shown for one, shown in self if one == kind]

    @property
    def texts(self):
        return [MARK.sub("", data["text/plain"]) for data in self.of("display_data")]


@pytest.fixture
def notebook(sandbox, cluster):
    """notebook(cell, env): runs a cell in a kernel, which has a client `c` of the cluster with two engines; its Area."""
    cluster.client()
    manager = jupyter_client.KernelManager(kernel_name="python3", connection_file=str(sandbox.dir / "kernel.json"))
    manager.kernel_spec.argv = [PYTHON, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    manager.start_kernel(env=sandbox.python_env(), cwd=str(sandbox.work))
    kernel = manager.client()
    kernel.start_channels()

    def run(cell):
        while True:  # a kernel aborts what comes at once behind a cell that failed
            area = Area()
            reply = kernel.execute_interactive(cell, timeout=LONG, output_hook=area.take)
            if reply["content"]["status"] != "aborted":
                return area

    try:
        kernel.wait_for_ready(timeout=LONG)
        assert run(f"import ipcluster\nc = ipcluster.Client({str(cluster.client_file)!r})") == []
        yield run
    finally:
        kernel.stop_channels()
        manager.shutdown_kernel(now=True)


STREAMS = """%%px --progress-after 0 --no-verbose
import sys, time
from IPython.display import HTML, display
for i in range(5):
    print("step", i, flush=True)
    print("bar", i, end="\\r", file=sys.stderr, flush=True)
    time.sleep(0.15)
display(HTML("<b>figure</b>"))
print("after it")
6 * 7
"""


def test_a_streamed_cell_is_one_block_for_each_engine_under_one_bar_and_changes_in_its_place(notebook):
    area = notebook(STREAMS)
    bar, *blocks = area.texts
    assert "100%" in bar and "2/2" in bar and "tasks/s" in bar or "s/tasks" in bar
    whole = "[stdout:{0}] step 0\nstep 1\nstep 2\nstep 3\nstep 4\n[stderr:{0}] bar 4\n[output:{0}]"
    rest = "[stdout:{0}] after it\nOut[{0}:1]: 42"
    assert blocks == [
        text.format(engine) for engine in (0, 1) for text in (whole, "<IPython.core.display.HTML object>", rest)
    ]
    assert [data["text/html"] for data in area.of("display_data") if "text/html" in data] == ["<b>figure</b>"] * 2
    assert len(area) == 7, "and nothing else"
    updates = [message for message in area.published if message["msg_type"] == "update_display_data"]
    assert any("step 2" in message["content"]["data"]["text/plain"] for message in updates), "it is shown as it comes"
    area = notebook(
        "result = c.load_balanced_view().map_async(print, range(30))\nwith result.stream_output():\n    result.wait()"
    )
    assert 1 <= len(area) <= 2 and all(
        re.match(r"\[stdout:[01]\] ", text) for text in area.texts
    ), "also of the scheduler's choice"
    assert sorted(int(re.sub(r".*\] ", "", line)) for text in area.texts for line in text.splitlines()) == list(
        range(30)
    )


def test_an_error_is_in_its_engines_block_and_named_at_the_end(notebook):
    notebook("c[:].scatter('me', [0, 1], flatten=True, block=True)")
    area = notebook("%%px --progress-after -1 --no-verbose\nprint('before', me)\n1 / me")
    first, second = area.texts
    assert first.startswith("[stdout:0] before 0\n[0:execute]: \n") and first.endswith(
        "ZeroDivisionError: division by zero"
    )
    assert re.fullmatch(r"\[stdout:1\] before 1\nOut\[1:\d+\]: 1.0", second)
    assert area.of("error") == ["1 error: ZeroDivisionError (shown above)"]
    area = notebook(
        "%%px --progress-after -1 --no-verbose\nimport os\nprint('last words', flush=True)\nif me: os._exit(3)"
    )
    assert area.texts[0] == "[stdout:0] last words"
    assert re.search(r"^\[1:execute\]: \nEngineError: ", area.texts[1], re.MULTILINE), "nobody but the hub tells of it"


def test_whatever_waits_shows_a_bar_that_comes_to_its_end(notebook, sandbox):
    notebook(
        "import time\nbalanced = c.load_balanced_view()\nnap = ipcluster.interactive(lambda x: __import__('time').sleep(x))"
    )
    (bar,) = notebook("balanced.map_async(nap, [0.05] * 20).wait_interactive()").texts
    assert re.fullmatch(r"nap: 100%.*\| 20/20 \[00:\d\d<00:00, .*tasks/s\]".replace("nap", "<lambda>"), bar)
    (bar,) = notebook("pending = balanced.map_async(nap, [0.1] * 4)\nc.wait_interactive(interval=0.1)").texts
    assert re.match(r"tasks: 100%.*\| 4/4 ", bar)
    area = notebook("try:\n    c.wait_for_engines(3, timeout=0.5)\nexcept TimeoutError:\n    pass")
    assert re.match(r" *67%.*\| 2/3 ", area.texts[0]) and len(area) == 1
    assert (
        notebook("c.wait_for_engines(2)\nc.wait_for_engines(3, timeout=0.1, block=False).exception()").of(
            "display_data"
        )
        == []
    )
    area = notebook("with ipcluster.Cluster(n=1) as other: pass")
    assert re.match(r"100%.*\| 1/1 .*engine", area.texts[0]) and not area.of("stderr")
    assert notebook("with ipcluster.Cluster(n=1, progress=False) as other: pass") == []


# Without a kernel


@pytest.fixture
def block(ipcluster):
    from ipcluster.blocks import Block

    made = Block()

    def take(msg_type, **content):
        assert made.take(msg_type, json.dumps(content), 0)
        return made

    return take


def test_a_display_whose_text_is_no_string_is_shown_as_one(block):
    block("display_data", data={"text/plain": 5, "text/html": "five"}, metadata={})
    block("execute_result", data={"text/plain": ["two\n", "lines"]}, metadata={}, execution_count=1)
    lines = block("display_data", data={"text/plain": {"a": 1}}, metadata={}).tail(9)
    assert [line.removeprefix("[output:0] ") for line in lines] == ["5", "Out[0:1]: ", "two", "lines", "{'a': 1}"]


def test_a_block_does_not_grow_without_bound(block):
    for number in range(3000):
        made = block("stream", name="stdout", text=f"line {number:05} of many\n")
    (text,) = made.pieces()
    first, *lines = text.splitlines()
    assert (
        lines[-1] == "line 02999 of many"
        and re.fullmatch(r"\[stdout:0\] line \d{5} of many", lines[0])
        and len(text) < 51_000
    )
    assert re.fullmatch(
        r"\[\d+ characters before these are not shown: the result's stdout and stderr have them\]", first
    )
    for _ in range(100):
        block("stream", name="stdout", text="no end of a line " * 1000)
    assert len("".join(made.pieces())) < 51_000
    for number in range(30):
        block("display_data", data={"text/plain": f"figure {number}"}, metadata={})
    shown = [piece["data"]["text/plain"] for piece in made.pieces() if isinstance(piece, dict)]
    assert shown == [f"figure {number}" for number in range(10, 30)]


def test_what_is_printed_between_displays_is_one_text_once_these_are_hidden(block):
    for number in range(100):
        block("stream", name="stdout", text=f"out {number}\n")
        block("stream", name="stderr", text=f"err {number}\n")
        made = block("display_data", data={"text/plain": f"figure {number}"}, metadata={})
    _, *first, mark = made.pieces()[0].splitlines()
    assert mark == "[output:0]" and first == [
        line
        for name in ("out", "err")
        for line in (f"[std{name}:0] {name} 0", *(f"{name} {number}" for number in range(1, 81)))
    ]
    assert len(made.pieces()) == 40


def test_a_line_that_has_no_end_is_shown_in_parts_where_lines_are(ipcluster, capsys):
    from ipcluster.streamed import _Lines

    lines = _Lines(SimpleNamespace(children=[None, None]), None)
    for _ in range(100):
        lines._add(0, 0, "stream", json.dumps({"name": "stdout", "text": "\r" + 999 * "."}))
    lines._add(1, 1, "stream", json.dumps({"name": "stdout", "text": "whole\n"}))
    first, second = capsys.readouterr().out.split("\n", 1)
    assert first.startswith("[stdout:0] \r...") and len(first) > 80_000 and second == "[stdout:1] whole\n"


@pytest.mark.parametrize("printed, shown", [
    ("\x1b[31mred\x1b[0m\ttext", "\x1b[31mred\x1b[0m\ttext"), ("\x1b]8;;http://host\x07link\x1b]8;;\x1b\\s", "links"), ("\x1b]0;no end", ""),
    ("\x1b[2Jcleared\x1b[?25l", "cleared"), ("\x1bcreset\x1b(0\x1b", "reset"), ("\x9bcode", "code"), ("\x1b[>4;2mkeys", "keys"),
])  # fmt: skip
def test_of_what_engines_print_only_colours_reach_a_terminal_that_is_drawn_anew(ipcluster, capsys, printed, shown):
    from ipcluster.streamed import _Terminal

    _Terminal(SimpleNamespace(children=[]), None)._replace([printed])
    assert capsys.readouterr().out == f"\x1b[J\x1b[?7l{shown}\x1b[0m\n\x1b[?7h"


def test_what_engines_clear_or_update_changes_in_their_blocks(block):
    block("stream", name="stdout", text="a\rb")
    assert block("stream", name="stdout", text="c\r").pieces() == ["[stdout:0] bc"]
    block("display_data", data={"text/plain": "old"}, transient={"display_id": "one"})
    block("update_display_data", data={"text/plain": "new"}, transient={"display_id": "one"})
    made = block("clear_output", wait=True)
    assert [piece["data"]["text/plain"] for piece in made.pieces()[1:]] == [
        "new"
    ], "it stays until there is something else"
    assert block("stream", name="stderr", text="next\n").pieces() == ["[stderr:0] next\n"]
    assert block("clear_output", wait=False).pieces() == []


def test_what_is_shown_in_html_is_escaped_and_small(ipcluster, client, view, sandbox_here):
    assert (
        re.match(r"<div><strong>Client</strong> 2 engines on .*<details>.*<table>", client._repr_html_())
        and "<th>pid</th>" in client._repr_html_()
    )
    assert re.match(r"<div><strong>DirectView</strong> \[0, 1\]: 2 engines on ", view._repr_html_())
    result = view.apply_async(abs, -1)
    result.wait(LONG)
    result.fname = "<b>"
    assert re.fullmatch(
        r"<div><strong>AsyncResult</strong> &lt;b&gt;: finished, 2 of 2 results, \d+\.\d s</div>", result._repr_html_()
    )
    assert (
        view.map_async(abs, [])._repr_html_()
        == "<div><strong>AsyncMapResult</strong> abs: finished, 0 of 0 results</div>"
    )
    cluster = ipcluster.Cluster(n=2, cluster_id="<i>", engines="mpi&")
    assert (
        "<strong>Cluster</strong> &lt;i&gt;, not running<table>" in cluster._repr_html_()
        and "mpi&amp;" in cluster._repr_html_()
    )
    client.close()
    assert (
        client._repr_html_() == "<div><strong>Client</strong> closed</div>"
        and "<strong>DirectView</strong> [0, 1]</div>" in view._repr_html_()
    )


# Without a notebook

SCRIPT = """
import ipcluster, sys, time
with ipcluster.Client({file!r}) as c:
    c.wait_for_engines(2)
    result = c[:].apply_async(time.sleep, 0.3)
    result.wait_interactive({options})
    try:
        c.wait_for_engines(3, timeout=0.1{more})
    except TimeoutError:
        pass
"""


def test_nothing_is_shown_where_nobody_looks_unless_it_is_asked_for(cluster, sandbox):
    cluster.client()

    def output(options="", more="", env=None):
        script = SCRIPT.format(file=str(cluster.client_file), options=options, more=more)
        done = sandbox.run(PYTHON, "-c", script, python=True, check=True, env=env)
        return done.out + done.err

    assert output() == ""
    asked = output("widget=False", ", interactive=True, widget=False")
    assert "sleep: 100%" in asked and "2/2" in asked and "67%" in asked
    plain = output("widget=False", ", interactive=True", env=without(sandbox, "tqdm"))
    assert re.search(r"sleep: 100%\|#+\| 2/2 \[00:\d\d<00:00, +\d+\.\d\dtasks/s\]\n", plain) and " 67%|" in plain
