"""What the controller does not need to understand passes through it byte for byte, also where it keeps records."""

import json
from types import SimpleNamespace

import controller_peer
import pytest
import zmq
import framing
from controller_peer import Engine, next_frames

DEEP = b"[" * 300 + b"]" * 300
ODD_JSON = (
    b'{"big": 1180591620717411303424, "lone": "\\ud800", "nul": "\\u0000", "raw": "\xff\xfe", "twice": 1, "twice": 2, "real": 1e999, '
    b'"space" : [ 1 ,2 ] }'
)


def odd_msgpack():
    msgpack = pytest.importorskip("msgpack")
    packed = msgpack.packb({
        "big": 1 << 63, "nan": float("nan"), "bytes": b"\xff\0", "keys": {1: 2, b"x": 3}, "time": msgpack.Timestamp(1), "nul": "\0",
    })  # fmt: skip
    return b"\x87" + packed[1:] + b"\xa3raw\xa2\xff\xfe"


@pytest.fixture(params=["json", "msgpack"])
def packed(request, monkeypatch):
    """Makes the raw peers speak a serializer; returns its name and odd values that it can carry."""
    if request.param == "msgpack":
        msgpack = pytest.importorskip("msgpack")
        monkeypatch.setattr(controller_peer, "pack", msgpack.packb)

        def loads(data):
            return json.loads(data) if isinstance(data, str) else msgpack.unpackb(data)

        monkeypatch.setattr(controller_peer, "json", SimpleNamespace(loads=loads, dumps=json.dumps))
        return request.param, odd_msgpack()
    return request.param, ODD_JSON


def with_parts(peer, frames, file, **parts):
    """A message with other parts, signed anew."""
    return peer.signed(framing.changed(frames, **parts), file)


def received(socket):
    frames = next_frames(socket)
    return framing.read(frames).identities, framing.changed(frames, identities=())


@pytest.mark.parametrize("channel", ["mux", "task"])
@pytest.mark.parametrize("records", ["--nodb", "--dictdb"])
def test_odd_parts_pass_untouched(controller, packed, channel, records):
    packer, odd = packed
    peer = controller(f"--Session.packer={packer}", records)
    engine = Engine(peer).open().beat()
    client = peer.connect(zmq.DEALER, peer.client[channel])
    to = [engine.uuid.encode()] if channel == "mux" else []
    contents = [odd, DEEP, b"no value at all", b""]
    for content in contents:
        frames, msg_id = peer.message("apply_request", buffers=[b"\0" * 70000, b""])
        sent = with_parts(peer, frames, peer.client, metadata=odd, content=content)
        client.send_multipart([*to, *sent])
        route, got = received(engine.shell)
        assert got == peer.signed(sent, peer.engine)
        reply, _ = peer.message("apply_reply", {"status": "ok"}, {"status": "ok", "engine": engine.uuid}, parent=framing.read(got).header,
                                buffers=[b"\0" * 70000])  # fmt: skip
        answered = with_parts(peer, reply, peer.engine, content=content)
        engine.shell.send_multipart([*route, *answered])
        _, back = received(client)
        assert back == peer.signed(answered, peer.client)
    assert peer.engines()
