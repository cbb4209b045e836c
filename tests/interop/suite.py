#!/usr/bin/python3
"""Runs the test suite inside Debian's python3-ipyparallel with programs of ours in the place of theirs.

suite.py [--ours WHAT]... [--junit FOLDER] [--jobs N] [--peer FOLDER] [FILE-OR-TEST]...

Nothing of theirs is changed: they start "PYTHON -m ipyparallel.controller", and PYTHON is the script beside this one. Each pytest has a
home and an IPYTHONDIR of its own, and all that it left running is ended. exceptions.txt names the tests that need not pass, with reasons. A
test that failed runs once more at the end, alone, because many of theirs wait for one second only. Tests that passed only then are printed.
"""

import argparse
import concurrent.futures
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
import xml.etree.ElementTree as etree
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from support import PYTHON, Programs, Sandbox, find_build

# What is ours in each combination, in the words of the table that is printed at the end.
COMBINATIONS = {
    "both": "our controller and our engines",
    "controller": "our controller and their engines",
    "engines": "their controller and our engines",
    "none": "their controller and their engines",
}
TEST_TIMEOUT = 90
RUN_TIMEOUT = 600
# The files that take long, longest first, run each in a pytest of its own; the others share one.
LONG_FILES = (
    "test_view_broadcast.py",
    "test_cluster.py",
    "test_client.py",
    "test_view.py",
    "test_asyncresult.py",
    "test_mpi.py",
    "test_magics.py",
    "test_lbview.py",
)
# Each of its tests ends with a wait of two seconds, with any programs: it takes long, but hardly any processor time.
IDLE_FILE = "test_view_broadcast.py"
# More failures than this are no accident of a busy machine.
MOST_SECOND_ATTEMPTS = 60
# Set by a signal: what runs is ended, with all that it started.
STOPPED = threading.Event()


class Result:
    """How one test ended: `outcome` is passed, failed or skipped; `text` says why it did not pass."""

    def __init__(self, test):
        self.test = test
        self.running = False
        self.outcome = "unfinished"
        self.text = ""
        self.seconds = 0.0

    def take(self, event):
        self.seconds += event["seconds"]
        if event["expected"] is not None and event["outcome"] != "failed":  # some of these pass now and then
            self.outcome, self.text = "skipped", f"they expect it to fail: {event['expected']}"
        elif event["outcome"] == "failed":
            self.outcome = "failed"
            self.text += f"in {event['phase']}:\n{event['text']}\n"
        elif event["outcome"] == "skipped" and self.outcome != "failed":
            self.outcome, self.text = "skipped", event["text"].removeprefix("Skipped: ")
        elif event["phase"] == "call" and self.outcome != "failed":
            self.outcome = "passed"


class Peer:
    """The ipyparallel whose tests run: where it is, and the test files it has."""

    def __init__(self, folder):
        # Debian's own is found without our help.
        self.path = [str(Path(folder).resolve())] if folder else []
        found = subprocess.run(
            [PYTHON, "-c", "import ipyparallel; print(ipyparallel.__path__[0])"],
            check=True,
            text=True,
            capture_output=True,
            cwd="/",
            env={**os.environ, "PYTHONPATH": os.pathsep.join(self.path)},
        )
        self.tests = Path(found.stdout.strip()) / "tests"
        self.folder = self.tests.parent.parent
        if not self.tests.is_dir():
            sys.exit(f"{self.tests.parent} has no tests")

    def files(self):
        """Lists of files, each for one pytest."""
        names = sorted(path.name for path in self.tests.glob("test_*.py"))
        long = [[name] for name in LONG_FILES if name in names]
        return [*long, [name for name in names if name not in LONG_FILES]]


class Run:
    """One combination: runs files, and collects a Result for each test."""

    def __init__(self, peer, ours, output):
        self.peer = peer
        self.ours = ours
        self.output = output
        self.results = {}
        self.again = []
        self.seconds = 0.0

    def tests(self, label, names):
        """Runs files or tests. A pytest that crashes is started again for what is left. Returns the results, and the seconds."""
        started = time.monotonic()
        results, wanted, before = {}, names, None
        while wanted and time.monotonic() < started + RUN_TIMEOUT and not STOPPED.is_set():
            ended = self._pytest(label, wanted, results)
            for result in results.values():
                if result.running:
                    result.running, result.outcome, result.text = False, "failed", ended
            before, wanted = wanted, [test for test, result in results.items() if result.outcome == "unfinished"]
            if wanted == before:
                break
        for name in names:
            if not any(test.startswith(name) for test in results):
                results[name] = Result(name)
        for result in results.values():
            if result.outcome == "unfinished":
                result.outcome, result.text = "failed", f"was not run: see {self._log(label)}"
        return results, time.monotonic() - started

    def _log(self, label):
        return self.output / f"ipyparallel-{self.ours}-{label}.log"

    def _pytest(self, label, wanted, results):
        """One pytest process. Returns how it ended, for the test that it did not finish."""
        box = Sandbox(Programs.of_build(find_build()))
        events = box.dir / "events"
        events.touch()
        # exec -a gives the interpreter the name of the script: see there.
        argv = [
            HERE / "python",
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "-p",
            "suite_plugin",
            "-c",
            os.devnull,
            f"--rootdir={self.peer.folder}",
            f"--timeout={TEST_TIMEOUT}",
            "--timeout-method=thread",
            *(f"{self.peer.tests}/{name}" for name in wanted),
        ]
        with open(self._log(label), "ab") as log:
            pytest = subprocess.Popen(
                argv,
                env=self._environment(box, events),
                cwd=box.work,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                status = wait_for(pytest)
            finally:
                pytest.kill()
                pytest.wait()
                lines = events.read_text(encoding="utf-8").splitlines()
                box.end(strict=False)
        self._read(lines, results)
        return f"the process that ran the test ended with {status}: see {self._log(label)}"

    def _environment(self, box, events):
        env = dict(box.env)
        env["PYTHONPATH"] = os.pathsep.join(
            [str(HERE), str(HERE.parent), str(HERE.parent / "session"), *self.peer.path, *box.programs.python_path]
        )
        env["SUITE_EVENTS"] = str(events)
        if self.ours in ("both", "controller"):
            env["STAND_IN_CONTROLLER"] = str(box.programs.ipcontroller)
        if self.ours in ("both", "engines"):
            env["STAND_IN_ENGINE"] = str(box.programs.ipengine)
        if self.ours == "both":
            env["SUITE_SLURM"] = "1"  # for test_slurm.py, which takes long
        return env

    def _read(self, lines, results):
        prefix = "ipyparallel/tests/"
        for line in lines:
            event = json.loads(line)
            test = event["test"].removeprefix(prefix)
            result = results.setdefault(test, Result(test))
            if event["event"] == "phase":
                result.take(event)
            elif event["event"] in ("started", "finished"):
                result.running = event["event"] == "started"


class Exceptions:
    """What exceptions.txt says of a combination: for each test a reason, and whether it may pass as well."""

    LINE = re.compile(r"(?P<ours>[a-z,]+)(?P<sometimes> sometimes)?\s+(?P<test>\S+)\s+(?P<reason>\S.*)")

    def __init__(self, path, ours):
        self.reasons, self.sometimes = {}, set()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            if not line.strip() or line.startswith("#"):
                continue
            found = self.LINE.fullmatch(line)
            if not found or not set(found["ours"].split(",")) <= {*COMBINATIONS, "all"}:
                sys.exit(f"{path}:{number}: not COMBINATIONS [sometimes] TEST REASON")
            if {ours, "all"} & set(found["ours"].split(",")):
                self.reasons[found["test"]] = found["reason"]
                if found["sometimes"]:
                    self.sometimes.add(found["test"])

    def apply(self, results, whole):
        """A failure that is listed becomes "excepted". An entry is a failure if its test does not exist, or passes and is not marked
        "sometimes"."""
        for test, reason in self.reasons.items():
            result = results.get(test)
            if not result:
                if whole:
                    result = results[test] = Result(test)
                    result.outcome, result.text = "failed", "is in exceptions.txt, and there is no such test"
            elif result.outcome == "failed":
                result.outcome, result.text = "excepted", reason
            elif result.outcome == "passed" and test not in self.sometimes:
                result.outcome, result.text = "failed", f"passes, though exceptions.txt says: {reason}"


def wait_for(process):
    deadline = time.monotonic() + RUN_TIMEOUT
    while time.monotonic() < deadline and not STOPPED.is_set():
        try:
            return process.wait(0.5)
        except subprocess.TimeoutExpired:
            pass
    return "the runner's patience"


def run_all(runs, lists, jobs):
    """Runs the lists of files in every combination, `jobs` at a time, and beside them, one at a time, the file that waits most."""
    with concurrent.futures.ThreadPoolExecutor(jobs) as busy, concurrent.futures.ThreadPoolExecutor(1) as idle:
        waiting = {
            (idle if names == [IDLE_FILE] else busy).submit(run.tests, Path(names[0]).stem, names): (run, names)
            for names in lists
            for run in runs
        }
        for done in concurrent.futures.as_completed(waiting):
            run, names = waiting[done]
            results, seconds = done.result()
            run.results.update(results)
            run.seconds += seconds
            bad = sum(result.outcome == "failed" for result in results.values())
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            print(f"{run.ours}: {names[0]}{more}: {len(results)} tests, {bad} failed, {seconds:.0f} s", flush=True)


def second_attempt(run, exceptions):
    """What failed and is not excepted, alone on the machine."""
    failed = [
        test
        for test, result in run.results.items()
        if result.outcome == "failed" and "::" in test and test not in exceptions.reasons
    ]
    if not failed or len(failed) > MOST_SECOND_ATTEMPTS:
        return
    results, seconds = run.tests("again", failed)
    run.seconds += seconds
    for test, result in results.items():
        if result.outcome == "passed":
            run.again.append(test)
            run.results[test] = result


def write_junit(run, path):
    suite = etree.Element("testsuite", name=run.ours)
    for test, result in sorted(run.results.items()):
        case = etree.SubElement(
            suite, "testcase", classname=f"ipyparallel.{run.ours}", name=test, time=f"{result.seconds:.3f}"
        )
        text = re.sub(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd]", "?", result.text)
        if result.outcome == "failed":
            etree.SubElement(case, "failure", message=text[:200]).text = text
        elif result.outcome != "passed":
            etree.SubElement(case, "skipped", message=f"{result.outcome}: {text}")
    etree.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)


def report(run):
    count = {
        kind: sum(result.outcome == kind for result in run.results.values())
        for kind in ("passed", "failed", "skipped", "excepted")
    }
    for test, result in sorted(run.results.items()):
        if result.outcome == "failed":
            last = result.text.strip().splitlines()[-1:] or [""]
            print(f"{run.ours}: failed: {test}: {last[0][:150]}")
    for test in run.again:
        print(f"{run.ours}: passed only at the second attempt: {test}")
    print(
        f"{COMBINATIONS[run.ours]}: "
        + ", ".join(f"{number} {kind}" for kind, number in count.items())
        + f" ({run.seconds:.0f} s of runs)",
        flush=True,
    )
    return count["failed"] == 0 and count["passed"] > 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--ours", action="append", choices=COMBINATIONS, help="what is ours (default: all but none)")
    parser.add_argument(
        "--junit", type=Path, help="the folder for JUnit reports and logs (default: build tree/interop)"
    )
    parser.add_argument("--jobs", type=int, default=2, help="how many run at a time (default: %(default)s)")
    parser.add_argument("--peer", help="the folder that holds ipyparallel (default: Debian's)")
    parser.add_argument("tests", nargs="*", help="files and tests of theirs, as test_view.py::TestView::test_push")
    arguments = parser.parse_args()
    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, lambda *_: STOPPED.set())

    peer = Peer(arguments.peer)
    output = arguments.junit or find_build() / "interop"
    output.mkdir(parents=True, exist_ok=True)
    runs = [Run(peer, ours, output) for ours in arguments.ours or [ours for ours in COMBINATIONS if ours != "none"]]
    for run in runs:  # reports of other combinations stay: scripts/test runs them one after the other
        for stale in output.glob(f"ipyparallel-{run.ours}*"):
            stale.unlink()
    lists = [arguments.tests] if arguments.tests else peer.files()
    run_all(runs, lists, arguments.jobs)
    good = True
    for run in runs:
        exceptions = Exceptions(HERE / "exceptions.txt", run.ours)
        second_attempt(run, exceptions)
        exceptions.apply(run.results, whole=not arguments.tests and not arguments.peer)
        write_junit(run, output / f"ipyparallel-{run.ours}.xml")
        good = report(run) and good
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
