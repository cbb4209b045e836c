"""PBS for tests: the commands of Debian's slurm-wlm-torque over a Slurm of one node. Queues: debug, the default, and down, which takes jobs and
starts none."""

import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from debs import dependency, unpacked

from support import PATIENCE, TOP, has_own_network

PACKAGES = "slurm-wlm-torque", "libslurm-perl", "libslurmdb-perl", "libswitch-perl"


class Pbs:
    """`env` is what its commands need."""

    def __init__(self):
        folder = unpacked("pbs", *PACKAGES, dependency("libslurm-perl", r"libslurm\d+\w*")) / "usr"
        self.dir = Path(tempfile.mkdtemp(prefix="pbs-", dir="/tmp"))
        self.dir.chmod(0o755)  # munge and Slurm refuse folders that their clients cannot enter
        self._address("add")
        started = subprocess.run(
            [TOP / "tests/session/slurm/start-slurm"],
            capture_output=True,
            text=True,
            timeout=60 * PATIENCE,
            env={**os.environ, "TMPDIR": str(self.dir)},
        )
        if started.returncode:
            self.stop()
            pytest.skip(f"no Slurm can be started here: {started.stderr.strip()}")
        # Its qsub looks for sbatch, and its qstat for squeue, in its own folder.
        programs = self.dir / "bin"
        programs.mkdir()
        for program in (folder / "bin").iterdir():
            (programs / program.name).symlink_to(program)
        for name in ("sbatch", "squeue", "scancel", "scontrol", "sinfo", "srun", "salloc"):
            (programs / name).symlink_to(shutil.which(name, path="/usr/bin:/bin"))
        perl = [self.dir, folder / "share/perl5", *(folder / "lib").glob("*/perl*/*")]
        self.env = {
            **dict(re.findall(r"(\w+)=(\S+)", started.stdout.splitlines()[0])),
            "PERL5LIB": ":".join(map(str, perl)),
            "LD_LIBRARY_PATH": str(next((folder / "lib").glob("*/libslurm.so.*")).parent),
            "PATH": f"{programs}:{os.environ['PATH']}",
            **self._qstats_function(folder),
        }

    def _address(self, what):
        """Adds or removes an address: Slurm finds no host's address if there is only a loopback (AI_ADDRCONFIG of getaddrinfo), as in a
        test's own network."""
        if has_own_network():
            subprocess.run(["ip", "address", what, "192.0.2.254/32", "dev", "lo"], check=True)  # TEST-NET-1 (RFC 5737)

    def _qstats_function(self, folder):
        """The environment in which `qstat -f` shows a running job. It calls a function for the number of a job's processors on a host,
        which libslurm-perl of Debian 13 does not have. There the function is added; it returns 1."""
        name = "job_cpus_allocated_on_node_id"
        (library,) = (folder / "lib").glob("*/perl*/*/auto/Slurm/Slurm.so")
        if name.encode() in library.read_bytes():
            return {}
        (self.dir / "SlurmProcessors.pm").write_text(f"sub Slurm::{name} {{ 1 }} 1;\n")
        return {"PERL5OPT": "-MSlurmProcessors"}

    def stop(self):
        """Ends its jobs and daemons, and removes the folder."""
        for stop in self.dir.glob("*/stop"):
            subprocess.run([stop], check=False)
        self._address("del")
        shutil.rmtree(self.dir, ignore_errors=True)
