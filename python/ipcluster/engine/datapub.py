"""Publishing objects while a task runs: the client finds them in its AsyncResult's `data`."""

import _ipcluster_host as host

from ipcluster.canning import serialize
from ipcluster.engine.kernel import flush
from ipcluster.engine.messages import pack


def publish_data(data):
    """Publishes a dictionary. At the client it updates what the same task has published before."""
    if not isinstance(data, dict):
        raise TypeError(f"publish_data takes a dictionary of names and objects, not {type(data)}")
    flush()
    host.publish("data_message", pack({"keys": list(data)}), None, serialize(data))


class DataPublisher:
    """get_ipython().data_pub"""

    publish_data = staticmethod(publish_data)
