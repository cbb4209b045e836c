"""Views: what direct and load-balanced ones have in common."""

import copy
import json
from contextlib import contextmanager

from ipcluster import canning
from ipcluster.canned import Reference
from ipcluster.canning import PrePickled
from ipcluster.history import History
from ipcluster.imap import imap
from ipcluster.remotefunction import parallel, remote
from ipcluster.shown import card


def check_callable(f):
    if not callable(f) and not isinstance(f, (Reference, PrePickled)):
        raise TypeError(f"a function is expected, not {type(f)}")


class View:
    """What direct and load-balanced views have in common."""

    balanced = False  # whether the scheduler chooses the engines
    channel = None  # how its requests travel: _client.DIRECT, TASK or BROADCAST
    _flag_names = ("targets", "block", "track", "label", "time_limit")

    def __init__(self, client, targets, **flags):
        self.client = client
        self.label = None  # goes into each request's metadata, and into the hub's records
        self.time_limit = (
            None  # seconds that a request may run: then it is interrupted, and if that does not help its engine ends
        )
        self.targets = targets
        self.block = client.block
        self.track = False  # memory is kept until it is sent: nothing needs tracking
        self.history = History()
        self.set_flags(**flags)

    def _summary(self):
        text = str(self.targets)
        targets = text if len(text) <= 16 else text[:12] + "...]"
        named = (
            [self.targets]
            if isinstance(self.targets, int)
            else self.targets
            if isinstance(self.targets, list)
            else None
        )
        try:
            return f"{targets}: {self.client.engines.summary(named)}"
        except ConnectionError:  # the client is closed
            return targets

    def __repr__(self):
        return f"<{type(self).__name__} {self._summary()}>"

    def _repr_html_(self):
        return card(type(self).__name__, self._summary())

    def __len__(self):
        if isinstance(self.targets, list):
            return len(self.targets)
        return 1 if isinstance(self.targets, int) else len(self.client)

    def set_flags(self, **flags):
        """Sets flags of the view. They are attributes, too.

        Args:
            flags: `targets`, `block` (calls return results), `track` (accepted), `label` (a text for the hub's records), `time_limit` (seconds that
                a request may run); of a load-balanced view also `after`, `follow`, `timeout` and `retries`.
        Raises:
            KeyError: there is no such flag.
            ValueError: the flag cannot have this value.
        Example:
            >>> view.set_flags(time_limit=60, label="mine")
        """
        for name, value in flags.items():
            if name not in self._flag_names:
                raise KeyError(f"a {type(self).__name__} has no flag {name!r}, only {', '.join(self._flag_names)}")
            self._check_flag(name, value)
            setattr(self, name, value)

    def _check_flag(self, name, value):
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if name == "time_limit" and value is not None and not (number and 0 < value <= 1e9):
            raise ValueError(f"a time limit is a number of seconds above 0, not {value!r}")

    def _metadata_of_flags(self):
        flags = {"label": self.label, "time_limit": self.time_limit}
        return {name: value for name, value in flags.items() if value is not None}

    def metadata(self):
        """What goes with each request of this view, for the controller and the engine.

        Returns:
            str: JSON; None if a direct view has nothing to say.
        Example:
            >>> view.with_flags(label="mine", time_limit=None).metadata()
            '{"label": "mine"}'
        """
        metadata = self._metadata_of_flags()
        return json.dumps(metadata) if metadata else None

    def with_flags(self, **flags):
        """This view with other flags, for one call. The view itself keeps its flags: other threads may use it at the same time.

        Args:
            flags: as for `set_flags()`.
        Returns:
            The other view, which has the history of this one.
        Raises:
            KeyError, ValueError: as `set_flags()`.
        Example:
            >>> view.with_flags(block=True).apply(abs, -1)
            [1, 1, 1, 1]
        """
        other = copy.copy(self)
        other.set_flags(**flags)
        return other

    def _labelled(self, label):
        return self if label is None else self.with_flags(label=label)

    @contextmanager
    def temp_flags(self, **flags):
        """Context manager: flags that are set only inside, for every thread that uses this view.

        Args:
            flags: as for `set_flags()`.
        Example:
            >>> with view.temp_flags(block=True):
            ...     view.apply(abs, -1)
            [1, 1, 1, 1]
        """
        saved = {name: getattr(self, name) for name in self._flag_names}
        self.set_flags(**flags)
        try:
            yield
        finally:
            for name, value in saved.items():
                setattr(self, name, value)

    def _block(self, block):
        return self.block if block is None else block

    def _finish(self, result, block):
        """Every call ends here: with the result, or with the AsyncResult that will have it."""
        self.history.note(result.msg_ids)
        return result.get() if self._block(block) else result

    @property
    def outstanding(self):
        """The msg_ids of this view's requests that have not been answered, a set.

        Example:
            >>> view.wait()
            True
            >>> view.outstanding
            set()
        """
        return self.client.outstanding.intersection(self.history)

    @property
    def results(self):
        """The results that have come and were not fetched, a dict by msg_id; errors are exceptions in it.

        Example:
            >>> result = view.apply_async(abs, -1)
            >>> view.wait()
            True
            >>> [view.results[msg_id] for msg_id in result.msg_ids]
            [1, 1, 1, 1]
        """
        results = self.client.results
        return {msg_id: results[msg_id] for msg_id in set(self.history).intersection(results)}

    # Calls

    def apply(self, f, /, *args, **kwargs):
        """Calls a function on the engines.

        Args:
            f (callable): the function. Its code is sent, and its globals are the engine's namespace.
            args: its positional arguments.
            kwargs: its keyword arguments.
        Returns:
            The result if this view blocks (a list of them if it has several engines); otherwise an AsyncResult.
        Raises:
            RemoteError: the function raised (CompositeError of several engines); raised here if this view blocks, otherwise by the AsyncResult.
            EngineError: the engine died.
        Example:
            >>> view.apply(divmod, 7, 2).get()
            [(3, 1), (3, 1), (3, 1), (3, 1)]
        """
        return self._apply(f, args, kwargs)

    def apply_async(self, f, /, *args, **kwargs):
        """`apply()` that does not block.

        Args:
            f (callable): as for `apply()`.
            args: its positional arguments.
            kwargs: its keyword arguments.
        Returns:
            AsyncResult: what will have the result.
        Example:
            >>> view.apply_async(abs, -1).get()
            [1, 1, 1, 1]
        """
        return self._apply(f, args, kwargs, block=False)

    def apply_sync(self, f, /, *args, **kwargs):
        """`apply()` that blocks.

        Args:
            f (callable): as for `apply()`.
            args: its positional arguments.
            kwargs: its keyword arguments.
        Returns:
            The result; a list of them if the view has several engines.
        Raises:
            RemoteError: the function raised (CompositeError of several engines).
        Example:
            >>> balanced.apply_sync(abs, -1)
            1
        """
        return self._apply(f, args, kwargs, block=True)

    def map_async(self, f, *sequences, **options):
        """`map()` that does not block.

        Args:
            f (callable): as for `map()`.
            sequences: the sequences.
            options: further arguments of `map()`.
        Returns:
            AsyncMapResult: what will have the list.
        Example:
            >>> list(view.map_async(abs, [-1, -2, -3]))
            [1, 2, 3]
        """
        return self._map_with(False, f, sequences, options)

    def map_sync(self, f, *sequences, **options):
        """`map()` that blocks.

        Args:
            f (callable): as for `map()`.
            sequences: the sequences.
            options: further arguments of `map()`.
        Returns:
            list: the results.
        Raises:
            RemoteError: the function raised (CompositeError of several engines).
        Example:
            >>> view.map_sync(pow, [2, 3], [3, 2])
            [8, 9]
        """
        return self._map_with(True, f, sequences, options)

    def _map_with(self, block, f, sequences, options):
        if "block" in options:
            raise TypeError("map_sync and map_async take no block=: map_sync blocks, map_async does not")
        return self.map(f, *sequences, block=block, **options)

    def imap(
        self, f, *sequences, ordered=True, max_outstanding="auto", chunksize=None, return_exceptions=False, label=None
    ):
        """`map()` for results one by one, and for sequences that may be endless. A thread reads the sequences and sends tasks.

        Args:
            f (callable): the function.
            sequences: iterables; the shortest ends it.
            ordered (bool): False gives results as tasks finish.
            max_outstanding (int or "auto"): how many tasks may be out, or have results that were not taken; 0: any number; "auto": ten for each
                engine.
            chunksize (int): members of the sequences in a task; by default one, and on a direct view more if their lengths are known.
            return_exceptions (bool): True gives exceptions instead of raising them.
            label (str): for the hub's records.
        Returns:
            An iterator. It ends with `close()`, or when nobody uses it any more.
        Example:
            >>> import itertools
            >>> squares = balanced.imap(lambda x: x * x, itertools.count())
            >>> next(squares), next(squares), next(squares)
            (0, 1, 4)
            >>> squares.close()
        """
        # Its thread goes on after this call, with the present flags.
        view = self._labelled(label).with_flags()
        return imap(view, view._submitter, f, sequences, ordered, max_outstanding, chunksize, return_exceptions)

    def remote(self, block=None, **flags):
        """Decorator: the function runs on this view's engines when it is called.

        Args:
            block (bool): whether calls return results; by default as the view's `block` says.
            flags: flags of the view for its calls, as for `set_flags()`.
        Returns:
            A decorator that makes a RemoteFunction.
        Example:
            >>> @view.remote(block=True)
            ... def double(x):
            ...     return 2 * x
            >>> double(3)
            [6, 6, 6, 6]
        """
        return remote(self, block=self._block(block), **flags)

    def parallel(self, dist="b", block=None, **flags):
        """Decorator: the function is called with parts of its arguments, one part for each engine.

        Args:
            dist (str): how members are dealt out: "b" in blocks, "r" one by one in turn.
            block (bool): whether calls return results; by default as the view's `block` says.
            flags: flags of the view for its calls, as for `set_flags()`.
        Returns:
            A decorator that makes a ParallelFunction.
        Example:
            >>> @view.parallel(block=True)
            ... def doubles(numbers):
            ...     return [2 * number for number in numbers]
            >>> doubles(range(6))
            [0, 2, 4, 6, 8, 10]
        """
        return parallel(self, dist=dist, block=self._block(block), **flags)

    # Jobs

    def spin(self):
        """Does nothing, as results come by themselves.

        Example:
            >>> view.spin()
        """

    @property
    def executor(self):
        """This view as a concurrent.futures.Executor, a ViewExecutor.

        Example:
            >>> list(balanced.executor.map(abs, [-1, -2]))
            [1, 2]
        """
        from ipcluster.executor import ViewExecutor

        return ViewExecutor(self)

    def _switch_pickle(self, name):
        getattr(canning, name)()
        return self.apply(canning.switch_there(name))

    def use_dill(self):
        """From now on this client and this view's engines send functions and objects with dill, which can send closures, methods and lambdas.

        Returns:
            AsyncResult: of the switch on the engines; a list of None if this view blocks.
        Raises:
            ImportError: dill is missing, here or there.
        Example:
            >>> result = view.use_dill()
            >>> result = view.use_pickle()
        """
        return self._switch_pickle("use_dill")

    def use_cloudpickle(self):
        """The same as `use_dill()` with cloudpickle.

        Returns:
            AsyncResult: as there.
        Raises:
            ImportError: cloudpickle is missing, here or there.
        Example:
            >>> result = view.use_cloudpickle()
            >>> result = view.use_pickle()
        """
        return self._switch_pickle("use_cloudpickle")

    def use_pickle(self):
        """Ends `use_dill()` or `use_cloudpickle()`.

        Returns:
            AsyncResult: as there.
        Example:
            >>> result = view.use_pickle()
        """
        return self._switch_pickle("use_pickle")

    def _targets_or_own(self, targets):
        return self.targets if targets is None else targets

    def wait(self, jobs=None, timeout=-1):
        """Waits for jobs.

        Args:
            jobs (AsyncResult, str, int or a list of them): as for the client's `wait()`; by default this view's open ones.
            timeout (float): seconds; a negative number is no limit.
        Returns:
            bool: whether they have finished.
        Example:
            >>> view.wait(view.apply_async(abs, -1), timeout=60)
            True
        """
        return self.client.wait(list(self.outstanding) if jobs is None else jobs, timeout)

    def get_result(self, indices_or_msg_ids=None, block=None, owner=False):
        """An AsyncResult for earlier requests.

        Args:
            indices_or_msg_ids (int, str or a list of them): indices of this view's history, or msg_ids; by default the newest request.
            block (bool): whether to wait for it.
            owner (bool): True makes the client forget the results after they were fetched.
        Returns:
            AsyncResult: the result.
        Example:
            >>> result = c[0].apply_async(abs, -1)
            >>> view.get_result(result.msg_ids[0]).get()
            1
        """
        jobs = -1 if indices_or_msg_ids is None else indices_or_msg_ids
        if isinstance(jobs, int):
            jobs = self.history[jobs]
        elif not isinstance(jobs, str):
            jobs = [self.history[job] if isinstance(job, int) else job for job in jobs]
        return self.client.get_result(jobs, self._block(block), owner)

    def abort(self, jobs=None, targets=None, block=None):
        """Stops jobs that have not begun.

        Args:
            jobs (AsyncResult, str, int or a list of them): by default this view's open ones.
            targets (int or list): engines: of the jobs that were sent to engines, only theirs.
            block (bool): whether to wait for the answer.
        Returns:
            list: the msg_ids of what will not run; without `block` a Future of it.
        Example:
            >>> view.abort(block=True)
            []
        """
        jobs = list(self.outstanding) if jobs is None else jobs
        return self.client.abort(jobs, targets, self._block(block))

    def queue_status(self, targets=None, verbose=False):
        """What this view's engines have to do: the client's `queue_status()`.

        Args:
            targets (int, list or "all"): other engines than this view's.
            verbose (bool): True gives the msg_ids instead of their numbers.
        Returns:
            dict: as there.
        Example:
            >>> view.queue_status()[0]["queue"]
            0
        """
        return self.client.queue_status(self._targets_or_own(targets), verbose)

    def purge_results(self, jobs=(), targets=()):
        """Forgets results: the client's `purge_results()`.

        Args:
            jobs (AsyncResult, str, int, a list of them or "all"): as there.
            targets (int, list or "all"): engines; "all" means this view's.
        Raises:
            RuntimeError: one of them has not been answered.
        Example:
            >>> view.purge_results("all")
        """
        return self.client.purge_results(jobs, self.targets if targets == "all" else targets)

    def shutdown(self, targets=None, restart=False, hub=False, block=None):
        """Ends engines: the client's `shutdown()`.

        Args:
            targets (int, list or "all"): other engines than this view's.
            restart (bool): refused.
            hub (bool): True ends all engines, and the controller.
            block (bool): whether to wait for their answers.
        Returns:
            AsyncResult: or None if it waits.
        Raises:
            NotImplementedError: restart=True.
        Example:
            >>> client[2].shutdown(block=True)
        """
        return self.client.shutdown(self._targets_or_own(targets), restart, hub, self._block(block))
