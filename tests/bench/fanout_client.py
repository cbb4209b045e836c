"""Asks many engines the same, each way that a client has: fanout_client.py PACKAGE CONNECTION-FILE ENGINES [WAY...] prints a JSON
object. The ways are the names of VIEWS: all, if none is named."""

import sys
import time

from clients import SIZE, answer, connected

SECONDS = 3.0 * SIZE
PAYLOAD = bytes(1 << 20)
# What both packages have; ipyparallel alone has replies coalesced on the wire.
VIEWS = {
    "direct": lambda client: client[:],
    "broadcast": lambda client: client.broadcast_view(),
    "coalescing": lambda client: client.broadcast_view(is_coalescing=True),
}


def nothing(*_):
    return None


def rounds(view, argument):
    """Seconds a round, and those of them that this client computes."""
    count = 0
    view.apply_sync(nothing, argument)
    start, start_cpu = time.monotonic(), time.process_time()
    while time.monotonic() - start < SECONDS or count < 3:
        view.apply_sync(nothing, argument)
        count += 1
    return (time.monotonic() - start) / count, (time.process_time() - start_cpu) / count


def main():
    package, connection_file, engines, *ways = sys.argv[1:]
    client = connected(package, connection_file, int(engines))
    results = {}
    for name, make in VIEWS.items():
        if (ways and name not in ways) or (name == "coalescing" and package == "ipcluster"):
            continue
        view = make(client)
        results[f"{name}_s"], results[f"{name}_client_s"] = rounds(view, b"")
        results[f"{name}_payload_s"], _ = rounds(view, PAYLOAD)
    answer(results)


if __name__ == "__main__":
    main()
