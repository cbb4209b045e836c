"""Engines as jobs of batch systems, each through its table: they start, work and stop, and what becomes of their jobs is said. PBS's commands
and Grid Engine are real; LSF and HTCondor are stand-ins."""

import json
import os
import shlex
import shutil
import signal
import time

import docblocks
import pytest
from batch_systems import SYSTEMS
from ipcluster_box import UP, assert_nothing_left, listed

from support import TOP, typed, wait_until


@pytest.fixture(scope="module", params=SYSTEMS)
def system(request):
    made = SYSTEMS[request.param]()
    made.alias = request.param
    yield made
    made.stop()


@pytest.fixture
def batch(box, system):
    """The box, whose programs find the system's commands."""
    path = f"{system.env['PATH'].split(':')[0]}:{box.env['PATH']}"
    box.env.update({**system.env, "PATH": path})
    box.words = ["--n=2", f"--elauncher={system.alias}"]
    yield box
    system.clear()


def assert_no_jobs(system):
    wait_until(lambda: not system.jobs(), 20, "no job is left")


def test_engines_of_a_job_start_work_and_stop(batch, system, ipcluster):
    batch.ipcluster("start", "--daemonize", "--n-min=2", *batch.words, check=True)
    with ipcluster.Client(str(batch.profile_dir() / "security/ipcontroller-client.json")) as client:
        assert client[:].apply_sync(typed(lambda: 6 * 7)) == [42, 42]
    assert len(system.jobs()) == 1
    batch.ipcluster("stop", check=True)
    assert_no_jobs(system)
    assert_nothing_left(batch, batch.profile_dir())


def test_a_profiles_folder_may_have_spaces_and_quotes_in_its_name(batch, system):
    if system.name == "PBS":
        pytest.skip("Slurm's qsub hands a path on unquoted")
    folder = batch.work / "it's ä profile"
    batch.ipcluster("profile", "create", f"--profile-dir={folder}", check=True)
    assert (
        "The cluster is up"
        in batch.ipcluster("start", "--daemonize", "--n-min=2", f"--profile-dir={folder}", *batch.words, check=True).out
    )
    (output,) = folder.glob("log/ipengine-*.log")
    assert "registered as engine 1" in output.read_text()
    batch.ipcluster("stop", f"--profile-dir={folder}", check=True)
    assert_no_jobs(system)
    assert_nothing_left(batch, folder)


def test_a_pending_job_is_shown_with_what_it_waits_for_and_cancelled_by_stop(batch, system):
    cluster = batch.begin("start", *batch.words, *system.pending)
    cluster.wait_for_output(system.waits_for, 60)
    assert system.waits_for in listed(batch)[0]["sets"][0]["status"]
    told = json.loads(batch.ipcluster("status", "--json").out)
    (waiting,) = (one for one in told["sets"] if one["role"] == "engines")
    assert (waiting["state"], waiting["running"]) == ("waiting", 0) and system.waits_for in waiting["said"]
    assert len(waiting["jobs"]) == 1
    assert cluster.stop(signal.SIGINT, 60) == 128 + signal.SIGINT
    assert_no_jobs(system)
    assert_nothing_left(batch, batch.profile_dir())


def test_a_job_that_is_refused_is_said_in_the_systems_own_words(batch, system):
    refused = batch.ipcluster("start", *batch.words, *system.refused)
    assert refused.status and system.refusal in refused.err, refused
    assert_no_jobs(system)
    assert_nothing_left(batch, batch.profile_dir())


def test_a_job_whose_number_was_not_printed_is_found_by_its_name(batch, system):
    folder = batch.dir / "silent"
    folder.mkdir()
    folder.joinpath(system.submit).write_text(
        f'#!/bin/sh\nexec {shutil.which(system.submit, path=system.env["PATH"])} "$@" > /dev/null\n'
    )
    folder.joinpath(system.submit).chmod(0o755)
    cluster = batch.begin("start", *batch.words, env={"PATH": f"{folder}:{batch.env['PATH']}"})
    cluster.wait_for_output(UP, 60)
    (job,) = system.jobs()
    assert f"job {job} is submitted" in cluster.output
    assert cluster.stop(signal.SIGINT, 60) == 0
    assert_no_jobs(system)


def test_how_a_job_ended_that_somebody_deleted_is_said(batch, system):
    cluster = batch.begin("start", *batch.words)
    cluster.wait_for_output(UP, 60)
    (job,) = system.jobs()
    system.run(*system.delete, job)
    cluster.wait_for_output(system.deleted.format(job), 60)
    cluster.stop(signal.SIGINT, 60)
    assert_nothing_left(batch, batch.profile_dir())


def test_stop_deletes_the_jobs_of_a_supervisor_that_was_killed(batch, system):
    cluster = batch.begin("start", *batch.words)
    cluster.wait_for_output(UP, 60)
    cluster.stop(signal.SIGKILL)
    assert len(system.jobs()) == 1
    batch.ipcluster("stop", check=True)
    assert_no_jobs(system)
    batch.wait_for_no_processes()
    assert_nothing_left(batch, batch.profile_dir())


def test_engines_of_an_array_run_on_where_one_has_ended(batch, system, ipcluster):
    cluster = batch.begin("start", *batch.words)
    cluster.wait_for_output(UP, 60)
    with ipcluster.Client(str(batch.profile_dir() / "security/ipcontroller-client.json")) as client:
        # Slurm gives one of an array's tasks the number of the job: this is the one that is lost.
        engines = client[:].apply_sync(
            typed(lambda: (__import__("os").environ.get("SLURM_JOB_ID"), __import__("os").getpid()))
        )
        lost = dict(reversed(engines)).get(*system.jobs(), engines[0][1])
        os.kill(lost, signal.SIGKILL)
        cluster.wait_for_output(
            rf"An engine ended with status 137: process {lost} on \S+, of {system.name} job \S+, was ended by signal 9",
            60,
        )
        wait_until(lambda: len(client.ids) == 1, 60, "the hub misses it")
        assert client[:].apply_sync(typed(lambda: 6 * 7)) == [42]
    assert "All engines" not in cluster.output and "The engines" not in cluster.output
    assert len(system.jobs()) == 1
    assert cluster.stop(signal.SIGINT, 60) == 0
    assert_no_jobs(system)


@pytest.mark.parametrize("system", ["lsf"], indirect=True)
def test_ipcluster_waits_for_no_engine_that_runs_on_before_it_shows_the_file_that_all_write(batch, system, ipcluster):
    cluster = batch.begin("start", *batch.words)
    cluster.wait_for_output(UP, 60)
    with ipcluster.Client(str(batch.profile_dir() / "security/ipcontroller-client.json")) as client:
        os.kill(client[0].apply_sync(os.getpid), signal.SIGKILL)
        cluster.wait_for_output("An engine ended with status 137", 60)
        began = time.monotonic()
        cluster.wait_for_output("The end of ", 60)
        assert time.monotonic() - began < 4.5  # it would wait five seconds for a watcher
    assert cluster.stop(signal.SIGINT, 60) == 0


# A template of ipyparallel's.
DESCRIPTION = """universe = vanilla
executable = {program}
transfer_executable = False
arguments = "{program_args}"
getenv = True
queue {n}
"""


@pytest.mark.parametrize("system", ["htcondor"], indirect=True)
def test_a_template_that_is_a_submit_description_is_submitted_as_it_is(batch, system):
    started = batch.ipcluster(
        "start",
        "--daemonize",
        "--n-min=2",
        *batch.words,
        f"--HTCondorEngineSetLauncher.batch_template={DESCRIPTION}",
        check=True,
    )
    assert UP in started.out
    batch.ipcluster("stop", check=True)
    assert_no_jobs(system)
    assert_nothing_left(batch, batch.profile_dir())


@pytest.mark.parametrize(
    "name, directives",
    [
        ("PBS", {"#PBS -l ncpus=4", "#PBS -l mem=8192mb", "#PBS -l ngpus=1"}),
        ("SGE", {"#$ -pe smp 4", "#$ -l h_vmem=2048M", "#$ -l gpu=1"}),
        ("LSF", {'#BSUB -n 4 -R "span[hosts=1]"', '#BSUB -M 8192MB -R "rusage[mem=8192MB]"', '#BSUB -gpu "num=1"'}),
        ("HTCondor", {"#HTCONDOR request_cpus = 4", "#HTCONDOR request_memory = 8192", "#HTCONDOR request_gpus = 1"}),
    ],
)
def test_memory_cores_and_gpus_of_an_engine_are_asked_for_in_the_systems_words(box, name, directives):
    words = [f"--{name}Launcher.{setting}" for setting in ("memory=8GB", "cores=4", "gpus=1")]
    shown = box.ipcluster("start", "--n=2", f"--elauncher={name.lower()}", *words, "--dry-run", check=True).out
    assert directives <= set(shown.splitlines())
    plain = box.ipcluster("start", "--n=2", f"--elauncher={name.lower()}", "--dry-run", check=True).out
    assert len(plain.splitlines()) == len(shown.splitlines()) - len(directives)


@pytest.mark.parametrize("name, setting", [("HTCondor", "queue"), ("PBS", "qos"), ("SGE", "qos"), ("LSF", "qos")])
def test_a_setting_that_a_system_has_no_directive_for_is_refused(box, name, setting):
    words = "start", "--n=1", f"--elauncher={name.lower()}", "--dry-run", f"--{name}Launcher.{setting}=any"
    assert f"'{setting}' is set, but the batch system's own template has no {{{setting}}}" in box.ipcluster(*words).err
    box.ipcluster(*words, f"--{name}Launcher.batch_template=# {{{setting}}}", check=True)


def test_the_guides_commands_submit_what_it_says(box):
    (block,) = [
        block
        for block in docblocks.blocks(TOP / "docs/howto/batch.md")
        if block.note("tested by") == "tests/session/test_batch_systems.py"
    ]
    for command, _ in block.commands:
        shown = box.ipcluster(*shlex.split(command)[1:], "--dry-run", check=True).out
        assert {"#PBS -J 1-64", "#PBS -q short", "#PBS -l walltime=2:00:00"} <= set(shown.splitlines())


@pytest.mark.parametrize("system", ["pbs"], indirect=True)
def test_what_the_guide_says_is_seen_where_a_job_does_not_start_is(batch, system):
    seen = docblocks.troubles(TOP / "docs/howto/batch.md")
    folder = batch.dir / "no-commands"
    folder.mkdir()
    for program in "sh", "env":
        folder.joinpath(program).symlink_to(shutil.which(program))
    for words, env, shown in (
        (system.refused, {}, seen[0]),
        ([], {"PATH": str(folder)}, seen[1]),
        (["--PBSLauncher.batch_template={nodes}"], {}, seen[2]),
    ):
        assert docblocks.is_shown(shown, batch.ipcluster("start", *batch.words, *words, env=env).err)
    assert len(seen) == 3
