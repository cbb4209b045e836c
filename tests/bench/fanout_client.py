"""Asks many engines the same, each way that a client has: fanout_client.py PACKAGE CONNECTION-FILE ENGINES prints a JSON object."""

import importlib
import json
import os
import sys
import time

SECONDS = 3.0
PAYLOAD = bytes(1 << 20)
# What both packages have; ipyparallel alone has replies coalesced on the wire.
VIEWS = {
    "direct": lambda client: client[:],
    "broadcast": lambda client: client.broadcast_view(),
    "coalescing": lambda client: client.broadcast_view(is_coalescing=True),
}


def answer(*_):
    return None


def rounds(view, argument):
    """Seconds a round, and those of them that this client computes."""
    count = 0
    view.apply_sync(answer, argument)
    start, start_cpu = time.monotonic(), time.process_time()
    while time.monotonic() - start < SECONDS or count < 3:
        view.apply_sync(answer, argument)
        count += 1
    return (time.monotonic() - start) / count, (time.process_time() - start_cpu) / count


def main():
    package = importlib.import_module(sys.argv[1])
    while not os.path.exists(sys.argv[2]):
        time.sleep(0.02)
    client = package.Client(sys.argv[2])
    while len(client.ids) < int(sys.argv[3]):
        time.sleep(0.02)
    results = {}
    for name, make in VIEWS.items():
        if name == "coalescing" and sys.argv[1] == "ipcluster":
            continue
        view = make(client)
        results[f"{name}_s"], results[f"{name}_client_s"] = rounds(view, b"")
        results[f"{name}_payload_s"], _ = rounds(view, PAYLOAD)
    print(json.dumps(results), flush=True)


if __name__ == "__main__":
    main()
