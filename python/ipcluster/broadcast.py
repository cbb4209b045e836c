"""The broadcast view: one request that the controller hands to all engines."""

from ipcluster import _client
from ipcluster.asyncresult import AsyncResult
from ipcluster.direct import DirectView


class BroadcastView(DirectView):
    """Engines that all do the same: a request and its data leave this process once, for any number of engines. A client makes it:
    `c.broadcast_view()`.

    Results are those of a direct view, one for each engine. Requests that differ from engine to engine (map, scatter) go the same way, one by
    one. So an engine gets all of this view's requests in their order.

    Args:
        client (Client): its client.
        targets (list or "all"): the engines.
        is_coalescing (bool): accepted, and without effect. In ipyparallel the controller then answers once for all engines. Here each engine
            replies for itself, so an engine that fails or dies does not cost the others' results.
        flags: as for `set_flags()`.
    Example:
        >>> everybody = c.broadcast_view()
        >>> everybody.push({"table": list(range(1000))}, block=True)
        [None, None, None, None]
        >>> everybody.pull("len(table)", block=True)
        [1000, 1000, 1000, 1000]
    """

    channel = _client.BROADCAST
    _flag_names = (*DirectView._flag_names, "is_coalescing")

    def __init__(self, client, targets, is_coalescing=False, **flags):
        self.is_coalescing = is_coalescing
        super().__init__(client, targets, **flags)

    def _submit_to(self, targets, block, fname, msg_type, content=None, buffers=()):
        if isinstance(targets, int):
            return super()._submit_to(targets, block, fname, msg_type, content, buffers)
        ids = self.client.requests.targets_of(targets)
        children = self.client.requests.broadcast(ids, msg_type, content, self.metadata(), list(buffers))
        return AsyncResult(self.client, children, fname, ids)
