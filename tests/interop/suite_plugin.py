"""A pytest plugin: writes a line of JSON for each event of a run to $SUITE_EVENTS, so that a run that crashes loses nothing."""

import json
import os

import pytest
from own_slurm import Slurm

from support import own_loopback

own_loopback()
_events = open(os.environ["SUITE_EVENTS"], "a", buffering=1, encoding="utf-8")


def _write(**event):
    _events.write(json.dumps(event) + "\n")


def pytest_collection_finish(session):
    for item in session.items:
        _write(event="collected", test=item.nodeid)
    wants_slurm = [item for item in session.items if "test_slurm.py" in item.nodeid]
    if wants_slurm and "SUITE_SLURM" in os.environ:
        try:
            slurm = Slurm(os.environ["TMPDIR"])
        except pytest.skip.Exception as reason:
            for item in wants_slurm:
                item.add_marker(pytest.mark.skip(reason=str(reason)))
        else:
            session.config.add_cleanup(slurm.stop)
            os.environ.update(slurm.env)


def pytest_runtest_logstart(nodeid):
    _write(event="started", test=nodeid)


def pytest_runtest_logreport(report):
    text = ""
    if report.outcome == "skipped" and isinstance(report.longrepr, tuple):
        text = report.longrepr[2]
    elif report.outcome == "failed":
        text = report.longreprtext
    _write(
        event="phase",
        test=report.nodeid,
        phase=report.when,
        outcome=report.outcome,
        seconds=report.duration,
        text=text,
        expected=getattr(report, "wasxfail", None),
    )


def pytest_runtest_logfinish(nodeid):
    _write(event="finished", test=nodeid)
