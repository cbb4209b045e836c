"""The batch systems that jobs of tests wait and run in: real ones, and stand-ins for those that no package has. Each has `env`, what its
commands need; `pending`, options with which jobs never start; `refused`, options with which they are not taken; what is said then; and
`deleted`, what is said of a job that somebody has deleted."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from batch_samples import Samples
from gridengine import GridEngine
from pbs import Pbs as PbsOverSlurm

HERE = Path(__file__).resolve().parent


class System:
    """Commands that list and delete jobs, as somebody at another terminal would."""

    def run(self, *argv):
        return subprocess.run(
            argv, env={**os.environ, **self.env}, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )

    def jobs(self):
        """The ids of the jobs that wait or run."""
        return set(re.findall(self.job, self.run(*self.list).stdout, re.MULTILINE))

    def clear(self):
        """Deletes all jobs."""
        for job in self.jobs():
            self.run(*self.delete, job)


class Real(System):
    submit = "qsub"

    def __init__(self):
        self.system = self.kind()
        self.env = self.system.env

    def stop(self):
        self.system.stop()


class Pbs(Real):
    name, kind = "PBS", PbsOverSlurm
    list, job, delete = ["squeue", "--noheader", "--format=%F"], r"^(\d+)$", ["qdel"]
    pending, waits_for = ["--PBSLauncher.queue=down"], "pending"
    refused, refusal = ["--PBSLauncher.queue=nope"], "invalid partition specified: nope"
    deleted = "All engines have ended"  # these commands do not tell how a job ended


class Sge(Real):
    name, kind = "SGE", GridEngine
    list, job, delete = ["qstat"], r"^ *(\d+) ", ["qdel"]
    pending, waits_for = ["--SGELauncher.queue=down.q"], "pending"
    refused, refusal = ["--SGELauncher.queue=nope.q"], 'Job was rejected because job requests unknown queue "nope.q"'
    deleted = "SGE job {} was killed"


class StandIn(System):
    def __init__(self):
        self.dir = Path(tempfile.mkdtemp(prefix="ipcl-stand-in-", dir="/tmp"))
        self.dir.joinpath("bin").mkdir()
        self.dir.joinpath("asked").touch()
        for command in self.commands:
            self.dir.joinpath("bin", command).symlink_to(HERE / self.program)
        self.env = {"STAND_IN_DIR": str(self.dir), "PATH": f"{self.dir}/bin:{os.environ['PATH']}"}

    def asked(self):
        """How often jobs were looked at."""
        return self.dir.joinpath("asked").stat().st_size

    def stop(self):
        shutil.rmtree(self.dir)


class Sampled(StandIn):
    """Any system of which batch/ has samples."""

    program = "batch_stand_in.py"

    def __init__(self, system):
        self.samples = Samples(system)
        self.commands = {words[0] for words in self.samples.roles}
        super().__init__()
        self.env["STAND_IN_SYSTEM"] = system


class Lsf(StandIn):
    name, submit = "LSF", "bsub"
    program, commands = "lsf_stand_in.py", ("bsub", "bjobs", "bkill")
    list, job, delete = ["bjobs", "-noheader", "-o", "jobid delimiter='|'"], r"^(\d+)$", ["bkill"]
    pending, waits_for = ["--LSFLauncher.queue=night"], "pending: The queue is closed by its dispatch windows"
    refused, refusal = ["--LSFLauncher.queue=nope"], "nope: No such queue. Job not submitted."
    deleted = "LSF job {} was killed by its owner"


class HTCondor(StandIn):
    name, submit = "HTCondor", "condor_submit"
    program, commands = "htcondor_stand_in.py", (
        "condor_submit",
        "condor_q",
        "condor_history",
        "condor_rm",
        "condor_hold",
    )
    list, job, delete = ["condor_q", "-format", "%d\n", "ClusterId"], r"^(\d+)$", ["condor_rm"]
    pending, waits_for = ["--HTCondorLauncher.options=request_cpus = 1000"], "pending"
    refused, refusal = ["--HTCondorLauncher.options=universe = nope"], "I don't know about the 'nope' universe."
    deleted = r"HTCondor job {} was removed via condor_rm \(by user root\)"


SYSTEMS = {"pbs": Pbs, "sge": Sge, "lsf": Lsf, "htcondor": HTCondor}
