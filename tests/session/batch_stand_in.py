#!/usr/bin/python3
"""A stand-in for each command of the batch system $STAND_IN_SYSTEM, under the command's name. It runs one job, when that is submitted, and
prints of it what the samples have."""

import itertools
import os
import sys

from batch_samples import Samples
from stand_in import ENDED, PENDING, copies, remove, save, start


def script_of(words):
    """The words of what is submitted: standard input, or a file that is named there or in `words`. None if there is none."""
    text = sys.stdin.read()
    if text.startswith("#!"):
        return ["/bin/sh", "-c", text]
    return next((["/bin/sh", word] for word in (*words, *text.split()) if os.path.isfile(word)), None)


def submit(words):
    script = script_of(words)
    if script:
        job = {"job": 1, "index": 0, "state": PENDING, "pid": 0, "exit_status": 0, "signal": 0, "reason": ""}
        save(job)
        start(job, script, None, samples.env)
        print(samples.text["submit"], end="")


def run(words):
    program = list(itertools.dropwhile(lambda word: word.startswith("-"), words))
    os.execvp(program[0], program)


def cancel(_):
    for job in copies():
        remove(job, "cancelled")


def show(name):
    for job in copies():
        print(samples.text.get(f"{name}-ended" if job["state"] == ENDED else f"{name}-runs", ""), end="")


samples = Samples(os.environ["STAND_IN_SYSTEM"])
called = (os.path.basename(sys.argv[0]), *sys.argv[1:])
words, role = next((words, role) for words, role in samples.roles.items() if called[: len(words)] == words)
does = {"submit": submit, "run": run, "cancel": cancel}.get(role, lambda _: show(role))
does(called[len(words) :])
