"""Views as executors of concurrent.futures, and as a backend of joblib."""

import concurrent.futures
import warnings


class ViewExecutor(concurrent.futures.Executor):
    """Calls run on a view's engines. Its end does not end the engines."""

    def __init__(self, view):
        self.view = view
        self._max_workers = max(len(view), 1)

    def submit(self, fn, /, *args, **kwargs):
        return self.view.apply_async(fn, *args, **kwargs)

    def map(self, fn, *iterables, timeout=None, chunksize=None, **options):
        """An iterator over the results, in order: imap() of the view, with its options."""
        if timeout is not None:
            warnings.warn("ViewExecutor.map() has no time-out: use view.map_async(...).get(timeout)", stacklevel=2)
        return self.view.imap(fn, *iterables, chunksize=chunksize, **options)

    def shutdown(self, wait=True, *, cancel_futures=False):
        if cancel_futures:
            self.view.abort(block=True)
        if wait:
            self.view.wait()


def register_joblib_backend(name="ipyparallel", make_default=False, view=None):
    """Makes engines a backend of joblib: joblib.parallel_backend(name, view=view). Without a view, that of a new client of the default
    profile's cluster, which is started where none runs, and ended with the backend."""
    from joblib.parallel import register_parallel_backend

    from ipcluster.joblib import Backend

    register_parallel_backend(name, lambda **options: Backend(**{"view": view, **options}), make_default=make_default)
