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
        """Sets attributes such as block and targets by keyword."""
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
        """Context manager: flags that are set inside only, for every thread that uses this view."""
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
        """The msg_ids of this view's requests that have not been answered."""
        return self.client.outstanding.intersection(self.history)

    @property
    def results(self):
        """The results that have come and were not fetched, by msg_id; errors as exceptions."""
        results = self.client.results
        return {msg_id: results[msg_id] for msg_id in set(self.history).intersection(results)}

    # Calls

    def apply(self, f, /, *args, **kwargs):
        """Calls `f(*args, **kwargs)` there; the result, or an AsyncResult where this view does not block."""
        return self._apply(f, args, kwargs)

    def apply_async(self, f, /, *args, **kwargs):
        return self._apply(f, args, kwargs, block=False)

    def apply_sync(self, f, /, *args, **kwargs):
        return self._apply(f, args, kwargs, block=True)

    def map_async(self, f, *sequences, **options):
        """map() that returns an AsyncMapResult."""
        return self._map_with(False, f, sequences, options)

    def map_sync(self, f, *sequences, **options):
        """map() that returns the list."""
        return self._map_with(True, f, sequences, options)

    def _map_with(self, block, f, sequences, options):
        if "block" in options:
            raise TypeError("map_sync and map_async say themselves whether to block")
        return self.map(f, *sequences, block=block, **options)

    def imap(self, f, *sequences, ordered=True, max_outstanding="auto", chunksize=None, return_exceptions=False, label=None):
        """An iterator over map()'s results, which may be endless: a thread reads the sequences and sends tasks of `chunksize` members (one; of
        a direct view more, where the lengths are known), at most `max_outstanding` that are out or whose results were not taken (0: no limit;
        by default ten an engine). With ordered=False the results come as tasks finish. close() ends it."""
        # Its thread goes on after this call, and with the flags of now.
        view = self._labelled(label)._with()
        return imap(view, f, sequences, ordered, max_outstanding, chunksize, return_exceptions)

    def remote(self, block=None, **flags):
        """Decorator: the function runs on this view's engines."""
        return remote(self, block=self._block(block), **flags)

    def parallel(self, dist="b", block=None, **flags):
        """Decorator: the function is called with parts of its arguments, one part an engine."""
        return parallel(self, dist=dist, block=self._block(block), **flags)

    # Jobs

    def spin(self):
        """Results come by themselves: there is nothing to do."""

    @property
    def executor(self):
        """This view as a concurrent.futures.Executor."""
        from ipcluster.executor import ViewExecutor

        return ViewExecutor(self)

    def _switch_pickle(self, name):
        getattr(canning, name)()
        return self.apply(canning.switch_there(name))

    def use_dill(self):
        """Functions and objects travel with dill from here on, which knows closures, methods and lambdas: those of this client, and of this
        view's engines."""
        return self._switch_pickle("use_dill")

    def use_cloudpickle(self):
        """The same with cloudpickle."""
        return self._switch_pickle("use_cloudpickle")

    def use_pickle(self):
        """Ends use_dill() or use_cloudpickle()."""
        return self._switch_pickle("use_pickle")

    def _targets_or_own(self, targets):
        return self.targets if targets is None else targets

    def wait(self, jobs=None, timeout=-1):
        """Waits for jobs, by default for all of this view's; returns whether they have finished."""
        return self.client.wait(list(self.outstanding) if jobs is None else jobs, timeout)

    def get_result(self, indices_or_msg_ids=None, block=None, owner=False):
        """The AsyncResult of earlier requests, by msg_id or by index of this view's history."""
        jobs = -1 if indices_or_msg_ids is None else indices_or_msg_ids
        if isinstance(jobs, int):
            jobs = self.history[jobs]
        elif not isinstance(jobs, str):
            jobs = [self.history[job] if isinstance(job, int) else job for job in jobs]
        return self.client.get_result(jobs, self._block(block), owner)

    def abort(self, jobs=None, targets=None, block=None):
        """client.abort() of this view's jobs, by default of all that are open."""
        jobs = list(self.outstanding) if jobs is None else jobs
        return self.client.abort(jobs, targets, self._block(block))

    def queue_status(self, targets=None, verbose=False):
        return self.client.queue_status(self._targets_or_own(targets), verbose)

    def purge_results(self, jobs=(), targets=()):
        return self.client.purge_results(jobs, self.targets if targets == "all" else targets)

    def shutdown(self, targets=None, restart=False, hub=False, block=None):
        return self.client.shutdown(self._targets_or_own(targets), restart, hub, self._block(block))


class DirectView(View):
    """One or several engines, each of which does what is asked. `view["x"]` and `view["x"] = 1` are their variables."""

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
        """Runs source code in the engines' namespace; returns an AsyncResult, which has finished where this blocks."""
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
        """Runs the code of a file of this machine."""
        with open(filename, encoding="utf-8") as file:
            # The code may end in an indented line.
            return self.execute(file.read() + "\n", targets=targets, block=block, label=label)

    def map(self, f, *sequences, block=None, track=False, return_exceptions=False, label=None):
        """`map(f, *sequences)` in as many parts as there are engines; a list, or an AsyncMapResult."""
        function = ParallelFunction(self._labelled(label), f, block=self._block(block), return_exceptions=return_exceptions)
        return function.map(*sequences)

    def _submitter(self):
        """Its calls of submit(f, args) go to one engine each, in turn."""
        turn = cycle(self.client._resolve_targets(self.targets))
        return lambda f, args: self._apply(f, args, targets=next(turn), block=False)

    # Variables

    def push(self, ns, targets=None, block=None, track=None):
        """Binds the names of a dict in the engines' namespaces."""
        if not isinstance(ns, dict):
            raise TypeError(f"push takes a dict of names and values, not {type(ns)}")
        return self._apply(there.push, (), ns, targets=targets, block=block)

    def pull(self, names, targets=None, block=None):
        """The value of a name or expression, or a list of values for a list of names, of each engine."""
        if not isinstance(names, str) and not all(isinstance(name, str) for name in names):
            raise TypeError(f"names are text, not {names!r}")
        names = names if isinstance(names, str) else list(names)
        return self._apply(there.pull, (names,), targets=targets, block=block)

    def update(self, ns):
        return self.push(ns)

    def get(self, key_s):
        return self.pull(key_s, block=True)

    def __getitem__(self, key):
        return self.get(key)

    def __setitem__(self, key, value):
        self.update({key: value})

    def scatter(self, key, seq, dist="b", flatten=False, targets=None, block=None, track=None):
        """Binds a name to a part of the sequence on each engine; of a table, to rows. With flatten=True a part of one member is that member."""
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
        """The parts that scatter() made, or that the engines have otherwise, as one sequence."""
        ids = self.client._resolve_targets(self._targets_or_own(targets))
        children = self.pull(key, targets=ids, block=False)._children
        result = AsyncMapResult(self.client, children, DISTRIBUTIONS[dist](), "gather", targets=ids)
        return result.get() if self._block(block) else result

    def clear(self, targets=None, block=None):
        """Empties the engines' namespaces."""
        return self.client.clear(self._targets_or_own(targets), self._block(block))

    def activate(self, suffix=""):
        """Makes this view the one of IPython's px magics; with a suffix, of magics of other names (%px_even)."""
        from ipcluster.magics import activate

        activate(self, suffix)

    @property
    def importer(self):
        return self.sync_imports(True)

    @contextmanager
    def sync_imports(self, local=True, quiet=False):
        """Context manager: the import statements inside are executed on the engines too."""
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
