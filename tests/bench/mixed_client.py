"""Measures one cluster with tasks of two lengths mixed: mixed_client.py CONNECTION-FILE ENGINES.

An engine has 5 s of tasks of a second, on an average, and 1 s of tasks of a millisecond, all of one map. They sleep, so that there may be
more engines than processors.
"""

import random
import sys
import time

from clients import answer, connected, sized

LONG, SHORT = sized(5), sized(1000)  # for each engine


def main(connection_file, engines):
    client = connected("ipcluster", connection_file, engines)
    view = client.load_balanced_view()
    tasks = [1.0] * (LONG * engines) + [0.001] * (SHORT * engines)
    random.Random(engines).shuffle(tasks)  # the same for each cluster
    view.map_sync(time.sleep, [0.001] * (100 * engines))
    start = time.monotonic()
    view.map_sync(time.sleep, tasks)
    answer({"makespan_s": time.monotonic() - start})


main(sys.argv[1], int(sys.argv[2]))
