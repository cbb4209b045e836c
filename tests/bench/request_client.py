"""A client for what is counted outside of it: request_client.py CONNECTION-FILE does what each line that it reads says, and prints a JSON
object. Lines are names and arguments of the functions below."""

import itertools
import re
import sys
import time

from clients import answer, connected
from peers_client import task

task.__module__ = "__main__"  # so that engines get the function: they have not its module


class Requests:
    def __init__(self, connection_file):
        self.connection_file = connection_file

    def engines(self, count, *_):
        """Waits until there are so many."""
        self.client = connected("ipcluster", self.connection_file, int(count))
        self.view = self.client.load_balanced_view()
        self.singles = [self.client[engine_id] for engine_id in self.client.ids]
        return {"engines": len(self.client.ids)}

    def tasks(self, count, seconds=0):
        """So many tasks that take so long, submitted each by itself."""
        return self._each(itertools.repeat(self.view, int(count)), seconds)

    def direct(self, count, seconds=0):
        """So many requests to the engines, each in turn."""
        return self._each(itertools.islice(itertools.cycle(self.singles), int(count)), seconds)

    def map(self, count, seconds=0):
        """So many tasks, as one map."""
        return self._results(lambda: self.view.map(task, [float(seconds)] * int(count), block=True))

    def _each(self, views, seconds):
        def run():
            return [pending.get() for pending in [view.apply_async(task, float(seconds)) for view in views]]

        return self._results(run)

    def _results(self, run):
        start = time.monotonic()
        results = run()
        return {"tasks": len(results), "failed": sum(result is not None for result in results),
                "seconds": time.monotonic() - start}  # fmt: skip

    def push(self, count):
        """An array of so many bytes, to all engines."""
        import numpy

        self.array = numpy.ones(int(count), dtype="uint8")
        self.client[:].push({"pushed": self.array}, block=True)
        return {"pushed": len(self.array)}

    def bytes(self):
        """What the sockets of the task scheduler and of the direct one have received and sent so far, by whom they are for."""
        found = {"client": 0, "engine": 0}
        for name, value in self.client.stats().items():
            ends = re.match(r'ipcluster_(?:received|sent)_bytes_total\{socket="(?:task|direct)",side="(\w+)"', name)
            if ends:
                found[ends.group(1)] += value
        return found


def main(connection_file):
    requests = Requests(connection_file)
    for line in sys.stdin:
        what, *words = line.split()
        answer(getattr(requests, what)(*words))


main(*sys.argv[1:])
