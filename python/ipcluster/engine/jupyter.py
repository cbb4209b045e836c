"""get_ipython().kernel, for code that was written for ipykernel's kernels. Imported when such code asks for it."""

import logging

import _ipcluster_host as host
from ipykernel.comm import CommManager
from ipykernel.kernelbase import Kernel
from jupyter_client.session import Session
from traitlets import Any

from ipcluster.engine.kernel import flush, shell
from ipcluster.engine.messages import pack

_kernel = None


class EngineSession(Session):
    """The engine publishes what is sent with this session, as a child of the request that runs."""

    def send(
        self,
        stream,
        msg_or_type,
        content=None,
        parent=None,
        ident=None,
        buffers=None,
        track=False,
        header=None,
        metadata=None,
    ):
        message = msg_or_type
        if not isinstance(message, dict):
            message = self.msg(message, content=content, parent=parent, header=header, metadata=metadata)
        buffers = message.get("buffers", []) if buffers is None else buffers
        flush()
        metadata = message["metadata"]
        host.publish(
            message["header"]["msg_type"], pack(message["content"]), pack(metadata) if metadata else None, list(buffers)
        )
        return message


class EngineKernel(Kernel):
    """The engine has the sockets, receives and answers. This class has the other members that user code uses."""

    implementation = "ipcluster"
    implementation_version = "1"
    banner = ""
    shell = Any()
    comm_manager = Any()

    @property
    def engine_id(self):
        return host.engine()[1]

    @property
    def user_ns(self):
        return self.shell.user_ns

    def get_parent(self, channel="shell"):
        header = self.shell.parent_header
        return {"header": header, "msg_id": header.get("msg_id"), "msg_type": header.get("msg_type")}


def kernel():
    """The one kernel."""
    global _kernel
    if _kernel is None:
        uuid, _ = host.engine()
        _kernel = EngineKernel(
            session=EngineSession(), ident=uuid, shell=shell(), log=logging.getLogger("ipcluster.engine")
        )
        _kernel.comm_manager = CommManager(parent=_kernel, kernel=_kernel)
    return _kernel
