"""The client of a cluster: its engines, views on them, and questions to the hub."""

import atexit
import json
import os
import tempfile
import threading
import time
import weakref
from collections.abc import Iterable
from concurrent.futures import Future
from concurrent.futures import wait as wait_for_futures

from ipcluster import _client, bytecode, error as errors
from ipcluster.abort import Answer, abort
from ipcluster.asyncresult import AsyncResult
from ipcluster.balanced import LoadBalancedView
from ipcluster.broadcast import BroadcastView
from ipcluster.control import Control
from ipcluster.direct import DirectView
from ipcluster.engines import Engines
from ipcluster.history import History
from ipcluster.records import Records
from ipcluster.requests import Requests
from ipcluster.shown import card, get_shell, is_watched

_open_clients = weakref.WeakSet()


@atexit.register
def _close_all():
    for client in list(_open_clients):
        client.close()


def _connection_file(connection_info):
    """The path of the file that says where the controller is, and whether it is a temporary file."""
    if isinstance(connection_info, dict):
        fd, path = tempfile.mkstemp(suffix=".json")
        with os.fdopen(fd, "w") as file:
            json.dump(connection_info, file)
        return path, True
    path = os.fspath(connection_info)
    if "://" in path:
        raise ValueError(f"{path!r} is an address: give the path of the connection file (ipcontroller-client.json)")
    return path, False


class Client(Control, Records):
    """A connection to a cluster.

    In a `with` block, and at the end of the program, it is closed. Threads may share it.

    Args:
        connection_info (str or dict): the path of ipcontroller-client.json, or its members. Without it the profile's file is used.
        connection_file (str): the same under another name.
        url_file (str): the same under another name.
        profile (str): the profile's name; by default that of the IPython that this runs in, or "default".
        profile_dir (str): the profile's folder, instead of a name.
        ipython_dir (str): the folder of the profiles; by default `$IPYTHONDIR` or ~/.ipython.
        cluster_id (str): one of several clusters of a profile.
        timeout (float): seconds to wait for the file, and for the controller's answer; 10 by default. If it is given, and the file is left from
            a controller that has gone, the client waits for another controller's file, too.
        block (bool): whether calls of views return results instead of AsyncResults.
        debug (bool): kept as an attribute, and not used.
        sshserver (str): [user@]host[:port] of an SSH server through which the controller is reached: one ssh process forwards its
            ports, and ends with the client. By default the connection file's (`ipcontroller --ssh`), unless the controller is on this machine.
        sshkey (str): the path of a private key; by default ssh looks for one. With a key and no server, the server is the controller's host.
        password (str): refused, because OpenSSH takes no password from a program: use a key that needs none, or an agent.
        paramiko (bool): refused, too.
        cluster (Cluster): the Cluster that this is a client of.
        context: accepted for code that was written for ipyparallel, and not used.
        keep_tasks (bool): False: when this client is closed, requests that wait in the scheduler and on engines are dropped. Tasks in the scheduler
            are also dropped if the client's process was killed, or stays out of reach for TaskScheduler.client_grace (60 seconds). What has
            begun is finished.
        trace (str): a file, or a folder, for a trace that Perfetto shows: each step of each message of this process's clients.
            `$IPCLUSTER_TRACE` does the same for controller, engines and clients.
    Raises:
        OSError: the trace cannot be written, or this process has a trace already.
        ConnectionError: the file is not there, or no controller answers in time; the text says which file or address, and what to do.
        NotImplementedError: a password was given.
    Example:
        >>> with ipcluster.Client() as c:
        ...     c[:].apply_sync(abs, -1)
        [1, 1, 1, 1]
    """

    connection = None  # until it is made: a tool that shows the variables of a traceback shows this client, too

    def __init__(
        self, connection_info=None, *, connection_file=None, url_file=None, profile=None, profile_dir=None, ipython_dir=None, cluster_id=None,
        timeout=None, block=False, debug=False, sshserver=None, sshkey=None, password=None, paramiko=None, cluster=None, context=None,
        keep_tasks=True, trace=None,
    ):  # fmt: skip
        if password or paramiko:
            raise NotImplementedError(
                f"{'password' if password else 'paramiko'}= is not offered: tunnels are made by OpenSSH, which takes no password from a "
                "program; name a private key that needs none (sshkey=), or add yours to an agent (ssh-add)"
            )
        if trace:
            _client.trace(trace)
        self.block = block
        self.debug = debug
        self.cluster = cluster
        self.profile = profile
        self.history = History()
        self._dask = None
        self.connection = self._connect(
            connection_info or connection_file or url_file,
            profile,
            profile_dir,
            ipython_dir,
            cluster_id,
            timeout,
            sshserver,
            sshkey,
            keep_tasks,
        )
        self.requests = Requests(self.connection, self.history)
        _open_clients.add(self)
        self._activate_first()
        bytecode.warn_of_engines(self.engine_info)

    def _connect(
        self, connection_info, profile, profile_dir, ipython_dir, cluster_id, timeout, sshserver, sshkey, keep_tasks
    ):
        path, temporary = _connection_file(connection_info) if connection_info else (None, False)
        shell = get_shell()
        if not profile and shell is not None:
            profile = getattr(shell, "profile", None)
        if ipython_dir and not profile_dir:
            profile_dir = os.path.join(ipython_dir, f"profile_{profile or 'default'}")
        try:
            return _client.connect(
                path,
                profile,
                profile_dir and os.fspath(profile_dir),
                cluster_id,
                timeout or 0,
                sshserver,
                sshkey and os.fspath(sshkey),
                not keep_tasks,
            )
        finally:
            if temporary:
                os.unlink(path)

    def _activate_first(self):
        """In IPython, the px magics use the first client's engines until a view is activated."""
        shell = get_shell()
        if shell is not None and hasattr(shell, "magics_manager"):
            from ipcluster.magics import activate_default

            activate_default(shell, self)

    def __repr__(self):
        if self.connection is None:
            return "<Client: not connected>"
        try:
            return f"<Client: {self.engines.summary()}>"
        except errors.ConnectError:
            return "<Client: closed>"

    def _repr_html_(self):
        try:
            engines = None if self.connection is None else self.engines
        except errors.ConnectError:
            engines = None
        if engines is None:
            return card("Client", repr(self).partition(": ")[2][:-1])
        return card(
            "Client",
            engines.summary(),
            more=f"<details><summary style='display: list-item; cursor: pointer'>each engine</summary>{engines._repr_html_()}</details>",
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self, linger=None):
        """Ends the connection. Open requests end with an error; with keep_tasks=False, those that have not begun are dropped.

        Args:
            linger (float): accepted for code that was written for ipyparallel, and not used.
        Example:
            >>> c = ipcluster.Client()
            >>> c.close()
        """
        try:
            self._stop_dask_scheduler()
        finally:
            self.connection.close()
            _open_clients.discard(self)

    @property
    def closed(self):
        """Whether this client is not connected: it was closed, has lost its controller, or could not connect.

        Example:
            >>> c.closed
            False
        """
        return self.connection is None or self.connection.closed

    # Engines and views

    @property
    def ids(self):
        """The ids of the engines that are registered now, a list of ints. Raises ConnectionError, as all calls do, when the controller is lost.

        Example:
            >>> c.ids
            [0, 1, 2, 3]
        """
        return [engine_id for engine_id, _ in self.connection.engines()]

    @property
    def engines(self):
        """The engines that are registered now, a dict by id: `host`, `pid`, `rank`, `python` (its version), `executable`, `set`, `job` and
        `version` (ipcluster's) of each, None if it does not say.

        Example:
            >>> sorted(c.engines) == c.ids
            True
            >>> c.engines[0].pid == c[0].apply_sync(os.getpid)
            True
        """
        return Engines(self.connection)

    @property
    def departed(self):
        """The last thousand engines that have gone, a list of dicts, the newest last: `id`, `reason` (a sentence, with what a batch system
        says), `ended` (seconds since the epoch), and `info`, the same as in `engine_info`.

        Example:
            >>> [gone["id"] for gone in c.departed]
            []
        """
        return self.requests.departed()

    def stats(self, targets=None):
        """What the controller has counted since it started, and its present numbers: a dict, by the metrics' names in Prometheus. Or what each
        engine in `targets` has counted: they answer while user code runs.

        Args:
            targets (int, list or "all"): engines; by default the controller.
        Returns:
            dict: numbers by names; with `targets` a dict by engine of such dicts.
        Raises:
            NotImplementedError: one of them is ipyparallel's.
        Example:
            >>> before = c.stats()
            >>> c.load_balanced_view().map_sync(abs, [-1, -2])
            [1, 2]
            >>> c.stats()["ipcluster_tasks_submitted_total"] > before["ipcluster_tasks_submitted_total"]
            True
            >>> before['ipcluster_engines{state="starting"}']
            0
            >>> c[0].apply_sync(abs, -3)
            3
            >>> c.stats(0)[0]['ipcluster_engine_requests_finished_total{end="ok"}'] > 0
            True
        """
        return self.requests.stats() if targets is None else self._engine_stats(targets)

    @property
    def engine_info(self):
        """`engines` in the words of the messages: a dict, by id, of all that each engine told about itself when it registered. Empty for an
        engine that tells nothing, such as ipyparallel's.

        Example:
            >>> c.engine_info[0]["implementation"]
            'ipcluster'
        """
        return {engine_id: json.loads(self.connection.engine_info(engine_id)) for engine_id in self.ids}

    def __len__(self):
        return len(self.ids)

    def __iter__(self):
        for engine_id in self.ids:
            yield self.direct_view(engine_id)

    def __getitem__(self, key):
        if not isinstance(key, (int, slice, tuple, list, range)):
            raise TypeError(f"engines are chosen by an int, a slice or a list of ints, not {type(key)}")
        return self.direct_view(key)

    def direct_view(self, targets="all", **flags):
        """A view whose engines all do what is asked. `c[0]`, `c[1:3]` and `c[:]` are such views, too.

        Args:
            targets (int, list, slice or "all"): ids of engines; "all" means those that are registered at each call.
            flags: the view's flags, as `set_flags()` takes them.
        Returns:
            DirectView: the view.
        Raises:
            IndexError: no engine has this id.
            NoEnginesRegistered: there is no engine.
        Example:
            >>> c.direct_view([0, 2], block=True).apply(abs, -1)
            [1, 1]
        """
        single = isinstance(targets, int)
        if not (isinstance(targets, str) and targets.lower() == "all"):
            targets = self.requests.chosen(targets)
        return DirectView(self, targets[0] if single else targets, **flags)

    def broadcast_view(self, targets="all", is_coalescing=False, *, coalescing=False, **flags):
        """A direct view that sends what all engines get once: for many engines and for large data.

        Args:
            targets (list, slice or "all"): as for `direct_view()`.
            is_coalescing (bool): accepted, and without effect: it is for ipyparallel's client.
            coalescing (bool): what ipyparallel's examples call `is_coalescing`.
            flags: the view's flags.
        Returns:
            BroadcastView: the view.
        Raises:
            IndexError: no engine has this id.
        Example:
            >>> c.broadcast_view(block=True).apply(abs, -1)
            [1, 1, 1, 1]
        """
        if not (isinstance(targets, str) and targets.lower() == "all"):
            targets = self.requests.chosen(targets)
        return BroadcastView(self, targets, is_coalescing=is_coalescing or coalescing, **flags)

    def load_balanced_view(self, targets=None, **flags):
        """A view whose tasks the controller's scheduler gives to engines.

        Args:
            targets (int, list or slice): ids of the engines that tasks may run on; by default all.
            flags: the view's flags.
        Returns:
            LoadBalancedView: the view.
        Raises:
            IndexError: no engine has this id.
        Example:
            >>> c.load_balanced_view().map_sync(abs, [-1, -2])
            [1, 2]
        """
        if targets is not None and targets != "all":
            targets = self.requests.chosen(targets)
        else:
            targets = None
        return LoadBalancedView(self, targets, **flags)

    def activate(self, targets="all", suffix=""):
        """Makes a blocking view of the targets the view of IPython's px magics; without IPython it warns.

        Args:
            targets (int, list, slice or "all"): as for `direct_view()`.
            suffix (str): a suffix of the magics' names: `_even` makes `%px_even`.
        Returns:
            DirectView: the view.
        Example:
            >>> view = c.activate([0, 1])  # then %px is for these
            >>> view.block
            True
        """
        view = self.direct_view(targets)
        view.block = True
        view.activate(suffix)
        return view

    def executor(self, targets=None):
        """An executor whose calls the scheduler gives to engines.

        Args:
            targets (int, list or slice): as for `load_balanced_view()`.
        Returns:
            ViewExecutor: a concurrent.futures.Executor.
        Example:
            >>> c.executor().submit(abs, -1).result()
            1
        """
        return self.load_balanced_view(targets).executor

    def wait_for_engines(self, n=None, *, timeout=-1, block=True, interactive=None, widget=None):
        """Waits until engines are registered.

        Args:
            n (int): how many; by default the number that this client's Cluster was started with.
            timeout (float): seconds to wait; a negative number is no limit.
            block (bool): False for a Future instead of the wait.
            interactive (bool): True to show a bar, False to show none. None: a bar in IPython, if a person sees the output and this waits.
            widget (bool): True for a bar of ipywidgets, False for one of text; None for what suits the place.
        Returns:
            None, or the Future.
        Raises:
            TimeoutError: too few are registered in time.
            ConnectionError: the controller is lost.
            TypeError: no number is given, and this client was not made by a Cluster.
        Example:
            >>> c.wait_for_engines(4, timeout=60)
        """
        if n is None:
            if self.cluster is None or not self.cluster.n:
                raise TypeError(
                    "wait_for_engines(n) needs the number of engines, because this client was not made by a Cluster"
                )
            n = self.cluster.n
        if interactive is None:
            interactive = block and get_shell() is not None and is_watched()
        if block:
            self._wait_for_engines(n, timeout, interactive, widget)
            return None
        future = Future()
        _resolve_in_thread(future, self._wait_for_engines, n, timeout, interactive, widget)
        return future

    def _wait_for_engines(self, n, timeout, interactive, widget):
        there = len(self)
        if not interactive or there >= n:
            self.connection.wait_for_engines(n, timeout)
            return
        from ipcluster.bars import following, make_bar

        with following(make_bar(n, "engine", None, there, widget), self.__len__):
            self.connection.wait_for_engines(n, timeout)

    # Jobs

    def _msg_ids(self, jobs):
        """The msg_ids of jobs: AsyncResults, msg_ids or indices of the history."""
        if isinstance(jobs, (str, int, AsyncResult)) or not isinstance(jobs, Iterable):
            jobs = [jobs]
        ids = []
        for job in jobs:
            if isinstance(job, int):
                ids.append(self.history[job])
            elif isinstance(job, str):
                ids.append(job)
            elif isinstance(job, AsyncResult):
                ids += job.msg_ids
            else:
                raise TypeError(f"a job is an AsyncResult, a msg_id or an index of the history, not {type(job)}")
        return ids

    def wait(self, jobs=None, timeout=-1):
        """Waits for jobs.

        Args:
            jobs (AsyncResult, str, int, Future or a list of them): results, msg_ids, or indices of the history; by default all open ones.
            timeout (float): seconds; a negative number is no limit.
        Returns:
            bool: whether they have finished.
        Example:
            >>> c.wait([c[0].apply_async(abs, -1), c[1].apply_async(abs, -2)], timeout=60)
            True
        """
        jobs = self.outstanding if jobs is None else jobs
        jobs = [jobs] if isinstance(jobs, (str, int, Future)) else list(jobs)
        strange = [job for job in jobs if isinstance(job, Future) and not isinstance(job, AsyncResult)]
        start = time.monotonic()
        ids = self._msg_ids([job for job in jobs if job not in strange])
        finished = _client.wait_all(
            [self.requests.futures[msg_id] for msg_id in ids if msg_id in self.requests.futures], timeout
        )
        if strange:
            left = None if timeout is None or timeout < 0 else max(timeout - time.monotonic() + start, 0)
            finished = not wait_for_futures(strange, left).not_done and finished
        return finished

    def wait_interactive(self, jobs=None, interval=1.0, timeout=-1.0):
        """Waits for jobs and shows a bar, as AsyncResult.wait_interactive() does.

        Args:
            jobs (AsyncResult, str, int or a list of them): as for wait(): by default all open ones.
            interval (float): seconds between two looks at them.
            timeout (float): seconds to wait at most; a negative number is no limit.
        Example:
            >>> c.wait_interactive()
        """
        ids = self.outstanding if jobs is None else self._msg_ids(jobs)
        futures = [self.requests.futures[msg_id] for msg_id in ids if msg_id in self.requests.futures]
        if futures:
            AsyncResult(self, futures, fname="tasks", owner=False).wait_interactive(interval, timeout)

    def abort(self, jobs=None, targets=None, block=None):
        """Stops jobs of this client that have not begun, in the scheduler and on engines.

        Args:
            jobs (AsyncResult, str, int or a list of them): as for `wait()`.
            targets (int or list): engines: of the jobs that were sent to engines, only theirs.
            block (bool): whether to wait for the answer; by default as the client's `block` says.
        Returns:
            list: the msg_ids of what will not run, whose results raise TaskAborted; without `block` a Future of it.
        Example:
            >>> import time
            >>> first, second = c[0].apply_async(time.sleep, 0.5), c[0].apply_async(abs, -1)
            >>> c.abort(second, block=True) == second.msg_ids
            True
        """
        ids = self.outstanding if jobs is None else self._msg_ids(jobs)
        futures = [self.requests.futures[msg_id] for msg_id in ids if msg_id in self.requests.futures]
        if targets is not None:
            chosen = {None, *self.requests.targets_of(targets)}
            futures = [future for future in futures if future.target in chosen]
        if self.block if block is None else block:
            return abort(self.connection, futures)
        answer = Answer()
        _resolve_in_thread(answer, abort, self.connection, futures)
        return answer

    def spin(self):
        """Does nothing, as results come by themselves.

        Example:
            >>> c.spin()
        """

    def spin_thread(self, interval=1):
        """Does nothing, as results come by themselves.

        Args:
            interval (float): accepted, and not used.
        Example:
            >>> c.spin_thread()
        """

    stop_spin_thread = spin


def _resolve_in_thread(future, function, *args):
    def run():
        try:
            future.set_result(function(*args))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
