"""Functions that run on engines when they are called: RemoteFunction, and ParallelFunction, which deals out its arguments."""

from ipcluster import there
from ipcluster.asyncresult import AsyncMapResult
from ipcluster.canning import apply_info, serialize
from ipcluster.maps import DISTRIBUTIONS, OneByOne, checked_chunksize, cut, equally_long, zipped


def name_of(f):
    return getattr(f, "__name__", None) or getattr(f, "name", None) or str(f)


def remote(view, block=None, **flags):
    """Decorator: the function runs on a view's engines when it is called.

    Args:
        view (DirectView or LoadBalancedView): where.
        block (bool): whether calls return results; by default as the view's `block` says.
        flags: flags of the view for its calls.
    Returns:
        A decorator that makes a RemoteFunction.
    Example:
        >>> @ipcluster.remote(balanced, block=True)
        ... def double(x):
        ...     return 2 * x
        >>> double(3)
        6
    """
    return lambda f: RemoteFunction(view, f, block=block, **flags)


def parallel(view, dist="b", block=None, ordered=True, **flags):
    """Decorator: the function is called with parts of its arguments, one part for each engine or task.

    Args:
        view (DirectView or LoadBalancedView): where.
        dist (str): how members are dealt out: "b" in blocks, "r" one by one in turn.
        block (bool): whether calls return results; by default as the view's `block` says.
        ordered (bool): False gives results as they come.
        flags: flags of the view for its calls.
    Returns:
        A decorator that makes a ParallelFunction.
    Example:
        >>> @ipcluster.parallel(view, block=True)
        ... def doubles(numbers):
        ...     return [2 * number for number in numbers]
        >>> doubles(range(4))
        [0, 2, 4, 6]
    """
    return lambda f: ParallelFunction(view, f, dist=dist, block=block, ordered=ordered, **flags)


class RemoteFunction:
    """A function that runs on a view's engines. `remote()` makes it.

    Args:
        view (DirectView or LoadBalancedView): where.
        f (callable): the function.
        block (bool): whether calls return results; by default as the view's `block` says.
        flags: flags of the view for its calls.
    Example:
        >>> ipcluster.RemoteFunction(balanced, abs, block=True)(-1)
        1
    """

    def __init__(self, view, f, block=None, **flags):
        self.view = view
        self.func = f
        self.block = block
        self.flags = flags
        self.__name__ = name_of(f)
        self.__doc__ = getattr(f, "__doc__", None)
        self.__wrapped__ = f

    def _view(self):
        """The view with the flags of this function's calls."""
        block = self.view.block if self.block is None else self.block
        return self.view.with_flags(block=block, **self.flags)

    def __call__(self, *args, **kwargs):
        return self._view().apply(self.func, *args, **kwargs)


class ParallelFunction(RemoteFunction):
    """A function that is called with parts of sequences, one part for each engine or task; by `map()`, with their members. A part of a table is
    some of its rows. `parallel()` makes it.

    Args:
        view (DirectView or LoadBalancedView): where.
        f (callable): the function.
        dist (str): "b" in blocks, "r" one by one in turn.
        block (bool): whether calls return results.
        chunksize (int): members in a task, on a load-balanced view.
        ordered (bool): False gives results as they come.
        return_exceptions (bool): True gives exceptions instead of raising them.
        flags: flags of the view for its calls.
    Example:
        >>> ipcluster.ParallelFunction(view, sorted, block=True)([4, 3, 2, 1, 8, 7, 6, 5])
        [3, 4, 1, 2, 7, 8, 5, 6]
    """

    def __init__(
        self, view, f, dist="b", block=None, chunksize=None, ordered=True, return_exceptions=False, **flags
    ):  # fmt: skip
        super().__init__(view, f, block, **flags)
        self.chunksize = 1 if chunksize is None else checked_chunksize(chunksize)
        self.ordered = ordered
        self.return_exceptions = return_exceptions
        self.mapping = DISTRIBUTIONS[dist]()

    def __call__(self, *sequences):
        return self._run(self.mapping, *equally_long(sequences), serialize(self.func), [])

    def map(self, *sequences):
        """Calls the function with each member of sequences, as the builtin `map` does.

        Args:
            sequences: iterables; the shortest ends it.
        Returns:
            list: if it blocks; otherwise an AsyncMapResult.
        Raises:
            TypeError: no sequence is given.
        Example:
            >>> ipcluster.ParallelFunction(view, abs, block=True).map([-1, -2])
            [1, 2]
        """
        if not sequences:
            raise TypeError("map needs a sequence")
        if self.view.balanced and self.chunksize == 1:
            return self._run(OneByOne(), *zipped(sequences), serialize(self.func), [])
        # The function travels as the first argument of a function that maps.
        return self._run(self.mapping, *zipped(sequences), serialize(there.map_members), serialize(self.func))

    def _run(self, mapping, sequences, length, function, first):
        """Sends out the parts. `function`: the buffers of the function that is called; `first`: the buffers of its first argument, which is the
        same for all parts, or none."""
        view = self._view()
        requests, metadata = view.client.requests, view.metadata()
        if view.balanced:
            targets, count = None, -(-length // self.chunksize)
        else:
            targets = requests.targets_of(view.targets)[:length]
            count = len(targets)
        parts = (
            self._buffers(sequences, mapping.part(index, count, length), function, first) for index in range(count)
        )
        if view.balanced:
            children = requests.submit_tasks("apply_request", metadata, parts)
        else:
            children = [
                requests.submit(view.channel, engine, "apply_request", None, metadata, buffers)
                for engine, buffers in zip(targets, parts)
            ]
        result = AsyncMapResult(
            view.client, children, mapping, name_of(self.func), self.ordered, self.return_exceptions, targets
        )
        view.history.note(result.msg_ids)
        return result.get() if view.block else result

    def _buffers(self, sequences, part, function, first):
        """A request's buffers; the function was serialised once for all requests."""
        arguments = list(first)
        for seq in sequences:
            arguments += serialize(cut(seq, part))
        info = apply_info(len(sequences) + bool(first), len(arguments), ())
        return [*function, info, *arguments]
