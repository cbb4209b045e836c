#!/usr/bin/python3
"""Runs fuzzers: run.py BUILD [--minutes N | --seconds-each N] [--junit FILE] [NAME ...].

As many at a time as there are processors. Each starts with what seeds.py writes (BUILD/fuzz/seeds), with what was found once
(tests/fuzz/seeds), and with what earlier runs in BUILD have found worth keeping (BUILD/fuzz/corpus), and goes on until its time is
over or something is found (BUILD/fuzz/found). Ends with 1 where anything was found.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

import seeds

SOURCES = Path(__file__).resolve().parent
FOUND = SOURCES / "seeds"
INPUT_BYTES_MAX = 4096
INPUT_SECONDS_MAX = 20
MEMORY_MB_MAX = 2048
ENVIRONMENT = {
    "ASAN_OPTIONS": "detect_leaks=1:detect_odr_violation=0",
    "LSAN_OPTIONS": f"suppressions={SOURCES.parent / 'lsan.supp'}:print_suppressions=0",
    "UBSAN_OPTIONS": "print_stacktrace=1",
}


class Run:
    """One fuzzer's."""

    def __init__(self, build, name):
        self.name = name
        self.program = build / "tests" / "fuzz" / f"fuzz_{name}"
        self.corpus = build / "fuzz" / "corpus" / name
        self.found = build / "fuzz" / "found" / name
        self.seeds = build / "fuzz" / "seeds"
        self.log = build / "fuzz" / f"{name}.log"
        self.executions = self.seconds = self.edges = 0
        self.fault = ""
        self.input = None

    def go(self, seconds):
        for folder in (self.corpus, self.found):
            folder.mkdir(parents=True, exist_ok=True)
        started = time.time()
        # Threads keep memory from one input to the next: leaks are looked for at the end.
        command = [
            self.program,
            f"-max_total_time={seconds}",
            f"-timeout={INPUT_SECONDS_MAX}",
            f"-rss_limit_mb={MEMORY_MB_MAX}",
            f"-max_len={INPUT_BYTES_MAX}",
            f"-dict={self.seeds / 'dictionary'}",
            f"-artifact_prefix={self.found}/",
            "-print_final_stats=1",
            "-print_funcs=0",
            "-detect_leaks=0",
            self.corpus,
            self.seeds / self.name,
            *([FOUND / self.name] if (FOUND / self.name).exists() else []),
        ]
        with open(self.log, "wb") as log:
            status = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **ENVIRONMENT},
                check=False,
            ).returncode
        self.seconds = time.time() - started
        self.read_log(status)
        return self

    def read_log(self, status):
        text = self.log.read_text(errors="replace")
        executions = re.search(r"number_of_executed_units:\s*(\d+)", text) or re.search(r"#(\d+)\s(?!.*\n#\d+\s)", text)
        self.executions = int(executions.group(1)) if executions else 0
        edges = re.findall(r" cov: (\d+)", text)
        self.edges = int(edges[-1]) if edges else 0
        if status:
            what = re.search(
                r"^.*(?:does not hold|ERROR: \w+Sanitizer|runtime error|libFuzzer: ).*$", text, re.MULTILINE
            )
            self.fault = what.group(0).strip() if what else f"it ended with {status}"
            written = re.search(r"Test unit written to (\S+)", text)
            self.input = written and written.group(1)
        elif not self.executions:
            self.fault = "it has executed nothing"

    def line(self):
        outcome = f"FOUND {self.fault}" if self.fault else "nothing found"
        return (
            f"{self.name:12} {self.executions:12,} executions in {self.seconds:5.0f} s, {self.edges:5} edges: {outcome}"
        )

    def advice(self):
        again = f"  again:  FUZZ_LIFE=1 {self.program} {self.input}\n" if self.input else ""
        seed = (
            f"  seed:   mkdir -p {FOUND / self.name}; cp {self.input} {FOUND / self.name}/found-WHAT-IT-WAS\n"
            if self.input
            else ""
        )
        return f"{self.name}: {self.fault}\n  log:    {self.log}\n{again}{seed}"


def write_junit(runs, path):
    suite = ElementTree.Element("testsuite", name="fuzz", tests=str(len(runs)))
    for run in runs:
        case = ElementTree.SubElement(suite, "testcase", classname="fuzz", name=run.name, time=f"{run.seconds:.1f}")
        if run.fault:
            ElementTree.SubElement(case, "failure", message=run.fault).text = run.advice()
    ElementTree.ElementTree(suite).write(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("build", type=Path)
    parser.add_argument("names", nargs="*", help="which; all by default")
    length = parser.add_mutually_exclusive_group()
    length.add_argument("--minutes", type=float, default=10, help="for all together (default 10)")
    length.add_argument("--seconds-each", type=int)
    parser.add_argument("--junit", type=Path)
    arguments = parser.parse_intermixed_args()
    known = sorted(path.stem.partition("_")[2] for path in SOURCES.glob("fuzz_*.c"))
    names = arguments.names or known
    if set(names) - set(known):
        parser.error(f"there is no fuzzer {sorted(set(names) - set(known))[0]}: there are {', '.join(known)}")
    build = arguments.build.resolve()
    at_a_time = len(os.sched_getaffinity(0))
    each = arguments.seconds_each or max(1, round(arguments.minutes * 60 * min(at_a_time, len(names)) / len(names)))
    shutil.rmtree(build / "fuzz" / "seeds", ignore_errors=True)  # those of earlier sources
    seeds.main(build / "fuzz" / "seeds")
    started = time.time()
    runs = []
    with ThreadPoolExecutor(at_a_time) as pool:
        for run in pool.map(lambda name: Run(build, name).go(each), names):
            print(run.line(), flush=True)
            runs.append(run)
    found = [run for run in runs if run.fault]
    print(
        f"\n{sum(run.executions for run in runs):,} executions of {len(runs)} fuzzers in {time.time() - started:.0f} s, "
        f"{len(found)} of which found something"
    )
    for run in found:
        print(f"\n{run.advice()}", end="")
    if arguments.junit:
        write_junit(runs, arguments.junit)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
