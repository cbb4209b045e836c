"""The broadcast view: one request that the controller hands to all engines."""

from ipcluster import _client
from ipcluster.asyncresult import AsyncResult
from ipcluster.view import DirectView


class BroadcastView(DirectView):
    """Engines that all do the same: a request and what travels with it leave this process once, whatever their number. Results are
    those of a direct view, one an engine. What differs from engine to engine (map, scatter) goes the same way, one by one, so that
    an engine has all of this view's requests in their order.

    is_coalescing is ipyparallel's: there the controller then answers once for all engines. Here each engine's reply is taken by
    itself, so that one which fails or dies costs nobody else's result."""

    _channel = _client.BROADCAST
    _flag_names = (*DirectView._flag_names, "is_coalescing")

    def __init__(self, client, targets, is_coalescing=False, **flags):
        self.is_coalescing = is_coalescing
        super().__init__(client, targets, **flags)

    def _submit_to(self, targets, block, fname, msg_type, content=None, buffers=()):
        if isinstance(targets, int):
            return super()._submit_to(targets, block, fname, msg_type, content, buffers)
        ids = self.client._resolve_targets(targets)
        children = self.client._broadcast(ids, msg_type, content, self._metadata_text(), list(buffers))
        return AsyncResult(self.client, children, fname, ids)
