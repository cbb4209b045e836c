"""Fixtures for tests that are an engine's controller themselves."""

import pytest

from engine_peer import Peer


@pytest.fixture
def peer(sandbox):
    made = Peer(sandbox.dir)
    yield made
    made.close()


@pytest.fixture
def engine(sandbox, peer):
    process = sandbox.start(sandbox.programs.ipengine, f"--file={peer.file}")
    peer.register()
    process.wait_for_output("registered as engine 0")
    return process
