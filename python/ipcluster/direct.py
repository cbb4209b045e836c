"""The direct view: one or several engines that all do what is asked."""

import json
import sys
from contextlib import contextmanager
from itertools import cycle

from ipcluster import _client, there
from ipcluster.asyncresult import AsyncMapResult, AsyncResult
from ipcluster.canning import pack_apply
from ipcluster.imports import told
from ipcluster.maps import DISTRIBUTIONS, cut, length_of, whole
from ipcluster.remotefunction import ParallelFunction, name_of
from ipcluster.view import View, check_callable


class DirectView(View):
    """One or several engines that all do what is asked. A client makes it: `c[0]`, `c[1:3]`, `c[:]`.

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

    channel = _client.DIRECT

    def _submit_to(self, targets, block, fname, msg_type, content=None, buffers=()):
        """One request for each target."""
        ids = self.client.requests.targets_of(targets)
        requests, metadata = self.client.requests, self.metadata()
        if len(ids) == 1:
            children = [requests.submit(self.channel, ids[0], msg_type, content, metadata, list(buffers))]
        else:
            children = requests.submit_each(ids, msg_type, content, metadata, list(buffers))
        return AsyncResult(self.client, children[0] if isinstance(targets, int) else children, fname, ids)

    def _apply(self, f, args=(), kwargs=None, targets=None, block=None):
        check_callable(f)
        buffers = pack_apply(f, args, kwargs or {})
        targets = self._targets_or_own(targets)
        return self._finish(self._submit_to(targets, block, name_of(f), "apply_request", None, buffers), block)

    def execute(self, code, silent=True, targets=None, block=None, label=None):
        """Runs source code in the engines' namespaces.

        Args:
            code (str): the code; magics, too, if the engine's Python has IPython.
            silent (bool): False shows the value of the last expression.
            targets (int, list or "all"): other engines than this view's.
            block (bool): whether to wait; by default as the view's `block` says.
            label (str): for the hub's records.
        Returns:
            AsyncResult: it has finished if this blocks.
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
        code.encode()  # raises for a lone surrogate, which no message can hold
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
            return_exceptions (bool): True puts exceptions into the list instead of raising them.
            label (str): for the hub's records.
        Returns:
            list: if this blocks; otherwise an AsyncMapResult.
        Raises:
            RemoteError: the function raised (CompositeError of several engines).
        Example:
            >>> view.map(lambda x: x ** 2, range(5), block=True)
            [0, 1, 4, 9, 16]
        """
        function = ParallelFunction(
            self._labelled(label), f, block=self._block(block), return_exceptions=return_exceptions
        )
        return function.map(*sequences)

    def _submitter(self):
        """A function submit(f, args); each call goes to one engine, in turn."""
        turn = cycle(self.client.requests.targets_of(self.targets))
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
            AsyncResult: or a list of None if this blocks.
        Raises:
            TypeError: `ns` is not a dict.
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
            The value of each engine if this blocks (for a list of names, a list of values); otherwise an AsyncResult.
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
        """`push()`, under the name that dicts have for it.

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
        """Deals a sequence out to the engines, one part for each.

        Args:
            key (str): the name of the part on the engines.
            seq (sequence): the sequence; a table is dealt out by rows.
            dist (str): "b" in blocks, "r" one by one in turn.
            flatten (bool): True replaces a part that has one member by that member.
            targets (list or "all"): other engines than this view's.
            block (bool): whether to wait.
            track (bool): accepted, and without effect.
        Returns:
            AsyncResult: or None if it waits.
        Example:
            >>> view.scatter("part", range(8), block=True)
            >>> view["list(part)"]
            [[0, 1], [2, 3], [4, 5], [6, 7]]
        """
        ids = self.client.requests.targets_of(self._targets_or_own(targets))
        mapping = DISTRIBUTIONS[dist]()
        seq = whole(seq)
        length = length_of(seq)
        children = []
        for index, each in enumerate(ids):
            part = cut(seq, mapping.part(index, len(ids), length))
            if flatten and length_of(part) == 1:
                part = cut(part, 0)
            children += self.push({key: part}, targets=each, block=False).children
        result = AsyncResult(self.client, children, "scatter", ids)
        if self._block(block):
            result.get()
            return None
        return result

    def gather(self, key, dist="b", targets=None, block=None):
        """Puts the engines' parts together: those of `scatter()`, or others.

        Args:
            key (str): the name of the parts on the engines.
            dist (str): as for `scatter()`.
            targets (list or "all"): other engines than this view's.
            block (bool): whether to wait.
        Returns:
            One sequence if this blocks; otherwise an AsyncMapResult.
        Example:
            >>> view.scatter("part", [1, 2, 3, 4, 5], block=True)
            >>> view.gather("part", block=True)
            [1, 2, 3, 4, 5]
        """
        ids = self.client.requests.targets_of(self._targets_or_own(targets))
        children = self.pull(key, targets=ids, block=False).children
        result = AsyncMapResult(self.client, children, DISTRIBUTIONS[dist](), "gather", targets=ids)
        return result.get() if self._block(block) else result

    def clear(self, targets=None, block=None):
        """Empties the engines' namespaces.

        Args:
            targets (int, list or "all"): other engines than this view's.
            block (bool): whether to wait.
        Returns:
            AsyncResult: or None if it waits.
        Example:
            >>> view.clear(block=True)
        """
        return self.client.clear(self._targets_or_own(targets), self._block(block))

    def activate(self, suffix=""):
        """Makes IPython's px magics use this view.

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
        """Context manager: the import statements inside are also executed on the engines.

        Args:
            local (bool): must be True; for imports on the engines only, write `view.execute("import ...")`.
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
            raise NotImplementedError("for imports on the engines only, use view.execute('import ...')")
        results = []

        def import_there(clauses, module):
            if not quiet:
                print(
                    f"importing {clauses} from {module} on engine(s)" if module else f"importing {clauses} on engine(s)"
                )
            statement = f"from {module} import {clauses}" if module else f"import {clauses}"
            results.append(self.apply_async(there.execute, statement))

        with told(sys._getframe(2), import_there):
            yield
        for result in results:
            result.get()
