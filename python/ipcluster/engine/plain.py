"""The shell of an engine without IPython: statements, the value of the last expression, and completion by rlcompleter."""

import ast
import codeop
import inspect
import linecache
import re
import rlcompleter
import traceback

import _ipcluster_host as host

from ipcluster.engine import failures, lacking
from ipcluster.engine.datapub import DataPublisher
from ipcluster.engine.messages import pack

HISTORY_MAX = 1000  # inputs and outputs that are remembered


class PlainShell:
    StdinNotImplementedError = NotImplementedError

    def __init__(self, module):
        self.user_module = module
        self.user_ns = self.user_global_ns = module.__dict__
        self.execution_count = 1
        self.data_pub = DataPublisher()
        self._inputs = {}
        self._outputs = {}
        self._initial_names = set(self.user_ns)

    def run(self, code, silent, store_history, user_expressions):
        """Runs `code` as IPython's shell would, and returns the content of its reply."""
        count = self.execution_count
        try:
            self._run(code, silent, count)
            reply = {"status": "ok", "payload": []}
            host.finished()
        except BaseException as exception:
            host.finished()
            lines = self.format_exception(exception, failures.user_traceback(exception))
            reply = failures.content_of(exception, "execute", lines)
            host.publish("error", pack(reply), None, [])
        if store_history:
            self._inputs[count] = code
            self._inputs.pop(count - HISTORY_MAX, None)
            self._outputs.pop(count - HISTORY_MAX, None)
            linecache.cache.pop(f"<input {count - HISTORY_MAX}>", None)
            self.execution_count += 1
        reply["execution_count"] = count
        values = user_expressions if reply["status"] == "ok" else {}
        reply["user_expressions"] = {name: self._evaluate(text) for name, text in values.items()}
        return reply

    def _run(self, code, silent, count):
        name = f"<input {count}>"
        linecache.cache[name] = (len(code), None, code.splitlines(True), name)
        try:
            tree = ast.parse(code, name)
        except SyntaxError:
            statement = lacking.statement_of(code)
            if statement is None:
                raise
            raise lacking.error(statement) from None
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, name, "exec"), self.user_ns)
        if last is not None:
            value = eval(compile(ast.Expression(last.value), name, "eval"), self.user_ns)
            if value is not None and not silent:
                self.user_ns["_"] = value
                text = self._outputs[count] = repr(value)
                content = {"execution_count": count, "data": {"text/plain": text}, "metadata": {}}
                host.publish("execute_result", pack(content), None, [])

    def _evaluate(self, text):
        try:
            value = eval(text, self.user_ns)
            return {"status": "ok", "data": {"text/plain": repr(value)}, "metadata": {}}
        except BaseException as exception:
            return {
                "status": "error",
                "ename": type(exception).__name__,
                "evalue": failures.text_of(exception),
                "traceback": [],
            }

    def format_exception(self, exception, trace):
        return "".join(traceback.format_exception(type(exception), exception, trace)).splitlines()

    def completions(self, code, cursor):
        word = re.search(r"[\w.]*$", code[:cursor]).group()
        completer = rlcompleter.Completer(self.user_ns)
        matches = []
        while word and (match := completer.complete(word, len(matches))) is not None:
            matches.append(match)
        return {"matches": matches, "cursor_start": cursor - len(word), "cursor_end": cursor, "metadata": {}}

    def inspect(self, code, cursor, detail_level, omit_sections):
        """What is known about the object at the cursor, by MIME type; None if there is no such object."""
        word = re.search(r"[\w.]*$", code[:cursor]).group() + re.match(r"\w*", code[cursor:]).group()
        try:
            value = eval(word, self.user_ns)  # names and dots only
        except Exception:
            return None
        lines = [f"Type: {type(value).__name__}", f"Value: {value!r}", inspect.getdoc(value) or ""]
        if detail_level:
            try:
                lines.append(inspect.getsource(value))
            except (OSError, TypeError):
                pass
        return {"text/plain": "\n".join(lines)}

    def history(self, raw, output):
        """(session, line, input) or (session, line, (input, output)) for each, the oldest first."""
        return [
            (0, line, (text, self._outputs.get(line)) if output else text)
            for line, text in sorted(self._inputs.items())
        ]

    def check_complete(self, code):
        try:
            complete = codeop.compile_command(code, symbol="exec") is not None
        except (SyntaxError, ValueError, OverflowError):
            return "invalid", ""
        return ("complete", "") if complete else ("incomplete", "    " if code.rstrip().endswith(":") else "")

    def reset(self, new_session=False):
        for name in set(self.user_ns) - self._initial_names:
            del self.user_ns[name]


def make_shell(module):
    lacking.stand_in()
    return PlainShell(module)
