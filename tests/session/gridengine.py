"""A Grid Engine of one node for tests: Debian's Son of Grid Engine, of which nothing is installed, in a folder of its own. It runs as
whoever runs the tests. Queues: all.q, and down.q, which takes jobs and starts none; jobs may say how long they may run."""

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest
from debs import unpacked

from support import free_ports, wait_until

PACKAGES = "gridengine-master", "gridengine-exec", "gridengine-client", "gridengine-common", "libjemalloc2"
# The folder in which its programs look for their spooling library, whatever their configuration is.
COMPILED_IN = b"/usr/lib/gridengine/%s"


class GridEngine:
    """`env` is what its commands need: PATH, LD_LIBRARY_PATH and SGE_*."""

    def __init__(self):
        self.host = socket.gethostname()
        try:
            socket.gethostbyname(self.host)
        except OSError:
            pytest.skip(f"Grid Engine needs a host whose name has an address, and {self.host} has none")
        # Its path is as long as /usr/lib/gridengine, which it replaces.
        self.dir = Path(tempfile.mkdtemp(prefix="sge.", suffix="-t", dir="/tmp"))
        assert len(str(self.dir)) == len("/usr/lib/gridengine"), self.dir
        self.dir.chmod(0o755)
        try:
            self._unpack()
            self._configure()
            self._start_master()
            self._start_execution()
        except BaseException:
            self.stop()
            raise

    def _unpack(self):
        debs = unpacked("gridengine", *PACKAGES)
        shutil.copytree(debs / "usr", self.dir / "usr", symlinks=True)
        self.programs = self.dir / "usr/lib/gridengine"
        self.share = self.dir / "usr/share/gridengine"
        self.root = self.dir / "root"
        arch = subprocess.run(
            ["sh", self.share / "util/arch"], capture_output=True, text=True, check=True
        ).stdout.strip()
        for folder in ("default/common", "bin", "utilbin", "lib"):
            (self.root / folder).mkdir(parents=True)
        for folder in ("bin", "utilbin", "lib"):
            (self.root / folder / arch).symlink_to(self.programs)
        (self.root / "util").symlink_to(self.share / "util")
        for name in ("sge_qmaster", "spooldefaults.bin", "spoolinit"):
            program = self.programs / name
            program.write_bytes(program.read_bytes().replace(COMPILED_IN, f"{self.dir}/%s".encode()))
        (self.dir / "libspoolb.so").symlink_to(self.programs / "libspoolb.so")
        jemalloc = next((self.dir / "usr/lib").glob("*/libjemalloc.so.2")).parent
        ports = free_ports(2)
        self.env = {
            "SGE_ROOT": str(self.root),
            "SGE_CELL": "default",
            "SGE_ARCH": arch,
            "SGE_QMASTER_PORT": str(ports[0]),
            "SGE_EXECD_PORT": str(ports[1]),
            "LD_LIBRARY_PATH": f"{self.programs}:{jemalloc}",
            "PATH": f"{self.programs}:{os.environ['PATH']}",
        }

    def _configure(self):
        common = self.root / "default/common"
        for folder in ("spooldb", "qmaster/job_scripts", "execd", "jobs"):
            (self.dir / folder).mkdir(parents=True)
        # The loopback address must have one name, and that of the host.
        (common / "host_aliases").write_text(f"{self.host} localhost\n")
        (common / "act_qmaster").write_text(f"{self.host}\n")
        (common / "bootstrap").write_text(
            _lines(
                {
                    "admin_user": getpass.getuser(),
                    "default_domain": "none",
                    "ignore_fqdn": "true",
                    "spooling_method": "berkeleydb",
                    "spooling_lib": "libspoolb",
                    "spooling_params": self.dir / "spooldb",
                    "binary_path": self.programs,
                    "qmaster_spool_dir": self.dir / "qmaster",
                    "security_mode": "none",
                    "listener_threads": 2,
                    "worker_threads": 2,
                    "scheduler_threads": 1,
                }
            )
        )
        configuration = self.share / "default-configuration"
        self._write(
            "configuration",
            _changed(
                configuration.read_text(),
                {
                    "execd_spool_dir": self.dir / "execd",
                    "mailer": "/bin/true",
                    "min_uid": 0,
                    "min_gid": 0,
                    "load_report_time": "00:00:05",
                    "reporting_params": "accounting=true reporting=false flush_time=00:00:01 joblog=false sharelog=00:00:00",
                },
            ),
        )
        self.run("spoolinit", "berkeleydb", "libspoolb", self.dir / "spooldb", "init")
        self.run("spooldefaults.bin", "configuration", self.dir / "configuration")
        self.run("spooldefaults.bin", "complexes", self.share / "util/resources/centry")
        self.run("spooldefaults.bin", "usersets", self.share / "util/resources/usersets")
        self.run("spooldefaults.bin", "managers", getpass.getuser())

    def _start_master(self):
        self.run("sge_qmaster")
        wait_until(lambda: self.run("qconf", "-sh", check=False).returncode == 0, 20, "sge_qmaster answers")
        self.run("qconf", "-ah", self.host)
        self.run("qconf", "-as", self.host)
        self.run(
            "qconf",
            "-Ae",
            self._write(
                "host",
                _lines(
                    {
                        "hostname": self.host,
                        **dict.fromkeys(
                            "load_scaling complex_values user_lists xuser_lists projects xprojects usage_scaling report_variables".split(),
                            "NONE",
                        ),
                    }
                ),
            ),
            check=False,
        )
        self.run(
            "qconf",
            "-Msconf",
            self._write(
                "scheduler",
                _changed(
                    self.run("qconf", "-ssconf").stdout,
                    {
                        "schedule_interval": "0:0:1",
                        "flush_submit_sec": 1,
                        "flush_finish_sec": 1,
                        "job_load_adjustments": "NONE",
                        "load_adjustment_decay_time": "0:0:0",
                        "schedd_job_info": "true",
                    },
                ),
            ),
        )
        for name, state in (("all.q", "default"), ("down.q", "disabled")):
            self.run(
                "qconf",
                "-Aq",
                self._write(
                    "queue",
                    _changed(
                        QUEUE,
                        {
                            "qname": name,
                            "hostlist": self.host,
                            "slots": 8,
                            "tmpdir": self.dir / "jobs",
                            "initial_state": state,
                        },
                    ),
                ),
            )

    def _start_execution(self):
        self.run("sge_execd")

        def is_up():
            lines = self.run("qstat", "-f", "-q", "all.q", check=False).stdout.splitlines()
            return any(
                line.startswith("all.q@") and "-NA-" not in line and not line.rstrip().endswith("u") for line in lines
            )

        wait_until(is_up, 30, "sge_execd reports", interval=0.2)

    def run(self, *argv, check=True):
        """One of its commands, with its output."""
        done = subprocess.run(
            [str(word) for word in argv],
            env={**os.environ, **self.env},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            cwd=self.dir,
        )
        assert not check or done.returncode == 0, f"{argv} ended with {done.returncode}: {done.stdout}{done.stderr}"
        return done

    def _write(self, name, text):
        path = self.dir / name
        path.write_text(text)
        return path

    def stop(self):
        """Ends its jobs and daemons, and removes the folder."""
        daemons = [*self.dir.glob("execd/*/execd.pid"), self.dir / "qmaster/qmaster.pid"]
        for kill, files in ((os.kill, daemons), (os.killpg, self.dir.glob("execd/*/active_jobs/*/*pid"))):
            for file in files:
                with contextlib.suppress(OSError, ValueError):
                    kill(int(file.read_text()), signal.SIGKILL)
        shutil.rmtree(self.dir, ignore_errors=True)


QUEUE = (
    """qname none
hostlist NONE
seq_no 0
load_thresholds NONE
suspend_thresholds NONE
nsuspend 1
suspend_interval 00:05:00
priority 0
min_cpu_interval 00:05:00
qtype BATCH INTERACTIVE
ckpt_list NONE
pe_list NONE
rerun FALSE
slots 1
processors UNDEFINED
tmpdir /tmp
shell /bin/sh
prolog NONE
epilog NONE
shell_start_mode unix_behavior
starter_method NONE
suspend_method NONE
resume_method NONE
terminate_method NONE
notify 00:00:03
"""
    + "".join(
        f"{name} NONE\n"
        for name in "owner_list user_lists xuser_lists subordinate_list complex_values projects xprojects calendar".split()
    )
    + "initial_state default\n"
    + "".join(f"{kind}_{what} INFINITY\n" for what in "rt cpu fsize data stack core rss vmem".split() for kind in "sh")
)


def _lines(values):
    return "".join(f"{name} {value}\n" for name, value in values.items())


def _changed(text, values):
    """The same settings with other values."""
    lines = [(line.split(None, 1) + ["", ""])[:2] for line in text.splitlines() if line and not line.startswith("#")]
    return _lines({name: values.get(name, value) for name, value in lines})
