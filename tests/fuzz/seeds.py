#!/usr/bin/python3
"""Writes the seeds that have a shape of their own, and the dictionary: seeds.py FOLDER.

Each fuzzer begins with these, which run.py has written anew, and with what fuzzing has found: tests/fuzz/seeds/NAME.
"""

import json
import sys
from pathlib import Path

import file_seeds
import message_seeds
import msgpack
from message_seeds import FRAME, MESSAGE, ROLES

PACKERS = {"json": (0, lambda value: json.dumps(value).encode()), "msgpack": (1, msgpack.packb)}
WORDS = """msg_id msg_type session status targets retries timeout after follow dependencies all success failure is_coalescing is_broadcast
    uuid id pending info watched died reason msg_ids engine_ids query keys buffers result_buffers verbose ok error aborted e0 e1 $or $and $in
    $nin $gt $mod $all $exists $ne completed submitted engine_uuid label dependencies_met restart sig SIGUSR1 connections tasks unbegun gone life keep leaving""".split()
REQUESTS = [name.removesuffix("_request") for name in ROLES]
REQUESTS += "execute apply abort clear interrupt kernel_info connect usage signal recall".split()


def dictionary():
    """libFuzzer's: what it puts into inputs as a whole."""
    words = (
        [word.encode() for word in WORDS]
        + [json.dumps(word).encode() + b":" for word in WORDS]
        + [msgpack.packb(word) for word in WORDS]
    )
    words += [f"{name}_{kind}".encode() for name in REQUESTS for kind in ("request", "reply")]
    words += [FRAME, MESSAGE, FRAME + b"D" + FRAME]
    return "".join('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in words)


def main(folder):
    for name, inputs in (message_seeds.PACKED | file_seeds.PLAIN).items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        for kind, (bits, pack) in PACKERS.items() if name in message_seeds.PACKED else {"": (0, None)}.items():
            for what, data in inputs(bits, pack):
                (folder / name / "-".join(filter(None, (kind, what.lower())))).write_bytes(data)
    (folder / "dictionary").write_text(dictionary())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
