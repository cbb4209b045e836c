"""Serializers: a cluster speaks JSON or MessagePack, and what either has no word for has the same outcome in both."""

import json
import math
import os

import pytest

from support import LONG


@pytest.fixture(params=["json", "msgpack"])
def packer(request):
    return request.param


@pytest.fixture
def engine(new_cluster, packer):
    """A view on the one engine of a cluster that speaks `packer`."""
    cluster = new_cluster(1, controller=[f"--Session.packer={packer}"])
    return cluster.client()[0]


# Names that are pushed to the engine: an object that displays itself as the JSON that is asked for.
SHOWING = """
class Shown:
    def __init__(self, value): self.value = value
    def _repr_mimebundle_(self, **_): return {"application/json": self.value, "text/plain": "shown"}
"""


def shown(engine, expression):
    """What arrives of a value inside a message's content."""
    result = engine.execute(f"Shown({expression})", silent=False, block=True)
    return result.execute_result["data"]["application/json"]


def test_the_file_names_the_packer_as_ipyparallel_spells_it(new_cluster):
    spelled = {"json": ("json", "json"), "orjson": ("json", "json"),
               "msgpack": ("msgpack.packb", "msgpack.unpackb"), "msgpack.packb": ("msgpack.packb", "msgpack.unpackb")}  # fmt: skip
    for index, (packer, expected) in enumerate(spelled.items()):
        cluster = new_cluster(0, cluster_id=f"c{index}", controller=[f"--Session.packer={packer}"])
        info = json.loads(cluster.client_file.read_text())
        assert (info["pack"], info["unpack"]) == expected


@pytest.mark.parametrize("arguments, reason", [
    (["--Session.packer=pickle"], "pickle"),
    (["--Session.packer=json", "--Session.unpacker=msgpack.unpackb"], "one serializer"),
    (["--Session.packer=nothing"], "nothing"),
])  # fmt: skip
def test_another_packer_is_refused_with_a_reason(sandbox, arguments, reason):
    finished = sandbox.run(sandbox.programs.ipcontroller, *arguments)
    assert finished.status != 0 and reason in finished.err


def test_a_file_that_names_pickle_is_refused_by_client_and_engine(new_cluster, sandbox):
    import ipcluster

    cluster = new_cluster(0)
    for path in (cluster.client_file, cluster.engine_file):
        info = json.loads(path.read_text())
        info["pack"] = info["unpack"] = "pickle"
        path.write_text(json.dumps(info))
    with pytest.raises(ConnectionError, match="pickle.*Session.packer"):
        ipcluster.Client(str(cluster.client_file))
    finished = sandbox.run(sandbox.programs.ipengine, f"--file={cluster.engine_file}")
    assert finished.status != 0 and "pickle" in finished.err


def test_everything_travels_with_either(engine):
    assert engine.apply_sync(os.getpid) == engine.client[:].apply_sync(os.getpid)[0]
    engine.push({"a": [1, {"b": b"\0\xff" * 5000}], "nan": math.nan, "big": 1 << 200}, block=True)
    assert engine["a"] == [1, {"b": b"\0\xff" * 5000}] and math.isnan(engine["nan"]) and engine["big"] == 1 << 200
    result = engine.execute("print('out ä'); 1 + 1", silent=False, block=True)
    assert result.stdout == "out ä\n" and result.execute_result["data"]["text/plain"] == "2"
    assert engine.client.load_balanced_view().map_sync(abs, range(-20, 0)) == list(range(20, 0, -1))
    assert engine.client.queue_status()["unassigned"] == 0


@pytest.mark.parametrize("expression, expected", [
    ("{'a': b'\\xff\\0'}", {"a": "/wA="}),
    ("{'a': __import__('datetime').datetime(2020, 1, 2, tzinfo=__import__('datetime').timezone.utc)}", {"a": "2020-01-02T00:00:00Z"}),
    ("{'a': __import__('datetime').date(2020, 1, 2)}", {"a": "2020-01-02"}),
    ("[float('nan'), float('inf'), -float('inf')]", ["nan", "inf", "-inf"]),
    ("[2**63 - 1, -2**63]", [2**63 - 1, -(2**63)]),
    ("'nul\\0nul'", "nul\0nul"),
    ("'lone \\ud800'", "lone ?"),
    ("{1: {(2, 3): {4}}}", {"1": {"(2, 3)": [4]}}),
])  # fmt: skip
def test_odd_values_in_what_is_displayed(engine, expression, expected):
    pytest.importorskip("IPython")
    engine.execute(SHOWING, block=True)
    assert shown(engine, expression) == expected


def test_an_integer_beyond_64_bits_is_an_error_that_names_it(engine):
    import ipcluster

    pytest.importorskip("IPython")
    engine.execute(SHOWING, block=True)
    with pytest.raises(ipcluster.RemoteError, match=r"application/json\.scale\.x is an integer beyond 64 bits"):
        engine.execute(
            "from IPython.display import display\ndisplay(Shown({'scale': [{'x': 2**63}]}))", silent=False, block=True
        )
    assert engine.apply_sync(abs, -1) == 1


def test_odd_text_in_code_output_and_errors(engine):
    import ipcluster

    with pytest.raises(UnicodeEncodeError):
        engine.execute("'\ud800'")
    result = engine.execute("import os; os.write(1, b'\\xff\\n'); print('\\ud800 ä')", silent=False, block=True)
    assert result.stdout == "\ufffd\n\\ud800 ä\n"
    with pytest.raises(ipcluster.RemoteError, match=r"no \? text"):
        engine.execute("raise ValueError('no \\ud800 text')", block=True)
    with pytest.raises(ipcluster.RemoteError, match="null bytes"):
        engine.execute("'\0'", block=True)


def test_content_that_nests_too_deep_fails_its_request_alone(engine):
    from ipcluster import _client

    deep = json.dumps({"code": "1", "x": None}).replace("null", "[" * 300 + "]" * 300)
    future = engine.client.requests.submit(_client.DIRECT, 0, "execute_request", deep)
    assert future.wait(LONG) and future.status == _client.FAILED and "deep" in future.error
    assert engine.apply_sync(abs, -1) == 1


def test_a_reply_that_cannot_be_packed_is_an_error(new_cluster):
    from ipcluster import _client

    pytest.importorskip("IPython")
    engine = new_cluster(1, controller=["--Session.packer=msgpack"]).client()[0]
    engine.execute(SHOWING + "deep = []\nfor _ in range(300): deep = [deep]", block=True)
    content = json.dumps({"code": "1", "silent": False, "user_expressions": {"x": "Shown(deep)"}})
    future = engine.client.requests.submit(_client.DIRECT, 0, "execute_request", content)
    assert future.wait(LONG) and future.status == _client.FAILED and "deep" in future.error
