"""Runs the blocks of a page in their order, as a reader types them: Python code and IPython sessions, in one namespace, and commands.

type_blocks.py FILE: the blocks, in JSON. If a line of Python is an expression with a value in its comment, as `c.ids # [0, 1]`, it must
have that value."""

import ast
import io
import json
import subprocess
import sys
import tokenize
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from docblocks import is_shown

namespace = sys.modules["__main__"].__dict__


def comments(code):
    """The values that stand in comments, by their lines."""
    found = {}
    for token in tokenize.generate_tokens(io.StringIO(code).readline):
        if token.type == tokenize.COMMENT:
            try:
                found[token.start[0]] = ast.literal_eval(token.string.lstrip("# "))
            except (SyntaxError, ValueError):
                pass
    return found


def run_python(block):
    code = "\n" * (block["line"] - 1) + block["text"]  # so that tracebacks name the page's lines
    expected = comments(code)
    for statement in ast.parse(code).body:
        if not isinstance(statement, ast.Expr):
            exec(compile(ast.Module([statement], []), block["name"], "exec"), namespace)
            continue
        value = eval(compile(ast.Expression(statement.value), block["name"], "eval"), namespace)
        if statement.end_lineno in expected and value != expected[statement.end_lineno]:
            raise AssertionError(
                f"{block['name']}:{statement.lineno}: it is {value!r} and not {expected[statement.end_lineno]!r}"
            )


def run_session(block):
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    shell = InteractiveShell.instance(user_ns=namespace)
    for typed, shown in block["turns"]:
        with capture_output() as output:
            result = shell.run_cell(typed, store_history=True)
        result.raise_error()
        if not is_shown(shown, output.stdout):
            raise AssertionError(f"{block['name']}: {typed!r} shows {output.stdout!r}, and not {shown!r}")


def run_commands(block):
    for typed, shown in block["turns"]:
        done = subprocess.run(["bash", "-c", typed], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if done.returncode or not is_shown(shown, done.stdout):
            raise AssertionError(
                f"{block['name']}: {typed!r} ends with {done.returncode} and shows {done.stdout!r}, and not {shown!r}"
            )


RUN = {"python": run_python, "ipython": run_session, "sh": run_commands}
for each in json.loads(Path(sys.argv[1]).read_text()):
    RUN[each["kind"]](each)
