"""Results that may not be there yet."""

import asyncio
import logging
import threading
import time
from concurrent.futures import ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION, Future
from contextlib import suppress

from ipcluster import _client, error as errors
from ipcluster.abort import abort
from ipcluster.besides import Besides
from ipcluster.dispatcher import Waiting
from ipcluster.reply import METADATA_KEYS, Failure, error_or_value, value_of
from ipcluster.shown import card

_futures_lock = threading.Lock()
_callbacks_lock = threading.RLock()  # the end of any object may add a callback, also while this lock is held


class AsyncResult(Besides, Future):
    """The results of one call: of one engine, or of several engines in the order of the targets. Calls of views make it.

    It is a concurrent.futures.Future. It can be awaited, and, if there are several results, iterated over. `result[0]` and `result[1:3]` are
    results; `result["stdout"]`, or `result.stdout`, are members of their metadata.

    Args:
        client (Client): its client.
        children (list): the requests.
        fname (str): what was called.
        targets (list): the engines that were asked.
        return_exceptions (bool): True gives exceptions instead of raising them.
        owner (bool): whether the client forgets the results after they were fetched.
    Example:
        >>> result = view.apply_async(lambda: print("hello"))
        >>> result.get()
        [None, None, None, None]
        >>> result.stdout[0]
        'hello\\n'
    """

    _unset = object()

    def __init__(self, client, children, fname="unknown", targets=None, return_exceptions=False, owner=True):
        self.client = client
        self.owner = owner  # the client forgets the result after it was fetched
        self.single = not isinstance(children, list)
        self.children = [children] if self.single else children
        self.fname = fname
        self.targets = targets
        self.return_exceptions = return_exceptions
        self._values = None
        self._known = {}  # values that were read before all had come, by future
        self._outcome = self._unset
        self.streamer = None
        self.results_shown = False  # by stream_output(), and not by display_outputs() since
        self._callbacks = []  # not called yet, or being called

    # What concurrent.futures.wait() and as_completed() look at, each with the condition locked

    def __getattr__(self, name):
        if name in ("_condition", "_waiters"):
            with _futures_lock:
                if "_condition" not in self.__dict__:
                    self.__dict__.update(_condition=threading.Condition(), _waiters=[])
                    self.add_done_callback(AsyncResult._tell_waiters)
            return self.__dict__[name]
        if name not in METADATA_KEYS:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return self[name]

    @property
    def _state(self):
        if not self.ready():
            return "RUNNING"
        return "CANCELLED_AND_NOTIFIED" if self.cancelled() else "FINISHED"

    def _tell_waiters(self):
        with self._condition:
            for waiter in self._waiters:
                if self.cancelled():
                    waiter.add_cancelled(self)
                elif self.exception() is None:
                    waiter.add_result(self)
                else:
                    waiter.add_exception(self)

    def _is_a_promise_elsewhere(self, *_):
        raise RuntimeError("an AsyncResult cannot be set: its result comes from the engines")

    set_result = set_exception = set_running_or_notify_cancel = _is_a_promise_elsewhere

    # Waiting

    @property
    def msg_ids(self):
        """The msg_ids of the requests, a list.

        Example:
            >>> len(view.apply_async(abs, -1).msg_ids)
            4
        """
        return [child.msg_id for child in self.children]

    def __len__(self):
        return len(self.children)

    def __repr__(self):
        state = ":finished" if self.ready() else ""
        return f"<{type(self).__name__}: {self.fname}{state}>"

    def _repr_html_(self):
        count = self.progress
        running = count < len(self)
        words = [
            "running" if running else "finished",
            f"{count} of {len(self)} results",
            *([f"{self.elapsed:.1f} s"] if self.children else []),
        ]
        more = f"<progress max='{len(self)}' value='{count}'></progress>" if running else ""
        return card(type(self).__name__, f"{self.fname}: {', '.join(words)}", more=more)

    def ready(self):
        """Whether all results are there.

        Returns:
            bool: True if so.
        Example:
            >>> result = view.apply_async(abs, -1)
            >>> result.wait()
            True
            >>> result.ready()
            True
        """
        return self._values is not None or _client.count_ready(self.children) == len(self.children)

    done = ready

    def running(self):
        """Whether results are missing.

        Returns:
            bool: True if so.
        Example:
            >>> result = view.apply_async(abs, -1)
            >>> result.wait()
            True
            >>> result.running()
            False
        """
        return not self.ready()

    def cancelled(self):
        """Whether this was stopped before any of it ran, by `cancel()` or `abort()`.

        Returns:
            bool: True if so.
        Example:
            >>> view.apply_async(abs, -1).cancelled()
            False
        """
        aborted = bool(self.children) and self.ready()
        return aborted and all(child.status == _client.ABORTED for child in self.children)

    def cancel(self):
        """Stops what has not begun, in the scheduler and on engines. Whoever waits for it then gets a CancelledError. What runs goes on, and
        what has ended stays as it is.

        In asyncio's event loop, for example in a coroutine, it does not wait: what can be stopped will be stopped.

        Returns:
            bool: whether nothing of it has run or will run, as cancelled() says. In an event loop: as far as that is known already.
        Example:
            >>> import time
            >>> first, second = c[0].apply_async(time.sleep, 0.5), c[0].apply_async(abs, -1)
            >>> second.cancel()
            True
        """
        if not self.ready():
            if asyncio._get_running_loop() is not None:
                self.client.requests.abort_later.add(self.children)
            else:
                with suppress(errors.ConnectError):  # of a connection that ends, and nothing is open any more
                    abort(self.client.connection, self.children)
        return self.cancelled()

    def split(self):
        """An AsyncResult for each request; `join()` is the inverse.

        Returns:
            tuple: of AsyncResults.
        Example:
            >>> [part.get() for part in view.apply_async(abs, -1).split()]
            [1, 1, 1, 1]
        """
        if len(self) == 1:
            return (self,)
        targets = [None] * len(self) if self.targets is None else self.targets
        flat = not isinstance(self, AsyncMapResult)
        return tuple(
            AsyncResult(self.client, child if flat else [child], self.fname, [target], self.return_exceptions)
            for child, target in zip(self.children, targets)
        )

    @classmethod
    def join(cls, *results):
        """One AsyncResult for the requests of several.

        Args:
            results (AsyncResult): any number of them.
        Returns:
            AsyncResult: of all.
        Raises:
            ValueError: none is given.
        Example:
            >>> ipcluster.AsyncResult.join(c[0].apply_async(abs, -1), c[1].apply_async(abs, -2)).get()
            [1, 2]
        """
        if not results:
            raise ValueError("join() needs results")
        if len(results) == 1:
            return results[0]
        first = results[0]
        children = [child for result in results for child in result.children]
        targets = [target for result in results for target in (result.targets or [None] * len(result))]
        return AsyncResult(first.client, children, first.fname, targets, first.return_exceptions)

    def _wait_for_some(self, timeout, return_when):
        """As concurrent.futures.wait(): the AsyncResults that have finished, and those that have not, of split()."""
        if return_when not in (ALL_COMPLETED, FIRST_COMPLETED, FIRST_EXCEPTION):
            raise ValueError(f"return_when is ALL_COMPLETED, FIRST_COMPLETED or FIRST_EXCEPTION, not {return_when!r}")
        parts = self.split()
        completions = _client.Completions()
        for part in parts:
            completions.watch(part.children[0], part)
        deadline = None if timeout is None or timeout < 0 else time.monotonic() + timeout
        done = set()
        while len(done) < len(parts):
            try:
                part = completions.get(None if deadline is None else max(deadline - time.monotonic(), 0))
            except TimeoutError:
                break
            done.add(part)
            if return_when == FIRST_COMPLETED or (return_when == FIRST_EXCEPTION and not part.successful()):
                break
        return done, set(parts) - done

    def wait(self, timeout=-1, return_when=None):
        """Waits until all results are there.

        Args:
            timeout (float): seconds; a negative number or None is no limit.
            return_when (str): as for concurrent.futures.wait(): ALL_COMPLETED, FIRST_COMPLETED or FIRST_EXCEPTION.
        Returns:
            bool: whether they are; with `return_when` two sets of AsyncResults instead: those that have finished, and the others.
        Example:
            >>> view.apply_async(abs, -1).wait(60)
            True
        """
        if return_when is not None:
            return self._wait_for_some(timeout, return_when)
        if self._values is not None:
            return True
        if self.streamer is None:
            return _client.wait_all(self.children, timeout)
        return self._stream_until(self.ready, timeout)

    def wait_for_send(self, timeout=-1):
        """Returns at once: memory is kept until it is sent, so there is nothing to wait for.

        Args:
            timeout (float): accepted, and not used.
        Returns:
            bool: True.
        Example:
            >>> view.apply_async(abs, -1).wait_for_send()
            True
        """
        return True

    sent = True

    # Results

    def _resolve(self):
        if self._values is None:
            known, fname = self._known, self.fname
            self._values = [known[child] if child in known else value_of(child, fname) for child in self.children]
            self._known = {}
            if self.owner:
                self.client.requests.forget(self.children)
        return self._values

    def _value(self, child):
        """A child's value or Failure, which is the same object each time."""
        known = self._known  # another thread may get the result meanwhile
        if child not in known:
            known[child] = value_of(child, self.fname)
            if self.owner:
                self.client.requests.forget([child])
        return known[child]

    def _reconstruct(self, values):
        """What get() returns, of the requests' values and Failures."""
        values = [error_or_value(value) for value in values]
        return values[0] if self.single else values

    def _settle(self):
        """(result, None) or (None, exception), when everything is there."""
        if self._outcome is self._unset:
            failures = [value.error for value in self._resolve() if isinstance(value, Failure)]
            if failures and self.single:
                self._outcome = None, failures[0]
            elif failures and not self.return_exceptions:
                self._outcome = None, errors.combined(failures, self.fname)
            else:
                try:
                    self._outcome = self._reconstruct(self._values), None
                except Exception as error:  # of parts that cannot be joined
                    self._outcome = None, error
        return self._outcome

    def get(self, timeout=None, return_exceptions=None, return_when=None):
        """The result.

        Args:
            timeout (float): seconds to wait; None or a negative number is no limit.
            return_exceptions (bool): True gives exceptions instead of raising them.
            return_when (str): FIRST_EXCEPTION raises the first error that comes.
        Returns:
            What the function returned; for several engines, a list.
        Raises:
            TimeoutError: it is not there in time.
            RemoteError: the function raised (CompositeError of several engines).
            EngineError: the engine died.
            TaskAborted: it was stopped before it ran.
        Example:
            >>> view.apply_async(abs, -1).get(timeout=60)
            [1, 1, 1, 1]
        """
        if return_when == FIRST_EXCEPTION and not self.ready():
            done, others = self._wait_for_some(timeout, return_when)
            failed = [part for part in done if not part.successful()]
            if failed and others:
                return failed[0].get(return_exceptions=return_exceptions)
        if not self.wait(timeout):
            raise TimeoutError(f"{self.fname}: the result is not ready")
        result, error = self._settle()
        if error is None:
            return result
        if self.return_exceptions if return_exceptions is None else return_exceptions:
            return self._reconstruct(self._values)
        raise error

    result = get

    @property
    def r(self):
        """The result: `get()`.

        Example:
            >>> c[0].apply_async(abs, -1).r
            1
        """
        return self.get()

    def exception(self, timeout=None):
        """The error.

        Args:
            timeout (float): seconds to wait; None is no limit.
        Returns:
            Exception: or None if it succeeded.
        Raises:
            TimeoutError: it is not there in time.
            TaskAborted: it was stopped before it ran.
        Example:
            >>> c[0].apply_async(divmod, 1, 0).exception()
            <Remote[0]:ZeroDivisionError(integer division or modulo by zero)>
        """
        if not self.wait(timeout):
            raise TimeoutError(f"{self.fname}: the result is not ready")
        error = self._settle()[1]
        if self.cancelled():
            raise error
        return error

    def successful(self):
        """Whether no engine raised.

        Returns:
            bool: True if so.
        Raises:
            AssertionError: it is not ready.
        Example:
            >>> result = c[0].apply_async(divmod, 1, 0)
            >>> result.wait()
            True
            >>> result.successful()
            False
        """
        if not self.ready():
            raise AssertionError("the result is not ready")
        return self._settle()[1] is None

    def get_dict(self, timeout=-1):
        """The results by engine id.

        Args:
            timeout (float): seconds; a negative number is no limit.
        Returns:
            dict: ids and results.
        Raises:
            ValueError: several of these ran on one engine.
            TimeoutError: they are not there in time.
        Example:
            >>> view.apply_async(abs, -1).get_dict()
            {0: 1, 1: 1, 2: 1, 3: 1}
        """
        results = self.get(timeout)
        results = [results] if self.single else results
        by_engine = {}
        for child, result in zip(self.children, results):
            if child.engine_id in by_engine:
                raise ValueError(f"several of these ran on engine {child.engine_id}: a dict has one result of each")
            by_engine[child.engine_id] = result
        return by_engine

    @property
    def result_dict(self):
        """The results by engine id: `get_dict()`.

        Example:
            >>> c[:2].apply_async(abs, -1).result_dict
            {0: 1, 1: 1}
        """
        return self.get_dict()

    def __iter__(self):
        if self.single:
            raise TypeError("a single result is not iterable: use get()")
        for index, child in enumerate(self.children):
            child.wait()
            yield self._checked(self._value_at(index))

    def _value_at(self, index):
        return self._value(self.children[index]) if self._values is None else self._values[index]

    def _checked(self, value):
        if isinstance(value, Failure) and not self.return_exceptions:
            raise value.error
        return error_or_value(value)

    def abort(self):
        """Stops what has not begun.

        Returns:
            list: the msg_ids of what will not run.
        Raises:
            AssertionError: it has finished.
        Example:
            >>> import time
            >>> first, second = c[0].apply_async(time.sleep, 0.5), c[0].apply_async(abs, -1)
            >>> second.abort() == second.msg_ids
            True
        """
        if self.ready():
            raise AssertionError("this has finished and cannot be aborted")
        return abort(self.client.connection, self.children)

    # As a future

    def add_done_callback(self, fn):
        """Calls a function when all results are there, in a thread of the client; at once if they are there already. Callbacks are called in the
        order in which they were added. An exception in a callback is logged.

        Args:
            fn (callable): it is called with this AsyncResult.
        Example:
            >>> done = []
            >>> result = c[0].apply_async(abs, -1)
            >>> result.wait()
            True
            >>> result.add_done_callback(done.append)
            >>> done == [result]
            True
        """
        with _callbacks_lock:
            begins, waits = not self._callbacks, bool(self._callbacks) or not self.ready()
            if waits:
                self._callbacks.append(fn)
        if not waits:
            self._call(fn, Exception)
        elif begins:
            self.client.requests.dispatcher.add(Waiting(self.ready, self._last_open, self._run_callbacks))

    def _run_callbacks(self):
        """In the client's thread of callbacks. Callbacks that are added meanwhile wait for this thread, too."""
        while self._callbacks:
            fn = self._callbacks[0]  # kept here: it must not be destroyed while the lock is held
            self._call(fn, BaseException)
            with _callbacks_lock:
                del self._callbacks[0]

    def _call(self, fn, caught):
        try:
            fn(self)
        except caught:
            logging.getLogger("concurrent.futures").exception("exception calling callback for %r", self)

    def _last_open(self):
        """The last child that has not resolved; any child if all have."""
        for child in reversed(self.children):
            if not child.ready():
                return child
        return self.children[0]

    def __await__(self):
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def tell(_):
            with suppress(RuntimeError):  # the loop was closed: nobody waits any more
                loop.call_soon_threadsafe(lambda: done.done() or done.set_result(None))

        self.add_done_callback(tell)
        yield from done
        return self.get()


class AsyncHubResult(AsyncResult):
    """Results that are fetched from the hub: of other clients' requests, and of own requests that were forgotten here. `get_result()` makes it.

    Example:
        >>> msg_ids = view.map_async(abs, [-1, -2, -3, -4]).msg_ids
        >>> c.wait()
        True
        >>> with ipcluster.Client() as other:
        ...     other.get_result(msg_ids).get()
        [[1], [2], [3], [4]]
    """


class AsyncMapResult(AsyncResult):
    """The results of a map: one list, made of the parts that were sent out. `map_async()` makes it. It can be iterated over while parts are
    still coming: in order, or with ordered=False as they come.

    Args:
        client (Client): its client.
        children (list): the requests.
        mapping: how parts are put together.
        fname (str): what was called.
        ordered (bool): whether results are given in order.
        return_exceptions (bool): True gives exceptions instead of raising them.
        targets (list): the engines that were asked.
    Example:
        >>> sorted(balanced.map_async(abs, [-3, -2, -1], ordered=False))
        [1, 2, 3]
    """

    def __init__(self, client, children, mapping, fname="map", ordered=True, return_exceptions=False, targets=None):
        super().__init__(client, children, fname, targets, return_exceptions)
        self._mapping = mapping
        self.ordered = ordered

    def _reconstruct(self, values):
        if any(isinstance(value, Failure) for value in values):
            flat = []
            for value in values:
                flat.extend([value.error] if isinstance(value, Failure) else self._mapping.members(value))
            return flat
        return self._mapping.join(values)

    def __iter__(self):
        if self.ordered and not self._mapping.in_order:
            yield from self._mapping.members(self.get())
            return
        if self.ready():
            self.get()  # raises all errors in one
        for index in self._as_they_come():
            yield from self._mapping.members(self._checked(self._value_at(index)))

    def _as_they_come(self):
        """The indices of the requests, each when it was answered."""
        completions = _client.Completions()
        for index, child in enumerate(self.children):
            if self.ordered:
                child.wait()
                yield index
            else:
                completions.watch(child, index)
        while len(completions):
            yield completions.get()
