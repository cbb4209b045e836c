"""imap(): results that are taken while the sequences are still being read."""

import operator
import threading
from collections import deque
from itertools import islice

from ipcluster import there
from ipcluster.canning import PrePickled
from ipcluster.maps import checked_chunksize

AHEAD = 10  # tasks for each engine that are out or not taken, by default


class _Feeder(threading.Thread):
    """Reads the sequences and sends tasks. At most `bound` (0: any number) are out, or have results that were not taken. It is a thread of
    its own: neither callers that take results nor the client's callbacks should wait for a slow source."""

    def __init__(self, submit, tasks, bound, ordered):
        super().__init__(name="ipcluster-imap", daemon=True)
        self.submit = submit
        self.tasks = tasks  # the argument of submit() for each
        self.bound = bound
        self.ordered = ordered
        self.sending = threading.RLock()  # while a task is sent
        self.changed = threading.Condition()  # for the members below; a thread that has it waits for nothing else
        self.next = deque()  # results to be taken: in the order of submission, or of completion
        self.running = 0  # unordered results that have not completed
        self.not_taken = 0
        self.ended = False
        self.error = None  # the error of a sequence, or of the connection

    def run(self):
        try:
            while self._wait_for_room():
                task = next(self.tasks, None)
                if task is None:
                    break
                self._send(task)
        except BaseException as error:  # the caller that takes results gets it
            self.error = error
        self.end()

    def end(self):
        with self.changed:
            self.ended = True
            self.changed.notify_all()

    def _wait_for_room(self):
        with self.changed:
            self.changed.wait_for(lambda: self.ended or not self.bound or self.not_taken < self.bound)
            return not self.ended

    def _send(self, task):
        with self.sending:
            if self.ended:
                return
            result = self.submit(task)
        with self.changed:
            self.not_taken += 1
            if self.ordered:
                self._add(result)
                return
            self.running += 1
        result.add_done_callback(self._add_completed)

    def _add(self, result):
        self.next.append(result)
        self.changed.notify_all()

    def _add_completed(self, result):
        with self.changed:
            self.running -= 1
            self._add(result)

    def take(self):
        """The next result, which has completed; None at the end. Raises what ended the feeder."""
        if not self.is_alive() and not self.ended:
            raise ConnectionError("this was submitted before a fork: results come to the process that called imap()")
        with self.changed:
            self.changed.wait_for(lambda: self.next or (self.ended and not self.running))
            if not self.next:
                error, self.error = self.error, None
                if error is not None:
                    raise error
                return None
            result = self.next.popleft()
        try:
            result.wait()
        except BaseException:  # an interrupt: it is still to be taken
            with self.changed:
                self.next.appendleft(result)
            raise
        with self.changed:
            self.not_taken -= 1
            self.changed.notify_all()
        return result


class Imap:
    """The iterator that imap() returns. When it ends, by close() or because nobody uses it any more, the sequences are read no further. Tasks
    that are out run to their end."""

    def __init__(self, feeder, in_chunks, return_exceptions):
        self._feeder = feeder
        self._in_chunks = in_chunks
        self._return_exceptions = return_exceptions
        self._chunk = iter(())
        feeder.start()

    def __iter__(self):
        return self

    def __next__(self):
        for value in self._chunk:
            return value
        result = None if self._feeder is None else self._feeder.take()
        if result is None:
            raise StopIteration
        value = result.get(return_exceptions=self._return_exceptions)
        if not self._in_chunks or not isinstance(value, list):
            return value
        self._chunk = iter(value)
        return next(self._chunk)

    def close(self):
        feeder = self._feeder
        self._end()
        if feeder is not None and feeder.is_alive():
            with feeder.sending:  # the task that was being sent is sent: no other follows
                pass

    def _end(self):
        feeder, self._feeder = self._feeder, None
        self._chunk = iter(())
        if (
            feeder is not None and feeder.is_alive()
        ):  # False in a forked child: there, locks of other threads may be held for ever
            feeder.end()

    __del__ = _end  # it does not wait for a task that is being sent: the thread that calls it may hold any lock


def _bound(max_outstanding, view):
    if isinstance(max_outstanding, str) and max_outstanding == "auto":
        return AHEAD * max(len(view), 1)
    try:
        bound = operator.index(max_outstanding)
    except TypeError:
        bound = -1
    if bound < 0:
        raise ValueError(f"max_outstanding is a number of tasks, 0 for any number, or 'auto', not {max_outstanding!r}")
    return bound


def _chunksize_for(view, sequences):
    """One member in a task if the scheduler chooses engines. Otherwise an engine's share, if it is known, in as many tasks as may be out."""
    if view.balanced:
        return 1
    return max(-(-min(operator.length_hint(seq, 0) for seq in sequences) // (AHEAD * len(view))), 1)


def imap(view, submitter, f, sequences, ordered, max_outstanding, chunksize, return_exceptions):
    """View.imap(), for a view that nobody changes; submitter() returns the function that sends its tasks."""
    if not sequences:
        raise TypeError("imap needs a sequence")
    submit = submitter()  # raises if there are no engines
    chunksize = _chunksize_for(view, sequences) if chunksize is None else checked_chunksize(chunksize)
    prepared = PrePickled(f)
    members = zip(*sequences)
    if chunksize == 1:
        tasks, send = members, lambda members: submit(prepared, members)
    else:
        tasks, send = iter(lambda: list(islice(members, chunksize)), []), lambda chunk: submit(
            there.map_members, (prepared, *zip(*chunk))
        )
    feeder = _Feeder(send, tasks, _bound(max_outstanding, view), ordered)
    return Imap(feeder, chunksize > 1, return_exceptions)
