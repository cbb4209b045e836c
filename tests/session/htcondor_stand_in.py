#!/usr/bin/python3
"""A stand-in for HTCondor, which no package has: condor_submit, condor_q, condor_history, condor_rm or condor_hold, by its name. It prints
what the manual of HTCondor 10 says. A job that asks for 1000 processors or more finds no machine."""

import os
import re
import signal
import sys

from stand_in import ENDED, PENDING, RUNNING, change, copies, is_down, next_id, remove, save, send, start

IDLE, RUN, REMOVED, COMPLETED, HELD = 1, 2, 3, 4, 5
DOWN = """
ERROR: Can't find address of local schedd"""


def fail(text):
    print(text, file=sys.stderr)
    sys.exit(1)


def split_arguments(text):
    """The words of arguments in the syntax with double quotes around them."""
    text = text.strip()
    if not text.startswith('"'):
        return text.split()
    if len(text) < 2 or not text.endswith('"') or re.search(r'(?<!")(?:"")*"(?!")', text[1:-1]):
        fail(f"ERROR: Failed to parse arguments: Found illegal unescaped double-quote: {text}")
    text = text[1:-1].replace('""', '"')
    words = re.findall(r"(?:'(?:''|[^'])*'|[^\s'])+", text)
    return [re.sub(r"'((?:''|[^'])*)'", lambda found: found.group(1).replace("''", "'"), word) for word in words]


def expand(text, job, process):
    return re.sub(
        r"\$\((Cluster|ClusterId|Process|ProcId)\)",
        lambda found: str(job if found.group(1).startswith("Cl") else process),
        text,
        flags=re.I,
    )


def condor_submit(words):
    given, count = {}, None
    for number, line in enumerate((open(words[0]) if words else sys.stdin).read().splitlines(), 1):
        line = line.strip()
        queue = re.match(r"queue\b\s*(\d*)$", line, re.I)
        if queue:
            count = int(queue.group(1) or 1)
        elif line and not line.startswith("#"):
            name, sign, value = line.partition("=")
            if not sign:
                fail(
                    f"ERROR: on Line {number} of submit file: {words[0] if words else ''}\nSubmit:-1:Failed to parse: {line}"
                )
            given[name.strip().lower()] = value.strip()
    if "executable" not in given:
        fail("ERROR: No 'executable' parameter was provided")
    if count is None:
        fail("ERROR: No 'queue' command was found in the submit file")
    if given.get("universe", "vanilla") not in ("vanilla", "local"):
        fail(f"ERROR: I don't know about the '{given['universe']}' universe.")
    if given.get("transfer_executable", "true").lower() != "false" and not os.access(given["executable"], os.X_OK):
        fail(f"ERROR: Executable file {given['executable']} does not exist")
    job = next_id()
    for process in range(count):
        copy = {
            "job": job,
            "index": process,
            "name": given.get("batch_name", "").strip('"'),
            "state": PENDING,
            "pid": 0,
            "exit_status": 0,
            "signal": 0,
            "reason": "",
            "held": "",
        }
        save(copy)
        if int(given.get("request_cpus", 1)) >= 1000:
            continue
        output = expand(given.get("output", ""), job, process)
        env = dict(word.split("=", 1) for word in split_arguments(expand(given.get("environment", '""'), job, process)))
        if given.get("getenv", "false").lower() != "true":
            fail("this stand-in hands on the environment or does not run")
        start(
            copy, [given["executable"], *split_arguments(expand(given.get("arguments", ""), job, process))], output, env
        )
    print(f"Submitting job(s){'.' * count}\n{count} job(s) submitted to cluster {job}.")


def attributes(copy):
    status = {PENDING: IDLE, RUNNING: RUN, ENDED: REMOVED if copy["reason"] else COMPLETED}[copy["state"]]
    values = {
        "ClusterId": copy["job"],
        "ProcId": copy["index"],
        "JobStatus": HELD if copy["held"] else status,
        "JobBatchName": copy["name"],
    }
    if copy["held"]:
        values["HoldReason"] = copy["held"]
    if copy["reason"]:
        values["RemoveReason"] = copy["reason"]
    if status == COMPLETED:
        values["ExitBySignal"] = "true" if copy["signal"] else "false"
        values["ExitSignal" if copy["signal"] else "ExitCode"] = copy["signal"] or copy["exit_status"]
    return values


def select(words):
    formats, ids, name = [], [], None
    words = iter(words)
    for word in words:
        if word == "-format":
            formats.append((next(words).replace("\\n", "\n"), next(words)))
        elif word == "-constraint":
            name = re.match(r'JobBatchName == "(.*)"$', next(words)).group(1)
        else:
            ids.append(word)
    every = copies()
    return (
        formats,
        ids,
        [
            copy
            for copy in every
            if (not ids or str(copy["job"]) in ids or f"{copy['job']}.{copy['index']}" in ids)
            and name in (None, copy["name"])
        ],
    )


def show(words, ended):
    formats, _, found = select(words)
    for copy in found:
        if (copy["state"] == ENDED) != ended:
            continue
        values = attributes(copy)
        for text, attribute in formats:
            if attribute in values:
                sys.stdout.write(text % values[attribute] if "%" in text else text)


def condor_rm(words):
    bad = 0
    for word in words:
        found = [copy for copy in copies(int(word)) if copy["state"] != ENDED]
        for copy in found:
            remove(copy, "via condor_rm (by user root)")
        bad += not found
        print(
            f"All jobs in cluster {word} have been marked for removal"
            if found
            else f"Couldn't find/remove all jobs in cluster {word}",
            file=sys.stderr if not found else sys.stdout,
        )
    sys.exit(1 if bad else 0)


def condor_hold(words):
    for copy in copies(int(words[0])):
        change(copy, held="via condor_hold (by user root)")
        if copy["state"] == RUNNING:
            send(copy, signal.SIGKILL)


if is_down():
    fail(DOWN)
COMMANDS = {
    "condor_submit": condor_submit,
    "condor_q": lambda words: show(words, False),
    "condor_history": lambda words: show(words, True),
    "condor_rm": condor_rm,
    "condor_hold": condor_hold,
}
COMMANDS[os.path.basename(sys.argv[0])](sys.argv[1:])
