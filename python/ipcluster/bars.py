"""Progress as a bar with rate and time left: tqdm's if that is installed, otherwise a plain one."""

import importlib.util
import re
import shutil
import sys
import threading
import time
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED
from contextlib import ExitStack, contextmanager, suppress

from ipcluster.shown import Board, in_notebook, is_watched

WIDTH = 90  # columns of a bar, if there is no terminal that says how many it has
REDRAW_SECONDS = 0.1  # between two lines of a plain bar
REFRESH_SECONDS = 1  # after which the time left is written again, though nothing has come
WATCH_SECONDS = 0.1  # between two looks at what another thread waits for


def _clock(seconds):
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes:02}:{seconds:02}"


class Bar:
    """Stands for tqdm.tqdm if that is not installed, as far as it is used here."""

    def __init__(self, *, total, unit="it", desc=None, initial=0, file=None, ncols=WIDTH):
        self.total = total
        self.n = initial
        self._initial = initial
        self._unit = unit
        self._head = f"{desc}: " if desc else ""
        self._file = file or sys.stdout
        self._columns = ncols
        self._start = time.monotonic()
        self._drawn = 0
        self._length = 0
        self.refresh()

    def update(self, n=1):
        """Counts `n` more."""
        self.n += n
        if n and time.monotonic() - self._drawn >= REDRAW_SECONDS:
            self.refresh()

    def _line(self):
        seconds = time.monotonic() - self._start
        rate = (self.n - self._initial) / seconds if seconds else 0
        left = _clock((self.total - self.n) / rate) if rate > 0 else "?"
        part = min(self.n / self.total, 1) if self.total else 1
        head = f"{self._head}{part:4.0%}|"
        tail = f"| {self.n}/{self.total} [{_clock(seconds)}<{left}, {rate:5.2f}{self._unit}/s]"
        width = max(self._columns - len(head) - len(tail) - 1, 10)
        return head + ("#" * int(part * width)).ljust(width) + tail

    def refresh(self):
        """Writes the bar as it is now."""
        line = self._line()
        self._file.write("\r" + line + " " * max(self._length - len(line), 0))
        self._file.flush()
        self._length = len(line)
        self._drawn = time.monotonic()

    def clear(self):
        """Removes it until it is written again."""
        self._file.write("\r" + " " * self._length + "\r")

    def close(self):
        """Writes it for the last time; it stays."""
        self.refresh()
        self._file.write("\n")
        self._file.flush()


class LineKeeper:
    """A file for a bar: calls `show(line)` with the bar's new line."""

    encoding = "utf-8"

    def __init__(self, show):
        self._show = show

    def write(self, text):
        line = text.rpartition("\r")[2].strip()
        if line:
            self._show(line)

    def flush(self):
        """Each line was shown when it was written."""

    def isatty(self):
        return False


def _is_there(*modules):
    return all(importlib.util.find_spec(module) is not None for module in modules)


def _text_bar():
    """The class of bars of text."""
    if not _is_there("tqdm"):
        return Bar
    from tqdm import tqdm

    return tqdm


def _has_widgets():
    """Whether tqdm's widget can be made: it needs the `style` that ipywidgets have since version 7."""
    if not _is_there("tqdm", "ipywidgets"):
        return False
    import ipywidgets

    return hasattr(ipywidgets.FloatProgress, "style")


def make_bar(total, unit, desc=None, initial=0, widget=None, show=None, file=None):
    """A bar, which has `n`, update(n), refresh(), clear() and close() as tqdm's.

    Args:
        total: the number at which it is full.
        unit: what is counted.
        desc: what stands before it.
        initial: the number with which it begins.
        widget: True for one of ipywidgets, False for text; None for a widget in a notebook if tqdm can make one.
        show: a function that gets its line each time, instead of a file.
        file: where it is written; None for sys.stdout.

    Raises:
        ImportError: widget=True, and tqdm or ipywidgets are not installed.
    """
    options = {"total": total, "unit": unit, "desc": desc, "initial": initial}
    if widget or (widget is None and show is None and in_notebook() and _has_widgets()):
        from tqdm.notebook import tqdm

        return tqdm(**options)
    if show is None and in_notebook():
        board = Board()

        def show(line):
            board.show([({"text/plain": line}, {})])

    if show is not None:
        return _text_bar()(
            file=LineKeeper(show), ncols=min(shutil.get_terminal_size((WIDTH, 24)).columns - 1, WIDTH), **options
        )
    return _text_bar()(file=file or sys.stdout, **options)


@contextmanager
def following(bar, count):
    """Context manager: inside, a thread keeps the bar at what `count()` returns. It is closed at the end.

    Args:
        bar: what make_bar() returned.
        count: a function; if it raises, the bar stays as it is.
    """
    ended = threading.Event()

    def look():
        with suppress(Exception):
            bar.update(count() - bar.n)

    def follow():
        refreshed = time.monotonic()
        while not ended.wait(WATCH_SECONDS):
            look()
            if time.monotonic() - refreshed >= REFRESH_SECONDS:
                bar.refresh()
                refreshed = time.monotonic()

    thread = threading.Thread(target=follow, name="ipcluster-bar", daemon=True)
    thread.start()
    try:
        yield bar
    finally:
        ended.set()
        thread.join()
        look()
        bar.close()


def _finished(result, interval, return_when):
    if return_when == ALL_COMPLETED:
        return result.wait(interval)
    done, others = result.wait(interval, return_when)
    return not others or (bool(done) if return_when == FIRST_COMPLETED else any(part.exception() for part in done))


def wait_with_progress(result, interval, timeout, widget, return_when=ALL_COMPLETED):
    """AsyncResult.wait_interactive()."""
    deadline = None if timeout is None or timeout < 0 else time.monotonic() + timeout
    streamer = result.streamer
    bar = None
    if widget is not None or is_watched():
        show = None if streamer is None or widget else streamer.show_bar
        bar = make_bar(len(result), "tasks", result.fname, result.progress, widget, show)
    refreshed = time.monotonic()
    try:
        finished = result.ready()
        while not finished and (deadline is None or time.monotonic() < deadline):
            finished = _finished(
                result,
                interval if deadline is None else min(interval, max(deadline - time.monotonic(), 0)),
                return_when,
            )
            if bar is not None:
                bar.update(result.progress - bar.n)
                if time.monotonic() - refreshed >= REFRESH_SECONDS:
                    bar.refresh()
                    refreshed = time.monotonic()
    finally:
        if bar is not None:
            bar.update(result.progress - bar.n)
            bar.close()


class StartShown:
    """Context manager: shows what the program `ipcluster` says while engines start: a bar for the engines that have registered, and the rest as
    it is.

    Args:
        file: where it is written.
    """

    _COUNT = re.compile(r"(\d+) of (\d+) engines? (?:has|have) registered$")

    def __init__(self, file):
        self._file = file
        self._stack = ExitStack()
        self._bar = None
        self._count = 0

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._stack.close()

    def show(self, line):
        """Shows one line of what it says."""
        counted = self._COUNT.match(line.rstrip())
        if counted:
            self._count, total = map(int, counted.groups())
            if self._bar is None:
                self._bar = self._stack.enter_context(
                    following(make_bar(total, "engine", None, self._count, file=self._file), lambda: self._count)
                )
            self._bar.total = total
            return
        if self._bar is not None:
            self._bar.clear()
        print(line, end="", file=self._file, flush=True)
        if self._bar is not None:
            self._bar.refresh()
