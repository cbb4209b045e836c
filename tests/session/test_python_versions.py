"""Functions of other versions of Python: neither an engine nor a client runs them, and data travels all the same."""

import functools
import opcode
import re

import pytest

from controller_peer import Engine
from engine_peer import canning
from ipcluster import VersionError, bytecode, there
from support import LONG


def named(python):
    """How a pickle begins that names this Python."""
    return b"\x8c" + bytes([len(python)]) + python.encode() + b"0"


def as_if_of(python, buffers):
    """The same buffers, with pickles that name another Python; None: that name none."""
    mark = named(python) if python else b""
    return [
        mark + buffer.removeprefix(bytecode.MARK) if buffer.startswith(bytecode.MARK) else buffer for buffer in buffers
    ]


def with_code(code, other, buffers):
    """The same buffers, with other instructions in the first."""
    assert code in buffers[0] and len(code) == len(other)
    return [buffers[0].replace(code, other), *buffers[1:]]


def ask(peer, buffers):
    return peer.reply(peer.send("apply_request", buffers=buffers))


@pytest.mark.parametrize("wrap", [lambda f: f, lambda f: [f], lambda f: {"f": f}, lambda f: functools.partial(f, 1), lambda f: f.__code__],
                         ids=["alone", "in a list", "in a dict", "in a partial", "as code"])  # fmt: skip
def test_functions_of_another_python_are_refused_before_they_are_made(engine, peer, wrap):
    error = ask(peer, as_if_of("Python 3.99", canning.pack_apply(id, (wrap(lambda: 1),)))).content
    assert error["ename"] == "VersionError"
    assert len(error["traceback"]) == 1, "no more than the sentence"
    assert re.fullmatch(
        r"a function that was compiled by Python 3\.99 cannot run in Python 3\.\d+: .*execute.*", error["evalue"]
    )
    assert peer.apply(lambda: 42).result == 42


def test_functions_that_name_no_python_are_refused_where_their_instructions_are_anothers(engine, peer):
    @canning.interactive
    def f(x):
        return sorted([x, 1])

    code = f.__code__.co_code
    load, with_caches = code[2:4], code[4:6]
    assert load[0] == opcode.opmap["LOAD_GLOBAL"] and with_caches == bytes(2)
    buffers = as_if_of(None, canning.pack_apply(f, (2,)))
    others = {
        "an unknown instruction": code[:2] + b"\xff\0" + code[4:], "a cache that is not empty": code[:4] + b"\0\1" + code[6:],
        "no start": load + code[2:], "an end within an instruction": code[:-2] + load,
    }  # fmt: skip
    for what, other in others.items():
        error = ask(peer, with_code(code, other, buffers)).content
        assert error["ename"] == "VersionError" and "by another version of Python" in error["evalue"], what
    assert ask(peer, buffers).result == [1, 2]


def test_data_is_pushed_to_and_pulled_from_engines_of_another_python(engine, peer):
    value = [1, b"x" * 5000]
    for f, arguments, result in ((there.push, {"a": value}, None), (there.pull, {"names": ["a"]}, [value])):
        code = f.__code__.co_code
        buffers = as_if_of("Python 3.99", canning.pack_apply(f, (), arguments))
        assert ask(peer, with_code(code, b"\xff" * len(code), buffers)).result == result


def test_a_function_that_an_engine_of_another_python_returns_is_an_error_of_that_request(new_cluster):
    client = new_cluster(1).client()
    client[0].execute(f"import ipcluster.bytecode\nipcluster.bytecode.MARK = {named('Python 3.99')}", block=True)
    with pytest.raises(VersionError, match=r"by Python 3\.99 cannot run in"):
        client[0].apply_async(eval, "lambda x: x").get(timeout=LONG)
    assert client[0].apply_sync(eval, "[42, b'x' * 5000]") == [42, b"x" * 5000]


def test_a_client_warns_once_of_engines_of_another_python(controller):
    import ipcluster

    peer = controller()
    for version in (bytecode.PYTHON.split()[1] + ".0", "3.99.1", "2.7"):
        Engine(peer, info={"language": "python", "language_version": version}).beat()
    Engine(peer).beat()
    with pytest.warns(UserWarning) as caught:
        client = ipcluster.Client(peer.client_file)
    client.close()
    (text,) = [str(warning.message) for warning in caught]
    assert f"2 of 4 engines run another Python than this client's {bytecode.PYTHON} (engine 1 has 3.99.1)" in text
