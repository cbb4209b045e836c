#!/usr/bin/python3
"""A stand-in for LSF, which no package has: bsub, bjobs or bkill, by its name. It prints what IBM's documentation of Spectrum LSF 10.1
says. Queues: normal, the default, and night, which starts nothing."""

import os
import re
import shlex
import sys

from stand_in import ENDED, PENDING, copies, count_question, is_down, next_id, remove, save, send, start

QUEUES = "normal", "night"
DOWN = "Failed in an LSF library call: A connect sys call failed: Connection refused"


def fail(text):
    print(text, file=sys.stderr)
    sys.exit(255)


def options(words, flags=()):
    """{"-q": "night"} and what is left."""
    given, left = {}, []
    words = iter(words)
    for word in words:
        if not word.startswith("-"):
            left.append(word)
        elif word in flags:
            given[word] = True
        else:
            given[word] = next(words, None)
            if given[word] is None:
                fail(f"{word[1:]}: Option requires an argument")
    return given, left


def bsub(words):
    script = sys.stdin.read()
    given = {}
    for line in script.splitlines():
        if line.startswith("#BSUB"):
            given.update(options(shlex.split(line[5:]))[0])
    given.update(options(words)[0])
    queue = given.get("-q", "normal")
    if queue not in QUEUES:
        fail(f"{queue}: No such queue. Job not submitted.")
    name, first, last = re.match(r"([^[]*)(?:\[(\d+)-(\d+)\])?$", given.get("-J", "")).groups()
    job = next_id()
    indexes = range(int(first), int(last) + 1) if first else [0]
    for index in indexes:
        copy = {
            "job": job,
            "index": index,
            "name": name + (f"[{index}]" if first else ""),
            "queue": queue,
            "state": PENDING,
            "pid": 0,
            "exit_status": 0,
            "signal": 0,
            "reason": "",
        }
        save(copy)
        if queue == "night":
            continue
        output = given.get("-oo", given.get("-o"))
        output = output and output.replace("%J", str(job)).replace("%I", str(index))
        start(
            copy,
            ["/bin/sh", "-c", script],
            output,
            {"LSB_JOBID": str(job), "LSB_JOBINDEX": str(index), "LSB_JOBNAME": name},
        )
    print(f"Job <{job}> is submitted to {'' if '-q' in given else 'default '}queue <{queue}>.")


def select(words, flags):
    given, ids = options(words, flags)
    for word in ids:
        job, index = re.match(r"(\d+)(?:\[(\d+)\])?$", word).groups()
        found = [copy for copy in copies(job) if index is None or copy["index"] == int(index)]
        yield given, word, found
    if not ids:
        wanted = given.get("-J", "*")
        yield given, None, [
            copy
            for copy in copies()
            if wanted in ("*", copy["name"].partition("[")[0]) and ("-a" in given or copy["state"] != ENDED)
        ]


def field(copy, name):
    ended = copy["state"] == ENDED
    code = copy["exit_status"] or (copy["signal"] and 128 + copy["signal"])
    values = {
        "jobid": copy["job"],
        "jobindex": copy["index"],
        "job_name": copy["name"],
        "queue": copy["queue"],
        "stat": ("EXIT" if code else "DONE") if ended else copy["state"][:4].replace("runn", "run").upper(),
        "exit_code": code if ended and code else "-",
        "exit_reason": copy["reason"] or "-",
        "pend_reason": "The queue is closed by its dispatch windows;" if copy["state"] == PENDING else "-",
    }
    return str(values[name])


def bjobs(words):
    missing = False
    count_question()
    for given, word, found in select(words, ("-a", "-noheader", "-w")):
        if not found:
            missing = True
            print(f"Job <{word}> is not found" if word else "No job found", file=sys.stderr)
            continue
        form = given["-o"]
        delimiter = re.search(r"delimiter=['\"](.)['\"]", form).group(1)
        names = re.sub(r"delimiter=\S+", "", form).split()
        if "-noheader" not in given:
            print(delimiter.join(name.upper() for name in names))
        for copy in found:
            print(delimiter.join(field(copy, name) for name in names))
    sys.exit(255 if missing else 0)


def bkill(words):
    bad = False
    for given, word, found in select(words, ()):
        alive = [copy for copy in found if copy["state"] != ENDED]
        if not alive:
            bad = True
            print(f"Job <{word}>: {'Job has already finished' if found else 'No matching job found'}", file=sys.stderr)
        for copy in alive:
            if "-s" in given:
                send(copy, int(given["-s"]))
            else:
                remove(copy, "TERM_OWNER: job killed by owner")
        if alive:
            print(f"Job <{word}> is being {'signaled' if '-s' in given else 'terminated'}")
    sys.exit(255 if bad else 0)


if is_down():
    fail(DOWN)
COMMANDS = {"bsub": bsub, "bjobs": bjobs, "bkill": bkill}
COMMANDS[os.path.basename(sys.argv[0])](sys.argv[1:])
