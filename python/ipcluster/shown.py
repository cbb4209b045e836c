"""How notebooks, terminals and other outputs show what engines have printed and displayed."""

import io
import sys
import uuid
from html import escape

from ipcluster.reply import metadata_of


def get_shell():
    """The IPython shell that this runs in, or None. It does not import IPython."""
    ipython = sys.modules.get("IPython")
    return ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None


def in_notebook():
    """Whether a display can be updated in its place: in a Jupyter kernel, unless output is captured."""
    return getattr(get_shell(), "kernel", None) is not None and not isinstance(sys.stdout, io.StringIO)


def is_watched(stream=None):
    """Whether a person sees what is written.

    Args:
        stream: where it is written; None for sys.stdout.
    """
    stream = sys.stdout if stream is None else stream
    is_terminal = getattr(stream, "isatty", None)  # user code may have put anything there
    return in_notebook() or bool(is_terminal and is_terminal())


def card(kind, text, facts=None, more=""):
    """What a notebook shows for an object.

    Args:
        kind: what it is.
        text: the rest of its first line.
        facts: a dict of what else there is to say; None is left out.
        more: HTML that stands below.
    """
    rows = "".join(f"<tr><th style='text-align: left'>{escape(name)}</th><td style='text-align: left'>{escape(str(value))}</td></tr>"
                   for name, value in (facts or {}).items() if value is not None)  # fmt: skip
    return f"<div><strong>{escape(kind)}</strong> {escape(text)}{f'<table>{rows}</table>' if rows else ''}{more}</div>"


class Board:
    """Displays of a notebook in an order. A display that changes is updated in its place; a new one that is not the last moves the others down."""

    def __init__(self):
        self._name = uuid.uuid4().hex
        self._shown = []

    def show(self, bundles):
        """Makes these the displays.

        Args:
            bundles: a list of (data, metadata) by MIME types.
        """
        publisher = get_shell().display_pub
        bundles = bundles + [({"text/plain": ""}, {})] * (len(self._shown) - len(bundles))
        for place, bundle in enumerate(bundles):
            known = place < len(self._shown)
            if known and self._shown[place] == bundle:
                continue
            data, metadata = bundle
            publisher.publish(
                data=data, metadata=metadata, transient={"display_id": f"{self._name}-{place}"}, update=known
            )
            self._shown[place : place + 1] = [bundle]


class Printer:
    """Writes pieces of several engines' streams, each piece after its engine's mark."""

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


def file_of(name):
    return sys.stderr if name == "stderr" else sys.stdout


def publish(content, engine_id):
    """Displays in IPython what an engine displayed; elsewhere its plain text."""
    shell = get_shell()
    if shell is None:
        print(content["data"].get("text/plain", ""))
        return
    metadata = dict(content.get("metadata") or {}, engine=engine_id)
    shell.display_pub.publish(data=content["data"], metadata=metadata)


def _show_result(value):
    shell = get_shell()
    if shell is None:
        print(value)
    else:
        from IPython.display import display

        display(value)


def _show_streams(printer, entries, name, single):
    for engine, metadata, _ in entries:
        printer.write(metadata[name], "" if single else f"[{name}:{engine}] ", file_of(name))
    printer.end(file_of(name))


def _show_displayed(entries, single):
    for engine, metadata, _ in entries:
        if metadata["outputs"] and not single:
            print(f"[output:{engine}]")
        for content in metadata["outputs"]:
            publish(content, engine)


def _show_displayed_in_order(entries):
    for index in range(max((len(metadata["outputs"]) for _, metadata, _ in entries), default=0)):
        for engine, metadata, _ in entries:
            if index < len(metadata["outputs"]):
                print(f"[output:{engine}]")
                publish(metadata["outputs"][index], engine)


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


def display_outputs(result, resolve, groupby, result_only):
    if groupby not in ("type", "engine", "order"):
        raise ValueError(f"outputs are grouped by 'type', 'engine' or 'order', not {groupby!r}")
    result.wait_for_output()
    values = resolve()
    entries = []
    for child, value in zip(result.children, values):
        metadata = metadata_of(child)
        entries.append((metadata["engine_id"], metadata, value))
    groups = [[entry] for entry in entries] if groupby == "engine" else [entries]
    for group in groups:
        _show_group(group, groupby, result_only, result.single)
