"""Fixtures of the tests of packages: clean roots."""

import shutil

import pytest

import roots


@pytest.fixture
def root_of(tmp_path_factory):
    """root_of(suite): a clean system, which goes with the test."""
    made = []

    def make(suite):
        made.append(roots.make(suite, tmp_path_factory.mktemp("root") / suite))
        return made[-1]

    yield make
    for root in made:
        shutil.rmtree(root.folder)
