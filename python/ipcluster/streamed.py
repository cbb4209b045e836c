"""The output of several engines as it comes: in a notebook and on a terminal a block for each, elsewhere lines."""

import json
import os
import re
import shutil
import sys
import time
from contextlib import contextmanager, suppress

from ipcluster import _client
from ipcluster.blocks import Block, result_as_shown
from ipcluster.error import CompositeError, from_content
from ipcluster.reply import OUTPUT_WAIT
from ipcluster.shown import Board, Printer, file_of, in_notebook, is_watched, publish

REDRAW_SECONDS = 0.1  # between two times that blocks are shown
LINE_MAX = 10_000  # characters of a line that wait for its end; the line of a bar may never end
SHARE = 4  # after blocks were shown, a pause of this many times the time that it took
# What moves a cursor or sets up a terminal; colours may stay. A string (a title or a link) has its own end.
_MOVES = re.compile(r"\x1b(?!\[[0-9;:]*m)(?:[\]PX^_].*?(?:\x07|\x1b\\|$)|\[[0-?]*[ -/]*[@-~]?|[ -/]*[0-~]?)"
                    r"|[\x00-\x08\x0b-\x1a\x1c-\x1f\x7f-\x9f]")  # fmt: skip
_END = "\x1b[0m\n"  # of a line, and of its colours


class _Streamer:
    """Takes what the engines publish. Subclasses show it: what _add() and _fail() get, and a bar."""

    def __init__(self, result, value_at):
        self.result = result
        self._value_at = value_at  # of a request's index: its value or Failure
        self._counts = [0] * len(result.children)
        self._failed = set()  # indices of the requests whose error was shown
        self._ids = {}  # of engines, by uuid

    def seen(self, child):
        """How many messages of a request were taken."""
        return self._counts[self.result.children.index(child)]

    def _engine(self, index, metadata=None):
        """The id of the engine that has a request; "?" if it is not known. What the engine publishes tells a scheduler's choice."""
        targets = self.result.targets
        if isinstance(targets, int):
            return targets
        if targets is not None and index < len(targets) and targets[index] is not None:
            return targets[index]
        child = self.result.children[index]
        engine = child.engine_id if child.ready() else None
        if engine is None and metadata:
            engine = self._id_of(json.loads(metadata).get("engine"))
        return "?" if engine is None else engine

    def _id_of(self, uuid):
        if uuid is not None and uuid not in self._ids:
            with suppress(ConnectionError):  # the client is closed
                self._ids.update((each, engine_id) for engine_id, each in self.result.client.connection.engines())
        return self._ids.get(uuid)

    def show_new(self):
        """Shows what has come since this was called last."""
        for index, child in enumerate(self.result.children):
            for msg_type, content, metadata, _ in child.outputs(self._counts[index]):
                self._counts[index] += 1
                engine = self._engine(index, metadata)
                if msg_type == "error":
                    self._take_error(index, engine, from_content(json.loads(content)))
                else:
                    self._add(index, engine, msg_type, content)

    def _take_error(self, index, engine, error):
        """As many errors are shown whole as a CompositeError shows."""
        text = f"{getattr(error, 'ename', type(error).__name__)}: {getattr(error, 'evalue', error)}"
        if len(self._failed) < CompositeError.tb_limit:
            text = getattr(error, "traceback", None) or text
        self._failed.add(index)
        self._fail(index, engine, text)

    def finish(self):
        """Shows the rest, and the errors that no engine has published."""
        _Streamer.show_new(self)
        for index, child in enumerate(self.result.children):
            if index not in self._failed and child.ready() and child.status != _client.OK:
                self._take_error(index, self._engine(index), self._value_at(index).error)


class _Lines(_Streamer):
    """Shows each engine's whole lines after its mark, for an output where written text cannot be changed."""

    def __init__(self, result, value_at):
        super().__init__(result, value_at)
        self._printer = Printer()
        self._begun = {}  # lines that are not whole, by request, stream and mark

    def _add(self, index, engine, msg_type, content):
        if msg_type == "stream":
            content = json.loads(content)
            name = content["name"]
            mark = f"[{name}:{engine}] "
            whole, newline, rest = (self._begun.pop((index, name, mark), "") + content["text"]).rpartition("\n")
            if len(self._counts) == 1 or len(rest) > LINE_MAX:
                whole, newline, rest = whole + newline + rest, "", ""
            if rest:
                self._begun[index, name, mark] = rest
            self._printer.write(whole + newline, mark, file_of(name))
        elif msg_type in ("display_data", "execute_result"):
            self._end_lines(index)
            self._printer.end(sys.stdout)
            content = json.loads(content)
            if msg_type == "execute_result":
                content = result_as_shown(content, engine)
            else:
                print(f"[output:{engine}]")
            publish(content, engine)

    def _end_lines(self, index):
        for key in [key for key in self._begun if key[0] == index]:
            self._printer.write(self._begun.pop(key) + "\n", key[2], file_of(key[1]))

    def _fail(self, index, engine, text):
        self._end_lines(index)
        self._printer.end(sys.stdout)
        self._printer.write(f"{text}\n", f"[{engine}:execute]: \n", sys.stderr)

    def show_new(self):
        super().show_new()
        for index in {key[0] for key in self._begun}:
            if self.result.children[index].output_complete():
                self._end_lines(index)

    def show_bar(self, line):
        """Shows the line of a progress bar."""
        sys.stdout.write("\r" + line)
        sys.stdout.flush()
        self._printer.interrupt_line()

    def finish(self):
        super().finish()
        for index in range(len(self._counts)):
            self._end_lines(index)
        self._printer.end(sys.stdout)


class _Blocks(_Streamer):
    """Shows a block for each engine, in their order, under the bar; subclasses draw them."""

    def __init__(self, result, value_at):
        super().__init__(result, value_at)
        self._by_engine = {}
        self._bar = ""
        self._changed = False
        self._due = 0

    @property
    def _blocks(self):
        """What there is of them."""
        return [block for _, block in sorted(self._by_engine.items(), key=lambda item: (item[0] == "?", item[0]))]

    def _block(self, engine):
        return self._by_engine.setdefault(engine, Block())

    def _add(self, index, engine, msg_type, content):
        self._changed |= self._block(engine).take(msg_type, content, engine)

    def _fail(self, index, engine, text):
        self._block(engine).write(f"[{engine}:execute]: \n", f"{text}\n")
        self._changed = True

    def show_bar(self, line):
        """Shows the line of a progress bar, together with the next output."""
        self._bar = line
        self._changed = True

    def show_new(self):
        super().show_new()
        start = time.monotonic()
        if self._changed and start >= self._due:
            self._changed = False
            self._draw()
            now = time.monotonic()
            self._due = now + max(REDRAW_SECONDS, SHARE * (now - start))

    def finish(self):
        super().finish()
        self._draw_last()


class _Notebook(_Blocks):
    """Displays that are updated in their places."""

    def __init__(self, result, value_at):
        super().__init__(result, value_at)
        self._board = Board()

    def _draw(self):
        bundles = [({"text/plain": self._bar}, {})] if self._bar else []
        for block in self._blocks:
            bundles += block.bundles()
        self._board.show(bundles)

    _draw_last = _draw


class _Terminal(_Blocks):
    """The last lines of each block, drawn again while they change. At the end the whole blocks, which stay."""

    def __init__(self, result, value_at):
        super().__init__(result, value_at)
        self._lines = []

    def _replace(self, lines):
        """Writes lines, each cut at the screen's edge, over the lines that were written last."""
        if lines == self._lines:
            return
        up = f"\x1b[{len(self._lines)}F" if self._lines else ""
        sys.stdout.write(f"{up}\x1b[J\x1b[?7l{''.join(_MOVES.sub('', line) + _END for line in lines)}\x1b[?7h")
        sys.stdout.flush()
        self._lines = lines

    def _draw(self):
        bar = [self._bar] if self._bar else []
        room = max(shutil.get_terminal_size().lines - 2 - len(bar), 2)
        blocks = [block for block in self._blocks if block.tail(1)]
        hidden = len(blocks) - room + 1 if len(blocks) > room else 0
        blocks = blocks[: len(blocks) - hidden]
        each = (room - bool(hidden)) // max(len(blocks), 1)
        lines = [line for block in blocks for line in block.tail(each)]
        self._replace(bar + lines + ([f"[{hidden} more blocks come in the end]"] if hidden else []))

    def _draw_last(self):
        self._replace([])
        if self._bar:
            print(self._bar)
        for block in self._blocks:
            for piece in block.pieces():
                if isinstance(piece, str):
                    sys.stdout.write(piece if piece.endswith("\n") else piece + "\n")
                else:
                    publish(piece, piece["engine"])
        sys.stdout.flush()


def _kind():
    if in_notebook():
        return _Notebook
    return _Terminal if is_watched() and os.environ.get("TERM", "dumb") != "dumb" else _Lines


@contextmanager
def streaming(result, value_at):
    """AsyncResult.stream_output()."""
    result.streamer = _kind()(result, value_at)
    try:
        try:
            yield
        finally:
            if result.ready():
                result.wait_for_output(OUTPUT_WAIT)  # it may come a moment after the reply
    finally:
        streamer, result.streamer = result.streamer, None
        streamer.finish()
        result.results_shown = True
