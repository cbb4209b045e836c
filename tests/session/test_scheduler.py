"""The task scheduler: tasks that depend on others, functional dependencies, time-outs, schemes, and what is remembered of tasks that
have finished; with engines that are sockets of the test's own."""

import json
import random
import re
import signal
import time

import pytest
import zmq

from controller_peer import Engine, submit
from support import TOP, wait_until

# The rows of the table, the default first.
SCHEMES = re.findall(r'^    {.name = "(\w+)",', (TOP / "core/controller/balancer/schemes.c").read_text(), re.M)


class Scheduler:
    """A controller's task scheduler, with engines and a client."""

    def __init__(self, peer, engines=2):
        self.peer = peer
        self.client = peer.connect(zmq.DEALER, peer.client["task"])
        self.engines = [Engine(peer).open().beat() for _ in range(engines)]
        self.answers = {}

    def submit(self, **metadata):
        return submit(self.peer, self.client, metadata)

    def take(self, *msg_ids, timeout=30):
        """The engine that one of the tasks has come to, and the task: [engine, route, header]."""

        def come():
            for engine in self.engines:
                if engine.shell and engine.shell.poll(0):
                    return engine

        engine = wait_until(come, timeout, "an engine gets a task")
        route, header, _ = engine.take()
        assert not msg_ids or json.loads(header)["msg_id"] in msg_ids
        return engine, route, header

    def run(self, *msg_ids, status="ok", **metadata):
        """Lets an engine answer its next task, and returns the engine."""
        engine, route, header = self.take(*msg_ids)
        engine.answer(route, header, status, **metadata)
        return engine

    def result(self, msg_id, timeout=30):
        """A task's status, or the name of its error where the controller answers it."""
        while msg_id not in self.answers:
            _, _, parent, _, content = self.peer.receive(self.client, timeout)
            assert parent["msg_id"] not in self.answers, "each task is answered once"
            self.answers[parent["msg_id"]] = content
        content = self.answers[msg_id]
        return content.get("ename") or content["status"]

    def wait_for_waiting(self, count):
        """Waits until so many tasks are in the scheduler and at no engine."""
        query = self.peer.connect(zmq.DEALER, self.peer.client["registration"])
        wait_until(
            lambda: self.peer.ask(query, "queue_request", {"targets": None})[1]["unassigned"] == count,
            20,
            f"{count} tasks wait",
        )

    def text(self, msg_id):
        self.result(msg_id)
        return self.answers[msg_id]["evalue"]

    def idle(self):
        """No engine has anything to do."""
        time.sleep(0.2)
        return not any(engine.shell.poll(0) for engine in self.engines)


@pytest.fixture
def scheduler(controller):
    return lambda *arguments, engines=2: Scheduler(controller(*arguments), engines)


def needs(*msg_ids, **more):
    return {"dependencies": list(msg_ids), "all": True, "success": True, "failure": False, **more}


def test_a_new_clients_first_task_does_not_wait_behind_another_clients_many(scheduler):
    s = scheduler("--hwm=1", engines=1)
    other = s.peer.connect(zmq.DEALER, s.peer.client["task"])
    many = [s.submit() for _ in range(300)]
    s.wait_for_waiting(299)
    for _ in range(300):
        s.submit(targets=[s.engines[0].uuid])
    s.wait_for_waiting(599)
    few = [submit(s.peer, other, metadata) for metadata in ({}, {"targets": [s.engines[0].uuid]})]
    s.wait_for_waiting(601)
    ran = []
    for _ in range(8):
        engine, route, header = s.take()
        ran.append(json.loads(header)["msg_id"])
        engine.answer(route, header)
    assert set(few) <= set(ran), "each waits for about one of the first client's"
    assert [msg_id for msg_id in ran if msg_id in many] == many[:6]


def test_a_bound_task_that_starts_early_puts_no_new_client_behind_its_clients_others(scheduler):
    s = scheduler("--hwm=1", engines=2)
    busy, idle = s.engines
    other = s.peer.connect(zmq.DEALER, s.peer.client["task"])
    many = [s.submit(targets=[busy.uuid]) for _ in range(100)]
    s.wait_for_waiting(99)
    early = s.submit(targets=[idle.uuid])
    s.wait_for_waiting(99)
    few = submit(s.peer, other, {"targets": [busy.uuid]})
    s.wait_for_waiting(100)
    idle.answer(*idle.take()[:2])
    assert s.result(early) == "ok"
    ran = []
    for _ in range(4):
        route, header, _ = busy.take()
        ran.append(json.loads(header)["msg_id"])
        busy.answer(route, header)
    assert few in ran and [msg_id for msg_id in ran if msg_id != few] == many[:3]


def test_a_task_runs_after_those_that_it_names(scheduler):
    s = scheduler()
    first, second = s.submit(), s.submit()
    third = s.submit(after=[first, second])
    held = [s.take(first, second) for _ in range(2)]
    held[0][0].answer(*held[0][1:])
    assert s.idle()
    held[1][0].answer(*held[1][1:])
    s.run(third)
    assert [s.result(task) for task in (first, second, third)] == ["ok"] * 3


def test_any_will_do_where_any_is_asked_for(scheduler):
    s = scheduler()
    first, second = s.submit(), s.submit()
    third = s.submit(after=needs(first, second, all=False))
    held = [s.take() for _ in range(2)]
    held[1][0].answer(*held[1][1:])
    engine, route, header = s.take(third)
    assert engine is held[1][0]


def test_a_chain_fails_with_its_first_link_and_those_who_wait_for_failure_run(scheduler):
    s = scheduler(engines=1)
    first = s.submit()
    chain = [first]
    for _ in range(20):
        chain.append(s.submit(after=chain[-1:]))
    cleanup = s.submit(after=needs(chain[-1], success=False, failure=True))
    either = s.submit(after=needs(chain[3], failure=True))
    s.run(first, status="error")
    assert [s.result(task) for task in chain[1:]] == ["ImpossibleDependency"] * 20
    s.run(cleanup, either)
    s.run(cleanup, either)
    assert s.result(cleanup) == s.result(either) == "ok"
    late = s.submit(after=[first])
    assert s.result(late) == "ImpossibleDependency"


def test_a_task_follows_those_that_it_names(scheduler):
    s = scheduler()
    first = s.submit(targets=[s.engines[1].uuid])
    assert s.run(first) is s.engines[1]
    for _ in range(3):
        assert s.run(s.submit(follow=[first])) is s.engines[1]
    other = s.submit(targets=[s.engines[0].uuid])
    waiting = s.submit(follow=[first, other])
    s.run(other)
    assert s.result(waiting) == "ImpossibleDependency" and "follows" in s.text(waiting)
    either = s.submit(follow=needs(first, other, all=False), targets=[s.engines[0].uuid])
    assert s.run(either) is s.engines[0]
    apart = s.submit(follow=[first], targets=[s.engines[0].uuid])
    assert s.result(apart) == "ImpossibleDependency"


def test_an_unmet_functional_dependency_keeps_to_targets_and_to_what_is_followed(scheduler):
    s = scheduler(engines=3)
    one, two = s.submit(targets=[s.engines[0].uuid]), s.submit(targets=[s.engines[1].uuid])
    s.run(one, two), s.run(one, two)
    task = s.submit(follow=needs(one, two, all=False))
    tried = {s.run(task, status="error", dependencies_met=False) for _ in range(2)}
    assert tried == set(s.engines[:2])
    assert s.result(task) == "ImpossibleDependency"
    task = s.submit(targets=[engine.uuid for engine in s.engines[1:]])
    tried = [s.run(task, status="error", dependencies_met=False), s.run(task)]
    assert set(tried) == set(s.engines[1:]) and s.result(task) == "ok"


@pytest.mark.parametrize(
    "dependency, reason",
    [
        (["nobody"], "nobody"),
        ({"dependencies": ["nobody"]}, "nobody"),
        ("nobody", "nobody"),
        (7, "malformed"),
        ([7], "malformed"),
        (["a\0b"], "malformed"),
        ({"dependencies": 7}, "malformed"),
        ({"dependencies": ["x"], "success": False, "failure": False}, "malformed"),
        ({"dependencies": ["x"], "all": "x"}, "malformed"),
    ],
)
@pytest.mark.parametrize("kind", ["after", "follow"])
def test_invalid_dependencies_are_refused(scheduler, kind, dependency, reason):
    s = scheduler(engines=0)
    task = s.submit(**{kind: dependency})
    assert s.result(task) == "InvalidDependency" and reason in s.text(task)
    # For tasks that depend on it, a refused task has failed.
    assert s.result(s.submit(after=[task])) == "ImpossibleDependency"


def test_a_task_cannot_depend_on_itself(scheduler):
    s = scheduler(engines=0)
    submit(s.peer, s.client, {"after": ["my_own"]}, msg_id="my_own")
    assert s.result("my_own") == "InvalidDependency" and "itself" in s.text("my_own")


@pytest.mark.parametrize("dependency", [[], {}, None, {"dependencies": []}, 0])
def test_no_dependency_has_many_spellings(scheduler, dependency):
    s = scheduler(engines=1)
    task = s.submit(after=dependency, follow=dependency, timeout=None)
    s.run(task)
    assert s.result(task) == "ok"


def test_a_time_out_counts_while_a_task_waits_for_others_and_reaches_those_behind_it(scheduler):
    s = scheduler(engines=1)
    first = s.submit()
    held = s.take(first)
    late = s.submit(after=[first], timeout=0.2)
    behind = s.submit(follow=[late])
    assert s.result(late) == "TaskTimeout"
    assert s.result(behind) == "ImpossibleDependency"
    patient = s.submit(after=[first], timeout=60)
    held[0].answer(*held[1:])
    s.run(patient)
    assert s.result(patient) == "ok"


def test_a_dead_engine_ends_what_depends_on_its_tasks(scheduler):
    s = scheduler(engines=2)
    first = s.submit()
    engine, *_ = s.take(first)
    after, follow = s.submit(after=[first]), s.submit(follow=needs(first, failure=True))
    cleanup = s.submit(after=needs(first, success=False, failure=True))
    s.engines.remove(engine)
    engine.die()
    assert s.result(first) == "EngineError"
    assert s.result(after) == s.result(follow) == "ImpossibleDependency"
    s.run(cleanup)
    # A task that ran on the engine that has gone cannot be followed any more, though it is known that it ran.
    assert s.result(s.submit(follow=needs(first, failure=True))) == "ImpossibleDependency"


def test_a_task_that_is_tried_again_has_not_failed_yet(scheduler):
    s = scheduler(engines=2)
    first = s.submit(retries=2)
    then = s.submit(after=[first])
    engine, *_ = s.take(first)
    s.engines.remove(engine)
    engine.die()
    s.run(first, status="error")
    s.run(first)
    s.run(then)
    assert s.result(first) == s.result(then) == "ok"


def test_a_task_that_fails_again_and_again_waits_behind_others(scheduler):
    s = scheduler("--hwm=1", engines=1)
    for places in ({}, {"targets": [s.engines[0].uuid]}):
        failing = s.submit(retries=1000000, **places)
        others = [s.submit(), s.submit(**places)]
        s.wait_for_waiting(2)
        s.run(failing, status="error")
        for other in others:
            s.run(other)
        s.run(failing)
        assert [s.result(task) for task in (failing, *others)] == ["ok"] * 3


def test_a_task_that_may_be_tried_again_and_loses_its_only_engine_fails_with_how_that_ended(scheduler):
    s = scheduler(engines=2)
    task = s.submit(retries=2, targets=[s.engines[0].uuid])
    engine, *_ = s.take(task)
    engine.die()
    assert s.result(task) == "EngineError"
    assert s.text(task).startswith("engine 0") and "died" in s.text(task)


def test_a_task_that_cannot_be_sent_once_more_fails_and_holds_up_no_other(scheduler):
    s = scheduler(engines=2)
    task = s.submit(retries=2, odd=10**30)  # JSON that no program here can pack anew
    s.run(task, status="error")
    assert s.result(task) == "ValueError" and "metadata" in s.text(task)
    other = s.submit()
    s.run(other)
    assert s.result(other) == "ok"


def test_retries_use_up_the_engines_before_they_come_back_to_one(scheduler):
    s = scheduler(engines=2)
    task = s.submit(retries=3)
    tried = [s.run(task, status="error") for _ in range(4)]
    assert set(tried[:2]) == set(s.engines)
    assert s.result(task) == "error"
    # With a time-out it waits for another engine instead.
    task = s.submit(retries=3, timeout=0.3)
    tried = []

    def timed_out():
        tried.extend(s.run(task, status="error") for engine in s.engines if engine.shell.poll(0))
        return s.client.poll(0)

    wait_until(timed_out, 30, "the task is answered")
    assert s.result(task) == "TaskTimeout" and len(tried) == len(set(tried))


def test_finished_tasks_are_remembered_up_to_the_configured_number(scheduler):
    s = scheduler("--TaskScheduler.finished_max=10", engines=1)
    tasks = [s.submit() for _ in range(15)]
    for task in tasks:
        s.run(task)
        assert s.result(task) == "ok"
    forgotten = s.submit(after=tasks[4:5])
    assert s.result(forgotten) == "InvalidDependency" and "TaskScheduler.finished_max" in s.text(forgotten)
    remembered = s.submit(after=tasks[-8:])
    s.run(remembered)
    assert s.result(remembered) == "ok"


@pytest.mark.parametrize("hwm", [0, 1, 3])
def test_the_high_water_mark_is_how_many_tasks_an_engine_has(scheduler, hwm):
    s = scheduler(f"--hwm={hwm}", engines=1)
    for _ in range(5):
        s.submit()
    for _ in range(hwm or 5):
        s.take()
    assert s.idle()


def test_the_settings_offer_each_scheme_and_say_what_it_does(sandbox, programs):
    offered = sandbox.run(programs.ipcontroller, "--complete", "--TaskScheduler.scheme_name=", check=True).out
    assert [line.partition("\t")[0].partition("=")[2] for line in offered.splitlines()] == SCHEMES
    described = sandbox.run(programs.ipcontroller, "--help-all", check=True).out
    assert SCHEMES[0] == "leastload" and all(f" {scheme}: " in " ".join(described.split()) for scheme in SCHEMES)


@pytest.mark.parametrize("scheme", [scheme for scheme in SCHEMES if scheme != "pure"])
def test_every_scheme_knows_dependencies(scheduler, scheme):
    s = scheduler(f"--scheme={scheme}")
    assert s.peer.client["task_scheme"] == scheme
    first = s.submit(targets=[s.engines[0].uuid])
    then = s.submit(follow=[first])
    assert s.run(first) is s.engines[0] and s.run(then) is s.engines[0]


def test_pure_gives_engines_tasks_in_turn_and_refuses_what_it_does_not_know(scheduler):
    s = scheduler("--scheme=pure", engines=2)
    assert s.peer.client["task_scheme"] == "pure"
    tasks = [s.submit(after=[], follow=[], timeout=0.0, targets=[], retries=0) for _ in range(6)]
    taken = [s.take(*tasks) for _ in range(6)]
    assert [engine for engine, *_ in taken].count(s.engines[0]) == 3, "however busy they are"
    for metadata in (
        {"after": tasks[:1]},
        {"follow": tasks[:1]},
        {"retries": 1},
        {"timeout": 5},
        {"targets": [s.engines[0].uuid]},
    ):
        refused = s.submit(**metadata)
        assert s.result(refused) == "ValueError" and "'pure'" in s.text(refused)
    engine, route, header = taken[0]
    engine.answer(route, header, "error", dependencies_met=False)
    assert s.result(json.loads(header)["msg_id"]) == "error", "no functional dependencies either"


def test_the_controller_ends_while_tasks_wait_for_tasks(scheduler):
    s = scheduler(engines=1)
    first = s.submit()
    for _ in range(100):
        first = s.submit(after=[first], follow=[first], timeout=100)
    s.take()
    assert s.peer.process.stop(signal.SIGTERM) == 0


def test_each_of_many_tasks_is_answered_once_while_engines_come_and_go(scheduler):
    s = scheduler(engines=4)
    draw = random.Random(11)
    after, tasks = {}, []
    for _ in range(300):
        names = draw.sample(tasks[-20:], min(len(tasks), draw.choice([0, 0, 1, 2])))
        kind = draw.choice(["after", "after", "follow"])
        rule = needs(*names, all=draw.random() < 0.7, failure=draw.random() < 0.5)
        tasks.append(s.submit(retries=draw.choice([0, 0, 2]), **{kind: rule}))
        after[tasks[-1]] = rule
    died = 0

    def step():
        nonlocal died
        for engine in list(s.engines):
            if not engine.shell.poll(0):
                continue
            route, header, _ = engine.take()
            if died < 8 and draw.random() < 0.05:
                died += 1
                s.engines.remove(engine)
                engine.die()
                s.engines.append(Engine(s.peer).open().beat())
            else:
                engine.answer(route, header, draw.choice(["ok", "ok", "ok", "error"]))
        while s.client.poll(0):
            _, _, parent, _, content = s.peer.receive(s.client)
            assert parent["msg_id"] not in s.answers, "each task is answered once"
            s.answers[parent["msg_id"]] = content
        return len(s.answers) == len(tasks)

    wait_until(step, 60, "all tasks are answered", interval=0.001)
    good = {task for task, content in s.answers.items() if content["status"] == "ok"}
    assert len(good) > 100 and died > 2
    for task in good:
        rule = after[task]
        met = [each in good or rule["failure"] for each in rule["dependencies"]]
        assert (all if rule["all"] else any)(met) or not met
    time.sleep(0.3)
    assert not s.client.poll(0)
