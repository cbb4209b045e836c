"""Seals as docs/reference/wire.md draws them, computed here from a capture with nothing but Python: what is on the wire is what the page says."""

import hashlib
import hmac
import json

import framing
import pytest
from support import LONG, typed, wait_until
from wire_tap import tapped_file

CLIENT, CONTROLLER = 0, 1  # who receives
TASK = 4  # the channel
DIGITS = {"hmac": 64, "counter": 16, "life": 32}


def poly1305(key, data):
    """RFC 8439, 2.5."""
    r = int.from_bytes(key[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF
    tag = 0
    for at in range(0, len(data), 16):
        tag = (tag + int.from_bytes(data[at : at + 16] + b"\1", "little")) * r % ((1 << 130) - 5)
    return ((tag + int.from_bytes(key[16:], "little")) % (1 << 128)).to_bytes(16, "little")


class Seals:
    def __init__(self, key):
        self.key = key
        self.tag_key = self.hmac(b"\0ipcluster tag 2\0\1")

    def hmac(self, *parts):
        return hmac.new(self.key, b"".join(parts), hashlib.sha256).digest()

    def of(self, label, direction, life, counter, name, *tagged):
        """The HMAC over a message to or from a client on the task channel; each of `tagged` has a tag."""
        where = bytes([direction, TASK]) + life + counter.to_bytes(8, "big") + bytes([len(name)]) + name
        return self.hmac(label, where, *(poly1305(self.tag_key, data) for data in tagged))


def behind_their_lengths(frames):
    return b"".join(len(frame).to_bytes(8, "big") + frame for frame in frames)


def fields(signature):
    """A seal's fields, by name."""
    found, at = {}, 0
    for name, digits in DIGITS.items():
        found[name] = bytes.fromhex(signature[at : at + digits].decode())
        at += digits
    assert at == len(signature)
    return found


@typed
def same(value):
    return value


@pytest.mark.parametrize("size", [10, 20000], ids=["small", "large"])
def test_a_task_and_its_answer_have_the_seals_that_the_wire_page_draws(new_cluster, size):
    import ipcluster

    cluster = new_cluster(1, controller=["--IPController.enable_curve=false"])
    file = cluster.profile_dir / "security" / "tapped.json"
    seals = Seals(json.loads(cluster.client_file.read_text())["key"].encode())
    with tapped_file(cluster.client_file, file, ["task"]) as taps:
        client = ipcluster.Client(str(file), timeout=LONG)
        cluster.clients.append(client)
        wait_until(lambda: client.ids, LONG, "the engine is known")
        result = client.load_balanced_view().apply_async(same, b"x" * size)
        assert result.get(LONG) == b"x" * size
        ways = {CONTROLLER: taps["task"].to_controller, CLIENT: taps["task"].to_peer}
    ways = {to: [frames for frames in way if framing.is_message(frames)] for to, way in ways.items()}
    [name] = {json.loads(framing.read(frames).header)["session"].encode() for frames in ways[CONTROLLER]}
    lives, in_envelopes = set(), set()
    for direction, messages in ways.items():
        for message in messages:
            travelled = message.travelled[0]
            in_envelopes.add(travelled.startswith(framing.ENVELOPE))
            if travelled.startswith(framing.ENVELOPE):
                seal = travelled[len(framing.ENVELOPE) :][: framing.SEAL_BYTES]
                life, digest, rest = seal[:16], seal[16:48], seal[48:]
                body = travelled[len(framing.ENVELOPE) + framing.SEAL_BYTES :]
                assert digest == seals.of(b"\0ipcluster sealed envelope 1\0", direction, life, 0, name, body)
                assert not any(rest)
            else:
                read = framing.read(message)
                seal = fields(read.signature)
                life, counter = seal["life"], int.from_bytes(seal["counter"], "big")
                parts = behind_their_lengths([read.header, read.parent, read.metadata, read.content])
                buffers = behind_their_lengths(read.buffers)
                apart = sum(map(len, read.buffers)) > 4096
                tagged = [parts, buffers] if apart else [parts + buffers]
                assert seal["hmac"] == seals.of(b"\0ipcluster seal 2\0", direction, life, counter, name, *tagged)
            lives.add(life)
    assert (True in in_envelopes) == (size == 10)
    assert len(lives - {bytes(16)}) == 1 and bytes(16) in lives
