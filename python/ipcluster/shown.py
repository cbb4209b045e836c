"""Showing people what engines print and display, and how far a computation is."""

import json
import sys
import time
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED
from contextlib import contextmanager

from ipcluster.reply import metadata_of


def get_shell():
    """The IPython that we run in, or None; IPython is not imported for it."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None


def is_watched():
    """Whether a person sees what is written on sys.stderr: at a terminal, or in IPython."""
    return get_shell() is not None or (sys.stderr is not None and sys.stderr.isatty())


class Printer:
    """Writes pieces of several engines' streams, each piece behind its engine's mark."""

    def __init__(self):
        self.last = None
        self.in_line = False  # the last piece did not end its line

    def write(self, text, mark, file):
        if not text:
            return
        new = mark != self.last
        before = "\n" if new and self.in_line else ""
        head = mark if new else ""
        self.last = mark
        self.in_line = not text.endswith("\n")
        file.write(before + head + text)
        file.flush()

    def interrupt_line(self):
        """Something else was written and stands in the current line."""
        self.last = None
        self.in_line = True

    def end(self, file):
        if self.in_line:
            file.write("\n")
            file.flush()
        self.in_line = False
        self.last = None


def _file(name):
    return sys.stderr if name == "stderr" else sys.stdout


def _publish(content, engine_id):
    """Displays in IPython what an engine displayed; elsewhere its plain text."""
    shell = get_shell()
    if shell is None:
        print(content["data"].get("text/plain", ""))
        return
    metadata = dict(content.get("metadata") or {}, engine=engine_id)
    shell.display_pub.publish(data=content["data"], metadata=metadata)


class _Streamer:
    """Shows the output of an AsyncResult's children as it comes."""

    def __init__(self, result):
        self.result = result
        self.counts = [0] * len(result._children)
        self.printer = Printer()

    def seen(self, child):
        return self.counts[self.result._children.index(child)]

    def _engine(self, index):
        targets = self.result._targets
        if isinstance(targets, int):
            return targets
        if targets is not None and index < len(targets):
            return targets[index]
        child = self.result._children[index]
        return child.engine_id if child.ready() else "?"

    def show_new(self):
        for index, child in enumerate(self.result._children):
            for msg_type, content, _, _ in child.outputs(self.counts[index]):
                self.counts[index] += 1
                self._show(index, msg_type, content)

    def _show(self, index, msg_type, content):
        if msg_type == "stream":
            content = json.loads(content)
            engine = self._engine(index)
            self.printer.write(content["text"], f"[{content['name']}:{engine}] ", _file(content["name"]))
        elif msg_type == "display_data":
            self.printer.end(sys.stdout)
            print(f"[output:{self._engine(index)}]")
            _publish(json.loads(content), self._engine(index))


@contextmanager
def streaming(result):
    result._streamer = _Streamer(result)
    try:
        yield
    finally:
        streamer, result._streamer = result._streamer, None
        streamer.show_new()
        streamer.printer.end(sys.stdout)


def _show_result(value):
    shell = get_shell()
    if shell is None:
        print(value)
    else:
        from IPython.display import display

        display(value)


def _show_streams(printer, entries, name, single):
    for engine, metadata, _ in entries:
        printer.write(metadata[name], "" if single else f"[{name}:{engine}] ", _file(name))
    printer.end(_file(name))


def _show_displayed(entries, single):
    for engine, metadata, _ in entries:
        if metadata["outputs"] and not single:
            print(f"[output:{engine}]")
        for content in metadata["outputs"]:
            _publish(content, engine)


def _show_displayed_in_order(entries):
    for index in range(max((len(metadata["outputs"]) for _, metadata, _ in entries), default=0)):
        for engine, metadata, _ in entries:
            if index < len(metadata["outputs"]):
                print(f"[output:{engine}]")
                _publish(metadata["outputs"][index], engine)


def _show_group(entries, groupby, result_only, single):
    printer = Printer()
    if not result_only:
        _show_streams(printer, entries, "stdout", single)
        _show_streams(printer, entries, "stderr", single)
        if groupby == "order" and not single:
            _show_displayed_in_order(entries)
        else:
            _show_displayed(entries, single)
    for engine, metadata, _ in entries:
        if metadata["output_missing"] > 0:
            print(f"[engine {engine}: {metadata['output_missing']} messages of output are missing]", file=sys.stderr)
    for _, metadata, value in entries:
        if metadata["execute_result"] is not None:
            _show_result(value)


def display_outputs(result, groupby, result_only):
    if groupby not in ("type", "engine", "order"):
        raise ValueError(f"outputs are grouped by 'type', 'engine' or 'order', not {groupby!r}")
    result.wait_for_output()
    values = result._resolve()
    entries = []
    for child, value in zip(result._children, values):
        metadata = metadata_of(child)
        entries.append((metadata["engine_id"], metadata, value))
    groups = [[entry] for entry in entries] if groupby == "engine" else [entries]
    for group in groups:
        _show_group(group, groupby, result_only, result._single)


def _finished(result, interval, return_when):
    if return_when == ALL_COMPLETED:
        return result.wait(interval)
    done, others = result.wait(interval, return_when)
    return not others or (bool(done) if return_when == FIRST_COMPLETED else any(part.exception() for part in done))


def wait_with_progress(result, interval, timeout, return_when=ALL_COMPLETED):
    start = time.monotonic()
    limit = None if timeout is None or timeout < 0 else timeout
    shown = None
    while not _finished(result, interval, return_when):
        seconds = time.monotonic() - start
        line = f"\r{result._fname}: {result.progress}/{len(result)} tasks finished after {seconds:4.0f} s"
        if line != shown:
            sys.stdout.write(line)
            sys.stdout.flush()
            if result._streamer is not None:
                result._streamer.printer.interrupt_line()
            shown = line
        if limit is not None and seconds >= limit:
            break
    if shown:
        seconds = time.monotonic() - start
        print(f"\r{result._fname}: {result.progress}/{len(result)} tasks finished after {seconds:4.0f} s")
