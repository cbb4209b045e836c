"""make bench: this project beside ipyparallel, the raw libzmq floor and other peers, measured in one run on this machine.

bench.py BUILD-TREE [GROUP...] prints tables and writes bench.json in the current folder. Nothing here passes or fails by a time. A group
is a module with measure(build, log) -> results, show(results), and missing(results) -> what failed.
"""

import importlib
import json
import os
import platform
import re
import sys
import time
from pathlib import Path

from harness import say

GROUPS = ["compare", "peers", "costs", "crowd", "fanout", "waiting"]
IF_NAMED = ["aims", "scale"]  # groups that are measured only if they are asked for


def machine():
    """What it is measured on, in words."""
    processor = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    system = platform.freedesktop_os_release()["PRETTY_NAME"]
    return f"{os.cpu_count()} processors ({processor[1] if processor else platform.machine()}), {system}"


def main():
    build = Path(sys.argv[1]).resolve()
    names = sys.argv[2:] or GROUPS
    unknown = set(names).difference(GROUPS + IF_NAMED)
    if unknown:
        sys.exit(f"bench.py: there is no group {', '.join(sorted(unknown))}, only {', '.join(GROUPS + IF_NAMED)}")
    results = {"machine": machine(), "date": time.strftime("%Y-%m-%d")}
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
