"""Slurm for tests: daemons of our own, from tests/session/slurm/start-slurm."""

import os
import re
import signal
import subprocess
from pathlib import Path

import pytest
from ipcluster_box import UP

from support import PATIENCE, TOP, has_own_network, wait_until

JOB = r"job (\d+) is submitted"


class Slurm:
    """Each node is a slurmd. `env` is what the commands need."""

    def __init__(self, folder, nodes=1, processors=8, settings=""):
        self.folder = None
        self._address("replace")
        started = subprocess.run(
            [TOP / "tests/session/slurm/start-slurm"],
            capture_output=True,
            text=True,
            timeout=60 * PATIENCE,
            env={
                **os.environ,
                "TMPDIR": str(folder),
                "SLURM_TEST_NODES": str(nodes),
                "SLURM_TEST_CPUS": str(processors),
                "SLURM_TEST_EXTRA": settings,
            },
        )
        if started.returncode:
            self.stop()
            pytest.skip(f"no Slurm can be started here: {started.stderr.strip()}")
        self.env = dict(re.findall(r"(\w+)=(\S+)", started.stdout.splitlines()[0]))
        self.folder = self.env["SLURM_TEST_DIR"]

    def _address(self, what):
        """Adds or removes an address that is not loopback's: without one the C library finds no address for a server (AI_ADDRCONFIG of
        getaddrinfo). Open MPI takes it for another network."""
        if has_own_network():
            subprocess.run(["ip", "address", what, "192.0.2.1/32", "dev", "lo"], check=True)  # TEST-NET-1 (RFC 5737)

    def command(self, *words, check=True):
        env = {**os.environ, "PATH": "/usr/bin:/bin:/usr/sbin:/sbin", **self.env}

        def ask():
            done = subprocess.run(words, env=env, capture_output=True, text=True)
            return None if "Resource temporarily unavailable" in done.stderr else done

        done = wait_until(ask, what=f"Slurm has time for {' '.join(words)}", interval=0.5)
        if check:
            assert done.returncode == 0, done.stderr
        return done.stdout

    def states(self, name="ipengine"):
        """{job id: state} of the jobs whose name begins so, also those that ended a while ago."""
        rows = self.command("squeue", "--noheader", "--states=all", "-O", "JobID:|,State:|,Name:60")
        fields = [row.split("|") for row in rows.splitlines()]
        return {job: state for job, state, job_name in fields if job_name.startswith(name)}

    def state(self, job):
        return self.command("squeue", "--noheader", "--states=all", f"--jobs={job}", "-O", "State").strip()

    def has_steps(self, job):
        """Whether a slurmstepd, which tells slurmctld how its step ends, is there for the job: each has a socket."""
        return any(Path(self.folder).glob(f"spool/*/*_{job}.*"))

    def stop_controller(self):
        with open(f"{self.folder}/slurmctld.pid") as file:
            pid = int(file.read())
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: not os.path.exists(f"/proc/{pid}"), what="slurmctld has ended")

    def start_controller(self):
        self.command("slurmctld")
        wait_until(lambda: self.command("squeue", "-O", "JobID", check=False), 30, "slurmctld answers")

    def cancel_all(self):
        """Cancels what is left of the jobs of a cluster."""
        running = [
            job
            for name in ("ipengine", "ipcontroller")
            for job, state in self.states(name).items()
            if state in ("PENDING", "RUNNING", "COMPLETING")
        ]
        if running:
            self.command("scancel", *running, check=False)

    def serve(self, box):
        """For a fixture: the sandbox with this Slurm. At the end what is left of its jobs is cancelled."""
        box.env.update(self.env)
        yield box
        self.cancel_all()

    def stop(self):
        if self.folder:
            subprocess.run([f"{self.folder}/stop"], check=False, env={**os.environ, **self.env})
        self._address("del")


def start(box, *words, **options):
    """A cluster that is up, and the number of its engines' job."""
    cluster = box.begin("start", "--elauncher=slurm", *words, **options)
    cluster.wait_for_output(UP, 60)
    return cluster, re.findall(JOB, cluster.output)[-1]


def ask(box, code):
    """What a client of the cluster prints."""
    return box.run(
        "/usr/bin/python3", "-c", f"import ipcluster\nclient = ipcluster.Client()\n{code}", python=True, check=True
    ).out.strip()
