"""make bench: this project beside ipyparallel, the raw libzmq floor and other peers, measured in one run on this machine.

bench.py BUILD-TREE [GROUP...] prints tables and writes bench.json in the current folder. Nothing here passes or fails by a time. A group
is a module with measure(build, log) -> results, show(results), and missing(results) -> what failed.
"""

import importlib
import json
import os
import sys
from pathlib import Path

from harness import say

GROUPS = ["compare", "peers", "crowd", "fanout", "waiting"]


def main():
    build = Path(sys.argv[1]).resolve()
    names = sys.argv[2:] or GROUPS
    unknown = set(names).difference(GROUPS)
    if unknown:
        sys.exit(f"bench.py: there is no group {', '.join(sorted(unknown))}, only {', '.join(GROUPS)}")
    results = {"processors": os.cpu_count()}
    missing = []
    with open("bench.log", "w") as log:
        for name in names:
            group = importlib.import_module(name)
            say(name)
            results[name] = group.measure(build, log)
            group.show(results[name])
            missing += [f"{name}: {each}" for each in group.missing(results[name])]
    Path("bench.json").write_text(json.dumps(results, indent=2) + "\n")
    if missing:
        say(f"not measured: {'; '.join(missing)}; what was printed is in bench.log")
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
