"""Adds up test results: tally.py FOLDER-OR-FILE... prints "N passed, N failed".

A folder is a build tree after `make check`, whose Criterion summaries are counted; a file ending in .xml is
pytest's JUnit report; any other file holds lines "PASS: what" and "FAIL: what". Ends with 1 where anything failed or nothing ran.
"""

import re
import sys
import xml.etree.ElementTree
from pathlib import Path


def of_criterion(folder):
    """Every program of `make check` leaves a .trs with its verdict and a .log with Criterion's summary."""
    passed = failed = 0
    for verdict in folder.rglob("*.trs"):
        log = verdict.with_suffix(".log").read_text(errors="replace")
        summary = re.search(
            r"Tested: .*?(\d+).*?Passing: .*?(\d+).*?Failing: .*?(\d+).*?Crashing: .*?(\d+)",
            re.sub(r"\x1b\[[0-9;]*m", "", log),
        )
        ended_well = ":test-result: PASS" in verdict.read_text()
        if summary:
            passing, bad = int(summary.group(2)), int(summary.group(3)) + int(summary.group(4))
            passed += passing
            # A sanitizer can fail a program all of whose tests passed.
            failed += bad if bad or ended_well else 1
        elif ended_well:
            passed += 1
        else:
            failed += 1
        if not ended_well:
            print(f"failed: {verdict.with_suffix('.log')}")
            print(
                "\n".join(
                    line for line in log.splitlines() if "[FAIL]" in line or "[CRASH]" in line or "[----]" in line
                )
                or log[-4000:]
            )
    return passed, failed


def of_junit(path):
    passed = failed = 0
    for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
        kinds = {child.tag for child in case}
        name = f"{case.get('classname')}::{case.get('name')}"
        if kinds & {"failure", "error"}:
            failed += 1
            print(f"failed: {name}")
        elif "skipped" in kinds:
            print(f"skipped: {name}: {case.find('skipped').get('message')}")
        else:
            passed += 1
    return passed, failed


def of_lines(path):
    lines = path.read_text().splitlines()
    for line in lines:
        if line.startswith("FAIL:"):
            print("failed:" + line[len("FAIL:") :])
    return (sum(line.startswith("PASS:") for line in lines), sum(line.startswith("FAIL:") for line in lines))


def main(names):
    passed = failed = 0
    for path in map(Path, names):
        count = of_criterion if path.is_dir() else of_junit if path.suffix == ".xml" else of_lines
        good, bad = count(path)
        passed += good
        failed += bad
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
