"""ipcluster profile convert: configuration files of ipyparallel, and of IPython before it, become ours."""

import json

import pytest

from support import PYTHON

CLUSTER = """
import sys
c = get_config()
print("a file may print")
c.IPClusterStart.n = 4
c.IPClusterStart.delay = 2
c.Cluster.engine_timeout = 30
c.IPClusterStart.controller_launcher_class = 'ipyparallel.cluster.launcher.LocalControllerLauncher'
c.LocalControllerLauncher.controller_args = ["--ip='*'", '--nodb']
c.MPIEngineSetLauncher.mpi_args.extend(['--oversubscribe'])
c.EngineLauncher.engine_cmd = [sys.executable, '-m', 'ipyparallel.engine']
c.SSHEngineSetLauncher.engines = {'host1': 2, 'me@host2': {'n': 4, 'engine_args': ['--timeout=60']}}
c.WindowsHPCEngineSetLauncher.queue = 'long'
c.Application.log_level = 10
c.IPClusterEngines.engine_launcher_class = %r
"""
CONTROLLER = """
c = get_config()
load_subconfig('common.py')
c.HubFactory.ip = '*'
c.HubFactory.db_class = 'IPython.parallel.controller.dictdb.DictDB'
c.DictDB.record_limit = 10
c.TaskScheduler.hwm = 0
c.TaskScheduler.scheme_name = 'lru'
c.HeartMonitor.period = 5000
c.IPController.ports = '10101-10120'
c.IPController.use_threads = True
"""
ENGINE = """
c = get_config()
c.IPEngine.startup_command = 'import os'
c.EngineFactory.timeout = 10
c.IPEngine.enable_nanny = False
c.InteractiveShellApp.exec_lines = ['a = 1']
c.InteractiveShell.colors = 'NoColor'
"""


@pytest.fixture
def profile(sandbox):
    folder = sandbox.profile_dir("old")
    folder.mkdir()
    (folder / "ipcluster_config.py").write_text(CLUSTER % "mpi")
    (folder / "ipcontroller_config.py").write_text(CONTROLLER)
    (folder / "common.py").write_text("c = get_config()\nc.Session.key = b'secret'\n")
    (folder / "ipengine_config.py").write_text(ENGINE)
    return folder


def convert(sandbox, *words):
    return sandbox.run(sandbox.programs.ipcluster, "profile", "convert", f"--python={PYTHON}", *words)


def converted(folder, program):
    """The converted file: its classes, and what it says was not carried over."""
    read = json.loads((folder / f"{program}_config.json").read_text())
    lost = {name for name, _ in read.pop("not_carried_over", [])}
    assert "Converted from" in read.pop("about")
    return read, lost


def test_all_three_files_of_a_profile(sandbox, profile):
    done = convert(sandbox, "old")
    assert done.status == 7, done
    assert "EngineLauncher.engine_cmd: it starts ipyparallel's program" in done.out
    assert "IPController.use_threads: the schedulers are threads" in done.out
    assert "WindowsHPCEngineSetLauncher.queue: no plugin has a launcher of this class" in done.out
    assert "a file may print" in done.err and "a file may print" not in done.out
    assert converted(profile, "ipcluster") == (
        {
            "Cluster": {
                "n": 4,
                "delay": 2.0,
                "engine_timeout": 30,
                "engine_launcher_class": "mpi",
                "controller_launcher_class": "ipyparallel.cluster.launcher.LocalControllerLauncher",
            },
            "LocalControllerLauncher": {"controller_args": ["--ip='*'", "--nodb"]},
            "MPIEngineSetLauncher": {"mpi_args": ["--oversubscribe"]},
            "SSHEngineSetLauncher": {"engines": {"host1": 2, "me@host2": {"n": 4, "engine_args": ["--timeout=60"]}}},
            "BaseParallelApplication": {"log_level": 10},
        },
        {"EngineLauncher.engine_cmd"},
    )
    assert converted(profile, "ipcontroller") == (
        {
            "IPController": {
                "ip": "*",
                "ports": "10101-10120",
                "db_class": "IPython.parallel.controller.dictdb.DictDB",
            },
            "TaskScheduler": {"hwm": 0, "scheme_name": "lru"},
            "HeartMonitor": {"period": 5000},
            "DictDB": {"record_limit": 10},
            "Session": {"key": "secret"},
        },
        set(),
    )
    assert converted(profile, "ipengine") == (
        {
            "IPEngine": {"startup_command": "import os", "timeout": 10.0, "enable_nanny": False},
            "InteractiveShellApp": {"exec_lines": ["a = 1"]},
            "InteractiveShell": {"colors": "NoColor"},
        },
        set(),
    )
    assert (profile / "ipcontroller_config.json").stat().st_mode & 0o777 == 0o600


def test_the_programs_take_the_converted_files(sandbox, profile):
    convert(sandbox, "old")
    for program in (sandbox.programs.ipcontroller, sandbox.programs.ipengine):
        assert "no effect" not in sandbox.run(program, "--profile=old", "--show-config", check=True).err
    sandbox.run(sandbox.programs.ipcluster, "start", "--profile=old", "--show-config", check=True)


def test_nothing_is_replaced_without_force(sandbox, profile):
    target = profile / "ipcluster_config.json"
    target.write_text("{}")
    refused = convert(sandbox, "old")
    assert refused.status == 1 and "--force" in refused.err
    assert target.read_text() == "{}" and not (profile / "ipengine_config.json").exists()
    assert convert(sandbox, "old", "--force").status == 7
    assert converted(profile, "ipcluster")


@pytest.mark.parametrize(
    "spelling",
    [
        "mpi",
        "MPI",
        "MPIExec",
        "MPIEngineSetLauncher",
        "MPIExecEngineSetLauncher",
        "ipyparallel.cluster.launcher.MPIEngineSetLauncher",
        "IPython.parallel.apps.launcher.MPIExecEngineSetLauncher",
    ],
)
def test_every_spelling_of_a_launcher(sandbox, profile, spelling):
    (profile / "ipcluster_config.py").write_text(f"c.IPClusterEngines.engine_launcher_class = {spelling!r}\n")
    done = convert(sandbox, str(profile / "ipcluster_config.py"))
    assert done.status == 0, done
    assert converted(profile, "ipcluster")[0] == {"Cluster": {"engine_launcher_class": spelling}}


@pytest.mark.parametrize(
    "line, reason",
    [
        ("c.IPClusterEngines.engine_launcher_class = 'WindowsHPC'", "there is no launcher 'WindowsHPC'"),
        ("c.Cluster.engine_launcher_class = lambda: 1", "has no place in JSON"),
        ("c.Cluster.n = 'four'", "expects an integer"),
        ("c.Cluster.nn = 4", "the nearest known one is Cluster.n"),
        ("c.Strange.trait = 4", "has no such setting"),
    ],
)
def test_what_cannot_be_carried_over_is_listed_with_the_reason(sandbox, profile, line, reason):
    (profile / "ipcluster_config.py").write_text(line + "\n")
    done = convert(sandbox, str(profile / "ipcluster_config.py"))
    assert done.status == 7 and reason in done.out, done
    read, lost = converted(profile, "ipcluster")
    assert read == {} and lost == {line.split(" ")[0].removeprefix("c.")}


TEMPLATE = """#!/bin/sh
#SBATCH --ntasks={n} --nodes={(n+7)//8} --gres=gpu:{gpus}
echo "${{HOME}}"
srun {program_and_args}
"""


SYSTEMS = "PBS", "Slurm", "SGE", "LSF", "HTCondor"


def test_settings_of_batch_systems_are_carried_over_and_their_templates_become_files(sandbox, profile):
    source = profile / "ipcluster_config.py"
    source.write_text(
        "c.IPClusterEngines.engine_launcher_class = 'IPython.parallel.apps.launcher.PBSEngineSetLauncher'\n"
        + "".join(
            f"""
c.{system}Launcher.queue = 'short'
c.{system}EngineSetLauncher.batch_template = {TEMPLATE!r}
c.{system}EngineSetLauncher.namespace = {{'gpus': 2}}
c.{system}ControllerLauncher.batch_template = 'one line'
"""
            for system in SYSTEMS
        )
    )
    assert convert(sandbox, str(source)).status == 0
    read, _ = converted(profile, "ipcluster")
    assert read.pop("Cluster") == {"engine_launcher_class": "IPython.parallel.apps.launcher.PBSEngineSetLauncher"}
    files = {system: profile / f"{system}EngineSetLauncher.template" for system in SYSTEMS}
    assert read == {
        name: traits
        for system, file in files.items()
        for name, traits in {
            f"{system}Launcher": {"queue": "short"},
            f"{system}EngineSetLauncher": {"batch_template_file": str(file), "namespace": {"gpus": 2}},
            f"{system}ControllerLauncher": {"batch_template": "one line"},
        }.items()
    }
    assert {file.read_text() for file in files.values()} == {TEMPLATE}


def test_a_template_that_is_there_already_is_not_replaced_without_force(sandbox, profile):
    source, file = profile / "ipcluster_config.py", profile / "PBSEngineSetLauncher.template"
    source.write_text(f"c.PBSEngineSetLauncher.batch_template = {TEMPLATE!r}\n")
    file.write_text("mine")
    refused = convert(sandbox, str(source))
    assert refused.status == 1 and f"{file} exists already: --force replaces it" in refused.err
    assert file.read_text() == "mine" and not (profile / "ipcluster_config.json").exists()
    assert convert(sandbox, str(source), "--force").status == 0
    assert file.read_text() == TEMPLATE


def test_a_file_that_fails_is_an_error_and_writes_nothing(sandbox, profile):
    (profile / "ipengine_config.py").write_text("c.IPEngine.timeout = 1 / 0\n")
    done = convert(sandbox, str(profile / "ipengine_config.py"))
    assert done.status == 1 and "ZeroDivisionError" in done.err and "cannot be read" in done.err
    assert not (profile / "ipengine_config.json").exists()


def test_an_interpreter_without_traitlets_is_said_to_be_one(sandbox, profile):
    bare = sandbox.work / "bare"
    bare.write_text(f'#!/bin/sh\nexec {PYTHON} -I -S "$@"\n')
    bare.chmod(0o755)
    done = sandbox.run(sandbox.programs.ipcluster, "profile", "convert", f"--python={bare}", "old")
    assert done.status == 1 and "lacks the package traitlets" in done.err


def test_json_of_ipyparallels_is_taken_too(sandbox):
    file = sandbox.work / "ipcontroller_config.json"
    file.write_text(json.dumps({"version": 1, "HubFactory": {"ip": "*"}, "IPController": {"use_threads": True}}))
    done = convert(sandbox, "--force", str(file))
    assert done.status == 0, done
    assert converted(sandbox.work, "ipcontroller") == ({"IPController": {"ip": "*"}}, set())


def test_other_files_are_refused(sandbox):
    assert "is not named as a configuration file" in convert(sandbox, "ipython_config.py").err
    assert "is not there" in convert(sandbox, "./ipengine_config.py").err
    assert convert(sandbox, "nonesuch").status == 1


def test_values_that_json_cannot_hold_are_listed_and_the_others_carried_over(sandbox, profile):
    (profile / "ipengine_config.py").write_text(
        """
c = get_config()
c.IPEngine.timeout = float("nan")
c.IPEngine.max_heartbeat_misses = 1 << 64
c.IPEngine.startup_command = "print('\\udc80')"
c.IPEngine.startup_script = "a\\0b"
c.IPEngine.wait_for_url_file = 3.5
loop = []
loop.append(loop)
c.EngineLauncher.engine_args = loop
"""
    )
    done = convert(sandbox, str(profile / "ipengine_config.py"))
    assert done.status == 7, done
    read, lost = converted(profile, "ipengine")
    assert read == {"IPEngine": {"wait_for_url_file": 3.5}}
    assert lost == {
        "IPEngine.timeout",
        "IPEngine.max_heartbeat_misses",
        "IPEngine.startup_command",
        "IPEngine.startup_script",
        "EngineLauncher.engine_args",
    }
