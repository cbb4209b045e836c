"""Clusters whose engines, or all of whose processes, are jobs of a real Slurm that the tests start for themselves."""

import json
import os
import re
import shlex
import signal
import time

import pytest

import docblocks
from ipcluster_box import UP, listed, one_by_one
from own_slurm import Slurm
from support import LONG, PATIENCE, TOP, named, wait_until

JOB = r"job (\d+) is submitted"


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    made = Slurm(tmp_path_factory.mktemp("slurm"), settings="WaitTime=0\nKillOnBadExit=1")
    yield made
    made.stop()


@pytest.fixture
def box(box, slurm):
    """The sandbox with this Slurm; what is left of its jobs is cancelled at the end."""
    box.env.update(slurm.env)
    yield box
    slurm.cancel_all()


def start(box, *words, **options):
    """A cluster that is up, and the number of its engines' job."""
    cluster = box.begin("start", "--elauncher=slurm", *words, **options)
    cluster.wait_for_output(UP, 60)
    return cluster, re.findall(JOB, cluster.output)[-1]


def connection(box, role):
    return json.loads((box.profile_dir() / f"security/ipcontroller-{role}.json").read_text())


def ask(box, code):
    """What a client of the cluster prints."""
    return box.run(
        "/usr/bin/python3", "-c", f"import ipcluster\nclient = ipcluster.Client()\n{code}", python=True, check=True
    ).out.strip()


def fake_sacct(box, script):
    """This Slurm has no accounting: an sacct that prints what it would know of the job "$4"."""
    sacct = box.dir / "sacct"
    sacct.write_text(f"#!/bin/sh\n{script}\n")
    sacct.chmod(0o755)
    return {"PATH": f"{box.dir}:{box.env['PATH']}"}


# What works


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


def test_engines_can_be_several_jobs_that_start_as_they_find_room_and_end_each_by_itself(box, slurm):
    known = set(slurm.states())
    cluster = box.begin(
        "start",
        "--n=11",
        "--elauncher=slurm",
        "--SlurmLauncher.engines_per_job=4",
        f"--Cluster.engine_timeout={int(LONG)}",
        "--SlurmLauncher.prologue=# of {n}",
    )
    first, last = cluster.wait_for_output(r"3 jobs are submitted, (\d+) to (\d+)", 60).groups()
    # The node has eight places: the third job waits, and is asked about together with the others.
    cluster.wait_for_output("1 job of 3 pending: Resources.*; 2 running", 60)
    wait_until(lambda: ask(box, "print(len(client.ids))") == "8", 60, "eight engines work")
    jobs = sorted(set(slurm.states()) - known, key=int)
    assert jobs[0] == first and jobs[-1] == last and len(jobs) == 3
    scripts = sorted((box.profile_dir() / "log").glob("*.sh"))
    assert [re.search("ntasks=(.)", script.read_text()).group(1) for script in scripts] == ["4", "4", "3"]
    # One that ends before all have begun takes no other with it, and makes room for the next.
    slurm.command("scancel", first)
    cluster.wait_for_output(f"Slurm job {first} was cancelled", 60)
    cluster.wait_for_output(UP, 60)
    assert cluster.output.count(f"Slurm job {first} was cancelled") == 1
    assert ask(box, "print(sum(client[:].apply_sync(lambda: 1)))") == "7"
    slurm.command("scancel", last)
    cluster.wait_for_output(f"Slurm job {last} was cancelled", 60)
    assert (
        ask(
            box, "import time\nwhile len(client.ids) > 4: time.sleep(0.05)\nprint(sum(client[:].apply_sync(lambda: 1)))"
        )
        == "4"
    )
    assert listed(box)[0]["sets"][0]["status"] == "1 job of 3 running"
    box.ipcluster("stop", check=True)
    assert cluster.wait(60) == 0 and slurm.state(jobs[1]) not in ("RUNNING", "PENDING")


def test_a_job_that_ended_before_all_engines_were_there_does_not_come_back(box, slurm):
    cluster = box.begin(
        "start",
        "--n=3",
        "--elauncher=slurm",
        "--SlurmLauncher.engines_per_job=1",
        "--restart=1",
        "--SlurmLauncher.queue=down",
    )
    first, last = cluster.wait_for_output(r"3 jobs are submitted, (\d+) to (\d+)", 60).groups()
    slurm.command("scancel", first)
    cluster.wait_for_output(f"Slurm job {first} was cancelled", 60)
    for job in (int(first) + 1, last):
        slurm.command("scontrol", "update", f"jobid={job}", "partition=debug")
    cluster.wait_for_output(UP, 60)
    time.sleep(6)
    assert "again" not in cluster.output
    assert [one["asked"] for one in json.loads(box.ipcluster("status", "--json").out)["sets"]] == [1, 2]
    box.ipcluster("stop", check=True)
    assert cluster.wait(60) == 0


def test_stop_ends_all_of_several_jobs_also_where_nobody_saw_their_submission_end(box, slurm):
    slow, begun, known = box.dir / "slow-sbatch", box.dir / "begun", set(slurm.states())
    slow.write_text(f'#!/bin/sh\ncase $1 in *-2.sh) touch {begun}; sleep 1;; esac\nexec sbatch "$@"\n')
    slow.chmod(0o755)
    cluster = box.begin(
        "start",
        "--n=9",
        "--elauncher=slurm",
        "--SlurmLauncher.engines_per_job=3",
        "--SlurmLauncher.queue=down",
        f"--SlurmLauncher.submit_command={slow}",
    )
    wait_until(begun.exists, 60, "the second submission has begun")
    cluster.stop(signal.SIGKILL)
    wait_until(lambda: len(set(slurm.states()) - known) == 2, 60, "it has ended")
    box.ipcluster("stop", check=True)
    assert [state for job, state in slurm.states().items() if job not in known] == ["CANCELLED"] * 2
    box.wait_for_no_processes()


def test_all_of_a_cluster_can_be_jobs(box, slurm):
    up = box.ipcluster(
        "start", "--n=2", "--n-min=2", "--elauncher=slurm", "--controller=slurm", "--daemonize", check=True
    )
    jobs = re.findall(JOB, up.out)
    assert [slurm.state(job) for job in jobs] == ["RUNNING"] * 2
    assert ask(box, "print(len(client.ids))") == "2"
    box.ipcluster("stop", check=True)
    assert not set(map(slurm.state, jobs)) & {"RUNNING", "PENDING"}
    box.wait_for_no_processes()


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


def test_a_cluster_goes_on_without_an_engine_that_was_lost_also_after_an_interrupt(box, slurm):
    cluster, job = start(box, "--n=2")
    interrupted = ask(
        box,
        f"""
import glob, os, subprocess, time
def work(folder):
    import os, time
    open(f"{{folder}}/begun-{{os.getpid()}}", "w").close()
    time.sleep(600)
result = client[:].apply_async(work, {str(box.dir)!r})
while len(glob.glob({str(box.dir)!r} + "/begun-*")) < 2: time.sleep(0.05)
subprocess.run(["scancel", "-s", "INT", "{job}"], check=True)
try:
    result.get(60)
except ipcluster.CompositeError as error:
    print([name for name, *_ in error.elist])""",
    )
    assert interrupted == "['KeyboardInterrupt', 'KeyboardInterrupt']"
    lost = int(ask(box, "print(client[0].apply_sync(lambda: __import__('os').getpid()))"))
    os.kill(lost, signal.SIGKILL)
    seen = ask(box, "import time\nwhile len(client.ids) > 1: time.sleep(0.05)\nprint(client[:].apply_sync(lambda: 1))")
    assert seen == "[1]" and slurm.state(job) == "RUNNING"
    cluster.wait_for_output(
        rf"An engine ended with status 137: process {lost} on \S+, of Slurm job {job}, was ended by signal 9", 60
    )
    assert cluster.stop(signal.SIGINT, 60) == 0


def test_an_engine_that_died_and_those_of_a_job_that_ended_come_back_in_jobs_of_their_own(box, slurm):
    known = set(slurm.states())
    cluster, first = start(box, "--n=3", "--restart=1")
    named(box, "ipengine")[0].kill()
    second = cluster.wait_for_output(rf"job (?!{first})(\d+) is submitted", 60).group(1)
    is_whole = "import time\nwhile client.ids != [0, 1, 2]: time.sleep(0.05)\nprint(len(set(client[:].apply_sync(lambda: __import__('os').environ['SLURM_JOB_ID']))))"
    assert ask(box, f"while len(client.departed) < 1: pass\n{is_whole}") == "2" and slurm.state(first) == "RUNNING"
    slurm.command("scancel", first)
    assert ask(box, f"while len(client.departed) < 3: pass\n{is_whole}") == "2"
    jobs = set(slurm.states()) - known
    assert len(jobs) == 3 and {first, second} < jobs

    def shown():
        sets = json.loads(box.ipcluster("status", "--json").out)["sets"]
        return [(one["running"], one["state"]) for one in sets if one["role"] == "engines"] == [(3, "running")]

    wait_until(shown, 60, "all run again")
    cluster.stop(signal.SIGKILL)
    box.ipcluster("stop", check=True)
    assert not {slurm.state(job) for job in jobs} & {"RUNNING", "PENDING"}
    box.wait_for_no_processes()


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


# Waiting


def test_a_job_that_waits_says_why_and_is_cancelled_by_stop(box, slurm):
    cluster = box.begin(
        "start", "--n=2", "--elauncher=slurm", "--SlurmLauncher.queue=down", "--Cluster.engine_timeout=1"
    )
    (job,) = re.findall(JOB, cluster.wait_for_output(JOB, 60).group())
    cluster.wait_for_output("is pending: PartitionDown")
    (entry,) = listed(box)
    assert entry["sets"][0]["status"] == f"job {job} is pending: PartitionDown"
    assert cluster.alive
    box.ipcluster("stop", check=True)
    assert slurm.state(job) == "CANCELLED"


def test_a_daemon_is_back_when_its_job_is_submitted_and_goes_on_waiting(box, slurm):
    started = box.ipcluster(
        "start", "--n=2", "--elauncher=slurm", "--SlurmLauncher.queue=down", "--daemonize", check=True
    )
    (job,) = re.findall(JOB, started.out)
    assert "The cluster is up with 0 of 2 engines" in started.out
    waits = f"job {job} is pending: PartitionDown"
    wait_until(
        lambda: (listed(box)[0]["state"], listed(box)[0]["sets"][0]["status"]) == ("running", waits),
        what="list says what it waits for",
    )
    (log,) = (box.profile_dir() / "log").glob("ipcluster-*.log")
    assert waits in log.read_text()
    box.ipcluster("stop", check=True)
    assert slurm.state(job) == "CANCELLED"


def test_jobs_that_wait_are_cancelled_when_their_set_is_to_be_smaller(box, slurm):
    known = set(slurm.states())
    box.ipcluster(
        "start",
        "--n=6",
        "--elauncher=slurm",
        "--SlurmLauncher.engines_per_job=2",
        "--SlurmLauncher.queue=down",
        "--engine-set=s",
        "--restart=1",
        "--daemonize",
        check=True,
    )

    def asked():
        return [
            one["asked"]
            for one in json.loads(box.ipcluster("status", "--json").out)["sets"]
            if one["role"] == "engines"
        ]

    assert "s has 3 engines" not in (part := box.ipcluster("scale", "--n=3")).out
    assert (
        part.status == 6
        and "1 of 1 surplus engines stay: they work" in part.err
        and "share a batch job with" in part.err
    )
    wait_until(
        lambda: sorted(state for job, state in slurm.states().items() if job not in known)
        == ["CANCELLED", "PENDING", "PENDING"],
        60,
    )
    wait_until(lambda: asked() == [4], 60, "they are counted no more")
    assert "s has 0 engines" in box.ipcluster("scale", "--n=0", check=True).out
    wait_until(lambda: asked() == [0], 60, "all have gone")
    assert {state for job, state in slurm.states().items() if job not in known} == {"CANCELLED"}
    (log,) = (box.profile_dir() / "log").glob("ipcluster-*.log")
    assert (
        "Cancelling 2 engines that wait to be started" in log.read_text() and "ended with status" not in log.read_text()
    )
    box.ipcluster("stop", check=True)
    box.wait_for_no_processes()


def test_a_set_grows_by_whole_jobs_which_are_cancelled_with_what_they_wait_for_and_end_when_idle(box, slurm, ipcluster):
    known = set(slurm.states())
    box.ipcluster(
        "start",
        "--n-max=5",
        "--idle-timeout=1",
        "--elauncher=slurm",
        "--SlurmLauncher.engines_per_job=2",
        "--SlurmLauncher.queue=down",
        "--daemonize",
        check=True,
    )

    def jobs():
        return sorted(state for job, state in slurm.states().items() if job not in known)

    with ipcluster.Client(profile_dir=box.profile_dir()) as client:
        view = client.load_balanced_view()
        tasks = [view.apply_async(os.getpid) for _ in range(60)]
        wait_until(lambda: jobs() == ["PENDING"] * 3, 60, "there are as many jobs as it may have")
        scripts = sorted((box.profile_dir() / "log").glob("*.sh"))
        assert [re.search("ntasks=(.)", script.read_text()).group(1) for script in scripts] == ["2", "2", "1"]
        client.abort(tasks)
        wait_until(lambda: jobs() == ["CANCELLED"] * 3, 60, "they are for nothing any more")
        task = view.apply_async(os.getpid)
        wait_until(lambda: jobs() == ["CANCELLED"] * 3 + ["PENDING"], 60, "a whole job for one task")
        (job,) = (job for job, state in slurm.states().items() if job not in known and state == "PENDING")
        slurm.command("scontrol", "update", f"jobid={job}", "partition=debug")
        assert task.get(timeout=60 * PATIENCE) > 0
        wait_until(lambda: slurm.state(job) == "COMPLETED", 60, "its engines have ended by themselves")
    box.ipcluster("stop", check=True)
    box.wait_for_no_processes()


def test_an_engine_of_a_job_that_comes_long_after_the_first_is_not_given_up(box):
    patience = int(3 * PATIENCE)
    cluster = box.begin("start", "--n=2", "--elauncher=slurm", f"--Cluster.engine_timeout={patience}", one_by_one(box))
    cluster.wait_for_output(
        f"No further engine has registered for {patience} seconds; the missing ones may still come", 60
    )
    (box.dir / "come").touch()
    cluster.wait_for_output(UP, 60)
    assert cluster.stop(signal.SIGINT, 60) == 0


def test_a_slurm_that_is_away_for_a_while_costs_nothing(box, slurm):
    cluster, job = start(box, "--n=1")
    slurm.stop_controller()
    try:
        cluster.wait_for_output(
            "Slurm cannot be reached, and ipcluster tries again: .*Unable to contact slurm controller", 60
        )
        assert ask(box, "print(client[0].apply_sync(lambda: 7))") == "7"
    finally:
        slurm.start_controller()
    wait_until(lambda: listed(box)[0]["sets"][0]["status"] == f"job {job} runs", 60, "Slurm is reached again")
    assert cluster.stop(signal.SIGINT, 60) == 0


# What goes wrong


def test_a_refused_job_is_told_in_slurms_words_with_the_script(box):
    refused = box.ipcluster("start", "--n=1", "--elauncher=slurm", "--SlurmLauncher.queue=nowhere")
    assert refused.status == 4
    assert re.search(r"Slurm does not accept the job: .*[Ii]nvalid partition.*\(its script is /\S+\.sh\)", refused.err)


def test_a_command_that_is_not_there_is_told_at_once(box):
    refused = box.ipcluster("start", "--n=1", "--elauncher=slurm", "--SlurmLauncher.submit_command=no-such-sbatch")
    assert refused.status == 4 and "cannot run no-such-sbatch: no such file or directory" in refused.err


def test_a_job_that_was_queued_though_its_submission_timed_out_is_found_by_its_name(box, slurm):
    late, known = box.dir / "late-sbatch", set(slurm.states())
    late.write_text(
        '#!/bin/sh\nsbatch "$@" > /dev/null\necho sbatch: error: Batch job submission failed: '
        "Socket timed out on send/recv operation >&2\nexit 1\n"
    )
    late.chmod(0o755)
    cluster, job = start(box, "--n=1", f"--SlurmLauncher.submit_command={late}")
    assert set(slurm.states()) - known == {job}
    assert cluster.stop(signal.SIGINT, 60) == 0


@pytest.mark.parametrize("word", ["batch_template=#!/bin/sh\n#SBATCH -J mine", "options=--job-name=mine"])
def test_a_job_whose_template_names_it_is_not_looked_for_by_our_name_and_that_is_said(box, word):
    late = box.dir / "late-sbatch"
    late.write_text("#!/bin/sh\necho sbatch: error: Socket timed out >&2\nexit 1\n")
    late.chmod(0o755)
    refused = box.ipcluster(
        "start", "--n=1", "--elauncher=slurm", f"--SlurmLauncher.submit_command={late}", f"--SlurmLauncher.{word}"
    )
    assert refused.status == 4
    assert (
        "its job may have been submitted; ipcluster cannot look for it, because its script gives it another name"
        in refused.err
    )


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


def test_a_job_that_ends_at_once_says_how_with_the_end_of_its_output(box):
    failed = box.ipcluster(
        "start", "--n=1", "--elauncher=slurm", "--SlurmLauncher.batch_template=echo last words; exit 3"
    )
    assert failed.status == 4
    assert re.search(r"ended with status 3 .*: Slurm job \d+ ended with exit status 3", failed.err)
    assert "last words" in failed.err


def test_a_job_that_somebody_cancels_is_told_with_the_reason_and_by_whom(box, slurm):
    # The user 65534, nobody.
    env = fake_sacct(box, '[ "$1 $2" = "-nXPo JobIDRaw,State,ExitCode" ] && echo "$4|CANCELLED by 65534|0:15"')
    cluster, job = start(box, "--n=1", env=env)
    slurm.command("scancel", job)
    cluster.wait_for_output(f"Slurm job {job} was cancelled by nobody", 60)
    cluster.wait(60)


@pytest.mark.parametrize(
    "end, how, reason",
    [
        (
            "subprocess.run(['scancel', engine.job.split()[-1]], check=True)",
            "left: the engine was told to end (SIGTERM)",
            "was cancelled",
        ),
        ("os.kill(engine.pid, 9)", "died: killed by signal 9 (Killed)", "ran out of memory"),
        pytest.param(
            "subprocess.run(['scontrol', 'update', 'jobid=' + engine.job.split()[-1], 'timelimit=1'], check=True)",
            "left: ",
            "has reached its time limit",
            marks=pytest.mark.skipif("IPCLUSTER_TEST_ALL" not in os.environ, reason="Slurm's shortest takes a minute"),
        ),
    ],
    ids=["cancelled", "memory", "time limit"],
)
def test_the_first_error_of_a_lost_engine_says_why_its_job_ended(box, slurm, end, how, reason):
    env = fake_sacct(box, 'echo "$4|OUT_OF_MEMORY|0:125"') if "memory" in reason else {}
    cluster, job = start(box, "--n=1", "--IPClusterEngines.early_shutdown=0", "--SlurmLauncher.timelimit=10", env=env)
    name, *errors = ask(
        box,
        f"""
import os, subprocess, time
engine = client.engines[0]
print(f"engine 0 ({{engine.host}}, process {{engine.pid}}, {{engine.job}})")
results = [client.load_balanced_view().apply_async(lambda: open("{box.dir}/begun", "w") and __import__("time").sleep(600))]
while not os.path.exists("{box.dir}/begun"): time.sleep(0.05)
results.append(client[0].apply_async(time.sleep, 600))
while not client.queue_status()[0]["queue"]: time.sleep(0.05)
{end}
for result in results:
    try:
        result.get(300)
    except ipcluster.EngineError as error:
        print(error)""",
    ).splitlines()
    assert len(errors) == 2
    for error in errors:
        assert f"{name} {how}" in error and f"; Slurm job {job} {reason}" in error
    assert cluster.stop(signal.SIGINT, 60) == 0


def test_a_task_whose_batch_job_is_ended_by_its_system_uses_up_no_retry(box, slurm):
    env = fake_sacct(box, 'echo "$4|NODE_FAIL|1:0"')
    cluster = box.begin("start", "--n=3", "--elauncher=slurm", "--SlurmLauncher.engines_per_job=1", env=env)
    cluster.wait_for_output(UP, 60)
    seen = ask(
        box,
        f"""
import os, time
def work(folder):
    import os, time
    open(f"{{folder}}/begun-{{os.getpid()}}", "w").close()
    while len(os.listdir(folder)) < 3: time.sleep(0.05)
    return "done"
folder = {str(box.dir / "begun")!r}
os.mkdir(folder)
result = client.load_balanced_view(retries=1).apply_async(work, folder)
for number in range(2):
    while len(os.listdir(folder)) <= number: time.sleep(0.05)
    os.kill(max((os.stat(f"{{folder}}/{{name}}").st_mtime, int(name.split("-")[1])) for name in os.listdir(folder))[1], 9)
print(result.get(60))
print(all("lost a node" in each["reason"] for each in client.departed))""",
    )
    assert seen == "done\nTrue"
    assert cluster.stop(signal.SIGINT, 60) == 0


def test_engines_of_a_requeued_job_have_gone_and_come_back_with_it(box, slurm):
    cluster, job = start(box, "--n=2", "--restart=1")
    wait_until(
        lambda: json.loads(box.ipcluster("status", "--json").out)["sets"][1]["running"] == 2,
        60,
        "the job is seen to run",
    )
    slurm.command("scontrol", "requeue", job)
    cluster.wait_for_output(f"job {job} was requeued by Slurm: its engines come back when it runs again", 60)
    assert (
        ask(
            box,
            "import time\nwhile client.ids: time.sleep(0.05)\n"
            f"print(all('Slurm job {job} was requeued by Slurm' in each['reason'] for each in client.departed))",
        )
        == "True"
    )
    (status,) = json.loads(box.ipcluster("status", "--json").out)["sets"][1:]
    assert status["running"] == 0
    box.ipcluster("scale", "--n=2", check=True)
    assert "more engine" not in cluster.output, "the set has two engines: they wait"
    slurm.command("scontrol", "update", f"jobid={job}", "starttime=now")
    assert (
        ask(
            box, "import time\nwhile len(client.ids) < 2: time.sleep(0.05)\nprint(sum(client[:].apply_sync(lambda: 1)))"
        )
        == "2"
    )
    wait_until(lambda: listed(box)[0]["sets"][0]["status"] == f"job {job} runs", 60, "it is said to run")
    assert "again with" not in cluster.output, "nothing else is started in its place"
    assert cluster.stop(signal.SIGINT, 60) == 0


# Whoever stops it


def test_jobs_of_a_supervisor_that_was_killed_are_found_and_cancelled(box, slurm):
    cluster, job = start(box, "--n=2")
    cluster.stop(signal.SIGKILL)
    assert listed(box)[0]["state"] == "stale"
    box.ipcluster("stop", check=True)
    assert slurm.state(job) not in ("RUNNING", "PENDING")
    box.wait_for_no_processes()


def test_a_job_whose_submission_nobody_saw_end_is_found_by_its_name(box, slurm):
    slow, begun = box.dir / "slow-sbatch", box.dir / "begun"
    slow.write_text(f'#!/bin/sh\ntouch {begun}\nsleep 1\nexec sbatch "$@"\n')
    slow.chmod(0o755)
    known = slurm.states()
    cluster = box.begin("start", "--n=1", "--elauncher=slurm", f"--SlurmLauncher.submit_command={slow}")
    wait_until(begun.exists, 60, "the submission has begun")
    cluster.stop(signal.SIGKILL)
    box.ipcluster("stop", check=True)
    new = {job: state for job, state in slurm.states().items() if job not in known}
    assert list(new.values()) in (["CANCELLED"], ["COMPLETED"], ["COMPLETING"])
    box.wait_for_no_processes()


def test_jobs_are_cancelled_from_another_login_node_too(box, slurm):
    up = box.ipcluster(
        "start", "--n=1", "--n-min=1", "--elauncher=slurm", "--controller=slurm", "--daemonize", check=True
    )
    state_file = box.profile_dir() / "pid/ipcluster.json"
    state = json.loads(state_file.read_text())
    os.kill(state["pid"], signal.SIGKILL)
    state_file.write_text(json.dumps({**state, "host": "another-login-node"}))
    box.ipcluster("stop", check=True)
    assert not {slurm.state(job) for job in re.findall(JOB, up.out)} & {"RUNNING", "PENDING"}
    assert not state_file.exists()


def test_what_runs_on_another_machine_is_named_and_its_jobs_are_cancelled(box, slurm):
    cluster, job = start(box, "--n=1")
    state_file = box.profile_dir() / "pid/ipcluster.json"
    cluster.stop(signal.SIGKILL)
    state = json.loads(state_file.read_text())
    state_file.write_text(json.dumps({**state, "host": "another-login-node"}))
    stopped = box.ipcluster("stop")
    assert stopped.status == 6 and "runs on another-login-node: stop it there" in stopped.err
    assert slurm.state(job) not in ("RUNNING", "PENDING")
    state_file.write_text(json.dumps({**json.loads(state_file.read_text()), "host": state["host"]}))
    box.ipcluster("stop", check=True)
    box.wait_for_no_processes()
