"""What an engine answers beside running code: the requests of Jupyter's frontends, comms, published data, and what user code
finds of IPython's and ipykernel's."""

import base64
import os
import re
import signal
import time

import pytest

from engine_peer import canning
from support import wait_until, without


@pytest.fixture(params=["IPython", "plain"])
def shells(request, sandbox, peer):
    """An engine with IPython, and one without."""
    env = without(sandbox, "IPython", "ipykernel") if request.param == "plain" else {}
    sandbox.start(sandbox.programs.ipengine, f"--file={peer.file}", env=env)
    peer.register()
    return request.param


def published(peer, msg_id, kind):
    return [message for message in peer.outputs(msg_id) if message.type == kind]


def run(peer, code, **content):
    """Executes, and returns the request's identifier; the code must succeed."""
    msg_id = peer.send("execute_request", {"code": code, "silent": False, **content})
    reply = peer.reply(msg_id, timeout=60)
    assert reply.content["status"] == "ok", "\n".join(reply.content.get("traceback", [str(reply.content)]))
    return msg_id


# Frontends' requests


def test_objects_are_completed_and_inspected(shells, peer):
    run(peer, "def greet(name):\n    'Says hello.'\n    return name\n\nimport os")
    reply = peer.ask("complete_request", {"code": "x = gre", "cursor_pos": 7}).content
    start = reply["cursor_start"]
    assert any("x = gre"[:start] + match in ("x = greet", "x = greet(") for match in reply["matches"]), reply
    # In the middle of several lines, and by dots.
    code = "a = 1\nos.getpi\nb = 2"
    reply = peer.ask("complete_request", {"code": code, "cursor_pos": code.index("\nb")}).content
    start = code[: reply["cursor_start"]]
    assert any((start + match).startswith("a = 1\nos.getpid") for match in reply["matches"]), reply
    assert peer.ask("complete_request", {"code": "nothing_of_this_name", "cursor_pos": 20}).content["matches"] == []

    found = peer.ask("inspect_request", {"code": "greet(1)", "cursor_pos": 3, "detail_level": 0}).content
    assert found["status"] == "ok" and found["found"] is True
    assert "Says hello." in found["data"]["text/plain"]
    found = peer.ask("inspect_request", {"code": "greet(1)", "cursor_pos": 5, "detail_level": 1}).content
    assert "return name" in re.sub(r"\x1b\[[0-9;]*m", "", found["data"]["text/plain"])
    missing = peer.ask("inspect_request", {"code": "no_such_thing", "cursor_pos": 3}).content
    assert missing["status"] == "ok" and missing["found"] is False and missing["data"] == {}


def test_code_is_told_to_be_complete_or_not(shells, peer):
    cases = {"1 + 1": "complete", "def f():": "incomplete", "x = = 1": "invalid", "for i in (1,\n": "incomplete"}
    for code, expected in cases.items():
        assert peer.ask("is_complete_request", {"code": code}).content["status"] == expected, code
    assert peer.ask("is_complete_request", {"code": "if True:"}).content["indent"] == "    "


def test_history_is_that_of_the_engines_session(shells, peer):
    for code in ("first = 1", "second = 2", "first + second"):
        run(peer, code)
    run(peer, "hidden = 1", store_history=False)

    def inputs(**content):
        history = peer.ask("history_request", {"raw": True, "output": False, **content}).content["history"]
        return [entry[2] for entry in history]

    assert inputs(hist_access_type="tail", n=2) == ["second = 2", "first + second"]
    assert inputs(hist_access_type="range", session=0, start=1, stop=3) == ["first = 1", "second = 2"]
    assert inputs(hist_access_type="search", pattern="first*", n=10) == ["first = 1", "first + second"]
    history = peer.ask("history_request", {"hist_access_type": "tail", "n": 1, "raw": True, "output": True})
    assert history.content["history"] == [[0, 3, ["first + second", "3"]]]


def test_usage_ports_and_debugging_are_answered_while_code_runs(engine, peer, sandbox):
    gate = sandbox.dir / "gate"
    running = peer.send(
        "execute_request",
        {"code": f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.01)", "silent": False},
    )
    peer.outputs(running, until="busy")
    usage = peer.ask("usage_request", channel="control").content
    assert usage["status"] == "ok" and usage["pid"] == engine.popen.pid and usage["hostname"]
    assert 1e6 < usage["kernel_memory"] < 1e10 and usage["cpu_count"] > 0
    assert usage["host_virtual_memory"]["total"] > usage["host_virtual_memory"]["available"] > 0
    assert peer.ask("connect_request", channel="control").content == {"status": "ok"}
    info = peer.ask("kernel_info_request").content
    assert info["protocol_version"].startswith("5.") and info["language_info"]["version"].count(".") == 2
    refused = peer.ask("debug_request", {"command": "initialize"}, channel="control").content
    assert refused["status"] == "error" and "debugger" in refused["evalue"]
    gate.touch()
    assert peer.reply(running).content["status"] == "ok"


def test_every_request_is_framed_by_busy_and_idle(engine, peer):
    for kind, channel in (("kernel_info_request", "control"), ("is_complete_request", "mux"),
                          ("nonsense_request", "mux"), ("clear_request", "control")):  # fmt: skip
        msg_id = peer.send(kind, {"code": ""}, channel=channel)
        peer.reply(msg_id, channel)
        states = [message.content["execution_state"] for message in peer.outputs(msg_id)]
        assert states == ["busy", "idle"], kind


def test_a_task_keeps_the_label_that_its_client_gave_it(engine, peer):
    buffers = canning.pack_apply(len, ((1, 2),))
    for label in ("mine", 'with "quotes" and \\', {"a": [1]}, None):
        reply = peer.reply(peer.send("apply_request", buffers=buffers, metadata={"label": label}))
        assert reply.result == 2 and reply.metadata["label"] == label
    assert "label" not in peer.reply(peer.send("apply_request", buffers=buffers)).metadata


def test_a_question_to_a_client_that_takes_none_is_an_error(shells, peer):
    name = "StdinNotImplementedError" if shells == "IPython" else "NotImplementedError"
    for code in ("input('name?')", "import getpass; getpass.getpass()"):
        for allowed in (False, True):  # a cluster's client has nowhere to ask
            reply = peer.execute(code, allow_stdin=allowed)
            assert reply.content["ename"] in (name, "RuntimeError"), reply.content
            assert "does not accept questions" in reply.content["evalue"]
    assert peer.execute("1").content["status"] == "ok"


def test_what_a_pager_would_show_comes_with_the_reply(engine, peer):
    payload = peer.execute("len?").content["payload"]
    assert payload[0]["source"] == "page" and "Return the number of items" in payload[0]["data"]["text/plain"]


# Rich display


def test_figures_are_shown(engine, peer):
    pytest.importorskip("matplotlib")
    run(peer, "%matplotlib inline\nimport matplotlib.pyplot as plt")
    msg_id = run(peer, "print('before')\nplt.plot([1, 2, 3])\nplt.show()\nprint('after')")
    shown = [message for message in peer.outputs(msg_id) if message.type in ("stream", "display_data")]
    assert [message.type for message in shown] == ["stream", "display_data", "stream"]
    assert base64.b64decode(shown[1].content["data"]["image/png"]).startswith(b"\x89PNG")
    # A figure that is not shown explicitly is shown at the end.
    assert len(published(peer, run(peer, "plt.plot([3, 2, 1]);"), "display_data")) == 1
    # So is a figure of %pylab.
    run(peer, "%pylab inline")
    assert len(published(peer, run(peer, "plot(rand(10));"), "display_data")) == 1


def test_displays_are_updated_and_cleared(engine, peer):
    msg_id = run(
        peer,
        """
from IPython.display import clear_output, display
handle = display("one", display_id="mine")
handle.update("two")
clear_output(wait=True)
""",
    )
    messages = [message for message in peer.outputs(msg_id) if message.type not in ("status", "execute_input")]
    assert [message.type for message in messages] == ["display_data", "update_display_data", "clear_output"]
    assert messages[0].content["transient"] == messages[1].content["transient"] == {"display_id": "mine"}
    assert messages[1].content["data"]["text/plain"] == "'two'" and messages[2].content == {"wait": True}


def test_objects_are_shown_as_they_say(engine, peer):
    msg_id = run(
        peer,
        """
class Rich:
    def _repr_html_(self): return "<b>rich</b>"
    def _repr_png_(self): return b"png"
    def __repr__(self): return "plain"
Rich()
""",
    )
    data = published(peer, msg_id, "execute_result")[0].content["data"]
    assert data == {"text/html": "<b>rich</b>", "image/png": "cG5n", "text/plain": "plain"}


def test_code_may_await(engine, peer):
    msg_id = run(peer, "import asyncio\nawait asyncio.sleep(0.01)\nawait asyncio.sleep(0, 'waited')")
    assert published(peer, msg_id, "execute_result")[0].content["data"]["text/plain"] == "'waited'"


# Published data


@pytest.mark.parametrize("beside", ["ipyparallel", "nothing"])
def test_published_data_reaches_the_client(sandbox, peer, beside):
    env = {} if beside == "ipyparallel" else without(sandbox, "IPython", "ipykernel", "ipyparallel")
    sandbox.start(sandbox.programs.ipengine, f"--file={peer.file}", env=env)
    peer.register()
    for module in ("ipyparallel.datapub", "ipyparallel.engine.datapub", "ipcluster.datapub"):
        msg_id = run(
            peer, f"from {module} import publish_data\nfor i in range(2): publish_data(dict(i=i, big=b'x' * 5000))"
        )
        messages = published(peer, msg_id, "data_message")
        assert [message.content for message in messages] == [{"keys": ["i", "big"]}] * 2
        data = [canning.deserialize(message.buffers, {})[0] for message in messages]
        assert data == [{"i": i, "big": b"x" * 5000} for i in range(2)]
    run(peer, "get_ipython().data_pub.publish_data({'a': 1})")
    assert peer.execute("publish_data(3)").content["ename"] == "TypeError"


@pytest.mark.parametrize("beside", ["ipyparallel", "nothing"])
def test_functions_restore_with_ipyparallel_what_came_with_them(sandbox, peer, beside):
    env = {} if beside == "ipyparallel" else without(sandbox, "IPython", "ipykernel", "ipyparallel")
    sandbox.start(sandbox.programs.ipengine, f"--file={peer.file}", env=env)
    peer.register()

    def restore(canned):  # as ipyparallel's @require does
        from ipyparallel.error import UnmetDependency
        from ipyparallel.serialize import uncan

        return uncan(canned, globals())(2), UnmetDependency.__name__

    def double(x):
        return 2 * x

    double.__module__ = "__main__"
    msg_id = peer.send_apply(lambda restore, holder: restore(holder[0]), restore, [canning.can(double)])
    assert peer.reply(msg_id, timeout=60).result == (4, "UnmetDependency")


# Comms


def test_comms_of_user_code_talk_to_their_clients(engine, peer):
    pytest.importorskip("ipykernel")
    msg_id = run(
        peer,
        """
from ipykernel.comm import Comm
comm = Comm(target_name="chat", data={"hello": 1})
heard = []
comm.on_msg(lambda message: heard.append((message["content"]["data"], [bytes(b) for b in message["buffers"]])))
comm.send({"more": 2}, buffers=[b"abc"])
""",
    )
    opened, sent = [message for message in peer.outputs(msg_id) if message.type.startswith("comm_")]
    assert opened.type == "comm_open" and opened.content["target_name"] == "chat"
    assert opened.content["data"] == {"hello": 1} and opened.metadata["engine"] == peer.uuid.decode()
    assert sent.type == "comm_msg" and sent.content["data"] == {"more": 2} and sent.buffers == [b"abc"]
    comm_id = opened.content["comm_id"]
    assert peer.ask("comm_info_request", {}).content["comms"] == {comm_id: {"target_name": "chat"}}
    assert peer.ask("comm_info_request", {"target_name": "other"}).content["comms"] == {}
    peer.send("comm_msg", {"comm_id": comm_id, "data": {"back": 3}}, buffers=[b"xyz"])
    assert peer.apply(lambda: heard).result == [({"back": 3}, [b"xyz"])]
    peer.send("comm_close", {"comm_id": comm_id, "data": {}})
    assert peer.ask("comm_info_request", {}).content["comms"] == {}


def test_clients_open_comms_to_what_user_code_has_named(engine, peer):
    pytest.importorskip("ipykernel")
    refused = peer.send("comm_open", {"comm_id": "a1", "target_name": "nobody", "data": {}})
    assert published(peer, refused, "comm_close")[0].content["comm_id"] == "a1"
    run(
        peer,
        """
def opened(comm, message):
    comm.send({"welcome": message["content"]["data"]["who"]})
get_ipython().kernel.comm_manager.register_target("greeter", opened)
""",
    )
    msg_id = peer.send("comm_open", {"comm_id": "b2", "target_name": "greeter", "data": {"who": "me"}})
    assert published(peer, msg_id, "comm_msg")[0].content == {"comm_id": "b2", "data": {"welcome": "me"}}
    refused = peer.send("comm_open", {"comm_id": "c3", "target_name": "nobody", "data": {}})
    assert "comm_close" in [message.type for message in peer.outputs(refused)]


def test_the_package_comm_is_served_too(sandbox, peer):
    pytest.importorskip("comm")
    sandbox.start(sandbox.programs.ipengine, f"--file={peer.file}", env=without(sandbox, "ipykernel"))
    peer.register()
    assert peer.execute("assert not hasattr(get_ipython(), 'kernel')").content["status"] == "ok"
    msg_id = run(
        peer,
        """
import comm
channel = comm.create_comm(target_name="widget", data={"x": 1})
got = []
channel.on_msg(lambda message: got.append(message["content"]["data"]))
""",
    )
    opened = published(peer, msg_id, "comm_open")[0].content
    assert opened["target_name"] == "widget" and opened["data"] == {"x": 1}
    peer.send("comm_msg", {"comm_id": opened["comm_id"], "data": 5})
    assert peer.apply(lambda: got).result == [5]


# What user code finds of ipykernel's


def test_code_for_ipykernel_finds_its_kernel(engine, peer):
    pytest.importorskip("ipykernel")
    msg_id = run(
        peer,
        """
from ipykernel.kernelbase import Kernel
from ipykernel.zmqshell import ZMQInteractiveShell
kernel = get_ipython().kernel
assert Kernel.instance() is kernel and Kernel.initialized()
assert ZMQInteractiveShell.instance() is get_ipython() is kernel.shell
assert kernel.get_parent("shell")["header"] == get_ipython().parent_header
assert kernel.engine_id == 0 and kernel.user_ns is globals()
print(get_ipython().parent_header["msg_id"])
kernel.session.send(kernel.iopub_socket, "display_data", {"data": {"text/plain": "sent"}, "metadata": {}},
                    parent=kernel.get_parent("shell"), ident=b"any", metadata={"k": 1})
""",
    )
    assert peer.stream(msg_id).strip() == msg_id
    sent = published(peer, msg_id, "display_data")[0]
    assert sent.content["data"] == {"text/plain": "sent"} and sent.metadata["k"] == 1


def test_a_thread_may_show_things_while_nothing_runs(engine, peer):
    msg_id = run(
        peer,
        """
import threading, time
from IPython.display import display
def later():
    time.sleep(1)
    print("late")
    display({"text/plain": "later"}, raw=True)
threading.Thread(target=later).start()
""",
    )
    peer.outputs(msg_id)
    wait_until(lambda: published(peer, msg_id, "display_data"), 20, "the thread's display comes")
    assert peer.execute("1").content["status"] == "ok"


# Interrupts


def test_an_interrupt_while_the_shell_is_made_comes_when_it_is_there(engine, peer):
    msg_id = peer.send("execute_request", {"code": "import time; time.sleep(600)", "silent": False})
    peer.outputs(msg_id, until="busy")
    peer.ask("interrupt_request", {}, channel="control")
    assert peer.reply(msg_id, timeout=40).content["ename"] == "KeyboardInterrupt"
    run(peer, "get_ipython().run_line_magic('who', '')")


def test_no_interrupt_is_lost_between_two_signals_and_a_blocking_call(engine, peer):
    run(peer, "import subprocess")
    for _ in range(20):
        msg_id = peer.send("execute_request", {"code": "subprocess.run(['sleep', '600'])", "silent": False})
        peer.outputs(msg_id, until="busy")
        time.sleep(0.1)
        os.kill(engine.pid, signal.SIGINT)
        assert peer.reply(msg_id, timeout=40).content["ename"] == "KeyboardInterrupt"


def test_a_c_functions_sleep_and_a_child_are_interrupted(engine, peer):
    for code in ("import ctypes; ctypes.CDLL(None).sleep(600)", "import subprocess; subprocess.run(['sleep', '600'])"):
        msg_id = peer.send("execute_request", {"code": code, "silent": False})
        peer.outputs(msg_id, until="busy")
        time.sleep(2)
        peer.ask("signal_request", {"sig": 2}, channel="control")
        reply = peer.reply(msg_id, timeout=40)
        assert reply.content["status"] == "error" and reply.content["ename"] == "KeyboardInterrupt", (
            code,
            reply.content,
        )
        # It is ipyparallel's error, with what its client unwraps, and published as well.
        assert reply.content["engine_info"]["engine_uuid"] == peer.uuid.decode()
        assert published(peer, msg_id, "error")[0].content["ename"] == "KeyboardInterrupt"
    # IPython passes the interrupt on to the command that it runs, and goes on. If the command had not begun, IPython itself is interrupted.
    msg_id = peer.send("execute_request", {"code": "!sleep 600", "silent": False})
    peer.outputs(msg_id, until="busy")
    time.sleep(2)
    peer.ask("signal_request", {"sig": "SIGINT"}, channel="control")
    assert peer.reply(msg_id, timeout=40).content.get("ename", "KeyboardInterrupt") == "KeyboardInterrupt"
    assert peer.apply(lambda: 1).result == 1
