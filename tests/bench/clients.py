"""What the benchmark's clients in Python share."""

import importlib
import json
import os
import time

# How much longer measurements last, and how much more they measure, than is usual: IPCLUSTER_BENCH_SIZE=0.01 is to try them.
SIZE = float(os.environ.get("IPCLUSTER_BENCH_SIZE", "1"))


def sized(count):
    """So many, or so much less."""
    return max(int(count * SIZE), 1)


def connected(package, connection_file, engines):
    """A client of `package`, "ipcluster" or "ipyparallel", of a cluster that is starting, once it has so many engines."""
    module = importlib.import_module(package)
    # ipyparallel's controller opens the file before it has written it.
    while not os.path.exists(connection_file) or not os.path.getsize(connection_file):
        time.sleep(0.01)
    client = module.Client(connection_file)
    while len(client.ids) < engines:
        time.sleep(0.01)
    return client


def answer(results):
    print(json.dumps(results), flush=True)
