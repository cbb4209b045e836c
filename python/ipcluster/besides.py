"""What a result has besides its values: metadata, times, and what the engines have printed and displayed."""

import time
from collections.abc import Iterable
from concurrent.futures import ALL_COMPLETED

from ipcluster import _client
from ipcluster.maps import cut
from ipcluster.reply import METADATA_KEYS, OUTPUT_WAIT, all_output_came, metadata_of, wait_for_output

OUTPUT_SLICE = 0.05  # seconds between two looks at several requests' output
OUTPUT_KEYS = frozenset(
    {"execute_input", "execute_result", "error", "stdout", "stderr", "outputs", "data", "output_missing"}
)


class Besides:
    """The part of an AsyncResult for metadata, times and output."""

    @property
    def metadata(self):
        """What is known about each request, a dict or a list of them: `engine_id`, `engine_uuid`, `submitted`, `started`, `completed` and
        `received` (datetimes), `status`, `stdout`, `stderr`, `outputs`, `data` and more.

        Example:
            >>> result = c[0].apply_async(abs, -1)
            >>> result.get()
            1
            >>> result.metadata["status"]
            'ok'
        """
        all_metadata = [metadata_of(child) for child in self.children]
        return all_metadata[0] if self.single else all_metadata

    def timedelta(self, start, end, start_key=min, end_key=max):
        """Seconds between two times, such as those in the metadata.

        Args:
            start (datetime or list): the first.
            end (datetime or list): the second.
            start_key (callable): chooses one of a list.
            end_key (callable): the same for `end`.
        Returns:
            float: seconds; 0 if a list is empty.
        Example:
            >>> result = view.apply_async(abs, -1)
            >>> result.get()
            [1, 1, 1, 1]
            >>> result.timedelta(result.submitted, result.received) > 0
            True
        """
        if start == [] or end == []:
            return 0.0
        start = start_key(start) if isinstance(start, Iterable) else start
        end = end_key(end) if isinstance(end, Iterable) else end
        return (end - start).total_seconds()

    @property
    def progress(self):
        """How many of the requests have been answered, an int.

        Example:
            >>> result = view.apply_async(abs, -1)
            >>> result.wait()
            True
            >>> result.progress
            4
        """
        return len(self) if self._values is not None else _client.count_ready(self.children)

    @property
    def elapsed(self):
        """Seconds since this was submitted; the wall time once it has finished.

        Example:
            >>> view.apply_async(abs, -1).elapsed >= 0
            True
        """
        if self.ready():
            return self.wall_time
        return time.time() - min(child.submitted for child in self.children)

    def _ready_or_raise(self):
        if not self.ready():
            raise TimeoutError(f"{self.fname}: the result is not ready")

    @property
    def wall_time(self):
        """Seconds from the first submission to the last reply. Raises TimeoutError if it is not ready.

        Example:
            >>> result = view.apply_async(abs, -1)
            >>> result.wait()
            True
            >>> result.wall_time > 0
            True
        """
        self._ready_or_raise()
        if not self.children:
            return 0.0
        return max(child.received for child in self.children) - min(child.submitted for child in self.children)

    @property
    def serial_time(self):
        """The seconds that all engines have worked, added up. Raises TimeoutError if it is not ready.

        Example:
            >>> result = view.apply_async(abs, -1)
            >>> result.wait()
            True
            >>> result.serial_time > 0
            True
        """
        self._ready_or_raise()
        seconds = 0.0
        for child in self.children:
            metadata = metadata_of(child)
            if metadata["started"] and metadata["completed"]:
                seconds += (metadata["completed"] - metadata["started"]).total_seconds()
        return seconds

    def _stream_until(self, condition, timeout):
        deadline = None if timeout is None or timeout < 0 else time.monotonic() + timeout
        while True:
            finished = condition()
            self.streamer.show_new()
            if finished or (deadline is not None and time.monotonic() >= deadline):
                return finished
            waiting = [child for child in self.children if not child.output_complete() or not child.ready()]
            if len(waiting) == 1:
                waiting[0].wait_output(self.streamer.seen(waiting[0]), OUTPUT_SLICE)
            else:
                time.sleep(OUTPUT_SLICE / 5)

    def wait_for_output(self, timeout=-1):
        """Waits for what the engines have printed and displayed.

        Args:
            timeout (float): seconds; a negative number is no limit.
        Returns:
            bool: whether all of it has come. Otherwise `output_missing` says how many messages of each request are missing, or -1 if its engine
                died or did not count them.
        Example:
            >>> result = c[0].apply_async(print, "hello")
            >>> result.wait_for_output(60)
            True
        """
        if self.streamer is not None:
            complete = self._stream_until(lambda: all(child.output_complete() for child in self.children), timeout)
            return complete and all_output_came(self.children)
        return wait_for_output(self.children, timeout)

    def __getitem__(self, key):
        """Results by number or slice, metadata by name."""
        if isinstance(key, str):
            if key in OUTPUT_KEYS and self.ready():
                self.wait_for_output(OUTPUT_WAIT)  # it may come a moment after the reply
            values = [metadata_of(child)[key] for child in self.children]
            return values[0] if self.single else values
        if isinstance(key, (int, slice)):
            if not self.ready():
                raise TimeoutError(f"{self.fname}: the result is not ready")
            return cut(self.get(), key)
        raise TypeError(f"results are indexed by an int, a slice or the name of a metadata member, not {key!r}")

    def __dir__(self):
        return [*super().__dir__(), *METADATA_KEYS]

    def stream_output(self):
        """Context manager: while code inside waits for this AsyncResult, shows what the engines print, display and return, as it comes.

        In a notebook and on a terminal each engine has one block, which is updated in its place. Elsewhere whole lines are shown, each after a
        mark such as `[stdout:0]`.

        Example:
            >>> result = c[0].apply_async(print, "hello")
            >>> with result.stream_output():
            ...     result.get()
            [stdout:0] hello
        """
        from ipcluster.streamed import streaming

        return streaming(self, self._value_at)

    def display_outputs(self, groupby="type", result_only=False):
        """Shows what the engines have printed, displayed and returned.

        Args:
            groupby (str): "type" (all that was printed to stdout, then stderr, and so on), "engine", or "order" (as "type", but all engines'
                first displays come together, then their second ones).
            result_only (bool): show only what code returned, as its last expression; nothing if stream_output() has just shown it.
        Raises:
            TimeoutError: the result is not ready.
        Example:
            >>> result = c[0].apply_async(print, "hello")
            >>> result.wait()
            True
            >>> result.display_outputs()
            hello
        """
        from ipcluster.shown import display_outputs

        self._ready_or_raise()
        shown, self.results_shown = self.results_shown, False
        if not (result_only and shown):
            display_outputs(self, self._resolve, groupby, result_only)

    def wait_interactive(self, interval=0.1, timeout=-1, widget=None, return_when=ALL_COMPLETED):
        """Waits for the results, and shows a bar: how many have come, how fast, and how long it may still take.

        Args:
            interval (float): seconds between two looks at them.
            timeout (float): seconds to wait at most; a negative number or None is no limit. Nothing is raised: see ready().
            widget (bool): True for a bar of ipywidgets, False for one of text, which is also written to a file or pipe. None: what suits the
                place; nothing in a file or pipe.
            return_when (str): as for wait().
        Example:
            >>> view.apply_async(abs, -1).wait_interactive()
        """
        from ipcluster.bars import wait_with_progress

        wait_with_progress(self, interval, timeout, widget, return_when)
