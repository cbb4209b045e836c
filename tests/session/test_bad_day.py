"""Kills and stops at random moments of every program, under every kind of work. Its length is $IPCLUSTER_BAD_DAY_SECONDS, its course
$IPCLUSTER_BAD_DAY_SEED."""

import os
import random

import pytest

from bad_day import ENGINES, RECORDED, BadDay, SupervisedDay, duration


def seed():
    return int(os.environ.get("IPCLUSTER_BAD_DAY_SEED") or random.randrange(1 << 32))


def check(day, number):
    print(f"seed {number}\n{day.summary()}")
    faults = day.faults()
    assert not faults, f"seed {number}: {len(faults)} faults\n" + "\n".join(faults[:40]) + "\n" + day.summary()
    assert all(work.answers["good"] for work in day.work), day.summary()


@pytest.mark.timeout(duration() + 600)
def test_on_a_bad_day_every_request_is_answered_once_and_no_task_runs_more_often_than_it_may(new_cluster):
    number = seed()
    day = BadDay(new_cluster(ENGINES, controller=RECORDED), number)
    day.live(duration())
    check(day, number)


@pytest.mark.timeout(duration() + 600)
def test_whenever_a_supervisor_ends_its_cluster_goes_on_or_is_stopped_and_nothing_is_left_or_unanswered(box):
    number = seed()
    day = SupervisedDay(box, number)
    day.live(duration())
    check(day, number)
