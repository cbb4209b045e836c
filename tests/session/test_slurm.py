"""Jobs of a real Slurm that the tests start for themselves: what is submitted for a cluster, and what Slurm makes of it."""

import json
import os
import re
import shlex
import signal
import time

import pytest

import docblocks
from ipcluster_box import UP
from own_slurm import ask, start
from support import TOP, wait_until


@pytest.fixture
def box(box, slurm):
    yield from slurm.serve(box)


def connection(box, role):
    return json.loads((box.profile_dir() / f"security/ipcontroller-{role}.json").read_text())


def test_engines_are_a_job_that_works_and_ends_as_completed(box, slurm):
    cluster, job = start(box, "--n=3")
    assert slurm.state(job) == "RUNNING"
    assert ask(box, "print(sum(client[:].apply_sync(lambda: 14)))") == "42"
    jobs = ask(box, "import os\nprint(set(client[:].apply_sync(lambda: __import__('os').environ['SLURM_JOB_ID'])))")
    assert jobs == f"{{'{job}'}}"
    (script,) = (box.profile_dir() / "log").glob("*.sh")
    assert script.stat().st_mode & 0o777 == 0o700
    (output,) = (box.profile_dir() / "log").glob("ipengine-*.log")
    assert output.read_text().startswith("20"), "nobody has anything to say before the engines"
    assert cluster.stop(signal.SIGINT, 60) == 0
    wait_until(lambda: slurm.state(job) == "COMPLETED", what="the job has ended by itself")


def test_settings_become_directives_and_a_template_is_the_users_own(box, slurm):
    template = box.dir / "template"
    template.write_text(
        "#!/bin/bash\n#SBATCH --partition=debug --ntasks={n}\n#SBATCH --comment={word}\n"
        "{prologue}\nsrun {program_and_args}\n"
    )
    cluster, job = start(
        box,
        "--n=2",
        f"--SlurmLauncher.batch_template_file={template}",
        "--SlurmLauncher.namespace=word=mine",
        "--SlurmLauncher.queue=down",
        "--SlurmLauncher.timelimit=30",
        "--SlurmLauncher.prologue=export FROM_PROLOGUE=1",
        "--SlurmLauncher.environment='ANSWER=forty two'",
    )
    shown = slurm.command("scontrol", "show", "job", job)
    assert "Partition=debug" in shown and "TimeLimit=00:30:00" in shown and "Comment=mine" in shown
    values = ask(
        box,
        "import os\nprint(client[0].apply_sync(lambda: [__import__('os').environ[name] for name in ('ANSWER', "
        "'FROM_PROLOGUE')]))",
    )
    assert values == "['forty two', '1']"
    assert cluster.stop(signal.SIGINT, 60) == 0


def test_engines_have_the_memory_and_the_cores_that_settings_give_them_and_output_goes_where_it_is_said(box, slurm):
    cluster, job = start(
        box,
        "--n=2",
        "--SlurmLauncher.cores=2",
        "--SlurmLauncher.memory=90MB",
        "--SlurmLauncher.output_file=100%j.log",
        "--SlurmLauncher.job_extra_directives=--comment=mine --requeue",
        "--SlurmLauncher.job_directives_skip=requeue",
        "--SlurmLauncher.timelimit=30",
    )
    shown = slurm.command("scontrol", "show", "job", job)
    assert "NumTasks=2" in shown and "CPUs/Task=2" in shown and "MinMemoryCPU=45M" in shown and "Comment=mine" in shown
    assert "registered as engine" in (box.profile_dir() / "log/100%j.log").read_text()
    cores = ask(
        box, "import os\nprint(set(client[:].apply_sync(lambda: __import__('os').environ['SLURM_CPUS_PER_TASK'])))"
    )
    assert cores == "{'2'}"
    # Engines know when their job ends.
    end = ask(box, "import os\nprint(client[0].apply_sync(lambda: __import__('os').environ['SLURM_JOB_END_TIME']))")
    assert slurm.command("squeue", "--noheader", f"--jobs={job}", "--format=%e").strip() == time.strftime(
        "%Y-%m-%dT%H:%M:%S", time.localtime(int(end))
    )
    (script,) = (box.profile_dir() / "log").glob("*.sh")
    assert "requeue" not in script.read_text()
    assert cluster.stop(signal.SIGINT, 60) == 0
    refused = box.ipcluster("start", "--elauncher=slurm", "--SlurmLauncher.memory=4 apples", "--dry-run")
    assert "SlurmEngineSetLauncher.memory: '4 apples' is not a size such as 4GB or 500MB" in refused.err


def test_a_dry_run_shows_script_and_command_and_submits_nothing(box, slurm):
    before = slurm.states()
    shown = box.ipcluster(
        "start", "--n=2", "--elauncher=slurm", "--SlurmLauncher.queue=debug", "--dry-run", check=True
    ).out
    assert re.search(r"ipcontroller --profile-dir=\S+", shown)
    assert re.search(r"sbatch /\S+\.sh\n#!/bin/sh\n(#SBATCH .*\n)*#SBATCH --partition=debug", shown)
    assert slurm.states() == before and not list((box.profile_dir() / "pid").iterdir())


# MPI


def test_engines_of_a_job_are_the_ranks_of_one_mpi_world_where_srun_is_told_to(box):
    pytest.importorskip("mpi4py")
    cluster, _ = start(
        box,
        "--n=2",
        "--SlurmLauncher.start_command=srun --mpi=pmix",
        "--SlurmLauncher.mpi=mpi4py",
        env=box.no_leak_check(),
    )
    (box.work / "psum.py").write_text((TOP / "tests/session/psum.py").read_text())
    total = ask(
        box,
        "view = client[:]\nview.run('psum.py', block=True)\nimport numpy\n"
        "view.scatter('a', numpy.arange(16, dtype=float), block=True)\n"
        "view.execute('total = psum(a)', block=True)\nprint([float(each) for each in view['total']])",
    )
    assert total == "[120.0, 120.0]"
    assert cluster.stop(signal.SIGINT, 60) == 0


def test_an_srun_that_makes_worlds_of_one_rank_is_told_with_what_helps(box, mpi4py_of_mpich):
    failed = box.ipcluster(
        "start",
        "--n=2",
        "--elauncher=slurm",
        "--SlurmLauncher.start_command=srun --mpi=none",
        "--SlurmLauncher.mpi=mpi4py",
        env={**box.no_leak_check(), "PYTHONPATH": f"{mpi4py_of_mpich}:{box.env['PYTHONPATH']}"},
    )
    assert failed.status == 4
    assert (
        "srun started 2 engines as one MPI world, but their MPI is MPICH" in failed.err
        and "srun --mpi=list" in failed.err
    )


def test_engines_of_a_job_may_use_every_processor_that_it_has(box):
    count = (
        "import os\nprint(client[:].apply_sync(lambda: (__import__('os').environ.get('SLURM_CPUS_PER_TASK'), "
        "len(__import__('os').sched_getaffinity(0)))))"
    )
    for words, tasks_processors in (["--SlurmLauncher.options=--cpus-per-task=2"], "2"), (
        ["--SlurmLauncher.start_command=mpiexec"],
        None,
    ):
        cluster, _ = start(box, "--n=2", *words, env={"OMPI_MCA_oob_tcp_if_include": "lo"})
        assert ask(box, count) == str([(tasks_processors, len(os.sched_getaffinity(0)))] * 2)
        assert cluster.stop(signal.SIGINT, 60) == 0


# What the guide says


def test_what_the_guide_says_of_slurm_is_taken(box):
    blocks = docblocks.blocks(TOP / "docs/howto/slurm.md")
    (settings,) = (json.loads(block.text) for block in blocks if block.kind == "json")
    commands = [
        words[1:]
        for block in blocks
        if block.kind == "sh"
        for typed, _ in block.commands
        if "start" in (words := shlex.split(typed))
    ]
    assert len(commands) == 3
    box.ipcluster("profile", "create", "default", check=True)
    (box.profile_dir() / "ipcluster_config.json").write_text(json.dumps(settings))
    for words in commands:
        shown = box.ipcluster(*words, "--dry-run", check=True).out
        for line in (
            "#SBATCH --partition=long",
            "#SBATCH --account=physics",
            "#SBATCH --mem-per-cpu=2048M",
            "#SBATCH --cpus-per-task=2",
            "#SBATCH --gpus-per-task=1",
            "module load python",
            f"#SBATCH --ntasks={8 if 'engines_per_job' in str(words) else 64}",
            "OMP_NUM_THREADS=1",
        ):
            assert line in shown
        assert ("srun --mpi=pmix sh" in shown and "--mpi=mpi4py" in shown) == any("mpi" in word for word in words)


def test_the_guides_session_goes_as_it_shows(box):
    session = [
        command
        for block in docblocks.blocks(TOP / "docs/howto/slurm.md")
        if block.kind == "sh"
        for command in block.commands
    ][:2]
    (start_typed, start_shown), (stop_typed, stop_shown) = [
        [text.replace("64", "2").replace("88", "...").replace("4242", "...") for text in turn] for turn in session
    ]
    cluster = box.begin(*shlex.split(start_typed)[1:])
    cluster.wait_for_output(UP, 60)
    assert docblocks.is_shown(start_shown, cluster.output)
    assert docblocks.is_shown(stop_shown, box.ipcluster(*shlex.split(stop_typed)[1:], check=True).out)


@pytest.mark.parametrize(
    "row, word, env",
    [
        (0, "SlurmLauncher.queue=nowhere", {}),
        (1, "SlurmLauncher.queue=debug", {"PATH": "/nowhere"}),
        (2, "SlurmLauncher.batch_template=exit 3", {}),
    ],
    ids=["refused", "no command", "ended"],
)
def test_what_the_guide_says_is_seen_where_a_job_does_not_start_is(box, row, word, env):
    seen = docblocks.troubles(TOP / "docs/howto/slurm.md")
    assert len(seen) == 3 and docblocks.is_shown(
        seen[row], box.ipcluster("start", "--n=1", "--elauncher=slurm", f"--{word}", env=env).err
    )


# Where the controller listens


def test_engines_elsewhere_reach_the_controller_and_clients_stay_on_loopback(box):
    cluster, _ = start(box, "--n=1")
    assert connection(box, "engine")["interface"] == "tcp://0.0.0.0"
    assert connection(box, "client")["interface"] == "tcp://127.0.0.1"
    assert connection(box, "engine")["curve_serverkey"]
    assert cluster.stop(signal.SIGINT, 60) == 0


def test_an_address_that_was_set_is_kept(box):
    cluster, _ = start(box, "--n=1", "--ip=127.0.0.1")
    assert connection(box, "engine")["interface"] == "tcp://127.0.0.1"
    assert cluster.stop(signal.SIGINT, 60) == 0


def test_a_controller_for_engines_elsewhere_is_never_without_encryption(box):
    refused = box.ipcluster("start", "--n=1", "--elauncher=slurm", "--", "--IPController.enable_curve=false")
    assert refused.status == 3 and "without encryption" in refused.err + refused.out


# What is refused


def test_a_refused_job_is_told_in_slurms_words_with_the_script(box):
    refused = box.ipcluster("start", "--n=1", "--elauncher=slurm", "--SlurmLauncher.queue=nowhere")
    assert refused.status == 4
    assert re.search(r"Slurm does not accept the job: .*[Ii]nvalid partition.*\(its script is /\S+\.sh\)", refused.err)


def test_a_command_that_is_not_there_is_told_at_once(box):
    refused = box.ipcluster("start", "--n=1", "--elauncher=slurm", "--SlurmLauncher.submit_command=no-such-sbatch")
    assert refused.status == 4 and "cannot run no-such-sbatch: no such file or directory" in refused.err


def test_an_answer_without_an_id_is_quoted(box):
    refused = box.ipcluster("start", "--n=1", "--elauncher=slurm", "--SlurmLauncher.submit_command=echo be welcome")
    assert refused.status == 4 and "there is no job id in the output 'be welcome /" in refused.err


@pytest.mark.parametrize(
    "word, reason",
    [
        ("prologue=x", "'prologue' is set, but the setting batch_template has no {prologue}"),
        ("batch_template=exit {m}", "line 1, column 7: "),
        ("batch_template_file=/nowhere", "/nowhere does not exist"),
    ],
    ids=["unused", "unknown", "missing"],
)
def test_a_template_that_is_wrong_is_told_and_nothing_is_submitted(box, slurm, word, reason):
    before = slurm.states()
    words = [f"--SlurmLauncher.{word}"] + ([] if "template" in word else ["--SlurmLauncher.batch_template=exit"])
    refused = box.ipcluster("start", "--n=1", "--elauncher=slurm", *words)
    assert refused.status == 4 and reason in refused.err
    assert slurm.states() == before
