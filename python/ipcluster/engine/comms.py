"""Comms: named connections between objects in an engine and their other halves in a frontend, as ipykernel and the package `comm` offer them to
user code. Neither is imported before user code imports it, because only then can there be a comm."""

import json
import sys

import _ipcluster_host as host

from ipcluster.engine.messages import pack

_manager = None


def manager():
    """The one manager: ipykernel's if that is installed, otherwise the package `comm`'s. ImportError if neither is."""
    global _manager
    if _manager is None:
        try:
            from ipcluster.engine.jupyter import kernel
        except ImportError:
            from comm.base_comm import CommManager

            _manager = CommManager()
        else:
            _manager = kernel().comm_manager
    return _manager


def _in_use():
    return _manager is not None or "ipykernel.comm" in sys.modules or "comm" in sys.modules


def adopt(comm):
    """Makes the functions of the package `comm` work in this engine."""

    class EngineComm(comm.base_comm.BaseComm):
        def publish_msg(self, msg_type, data=None, metadata=None, buffers=None, **keys):
            content = {"data": data or {}, "comm_id": self.comm_id, **keys}
            host.publish(msg_type, pack(content), pack(metadata) if metadata else None, list(buffers or ()))

    comm.create_comm = EngineComm
    comm.get_comm_manager = manager


def info(asked):
    """The content of the reply to a comm_info_request."""
    target = asked.get("target_name")
    comms = manager().comms if _in_use() else {}
    found = {
        key: {"target_name": comm.target_name}
        for key, comm in comms.items()
        if target is None or comm.target_name == target
    }
    return {"status": "ok", "comms": found}


def receive(msg_type, content, buffers):
    """A comm's message from a client; it has no reply. If it opens a comm that nothing here belongs to, the answer closes the comm."""
    if _in_use():
        header = json.loads(host.part("header") or "{}")
        metadata = json.loads(host.part("metadata") or "{}")
        message = {"header": header, "parent_header": {}, "metadata": metadata, "content": content, "buffers": buffers}
        message.update(msg_id=header.get("msg_id"), msg_type=msg_type)
        getattr(manager(), msg_type)(None, [], message)
    elif msg_type == "comm_open":
        host.publish("comm_close", pack({"comm_id": content.get("comm_id"), "data": {}}), None, [])
