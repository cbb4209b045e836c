"""The same code on an engine of ours and on one of ipyparallel's, beside each other under one controller: what a client sees of it."""

import re

import pytest

from support import PYTHON, wait_until

RemoteError = pytest.importorskip("ipyparallel").RemoteError
TaskAborted = pytest.importorskip("ipyparallel").TaskAborted
TIMEOUT = 60
ANSI = re.compile(r"\x1b\[[0-9;]*m")

# Without what ours shows on purpose, and theirs does not: what C, children and file descriptors write, exceptions whose text cannot be read, exit().
CODE = [
    "1 + 1", "a = 3", "None", "5;", "1\n2", "1 +", "  x = 1", "1/0", "print('é\\0☃')", "print('a'); 1/0", "print('abc\\rX')", "'x' * 5000", "",
    "import sys; print('o'); print('e', file=sys.stderr)", "import sys; n = sys.stdout.write('no end')", "for i in range(3000): print(i)",
    "print('x' * 100000)", "%who_ls int", "%no_such_magic", "!echo from a shell", "got = !echo kept\ngot", "%%capture\nprint(1)", "_", "_i",
    "from IPython.display import display; display(1); display('x', 2)", "from IPython.display import HTML; HTML('<b>')",
    "from IPython.display import display; h = display(1, display_id='d'); h.update(2)", "input('?')", "import getpass; getpass.getpass()",
    "from IPython.display import clear_output; print('a'); clear_output(); print('b')", "import sys; sys.stdin.readline()",
    "import asyncio; await asyncio.sleep(0); 5", "async def f(): return 4\nawait f()", "__name__", "import __main__; vars(__main__) is globals()",
    "class Bad:\n  def __repr__(self): 1/0\nBad()", "class Bad:\n  def _repr_html_(self): 1/0\n  __repr__ = lambda self: 'plain'\nBad()",
    "class Odd(Exception): pass\nraise Odd('x')", "class Base(BaseException): pass\nraise Base('x')", "raise KeyboardInterrupt", "raise 'text'",
    "def deep(): deep()\ndeep()", "bytearray(10**15)", "assert 1 == 2, 'why'", "raise ValueError('é☃')", "raise ExceptionGroup('g', [ValueError(1)])",
    "raise SystemExit('bye')", "import logging; logging.warning('careful')", "import threading; t = threading.Thread(target=print, args=('t',)); t.start(); t.join()",
    "import os; pid = os.fork() or os._exit(3); os.waitpid(pid, 0)[1]", "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1]);",
    "import pandas; pandas.DataFrame({'a': [1]})", "print('%d' % 'a')", "if 1:\n\tprint('t')\n", "# nothing", "len?",
]  # fmt: skip


NUMBER = lambda: 3
NUMBER.__module__ = "__main__"


def calls():
    """(name, function, arguments) of what is applied."""
    import numpy

    def later():
        yield 1

    return [
        ("generator", later, ()), ("generator expression", lambda: (i for i in range(3)), ()), ("module", lambda: __import__("os"), ()),
        ("lock", lambda: __import__("threading").Lock(), ()), ("not a function", 5, ()), ("keyword missing", lambda *, a: a, ()),
        ("system exit", lambda: __import__("sys").exit(3), ()), ("key", lambda: {}["k"], ()), ("stop", lambda: next(iter(())), ()),
        ("import", lambda: __import__("no_such_module"), ()), ("name", lambda: no_such_name, ()), ("nothing", lambda: None, ()),
        ("nan", lambda: float("nan"), ()), ("numbers as keys", lambda d: d[1](), ({1: NUMBER},)), ("printed", lambda: print("p"), ()),
        ("displayed", lambda: display(1), ()), ("shell", lambda: get_ipython().run_cell("2 + 3").result, ()), ("long", lambda: 2**70, ()),
        ("kernel", lambda: get_ipython().kernel.engine_id >= 0, ()), ("error of a helper", lambda: int("x"), ()),
        ("strides", lambda a: a.tolist(), (numpy.arange(10)[::3],)), ("read-only", lambda a: float(a.sum()), (numpy.broadcast_to(1.0, (300, 3)),)),
        ("asked", lambda: input("?"), ()), ("exception returned", lambda: ValueError("x").args, ()), ("name of main", lambda: __name__, ()),
    ]  # fmt: skip


def typed(f):
    """The function as if a user had typed it."""
    if hasattr(f, "__code__"):
        f.__module__ = "__main__"
    return f


def error_of(error):
    """Its name and text, without a file's name, and with one sentence for all questions that are refused."""
    return error and (
        type(error).__name__,
        error.ename,
        re.sub(r"\(.*, line 1\)|(?<= was called, but this).*|^raw_", "", error.evalue),
    )


def seen(result):
    """What a client sees of a result, without what differs from engine to engine."""
    try:
        value = result.get(TIMEOUT)
        outcome = "" if "Execute" in type(value).__name__ else repr(value)
    except RemoteError as error:
        outcome = error_of(error)
    result.wait_for_output(TIMEOUT)
    shown = (result.execute_result or {"data": {}})["data"]
    outputs = [output["data"] for output in result.outputs]
    texts = (
        result.stdout,
        result.stderr,
        str(shown.get("text/plain")),
        *(str(data.get("text/plain")) for data in outputs),
    )
    texts = [re.sub(r"0x[0-9a-f]+", "0x", ANSI.sub("", text)) for text in texts]
    return result.status, outcome, texts, sorted(shown), list(map(sorted, outputs)), error_of(result.error)


def takes_requests(view):
    """Whether the engine aborts nothing: theirs does in the moment after an error."""
    try:
        return view.apply_sync(int) == 0
    except TaskAborted:
        return False


def test_code_does_the_same_on_both_engines(new_cluster, sandbox, connect):
    for module in ("matplotlib", "pandas", "numpy"):
        pytest.importorskip(module)
    cluster = new_cluster(1)
    sandbox.start(PYTHON, "-m", "ipyparallel.engine", f"--profile-dir={cluster.profile_dir}", python=True)
    client = connect(cluster, 2)
    ours, theirs = client[0], client[1]
    differences = []
    for name, run in [*((code, lambda view, code=code: view.execute(code, silent=False, block=False)) for code in CODE),
                      *((name, lambda view, f=f, a=a: view.apply_async(typed(f), *map(typed, a))) for name, f, a in calls())]:  # fmt: skip
        wait_until(lambda: takes_requests(theirs), TIMEOUT, "their engine has done with an error")
        both = [run(view) for view in (ours, theirs)]
        here, there = map(seen, both)
        if here != there:
            differences.append(f"{name!r}:\n  ours   {str(here):.600}\n  theirs {str(there):.600}")
    assert not differences, "\n".join(differences)
