"""Errors, here and on the engines, under the names that ipyparallel gave them."""

import builtins
from concurrent.futures import CancelledError

TimeoutError = builtins.TimeoutError
# The controller cannot be reached, or the client is closed: the text says which file or address, and what to do.
ConnectError = builtins.ConnectionError


def _restore(cls, args):
    error = cls.__new__(cls)
    error.args = args
    return error


class ClusterError(Exception):
    """The base of all errors of this package. All can be pickled and copied with their attributes, whatever their constructor takes."""

    def __reduce__(self):
        return _restore, (type(self), self.args), self.__dict__


IPythonError = ClusterError  # ipyparallel's name


class KernelError(ClusterError):
    """The base of errors that requests end with."""


class NoEnginesRegistered(KernelError):
    """There is no engine that can do what is asked."""

    def __str__(self):
        return (
            "no engines are registered: start some (ipcluster engines --n=4), or wait with client.wait_for_engines(n)"
        )


class TaskAborted(KernelError, CancelledError):
    """The task was aborted, or cancelled, before it ran; `args[0]` is its msg_id. If nobody asked for it, `args[1]` says why."""

    def __str__(self):
        return ": ".join(map(str, self.args))


class TaskTimeout(KernelError):
    """A task has waited longer than its `timeout`, or a request has run longer than its `time_limit`."""


class UnmetDependency(KernelError):
    """Raised on an engine: this task should run on another."""


TaskRejectError = UnmetDependency  # an older name of ipyparallel's


class ImpossibleDependency(UnmetDependency):
    """A task can never run: a task that it depends on has ended in another way, or will never end."""


class DependencyTimeout(ImpossibleDependency):
    """A task has waited too long for the tasks that it depends on."""


class InvalidDependency(ImpossibleDependency):
    """A task depends on one that the controller does not know."""


class VersionError(ClusterError):
    """A function was compiled by another version of Python than the one that should run it."""


class RemoteError(KernelError):
    """An exception that was raised on an engine. Shown, it is the engine's traceback.

    Args:
        ename (str): the name of its class there.
        evalue (str): its text.
        traceback (str): the traceback.
        engine_info (dict): "engine_id", "engine_uuid" and "method".
    Example:
        >>> try:
        ...     c[0].apply_sync(divmod, 1, 0)
        ... except ipcluster.RemoteError as error:
        ...     error.ename, error.evalue, error.engine_id
        ('ZeroDivisionError', 'integer division or modulo by zero', 0)
    """

    def __init__(self, ename, evalue, traceback, engine_info=None):
        super().__init__(ename, evalue)
        self.ename = ename
        self.evalue = evalue
        self.traceback = traceback
        self.engine_info = engine_info or {}

    @property
    def engine_id(self):
        """The id of the engine; None if it is not known.

        Example:
            >>> c[1].apply_async(divmod, 1, 0).exception().engine_id
            1
        """
        return self.engine_info.get("engine_id")

    def __repr__(self):
        engine = self.engine_info.get("engine_id", " ")
        return f"<Remote[{engine}]:{self.ename}({self.evalue})>"

    def __str__(self):
        """What a plain interpreter shows after the local traceback: the engine, the error and the remote traceback."""
        engine = self.engine_info.get("engine_id")
        where = "" if engine is None else f"[engine {engine}] "
        traceback = f"\n{self.traceback}" if self.traceback and self.traceback != self.evalue else ""
        return f"{where}{self.ename}: {self.evalue}{traceback}"

    def render_traceback(self):
        """The remote traceback, with the engine's number above it.

        Returns:
            list: lines.
        Example:
            >>> c[0].apply_async(divmod, 1, 0).exception().render_traceback()[0]
            '[engine 0]'
        """
        engine = self.engine_info.get("engine_id")
        head = [] if engine is None else [f"[engine {engine}]"]
        text = self.traceback or f"{self.ename}: {self.evalue} (no traceback came with it)"
        return head + text.splitlines()

    def _render_traceback_(self):
        """IPython shows this instead of the local traceback."""
        return self.render_traceback()

    def print_traceback(self, excid=None):
        """Prints the remote traceback.

        Args:
            excid (int): for a CompositeError, which error; here it has no effect.
        Example:
            >>> c[0].apply_async(divmod, 1, 0).exception().print_traceback()  # doctest: +ELLIPSIS
            [engine 0]
            ...
        """
        print("\n".join(self.render_traceback()))


class AlreadyDisplayedError(RemoteError):
    """A remote error whose traceback was shown with the output already: now only its name is shown.

    Args:
        original (RemoteError): the error.
    """

    def __init__(self, original):
        super().__init__(original.ename, original.evalue, original.traceback, original.engine_info)
        self.original_error = original

    def render_traceback(self):
        """The error's name instead of its traceback.

        Returns:
            list: one line.
        Example:
            >>> error = c[0].apply_async(divmod, 1, 0).exception()
            >>> ipcluster.AlreadyDisplayedError(error).render_traceback()
            ['ZeroDivisionError: integer division or modulo by zero (shown above)']
        """
        errors = getattr(self.original_error, "elist", None)
        if errors is None:
            return [f"{self.ename}: {self.evalue} (shown above)"]
        return [
            f"{len(errors)} error{'' if len(errors) == 1 else 's'}: {', '.join(sorted({error[0] for error in errors}))} (shown above)"
        ]


class EngineError(RemoteError):
    """The engine died, or is not there; the task did not finish. If it is known how the engine ended, the text says it."""

    def render_traceback(self):
        """The error's sentence, because there is no traceback.

        Returns:
            list: lines.
        Example:
            >>> ipcluster.EngineError("EngineError", "engine 3 is gone", "").render_traceback()
            ['EngineError: engine 3 is gone']
        """
        return super().render_traceback() if self.traceback else [str(self)]


class CompositeError(RemoteError):
    """Errors of several engines.

    `elist` has (ename, evalue, traceback, engine_info) for each error; the first `tb_limit` are shown.

    Args:
        message (str): what was called.
        elist (list): the errors.
    Example:
        >>> error = view.apply_async(divmod, 1, 0).exception()
        >>> error
        CompositeError(4)
        >>> error.elist[0][:2]
        ('ZeroDivisionError', 'integer division or modulo by zero')
    """

    tb_limit = 4

    def __init__(self, message, elist):
        super().__init__("CompositeError", message, "")
        self.msg = message
        self.elist = elist
        self.args = (message, elist)

    def _head(self, engine_info):
        if not engine_info:
            return "[engine unknown]"
        return f"[{engine_info.get('engine_id', '?')}:{engine_info.get('method', '?')}]"

    def _more(self):
        hidden = len(self.elist) - self.tb_limit
        return [f".... {hidden} more exceptions ..."] if hidden > 0 else []

    def __str__(self):
        lines = [str(self.msg)]
        for ename, evalue, _, engine_info in self.elist[: self.tb_limit]:
            lines.append(f"{self._head(engine_info)}: {ename}: {evalue}")
        return "\n".join(lines + self._more())

    def __repr__(self):
        return f"CompositeError({len(self.elist)})"

    def _entry(self, index):
        try:
            return self.elist[index]
        except IndexError:
            raise IndexError(f"there is no exception with index {index}, only {len(self.elist)}") from None

    def _render_one(self, entry):
        ename, evalue, traceback, engine_info = entry
        text = traceback or f"{ename}: {evalue} (no traceback came with it)"
        return [f"{self._head(engine_info)}: "] + text.splitlines()

    def render_traceback(self, excid=None):
        """The tracebacks, each with its engine's number above it.

        Args:
            excid (int): the index of one; by default the first `tb_limit`.
        Returns:
            list: lines.
        Raises:
            IndexError: there is none with this index.
        Example:
            >>> view.apply_async(divmod, 1, 0).exception().render_traceback(2)[0]
            '[2:apply]: '
        """
        if excid is not None:
            return self._render_one(self._entry(excid))
        lines = []
        for entry in self.elist[: self.tb_limit]:
            lines += self._render_one(entry) + [""]
        return lines + self._more()

    def print_traceback(self, excid=None):
        """Prints tracebacks.

        Args:
            excid (int): as for `render_traceback()`.
        Raises:
            IndexError: there is none with this index.
        Example:
            >>> view.apply_async(divmod, 1, 0).exception().print_traceback(2)  # doctest: +ELLIPSIS
            [2:apply]:
            ...
        """
        print("\n".join(self.render_traceback(excid)))

    def raise_exception(self, excid=0):
        """Raises one of the errors.

        Args:
            excid (int): its index.
        Raises:
            RemoteError: the error.
            IndexError: there is none with this index.
        Example:
            >>> error = view.apply_async(divmod, 1, 0).exception()
            >>> try:
            ...     error.raise_exception(2)
            ... except ipcluster.RemoteError as one:
            ...     one.engine_id
            2
        """
        raise RemoteError(*self._entry(excid))


def collect(results, method):
    """Returns `results`, or raises CompositeError with the remote errors in them."""
    failures = [result for result in results if isinstance(result, (RemoteError, TaskAborted))]
    if failures:
        raise combined(failures, method)
    return results


def combined(failures, method):
    """One exception for several: CompositeError with the remote errors, or the first if none is a remote error."""
    remote = [error for error in failures if isinstance(error, RemoteError)]
    if not remote:
        return failures[0]
    elist = []
    for error in remote:
        if isinstance(error, CompositeError):
            elist += error.elist
        else:
            elist.append((error.ename, error.evalue, error.traceback, error.engine_info))
    return CompositeError(f"one or more exceptions from call to method: {method}", elist)


# The errors that the client library itself, or a scheduler, gives for requests that no engine answers.
OF_THE_CLIENT = {"ConnectionError": ConnectError, "ClusterError": ClusterError}

_BY_NAME = {"EngineError": EngineError}


def from_content(content, method=None):
    """The exception that an error reply's content describes."""
    engine_info = dict(content.get("engine_info") or {})
    if method is not None:
        engine_info.setdefault("method", method)
    traceback = content.get("traceback") or []
    if isinstance(traceback, list):
        traceback = "\n".join(traceback)
    cls = _BY_NAME.get(content.get("ename"), RemoteError)
    return cls(content.get("ename", "?"), content.get("evalue", ""), traceback, engine_info)
