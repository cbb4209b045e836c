"""Views: what is asked of a set of engines."""

import copy
import json
import sys
from contextlib import contextmanager
from itertools import cycle

from ipcluster import _client, canning, there
from ipcluster.asyncresult import AsyncMapResult, AsyncResult
from ipcluster.canned import Reference
from ipcluster.canning import PrePickled, pack_apply
from ipcluster.history import History
from ipcluster.imports import told
from ipcluster.imap import imap
from ipcluster.maps import DISTRIBUTIONS, cut, length_of, whole
from ipcluster.remotefunction import ParallelFunction, name_of, parallel, remote
from ipcluster.shown import card


def check_callable(f):
    if not callable(f) and not isinstance(f, (Reference, PrePickled)):
        raise TypeError(f"a function is expected, not {type(f)}")


class View:
    """What direct and load-balanced views have in common."""

    balanced = False  # whether the scheduler chooses the engines
    _flag_names = ("targets", "block", "track", "label", "time_limit")

    def __init__(self, client, targets, **flags):
        self.client = client
        self.label = None  # goes with each request, into its metadata and the hub's records
        self.time_limit = None  # seconds that a request may run: then it is interrupted, and where that is in vain its engine ends
        self.targets = targets
        self.block = client.block
        self.track = False  # memory that is sent is kept until it is: nothing needs tracking
        self.history = History()
        self.set_flags(**flags)

    def _summary(self):
        text = str(self.targets)
        targets = text if len(text) <= 16 else text[:12] + "...]"
        named = [self.targets] if isinstance(self.targets, int) else self.targets if isinstance(self.targets, list) else None
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
        """Sets flags of the view, which are attributes, too.

        Args:
            flags: `targets`, `block` (calls return results), `track` (accepted), `label` (a text for the hub's records), `time_limit` (seconds that
                a request may run); of a load-balanced view also `after`, `follow`, `timeout` and `retries`.
        Raises:
            KeyError: there is no such flag.
            ValueError: the value is not one that it may have.
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

    def _metadata(self):
        """What goes with each request into its metadata."""
        flags = {"label": self.label, "time_limit": self.time_limit}
        return {name: value for name, value in flags.items() if value is not None}

    def _metadata_text(self):
        """The metadata of this view's requests, as JSON."""
        metadata = self._metadata()
        return json.dumps(metadata) if metadata else None

    def _with(self, **flags):
        """This view with other flags, for one call. The view itself keeps its own: other threads use it meanwhile."""
        other = copy.copy(self)
        other.set_flags(**flags)
        return other

    def _labelled(self, label):
        return self if label is None else self._with(label=label)

    @contextmanager
    def temp_flags(self, **flags):
        """Context manager: flags that are set inside only, for every thread that uses this view.

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
        """Every call ends here: with the result, or what will have it."""
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
            f (callable): the function. It is sent by its code, and has the engine's namespace as its globals.
            args: its positional arguments.
            kwargs: its keyword arguments.
        Returns:
            The result where this view blocks, a list of them where it has several engines; otherwise an AsyncResult.
        Raises:
            RemoteError: the function raised (CompositeError of several engines); here where this view blocks, otherwise by the AsyncResult.
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
            The result, a list of them where the view has several engines.
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
            raise TypeError("map_sync and map_async say themselves whether to block")
        return self.map(f, *sequences, block=block, **options)

    def imap(self, f, *sequences, ordered=True, max_outstanding="auto", chunksize=None, return_exceptions=False, label=None):
        """`map()` whose results are taken one by one, and whose sequences may be endless. A thread reads them and sends tasks.

        Args:
            f (callable): the function.
            sequences: iterables; the shortest ends it.
            ordered (bool): False gives results as tasks finish.
            max_outstanding (int or "auto"): how many tasks may be out, or have results that were not taken; 0: any number, "auto": ten an engine.
            chunksize (int): members of the sequences a task; by default one, and on a direct view more where their lengths are known.
            return_exceptions (bool): True gives exceptions in place of raising them.
            label (str): for the hub's records.
        Returns:
            An iterator, which `close()` ends, and dropping it.
        Example:
            >>> import itertools
            >>> squares = balanced.imap(lambda x: x * x, itertools.count())
            >>> next(squares), next(squares), next(squares)
            (0, 1, 4)
            >>> squares.close()
        """
        # Its thread goes on after this call, and with the flags of now.
        view = self._labelled(label)._with()
        return imap(view, f, sequences, ordered, max_outstanding, chunksize, return_exceptions)

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
        """Decorator: the function is called with parts of its arguments, one part an engine.

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
        """Functions and objects travel with dill from here on, which knows closures, methods and lambdas: those of this client, and of this
        view's engines.

        Returns:
            AsyncResult: of the switch on the engines; a list of None where this view blocks.
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
            jobs (AsyncResult, str, int or a list of them): as for the client's `wait()`; by default all of this view's that are open.
            timeout (float): seconds; a negative number is no limit.
        Returns:
            bool: whether they have finished.
        Example:
            >>> view.wait(view.apply_async(abs, -1), timeout=60)
            True
        """
        return self.client.wait(list(self.outstanding) if jobs is None else jobs, timeout)

    def get_result(self, indices_or_msg_ids=None, block=None, owner=False):
        """The AsyncResult of earlier requests.

        Args:
            indices_or_msg_ids (int, str or a list of them): indices of this view's history, or msg_ids; by default the newest request.
            block (bool): whether to wait for it.
            owner (bool): True has the client forget the results once they were got.
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
            jobs (AsyncResult, str, int or a list of them): by default all of this view's that are open.
            targets (int or list): of jobs that were sent to engines, only those of these engines.
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
            verbose (bool): True gives the msg_ids in place of their numbers.
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
            AsyncResult: or None where it waits.
        Raises:
            NotImplementedError: restart=True.
        Example:
            >>> client[2].shutdown(block=True)
        """
        return self.client.shutdown(self._targets_or_own(targets), restart, hub, self._block(block))


class DirectView(View):
    """One or several engines, each of which does what is asked. A client makes it: `c[0]`, `c[1:3]`, `c[:]`.

    `view["x"]` and `view["x"] = 1` are variables of its engines.

    Args:
        client (Client): its client.
        targets (int, list or "all"): the engines.
        flags: as for `set_flags()`.
    Example:
        >>> view["x"] = 3
        >>> view["x"]
        [3, 3, 3, 3]
    """

    _channel = _client.DIRECT

    def _submit_to(self, targets, block, fname, msg_type, content=None, buffers=()):
        """One request for each target."""
        ids = self.client._resolve_targets(targets)
        submit, metadata = self.client._submit, self._metadata_text()
        children = [submit(self._channel, each, msg_type, content, metadata, list(buffers)) for each in ids]
        return AsyncResult(self.client, children[0] if isinstance(targets, int) else children, fname, ids)

    def _apply(self, f, args=(), kwargs=None, targets=None, block=None):
        check_callable(f)
        buffers = pack_apply(f, args, kwargs or {})
        targets = self._targets_or_own(targets)
        return self._finish(self._submit_to(targets, block, name_of(f), "apply_request", None, buffers), block)

    def execute(self, code, silent=True, targets=None, block=None, label=None):
        """Runs source code in the engines' namespaces.

        Args:
            code (str): the code; with IPython beside the engine, also magics.
            silent (bool): False shows the value of the last expression.
            targets (int, list or "all"): other engines than this view's.
            block (bool): whether to wait; by default as the view's `block` says.
            label (str): for the hub's records.
        Returns:
            AsyncResult: which has finished where this blocks.
        Raises:
            RemoteError: the code raised (CompositeError of several engines).
        Example:
            >>> view.execute("y = 2 ** 10", block=True)
            <AsyncResult: execute:finished>
            >>> view["y"]
            [1024, 1024, 1024, 1024]
        """
        if not isinstance(code, str):
            raise TypeError(f"code is text, not {type(code)}")
        code.encode()  # raises where there is a lone surrogate, which no message can hold
        content = json.dumps({"code": code, "silent": bool(silent), "user_expressions": {}, "allow_stdin": False})
        targets = self._targets_or_own(targets)
        result = self._labelled(label)._submit_to(targets, block, "execute", "execute_request", content)
        self._finish(result, block)
        if self._block(block):
            result.wait_for_output()
        return result

    def run(self, filename, targets=None, block=None, label=None):
        """Runs a file of this machine on the engines.

        Args:
            filename (str): its path here.
            targets (int, list or "all"): other engines than this view's.
            block (bool): whether to wait.
            label (str): for the hub's records.
        Returns:
            AsyncResult: as for `execute()`.
        Raises:
            OSError: the file cannot be read.
            RemoteError: the code raised.
        Example:
            >>> with open("script.py", "w") as file:
            ...     size = file.write("z = 1")
            >>> result = view.run("script.py", block=True)
            >>> view["z"]
            [1, 1, 1, 1]
        """
        with open(filename, encoding="utf-8") as file:
            # The code may end in an indented line.
            return self.execute(file.read() + "\n", targets=targets, block=block, label=label)

    def map(self, f, *sequences, block=None, track=False, return_exceptions=False, label=None):
        """Calls a function with each member of sequences, as the builtin `map` does, in as many parts as there are engines.

        Args:
            f (callable): the function.
            sequences: iterables; the shortest ends it.
            block (bool): whether to wait.
            track (bool): accepted, and without effect.
            return_exceptions (bool): True has exceptions in the list in place of raising them.
            label (str): for the hub's records.
        Returns:
            list: where this blocks; otherwise an AsyncMapResult.
        Raises:
            RemoteError: the function raised (CompositeError of several engines).
        Example:
            >>> view.map(lambda x: x ** 2, range(5), block=True)
            [0, 1, 4, 9, 16]
        """
        function = ParallelFunction(self._labelled(label), f, block=self._block(block), return_exceptions=return_exceptions)
        return function.map(*sequences)

    def _submitter(self):
        """Its calls of submit(f, args) go to one engine each, in turn."""
        turn = cycle(self.client._resolve_targets(self.targets))
        return lambda f, args: self._apply(f, args, targets=next(turn), block=False)

    # Variables

    def push(self, ns, targets=None, block=None, track=None):
        """Binds names in the engines' namespaces.

        Args:
            ns (dict): names and values.
            targets (int, list or "all"): other engines than this view's.
            block (bool): whether to wait.
            track (bool): accepted, and without effect.
        Returns:
            AsyncResult: or, where this blocks, a list of None.
        Raises:
            TypeError: `ns` is no dict.
        Example:
            >>> result = view.push({"a": 1, "b": 2})
            >>> view.pull("a + b").get()
            [3, 3, 3, 3]
        """
        if not isinstance(ns, dict):
            raise TypeError(f"push takes a dict of names and values, not {type(ns)}")
        return self._apply(there.push, (), ns, targets=targets, block=block)

    def pull(self, names, targets=None, block=None):
        """Values from the engines' namespaces.

        Args:
            names (str or list): a name or expression, or several.
            targets (int, list or "all"): other engines than this view's.
            block (bool): whether to wait.
        Returns:
            The value of each engine where this blocks, a list of values for a list of names; otherwise an AsyncResult.
        Raises:
            RemoteError: a name is not there (CompositeError of several engines).
        Example:
            >>> view["a"] = 1
            >>> view.pull(["a", "a + 1"], block=True)
            [[1, 2], [1, 2], [1, 2], [1, 2]]
        """
        if not isinstance(names, str) and not all(isinstance(name, str) for name in names):
            raise TypeError(f"names are text, not {names!r}")
        names = names if isinstance(names, str) else list(names)
        return self._apply(there.pull, (names,), targets=targets, block=block)

    def update(self, ns):
        """`push()` by the name that dicts have for it.

        Args:
            ns (dict): names and values.
        Returns:
            AsyncResult: as for `push()`.
        Example:
            >>> result = view.update({"a": 1})
        """
        return self.push(ns)

    def get(self, key_s):
        """`pull()` that blocks; `view["x"]` is the same.

        Args:
            key_s (str or list): a name or expression, or several.
        Returns:
            The value of each engine.
        Example:
            >>> view["a"] = 1
            >>> view.get("a")
            [1, 1, 1, 1]
        """
        return self.pull(key_s, block=True)

    def __getitem__(self, key):
        return self.get(key)

    def __setitem__(self, key, value):
        self.update({key: value})

    def scatter(self, key, seq, dist="b", flatten=False, targets=None, block=None, track=None):
        """Deals a sequence out to the engines, a part each.

        Args:
            key (str): the name that the part has there.
            seq (sequence): of a table, its rows are dealt out.
            dist (str): "b" in blocks, "r" one by one in turn.
            flatten (bool): True makes a part of one member that member.
            targets (list or "all"): other engines than this view's.
            block (bool): whether to wait.
            track (bool): accepted, and without effect.
        Returns:
            AsyncResult: or None where it waits.
        Example:
            >>> view.scatter("part", range(8), block=True)
            >>> view["list(part)"]
            [[0, 1], [2, 3], [4, 5], [6, 7]]
        """
        ids = self.client._resolve_targets(self._targets_or_own(targets))
        mapping = DISTRIBUTIONS[dist]()
        seq = whole(seq)
        length = length_of(seq)
        children = []
        for index, each in enumerate(ids):
            part = cut(seq, mapping.part(index, len(ids), length))
            if flatten and length_of(part) == 1:
                part = cut(part, 0)
            children += self.push({key: part}, targets=each, block=False)._children
        result = AsyncResult(self.client, children, "scatter", ids)
        if self._block(block):
            result.get()
            return None
        return result

    def gather(self, key, dist="b", targets=None, block=None):
        """Puts the engines' parts together: those that `scatter()` made, or others.

        Args:
            key (str): the name of the parts there.
            dist (str): as for `scatter()`.
            targets (list or "all"): other engines than this view's.
            block (bool): whether to wait.
        Returns:
            One sequence where this blocks; otherwise an AsyncMapResult.
        Example:
            >>> view.scatter("part", [1, 2, 3, 4, 5], block=True)
            >>> view.gather("part", block=True)
            [1, 2, 3, 4, 5]
        """
        ids = self.client._resolve_targets(self._targets_or_own(targets))
        children = self.pull(key, targets=ids, block=False)._children
        result = AsyncMapResult(self.client, children, DISTRIBUTIONS[dist](), "gather", targets=ids)
        return result.get() if self._block(block) else result

    def clear(self, targets=None, block=None):
        """Empties the engines' namespaces.

        Args:
            targets (int, list or "all"): other engines than this view's.
            block (bool): whether to wait.
        Returns:
            AsyncResult: or None where it waits.
        Example:
            >>> view.clear(block=True)
        """
        return self.client.clear(self._targets_or_own(targets), self._block(block))

    def activate(self, suffix=""):
        """Makes this view the one of IPython's px magics.

        Args:
            suffix (str): a suffix of the magics' names: `_even` makes `%px_even`.
        Example:
            >>> view.activate("_all")  # then there is %px_all
        """
        from ipcluster.magics import activate

        activate(self, suffix)

    @property
    def importer(self):
        """`sync_imports()` as an attribute: `with view.importer: import os`.

        Example:
            >>> with view.importer:
            ...     import json
            importing json on engine(s)
        """
        return self.sync_imports(True)

    @contextmanager
    def sync_imports(self, local=True, quiet=False):
        """Context manager: the import statements inside are executed on the engines too.

        Args:
            local (bool): must be True: imports on the engines only are written `view.execute("import ...")`.
            quiet (bool): True prints nothing.
        Raises:
            NotImplementedError: local=False.
        Example:
            >>> with view.sync_imports(quiet=True):
            ...     import json
            >>> view.apply_sync(lambda: json.dumps([1]))
            ['[1]', '[1]', '[1]', '[1]']
        """
        if not local:
            raise NotImplementedError("imports on the engines only are written view.execute('import ...')")
        results = []

        def import_there(clauses, module):
            if not quiet:
                print(f"importing {clauses} from {module} on engine(s)" if module else f"importing {clauses} on engine(s)")
            statement = f"from {module} import {clauses}" if module else f"import {clauses}"
            results.append(self.apply_async(there.execute, statement))

        with told(sys._getframe(2), import_there):
            yield
        for result in results:
            result.get()
