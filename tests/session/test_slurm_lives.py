"""The lives of a cluster's jobs in a real Slurm that the tests start for themselves: they wait, run, end, come back and are cancelled."""

import json
import os
import re
import signal
import time

import pytest

from ipcluster_box import UP, listed, one_by_one
from own_slurm import JOB, ask, start
from support import LONG, PATIENCE, named, wait_until


@pytest.fixture
def box(box, slurm):
    yield from slurm.serve(box)


def fake_sacct(box, script):
    """The environment for an sacct whose script prints what accounting would know of the job "$4": this Slurm has none."""
    sacct = box.dir / "sacct"
    sacct.write_text(f"#!/bin/sh\n{script}\n")
    sacct.chmod(0o755)
    return {"PATH": f"{box.dir}:{box.env['PATH']}"}


# Several jobs


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


# How they end


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


def test_engines_of_a_requeued_job_have_gone_and_come_back_with_it(box, slurm):
    cluster, job = start(box, "--n=2", "--restart=1")
    wait_until(
        lambda: json.loads(box.ipcluster("status", "--json").out)["sets"][1]["running"] == 2,
        60,
        "the job is seen to run",
    )
    assert slurm.has_steps(job)
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
    # Slurm would take the end of the first run that it hears late for that of the second.
    wait_until(lambda: not slurm.has_steps(job), 60, "Slurm has ended the first run")
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


# How they are stopped


def test_jobs_of_a_supervisor_that_was_killed_are_found_and_cancelled(box, slurm):
    cluster, job = start(box, "--n=2")
    cluster.stop(signal.SIGKILL)
    assert listed(box)[0]["state"] == "stale"
    box.ipcluster("stop", check=True)
    assert slurm.state(job) not in ("RUNNING", "PENDING")
    box.wait_for_no_processes()


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
