"""Views as executors of concurrent.futures, and as a backend of joblib."""

import concurrent.futures
import warnings


class ViewExecutor(concurrent.futures.Executor):
    """A view as a concurrent.futures.Executor. Its end does not end the engines.

    Args:
        view (DirectView or LoadBalancedView): where calls run.
    Example:
        >>> with ipcluster.ViewExecutor(balanced) as executor:
        ...     executor.submit(abs, -1).result()
        1
    """

    def __init__(self, view):
        self.view = view
        self._max_workers = max(len(view), 1)

    def submit(self, fn, /, *args, **kwargs):
        """Calls a function.

        Args:
            fn (callable): the function.
            args: its positional arguments.
            kwargs: its keyword arguments.
        Returns:
            AsyncResult: it is a Future, too.
        Example:
            >>> balanced.executor.submit(pow, 2, 3).result()
            8
        """
        return self.view.apply_async(fn, *args, **kwargs)

    def map(self, fn, *iterables, timeout=None, chunksize=None, **options):
        """An iterator over a function's results, in order: `imap()` of the view.

        Args:
            fn (callable): the function.
            iterables: its arguments.
            timeout (float): accepted with a warning, and without effect.
            chunksize (int): members in a task.
            options: further arguments of `imap()`.
        Returns:
            An iterator.
        Example:
            >>> list(balanced.executor.map(pow, [2, 3], [3, 2]))
            [8, 9]
        """
        if timeout is not None:
            warnings.warn("ViewExecutor.map() has no time-out: use view.map_async(...).get(timeout)", stacklevel=2)
        return self.view.imap(fn, *iterables, chunksize=chunksize, **options)

    def shutdown(self, wait=True, *, cancel_futures=False):
        """Waits for the view's calls. Engines stay.

        Args:
            wait (bool): False returns at once.
            cancel_futures (bool): True stops what has not begun.
        Example:
            >>> balanced.executor.shutdown(cancel_futures=True)
        """
        if cancel_futures:
            self.view.abort(block=True)
        if wait:
            self.view.wait()


def register_joblib_backend(name="ipyparallel", make_default=False, view=None):
    """Makes engines a backend of joblib: `joblib.parallel_backend(name, view=view)`.

    Args:
        name (str): the backend's name.
        make_default (bool): whether joblib uses it when no other backend is named.
        view (LoadBalancedView): where jobs run. By default the view of a new client of the default profile's cluster. If none runs, a cluster is
            started, which ends with the backend.
    Raises:
        ImportError: joblib is missing.
    Example:
        >>> import joblib
        >>> ipcluster.register_joblib_backend("mine", view=balanced)
        >>> with joblib.parallel_backend("mine"):
        ...     joblib.Parallel()(joblib.delayed(abs)(x) for x in (-1, -2))
        [1, 2]
    """
    from joblib.parallel import register_parallel_backend

    from ipcluster.joblib import Backend

    register_parallel_backend(name, lambda **options: Backend(**{"view": view, **options}), make_default=make_default)
