"""What the stand-ins of batch systems share: jobs as files of a folder, $STAND_IN_DIR. A job's copies run on this machine, each with a
process that waits for its end. While the folder has a file `down`, no command answers. Queues, or machines, that start nothing keep jobs
pending."""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

FOLDER = Path(os.environ.get("STAND_IN_DIR", "/nonexistent"))
PENDING, RUNNING, ENDED = "pending", "running", "ended"


def is_down():
    return (FOLDER / "down").exists()


def count_question():
    """Adds a byte to a file, for each time that jobs are looked at."""
    with open(FOLDER / "asked", "ab") as file:
        file.write(b".")


def next_id():
    with open(FOLDER / "last", "a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        number = int(file.read() or 0) + 1
        file.truncate(0)
        file.write(str(number))
    return number


def _path(job, index):
    return FOLDER / f"{job}.{index}.json"


def save(copy):
    path = _path(copy["job"], copy["index"])
    path.with_suffix(".new").write_text(json.dumps(copy))
    os.replace(path.with_suffix(".new"), path)


def change(copy, **values):
    """Changes a copy as it is in the folder now."""
    with open(FOLDER / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        now = {**json.loads(_path(copy["job"], copy["index"]).read_text()), **values}
        save(now)
    return now


def copies(job=None):
    """The copies of a job, or all, by their index."""
    found = [json.loads(path.read_text()) for path in FOLDER.glob(f"{job or '*'}.*.json")]
    return sorted(found, key=lambda copy: (copy["job"], copy["index"]))


def start(copy, argv, output, env):
    """Runs a copy in the background, without the standard streams of this command."""
    sys.stdout.flush()
    if os.fork():
        return
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for fd in range(3):
        os.dup2(nowhere, fd)
    with open(output or os.devnull, "ab") as file:
        child = subprocess.Popen(
            argv, env={**os.environ, **env}, stdin=nowhere, stdout=file, stderr=file, start_new_session=True
        )
    change(copy, state=RUNNING, pid=child.pid)
    status = child.wait()
    change(copy, state=ENDED, exit_status=max(status, 0), signal=max(-status, 0))
    os._exit(0)


def send(copy, signum):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(copy["pid"], signum)


def remove(copy, reason, patience=3):
    """Ends a copy as batch systems do: with SIGTERM, and later with SIGKILL."""
    copy = change(copy, reason=reason)
    if copy["state"] == PENDING:
        change(copy, state=ENDED, signal=signal.SIGKILL)
    elif copy["state"] == RUNNING and not os.fork():
        os.setsid()
        for fd in range(3):
            os.close(fd)
        for signum in (signal.SIGTERM, signal.SIGKILL):
            send(copy, signum)
            until = time.monotonic() + patience
            while copies_running(copy) and time.monotonic() < until:
                time.sleep(0.05)
        os._exit(0)


def copies_running(copy):
    return json.loads(_path(copy["job"], copy["index"]).read_text())["state"] == RUNNING
