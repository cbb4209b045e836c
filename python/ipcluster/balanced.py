"""The load-balanced view: tasks that the scheduler gives to engines."""

import json

from ipcluster import _client
from ipcluster.asyncresult import AsyncResult
from ipcluster.canning import pack_apply
from ipcluster.remotefunction import ParallelFunction, name_of
from ipcluster.view import View, check_callable


class LoadBalancedView(View):
    """Tasks that the controller's scheduler gives to engines. A client makes it: `c.load_balanced_view()`.

    Args:
        client (Client): its client.
        targets (list): ids of the engines that tasks may run on; by default all.
        flags: as for `set_flags()`. `after`: tasks run when these (AsyncResults, msg_ids or a Dependency) have ended; `follow`: the same, on the
            engines where these ran; `timeout`: seconds that a task may wait for that, and for an engine; `retries`: how often a task that fails
            is run again.
    Example:
        >>> first = balanced.apply_async(abs, -1)
        >>> with balanced.temp_flags(after=first, retries=3):
        ...     balanced.apply_sync(abs, -2)
        2
    """

    balanced = True
    channel = _client.TASK
    _flag_names = ("targets", "block", "track", "follow", "after", "timeout", "retries", "label", "time_limit")

    def __init__(self, client, targets=None, **flags):
        self.follow = None
        self.after = None
        self.timeout = 0.0
        self.retries = 0
        self._made = (None, None)
        super().__init__(client, targets, **flags)

    def _check_flag(self, name, value):
        super()._check_flag(name, value)
        if name in ("after", "follow") and value is not None:
            self._render(value)
        elif name == "timeout" and value is not None and (not isinstance(value, (int, float)) or value < 0):
            raise ValueError(f"a time-out is a number of seconds, not {value!r}")
        elif name == "retries" and not isinstance(value, int):
            raise TypeError(f"retries is an int, not {type(value)}")

    def _render(self, dependency):
        from ipcluster.dependency import render

        try:
            return render(dependency)
        except TypeError as error:
            raise ValueError(f"not a dependency: {error}") from None

    def metadata(self):
        # Without dependencies and targets it is made again only when a flag has changed.
        key = (
            tuple(self.targets) if isinstance(self.targets, (list, tuple)) else self.targets,
            id(self.after), id(self.follow), self.timeout, self.retries, self.label, self.time_limit,
        )  # fmt: skip
        simple = self.after is None and self.follow is None and self.targets is None
        known, text = self._made
        if simple and known == key:
            return text
        uuids = {} if self.targets is None else dict(self.client.connection.engines())
        targets = [] if self.targets is None else self.client.requests.targets_of(self.targets)
        text = json.dumps({
            "after": self._render(self.after), "follow": self._render(self.follow), "timeout": self.timeout or 0.0,
            "targets": [uuids[target] for target in targets], "retries": self.retries,
            **self._metadata_of_flags(),
        })  # fmt: skip
        self._made = (key, text)
        return text

    def _apply(self, f, args=(), kwargs=None, block=None):
        check_callable(f)
        return self._finish(self._submit_task(name_of(f), pack_apply(f, args, kwargs or {})), block)

    def _submit_task(self, fname, buffers):
        future = self.client.requests.submit(self.channel, -1, "apply_request", None, self.metadata(), buffers)
        return AsyncResult(self.client, future, fname)

    def register_joblib_backend(self, name="ipyparallel", make_default=False):
        """Makes this view a backend of joblib: `joblib.parallel_backend(name)`.

        Args:
            name (str): the backend's name.
            make_default (bool): whether joblib uses it when no other backend is named.
        Raises:
            ImportError: joblib is missing.
        Example:
            >>> import joblib
            >>> balanced.register_joblib_backend("engines")
            >>> with joblib.parallel_backend("engines"):
            ...     joblib.Parallel()(joblib.delayed(abs)(x) for x in (-1, -2))
            [1, 2]
        """
        from ipcluster.executor import register_joblib_backend

        register_joblib_backend(name, make_default, view=self)

    def map(self, f, *sequences, block=None, chunksize=1, ordered=True, return_exceptions=False, label=None):
        """Calls a function with each member of sequences, as the builtin `map` does.

        Args:
            f (callable): the function.
            sequences: iterables; the shortest ends it.
            block (bool): whether to wait.
            chunksize (int): members in a task.
            ordered (bool): False makes an AsyncMapResult give results in the order in which they come.
            return_exceptions (bool): True puts exceptions into the list instead of raising them.
            label (str): for the hub's records.
        Returns:
            list: if this blocks; otherwise an AsyncMapResult.
        Raises:
            RemoteError: the function raised (CompositeError of several tasks).
        Example:
            >>> balanced.map(lambda x: x ** 2, range(5), chunksize=2, block=True)
            [0, 1, 4, 9, 16]
        """
        function = ParallelFunction(
            self._labelled(label),
            f,
            block=self._block(block),
            chunksize=chunksize,
            ordered=ordered,
            return_exceptions=return_exceptions,
        )
        return function.map(*sequences)

    def _submitter(self):
        return lambda f, args: self._apply(f, args, block=False)
