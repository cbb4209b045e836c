"""The backend of joblib: its batches of calls are load-balanced tasks."""

from joblib.parallel import AutoBatchingMixin, ParallelBackendBase


class Backend(AutoBatchingMixin, ParallelBackendBase):
    supports_timeout = True

    def __init__(self, view=None, **options):
        super().__init__(**options)
        self._cluster = None
        self._own_client = view is None
        self._view = view or self._connect()

    def _connect(self):
        from ipcluster.cluster import Cluster

        try:
            cluster = Cluster.from_file()
        except FileNotFoundError:
            cluster = self._cluster = Cluster()
            cluster.start_cluster_sync()
        client = cluster.connect_client_sync(keep_tasks=False)  # nobody else can need the tasks that it has waiting
        client.wait_for_engines(cluster.n or 1, timeout=60)
        # joblib sends closures that pickle does not know.
        client[:].use_cloudpickle()
        return client.load_balanced_view()

    def effective_n_jobs(self, n_jobs):
        return max(len(self._view), 1)

    def apply_async(self, func, callback=None):
        result = self._view.apply_async(func)
        if callback:
            result.add_done_callback(lambda done: callback(done.get(return_exceptions=True)))
        return result

    def abort_everything(self, ensure_ready=True):
        self._view.abort(block=False)

    def terminate(self):
        if self._own_client:
            self._view.client.close()
        if self._cluster is not None:
            self._cluster.stop_cluster_sync()
