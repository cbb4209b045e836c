"""What the client and the hub keep of requests: which are answered, how they are sent again, and how they are forgotten."""

from ipcluster import error as errors
from ipcluster.asyncresult import AsyncHubResult, AsyncResult
from ipcluster.reply import ByRequest, error_or_value, metadata_of, read_date, value_of


class Records:
    """The part of a Client for records of requests."""

    @property
    def results(self):
        """The results that have come and were not fetched, a mapping by msg_id; an error is an exception in it.

        Example:
            >>> result = c[0].apply_async(abs, -1)
            >>> c.wait()
            True
            >>> c.results[result.msg_ids[0]]
            1
        """
        self.requests.prune_what_was_noted()
        return ByRequest(
            self.requests.futures,
            lambda future: error_or_value(value_of(future, "result")),
            lambda future: future.ready(),
        )

    @property
    def metadata(self):
        """The metadata of requests whose results were not fetched, a mapping by msg_id.

        Example:
            >>> result = c[0].apply_async(abs, -1)
            >>> c.wait(result)
            True
            >>> c.metadata[result.msg_ids[0]]["engine_id"]
            0
        """
        self.requests.prune_what_was_noted()
        return ByRequest(self.requests.futures, metadata_of, lambda future: True)

    @property
    def outstanding(self):
        """The msg_ids of requests that have not been answered, a set.

        Example:
            >>> c.wait()
            True
            >>> c.outstanding
            set()
        """
        return {msg_id for msg_id, future in list(self.requests.futures.items()) if not future.ready()}

    def get_result(self, indices_or_msg_ids=None, block=None, owner=True):
        """An AsyncResult for earlier requests. Results that are no longer here, or are another client's, are fetched from the hub, if the
        controller keeps records (`ipcontroller --dictdb`).

        Args:
            indices_or_msg_ids (int, str, AsyncResult or a list of them): indices of the history, or msg_ids; by default the newest request.
            block (bool): whether to wait for it; by default as the client's `block` says.
            owner (bool): False makes the client remember the results after they were fetched.
        Returns:
            AsyncResult: an AsyncHubResult if it comes from the hub.
        Example:
            >>> result = c[0].apply_async(abs, -1)
            >>> c.get_result(result.msg_ids[0]).get()
            1
        """
        jobs = -1 if indices_or_msg_ids is None else indices_or_msg_ids
        single = isinstance(jobs, (str, int)) or (isinstance(jobs, AsyncResult) and jobs.single)
        kind = AsyncResult
        children = []
        for job in [jobs] if isinstance(jobs, (str, int, AsyncResult)) else jobs:
            if isinstance(job, AsyncResult):
                children += job.children
                continue
            (msg_id,) = self._msg_ids(job)
            future = self.requests.futures.get(msg_id)
            if future is None:
                kind = AsyncHubResult
                future = self.connection.fetch(msg_id)
                if not owner:
                    self.requests.futures[msg_id] = future
            children.append(future)
        result = kind(self, children[0] if single else children, fname="get_result", owner=owner)
        if self.block if block is None else block:
            result.wait()
        return result

    def resubmit(self, indices_or_msg_ids=None, metadata=None, block=None):
        """Makes the hub send load-balanced tasks again, without their dependencies, to any engine. The controller must keep records.

        Args:
            indices_or_msg_ids (int, str, AsyncResult or a list of them): as for `get_result()`.
            metadata (dict): accepted for code that was written for ipyparallel, and not used.
            block (bool): whether to wait for the results.
        Returns:
            AsyncHubResult: the results of the new tasks.
        Example:
            >>> result = balanced.apply_async(abs, -1)
            >>> result.get()
            1
            >>> c.resubmit(result.msg_ids).get()
            [1]
        """
        ids = self._msg_ids(-1 if indices_or_msg_ids is None else indices_or_msg_ids)
        reply, _ = self.requests.ask_hub("resubmit_request", {"msg_ids": ids})
        return self.get_result([reply["resubmitted"][msg_id] for msg_id in ids], block)

    def result_status(self, msg_ids, status_only=True):
        """Which requests have been answered.

        Args:
            msg_ids (AsyncResult, str, int or a list of them): as for `wait()`; also requests of other clients.
            status_only (bool): False gives the results, too.
        Returns:
            dict: "pending" and "completed", lists of msg_ids; with status_only=False also the results, by msg_id.
        Example:
            >>> result = c[0].apply_async(abs, -1)
            >>> c.wait(result)
            True
            >>> c.result_status(result)["pending"]
            []
        """
        ids = self._msg_ids(msg_ids)
        known = {msg_id: self.requests.futures[msg_id].ready() for msg_id in ids if msg_id in self.requests.futures}
        status = {"completed": [msg_id for msg_id, ready in known.items() if ready],
                  "pending": [msg_id for msg_id, ready in known.items() if not ready]}  # fmt: skip
        others = [msg_id for msg_id in ids if msg_id not in known]
        if others:
            reply, _ = self.requests.ask_hub("result_request", {"msg_ids": others, "status_only": True})
            for key in status:
                status[key] += reply[key]
        if not status_only:
            results = self.get_result(status["completed"], block=False).get(return_exceptions=True)
            if len(ids) == 1 and results and isinstance(results[0], Exception):
                raise results[0]
            errors.collect(results, "result_status")
            status.update(zip(list(status["completed"]), results))
        return status

    def _to_purge(self, jobs, targets):
        """What a user names, as msg_ids or "all", and as ids of engines."""
        ids = jobs if jobs == "all" else self._msg_ids(jobs)
        named = isinstance(targets, int) or bool(targets)
        if not named and not ids:
            raise ValueError("name jobs, targets, or 'all'")
        return ids, self.requests.targets_of(targets) if named else []

    def purge_hub_results(self, jobs=(), targets=()):
        """Makes the hub forget records of requests.

        Args:
            jobs (AsyncResult, str, int, a list of them or "all"): as for `wait()`; "all" forgets everything.
            targets (int, list or "all"): engines: all that ran there.
        Raises:
            ValueError: neither is given.
        Example:
            >>> c.purge_hub_results("all")
        """
        ids, engine_ids = self._to_purge(jobs, targets)
        self.requests.ask_hub("purge_request", {"msg_ids": ids, "engine_ids": engine_ids})

    def purge_local_results(self, jobs=(), targets=()):
        """Forgets results here that nobody has fetched.

        Args:
            jobs (AsyncResult, str, int, a list of them or "all"): as for `wait()`.
            targets (int, list or "all"): engines: all that ran there.
        Raises:
            RuntimeError: one of them has not been answered.
            ValueError: neither is given.
        Example:
            >>> c.purge_local_results("all")
        """
        ids, engine_ids = self._to_purge(jobs, targets)
        futures = dict(self.requests.futures)
        chosen = set(futures) if ids == "all" else set(ids).intersection(futures)
        chosen.update(msg_id for msg_id, future in futures.items() if future.ready() and future.engine_id in engine_ids)
        still_open = chosen & self.outstanding
        if still_open:
            raise RuntimeError(f"requests that are not answered yet cannot be forgotten: {sorted(still_open)}")
        for msg_id in chosen:
            self.requests.futures.pop(msg_id, None)

    def purge_results(self, jobs=(), targets=()):
        """`purge_local_results()` and `purge_hub_results()`.

        Args:
            jobs (AsyncResult, str, int, a list of them or "all"): as there.
            targets (int, list or "all"): as there.
        Raises:
            RuntimeError: one of them has not been answered.
        Example:
            >>> c.purge_results("all")
        """
        self.purge_local_results(jobs, targets)
        self.purge_hub_results(jobs, targets)

    def purge_everything(self):
        """Forgets all results here and in the hub, and the history.

        Raises:
            RuntimeError: a request has not been answered.
        Example:
            >>> c.purge_everything()
            >>> c.history
            []
        """
        self.purge_results("all")
        self.history.clear()

    def hub_history(self):
        """The requests that the hub has records of.

        Returns:
            list: the msg_ids of all clients' requests, in the order of their submission.
        Example:
            >>> result = c[0].apply_async(abs, -1)
            >>> c.wait(result)
            True
            >>> result.msg_ids[0] in c.hub_history()
            True
        """
        return self.requests.ask_hub("history_request", {})[0]["history"]

    def db_query(self, query, keys=None):
        """The hub's records of requests.

        Args:
            query (dict): which records, in MongoDB's form: {"completed": {"$ne": None}} are those that were completed.
            keys (str or list): which members of the records, besides `msg_id`; by default all but the buffers.
        Returns:
            list: dicts, one for each record.
        Example:
            >>> result = c[0].apply_async(abs, -1)
            >>> c.wait(result)
            True
            >>> [record["msg_id"] for record in c.db_query({"msg_id": result.msg_ids[0]}, keys=[])] == result.msg_ids
            True
        """
        keys = [keys] if isinstance(keys, str) else keys
        reply, future = self.requests.ask_hub("db_request", {"query": query, "keys": keys})
        buffers = future.buffers()
        for index, record in enumerate(reply["records"]):
            for key in ("submitted", "started", "completed", "received"):
                if key in record:
                    record[key] = read_date(record[key])
            for key in ("header", "result_header"):
                if record.get(key) and "date" in record[key]:
                    record[key]["date"] = read_date(record[key]["date"])
            for key, counts in (("buffers", "buffer_lens"), ("result_buffers", "result_buffer_lens")):
                if reply.get(counts):
                    count = reply[counts][index]
                    record[key], buffers = buffers[:count], buffers[count:]
        return reply["records"]
