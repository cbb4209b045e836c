"""The engine against a controller's sockets that the test holds: what it runs, prints, answers, and when it ends."""

import signal
import sys
import time

import pytest

import framing
from engine_peer import CLIENT, Peer, canning, resident_kb
from support import LONG, SLOWNESS, free_ports, wait_until, without


# Running code


def test_apply_returns_the_result_and_ipyparallels_metadata(engine, peer):
    reply = peer.apply(lambda x, y=1: x + y, 40, y=2)
    assert reply.result == 42
    assert reply.identities == [peer.uuid, CLIENT]
    metadata = reply.metadata
    assert metadata["engine"] == peer.uuid.decode()
    assert metadata["status"] == "ok" and metadata["dependencies_met"] is True
    assert metadata["is_broadcast"] is False and metadata["original_msg_id"] == ""
    assert metadata["started"].startswith("20")


def test_closures_defaults_and_partials_work(engine, peer):
    from functools import partial

    factor = 3

    def scaled(x, offset=4):
        return factor * x + offset

    assert peer.apply(scaled, 2).result == 10
    assert peer.apply(partial(scaled, 2), offset=1).result == 7


def test_numpy_arrays_travel_as_frames_of_their_own(engine, peer):
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(100_000, dtype=float)
    reply = peer.apply(lambda a: a * 2, array)
    assert len(reply.buffers) == 2 and len(reply.buffers[1]) == array.nbytes
    assert (reply.result == array * 2).all()
    # The received array uses the frame's memory, and stays valid after the request.
    peer.apply(lambda a: globals().update(kept=a), array)
    for _ in range(5):
        peer.apply(lambda a: None, array + 1)
    assert peer.apply(lambda: (kept.flags.owndata, float(kept.sum()))).result == (False, float(array.sum()))


def test_apply_and_execute_share_a_namespace(engine, peer):
    assert peer.execute("a = 6").content["status"] == "ok"
    assert peer.apply(lambda: a * 7).result == 42
    peer.apply(lambda: globals().update(b=8))
    reply = peer.execute("c = b + 1", user_expressions={"c": "c", "bad": "1/0"})
    assert reply.content["user_expressions"]["c"]["data"]["text/plain"] == "9"
    assert reply.content["user_expressions"]["bad"]["status"] == "error"


@pytest.mark.parametrize("shell", ["IPython", "plain"])
def test_execute_publishes_input_output_and_result_in_order(sandbox, peer, shell):
    env = without(sandbox, "IPython") if shell == "plain" else {}
    sandbox.start(sandbox.programs.ipengine, f"--file={peer.file}", env=env)
    peer.register()
    msg_id = peer.send("execute_request", {"code": "print('before')\n6 * 7", "silent": False})
    reply = peer.reply(msg_id, timeout=60)
    assert reply.content["status"] == "ok" and reply.content["execution_count"] == 1
    kinds = [(m.type, m.content) for m in peer.outputs(msg_id)]
    assert [kind for kind, _ in kinds] == ["status", "execute_input", "stream", "execute_result", "status"], kinds
    assert kinds[1][1] == {"code": "print('before')\n6 * 7", "execution_count": 1}
    assert kinds[2][1] == {"name": "stdout", "text": "before\n"}
    assert kinds[3][1]["data"]["text/plain"] == "42"
    assert peer.execute("__name__, 1").content["execution_count"] == 2
    failed = peer.execute("def f():\n    return 1 / 0\nf()")
    assert failed.content["ename"] == "ZeroDivisionError"
    assert "ZeroDivisionError" in "\n".join(failed.content["traceback"])
    assert shell == "IPython" or "    return 1 / 0" in failed.content["traceback"]
    peer.execute("import os")
    matches = peer.ask("complete_request", {"code": "os.getpi", "cursor_pos": 8}).content["matches"]
    assert any("getpid" in match for match in matches)


def test_display_data_stands_where_it_was_shown(engine, peer):
    code = "from IPython.display import display\nprint('a')\ndisplay({'text/plain': 'b'}, raw=True)\nprint('c')"
    for _ in range(5):
        msg_id = peer.send("execute_request", {"code": code, "silent": False})
        assert peer.reply(msg_id, timeout=60).content["status"] == "ok"
        shown = [
            m.content.get("text") or m.content["data"]["text/plain"]
            for m in peer.outputs(msg_id)
            if m.type in ("stream", "display_data")
        ]
        assert shown == ["a\n", "b", "c\n"]


def test_silent_execution_publishes_and_counts_nothing(engine, peer):
    msg_id = peer.send("execute_request", {"code": "1 + 1", "silent": True})
    assert peer.reply(msg_id, timeout=60).content["status"] == "ok"
    assert {m.type for m in peer.outputs(msg_id)} == {"status"}
    assert peer.execute("2").content["execution_count"] == 1


def test_history_is_not_written_to_disk(engine, peer, sandbox):
    peer.execute("secret = 1")
    assert not list(sandbox.home.rglob("history.sqlite"))


# Output


def print_everywhere():
    import ctypes
    import os
    import subprocess
    import sys

    print("python")
    print("python err", file=sys.stderr)
    os.write(1, b"os.write\n")
    libc = ctypes.CDLL(None)
    libc.printf(b"printf\n")
    libc.printf(b"unfinished")
    libc.fflush(None)
    subprocess.run(["echo", "child"])


def test_output_of_python_c_and_children_comes_before_idle(engine, peer):
    msg_id = peer.send_apply(print_everywhere)
    peer.reply(msg_id)
    out = peer.stream(msg_id)
    assert out == "python\nos.write\nprintf\nunfinishedchild\n"
    assert peer.stream(msg_id, "stderr") == "python err\n"


def test_output_streams_while_code_runs(engine, peer, gate):
    def slow(path):
        import os
        import time

        for i in range(3):
            print("step", i)
            while not os.path.exists(path):
                time.sleep(0.01)

    msg_id = peer.send_apply(slow, str(gate))
    while "step 0" not in str(peer.receive("iopub").content):
        pass
    gate.touch()
    assert peer.reply(msg_id).content["status"] == "ok"


def test_a_thread_that_reads_in_c_holds_nothing_up(engine, peer):
    peer.execute(
        """
import ctypes, os, threading, time
libc = ctypes.CDLL(None)
libc.fdopen.restype = ctypes.c_void_p
reading, writing = os.pipe()
file = ctypes.c_void_p(libc.fdopen(reading, b"r"))
thread = threading.Thread(target=libc.fgetc, args=(file,))
thread.start()  # fgetc() locks the file
time.sleep(0.2)
"""
    )
    assert peer.execute("print('on')").content["status"] == "ok"
    assert peer.apply(lambda: (os.write(writing, b"x"), thread.join(30))).result == (1, None)


def test_output_that_is_not_utf8_is_replaced_and_characters_are_not_split(engine, peer):
    def write():
        import os

        os.write(1, b"\xff\xfe ")
        for byte in "\N{SNOWMAN}".encode():
            os.write(1, bytes([byte]))
        os.write(1, b" \xe2\x98")

    msg_id = peer.send_apply(write)
    peer.reply(msg_id)
    assert peer.stream(msg_id) == "\ufffd\ufffd \N{SNOWMAN} \ufffd\ufffd"


def test_much_output_is_complete_and_in_order(engine, peer):
    msg_id = peer.send_apply(lambda: [print(i) for i in range(100_000)] and None)
    peer.reply(msg_id, timeout=60)
    assert peer.stream(msg_id) == "".join(f"{i}\n" for i in range(100_000))


def test_a_line_is_published_whole_also_where_python_does_not_buffer(sandbox, peer):
    """Container images set $PYTHONUNBUFFERED, with which print() writes a line and its end one after the other."""
    sandbox.start(sandbox.programs.ipengine, f"--file={peer.file}", env={"PYTHONUNBUFFERED": "1"})
    peer.register()

    def work():
        import time

        for i in range(50):
            print("line", i)
            time.sleep(0.025)

    msg_id = peer.send_apply(work)
    peer.reply(msg_id)
    texts = [message.content["text"] for message in peer.outputs(msg_id) if message.type == "stream"]
    assert "".join(texts) == "".join(f"line {i}\n" for i in range(50))
    assert all(text.endswith("\n") for text in texts)


# Errors


@pytest.mark.parametrize("code, name", [
    ("raise SystemExit(3)", "SystemExit"),
    ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    ("f = lambda: f()\nf()", "RecursionError"),
    ("class Bad(Exception):\n    def __str__(self): raise ValueError\nraise Bad", "Bad"),
    ("x = = 1", "SyntaxError"),
])  # fmt: skip
def test_exceptions_of_every_kind_are_answered(engine, peer, code, name):
    def run(source):
        exec(source, globals())

    reply = peer.apply(run, code)
    assert reply.content["status"] == "error" and reply.content["ename"] == name
    assert reply.metadata["status"] == "error"
    assert reply.content["engine_info"]["engine_id"] == 0
    assert reply.content["engine_info"]["method"] == "apply"
    reply = peer.execute(code)
    assert reply.content["status"] == "error" and reply.content["ename"] == name
    assert peer.apply(lambda: "still here").result == "still here"


def test_errors_carry_a_traceback_and_are_published(engine, peer):
    def inner():
        raise ValueError("deep")

    msg_id = peer.send_apply(lambda f: f(), inner)
    reply = peer.reply(msg_id)
    assert reply.content["evalue"] == "deep"
    text = "\n".join(reply.content["traceback"])
    assert "test_engine.py" in text and "inner" in text and "kernel.py" not in text
    assert "error" in [m.type for m in peer.outputs(msg_id)]


def test_results_that_cannot_be_pickled_are_an_error(engine, peer):
    reply = peer.apply(lambda: (i for i in range(3)))
    assert reply.content["status"] == "error" and reply.content["ename"] == "TypeError"
    assert peer.apply(lambda: 1).result == 1


def test_an_error_aborts_what_the_client_queued_behind_it(engine, peer, gate):
    wait = f"import os, time\nwhile not os.path.exists({str(gate)!r}): time.sleep(0.01)\n"
    first = peer.send("execute_request", {"code": wait + "1/0"})
    second = peer.send("execute_request", {"code": "reached = True"})
    third = peer.send_apply(lambda: "applied")
    peer.ask("kernel_info_request")  # is answered at once: what was sent before has come
    gate.touch()
    assert peer.reply(first, timeout=60).content["ename"] == "ZeroDivisionError"
    assert peer.reply(second).content["status"] == "aborted"
    assert peer.reply(third).result == "applied"
    gate.unlink()
    first = peer.send("execute_request", {"code": wait + "1/0", "stop_on_error": False})
    second = peer.send("execute_request", {"code": "reached = True"})
    peer.ask("kernel_info_request")
    gate.touch()
    peer.reply(first)
    assert peer.reply(second).content["status"] == "ok"


# Control


def sleep(seconds):
    import time

    time.sleep(seconds)


def test_interrupt_ends_a_sleep_and_leaves_nothing_behind(engine, peer):
    msg_id = peer.send_apply(sleep, 600)
    peer.outputs(msg_id, until="busy")
    time.sleep(0.3)
    assert peer.ask("interrupt_request", channel="control").content["status"] == "ok"
    reply = peer.reply(msg_id)
    assert reply.content["ename"] == "KeyboardInterrupt"
    # Nothing runs now: an interrupt does nothing, nor does SIGINT at the process.
    assert peer.ask("interrupt_request", channel="control").content["status"] == "ok"
    engine.send_signal(signal.SIGINT)
    engine.wait_for_output("SIGINT ignored")
    for i in range(20):
        assert peer.apply(lambda x: x, i).result == i


def test_sigint_interrupts_what_runs(engine, peer):
    msg_id = peer.send_apply(sleep, 600)
    peer.outputs(msg_id, until="busy")
    time.sleep(0.3)
    engine.send_signal(signal.SIGINT)
    assert peer.reply(msg_id).content["ename"] == "KeyboardInterrupt"
    msg_id = peer.send("execute_request", {"code": "while True: pass"})
    peer.outputs(msg_id, until="busy")
    time.sleep(2 * SLOWNESS)
    assert peer.ask("signal_request", {"sig": "SIGINT"}, channel="control").content["status"] == "ok"
    assert peer.reply(msg_id).content["ename"] == "KeyboardInterrupt"


def test_what_an_engine_has_not_finished_when_it_is_told_to_end_is_an_engine_error_that_says_so(engine, peer):
    running = peer.send_apply(sleep, 600)
    queued = peer.send_apply(lambda: 1)
    peer.ask("kernel_info_request")  # is answered at once: what was sent before has come
    engine.send_signal(signal.SIGTERM)
    for msg_id in (queued, running):
        content = peer.reply(msg_id).content
        assert (content["ename"], content["evalue"]) == ("EngineError", "the engine was told to end (SIGTERM)")
    assert engine.wait() == 0


def test_clear_empties_the_namespace(engine, peer):
    peer.apply(lambda: globals().update(mine=1))
    assert peer.ask("clear_request", channel="control").content["status"] == "ok"
    assert peer.apply(lambda: "mine" in globals()).result is False
    peer.execute("mine = 1")
    assert peer.ask("clear_request", channel="control").content["status"] == "ok"
    assert peer.apply(lambda: "mine" in globals()).result is False
    assert peer.execute("1 + 1").content["status"] == "ok"


def hold_the_interpreter(seconds):
    import ctypes

    ctypes.PyDLL(None).sleep(seconds)  # PyDLL keeps the interpreter's lock


def test_shutdown_while_an_extension_holds_the_interpreter(engine, peer):
    msg_id = peer.send_apply(hold_the_interpreter, 120)
    peer.outputs(msg_id, until="busy")
    time.sleep(0.3)
    wait_until(peer.beat, 20, "the heart beats while user code holds the interpreter")
    reply = peer.ask("shutdown_request", {"restart": False}, channel="control")
    assert reply.content == {"status": "ok", "restart": False}
    assert peer.receive("registration").type == "unregistration_request"
    assert engine.wait(30) == 0


@pytest.mark.parametrize("how", ["shutdown", "SIGTERM", "SIGHUP"])
def test_an_idle_engine_ends_at_once_and_says_goodbye(engine, peer, how):
    if how != "shutdown":
        engine.send_signal(signal.Signals[how])
    else:
        peer.ask("shutdown_request", {}, channel="control")
    assert peer.receive("registration").type == "unregistration_request"
    assert engine.wait() == 0


def test_information_and_unknown_requests_are_answered(engine, peer):
    for channel in ("mux", "control"):
        info = peer.ask("kernel_info_request", channel=channel).content
        assert info["status"] == "ok" and info["language_info"]["name"] == "python"
        reply = peer.ask("dance_request", channel=channel)
        assert reply.type == "dance_reply" and reply.content["status"] == "error"
        assert "dance_request" in reply.content["evalue"]
    assert peer.ask("signal_request", {"sig": "SIGNONSENSE"}, channel="control").content["status"] == "error"
    assert peer.ask("abort_request").content["status"] == "error", "aborting is the control socket's"


def test_background_threads_run_while_the_engine_waits(engine, peer):
    def start():
        import threading
        import time

        def count():
            while True:
                globals()["ticks"] = globals().get("ticks", 0) + 1
                time.sleep(0.01)

        threading.Thread(target=count, daemon=True).start()

    peer.apply(start)
    before = peer.apply(lambda: globals().get("ticks", 0)).result
    wait_until(lambda: peer.apply(lambda: ticks).result > before + 10, 20, "the thread goes on", interval=0.2)


# Bad input


@pytest.mark.parametrize("channel", ["mux", "control"])
def test_bad_messages_are_dropped_and_the_engine_goes_on(engine, peer, channel):
    def send(frames):
        peer.sockets[channel].send_multipart([peer.uuid, CLIENT, *frames])

    good, msg_id = peer.frames("kernel_info_request", {})
    forged, _ = peer.frames("shutdown_request", {}, key=b"another key")
    unsigned = framing.changed(peer.frames("shutdown_request", {})[0], signature=b"")
    malformed = peer.signed(framing.changed(good, header=b"[1"))
    for bad in (
        [], [b""], [b"a", b"b", b"c"], *framing.truncated(good), forged, unsigned, malformed, [b"\x00" * 100_000],
    ):  # fmt: skip
        send(bad)
    send(peer.signed(framing.changed(good, content=b"[1, 2]")))
    assert peer.reply(msg_id, channel).content["ename"] == "BadRequest"
    send(good)
    assert peer.reply(msg_id, channel).content["status"] == "ok"
    send(good)  # a second time: it does not run, and nobody waits for what cannot come
    assert peer.reply(msg_id, channel).content["ename"] == "ConnectionError"
    engine.wait_for_output(r"(truncated|forged|unsigned|repeated|malformed).* dropped")
    truncated = canning.pack_apply(lambda: 1)[:1]
    if channel == "mux":
        assert peer.ask("apply_request", buffers=truncated).content["status"] == "error"
        assert peer.ask("apply_request", buffers=[b"no pickle", b"x"]).content["status"] == "error"
        assert peer.ask("execute_request", {"code": 7}).content["status"] == "error"
    assert peer.apply(lambda: 1).result == 1


# Connecting


def run_engine(sandbox, *arguments, timeout=30):
    return sandbox.run(sandbox.programs.ipengine, *arguments, timeout=timeout)


def test_a_missing_connection_file_is_waited_for(sandbox, peer):
    missing = sandbox.dir / "later.json"
    process = sandbox.start(sandbox.programs.ipengine, f"--file={missing}")
    process.wait_for_output("waiting up to 30 seconds")
    peer.file.rename(missing)
    peer.register()
    process.wait_for_output("registered as engine 0")


def test_a_connection_file_that_never_comes(sandbox):
    ended = run_engine(sandbox, f"--file={sandbox.dir}/none.json", "--IPEngine.wait_for_url_file=0.3")
    assert ended.status == 3 and "none.json did not appear" in ended.err and "ipcontroller" in ended.err


@pytest.mark.parametrize("given", ["--timeout=1", "--IPEngine.timeout=1", "--EngineFactory.timeout=1"])
def test_a_timeout_is_for_the_connection_file_too(sandbox, given):
    ended = run_engine(sandbox, f"--file={sandbox.dir}/none.json", given)
    assert ended.status == 3 and "did not appear within 1 seconds" in ended.err


def test_a_wait_for_the_file_that_is_given_is_not_shortened_by_the_timeout(sandbox):
    ended = run_engine(sandbox, f"--file={sandbox.dir}/none.json", "--timeout=0.1", "--IPEngine.wait_for_url_file=1.5")
    assert ended.status == 3 and "did not appear within 1.5 seconds" in ended.err


def test_what_the_file_took_is_taken_off_the_timeout(sandbox, peer):
    missing = sandbox.dir / "later.json"
    process = sandbox.start(sandbox.programs.ipengine, f"--file={missing}", f"--timeout={LONG}")
    process.wait_for_output(f"waiting up to {LONG:g} seconds")
    time.sleep(1)
    peer.file.rename(missing)
    left = process.wait_for_output(r"registering with the controller at \S+ for up to (\S+) seconds")
    assert float(left.group(1)) < LONG - 0.9


@pytest.mark.parametrize("case", ["not JSON", "no key", "wrong type", "readable by others", "a folder"])
def test_a_wrong_connection_file_says_what_is_wrong(sandbox, peer, case):
    if case == "not JSON":
        peer.file.write_text("{oops")
    elif case == "no key":
        peer.file.write_text("{}")
    elif case == "wrong type":
        peer.write_file(mux="many")
    elif case == "readable by others":
        peer.write_file(mode=0o644)
    else:
        peer.file.unlink()
        peer.file.mkdir()
    ended = run_engine(sandbox, f"--file={peer.file}")
    assert ended.status == 3, ended
    assert "engine.json" in ended.err


def test_registration_is_repeated_and_given_up_with_a_reason(sandbox, peer):
    peer.write_file(registration=free_ports(1)[0])
    ended = run_engine(sandbox, f"--file={peer.file}", "--timeout=5")
    assert ended.status == 5
    assert "cannot be reached" in ended.err and "start ipcontroller" in ended.err
    assert "--ip=" in ended.err, "what to do about a loopback address"


def test_a_key_of_another_cluster_is_named_as_the_likely_reason(sandbox, peer):
    peer.write_file(key="another")
    ended = run_engine(sandbox, f"--file={peer.file}", "--timeout=5")
    assert ended.status == 5
    assert "does not answer" in ended.err and "another cluster" in ended.err
    assert peer.receive("registration").type == "registration_request"
    assert peer.receive("registration").type == "registration_request", "asked twice"


def test_a_curve_key_of_another_cluster_is_named_as_the_likely_reason(sandbox, peer):
    import zmq

    public, secret = zmq.curve_keypair()
    other, _ = zmq.curve_keypair()
    socket = peer.context.socket(zmq.ROUTER)
    socket.curve_server = True
    socket.curve_secretkey = secret
    socket.curve_publickey = public
    port = socket.bind_to_random_port("tcp://127.0.0.1")
    peer.write_file(registration=port, curve_serverkey=other.decode())
    ended = run_engine(sandbox, f"--file={peer.file}", "--timeout=5")
    socket.close(0)
    assert ended.status == 5
    assert "encryption key" in ended.err and "another cluster" in ended.err


def test_a_controller_that_refuses_is_quoted(sandbox, peer):
    process = sandbox.start(sandbox.programs.ipengine, f"--file={peer.file}", "--timeout=5")
    request = peer.receive("registration")
    frames, _ = peer.frames("registration_reply", {"status": "error", "ename": "KeyError", "evalue": "uuid in use"})
    peer.sockets["registration"].send_multipart([*request.identities, *frames])
    assert process.wait(30) == 5
    assert "uuid in use" in process.output


def test_a_lost_controller_ends_the_engine(sandbox):
    peer = Peer(sandbox.dir, period_ms=1000)
    try:
        process = sandbox.start(sandbox.programs.ipengine, f"--file={peer.file}", "--IPEngine.max_heartbeat_misses=2")
        peer.register()
        assert process.wait(20) == 6
        assert "heartbeats have stopped" in process.output
    finally:
        peer.close()


def test_settings_reach_the_engine(sandbox, peer):
    script = sandbox.dir / "start.py"
    script.write_text("from_script = from_command + '\u00e9'\n")
    sandbox.start(
        sandbox.programs.ipengine, f"--file={peer.file}", "--IPEngine.id=7", f"-s={script}", "--c=from_command = 'caf'"
    )
    assert peer.register().content["id"] == 7
    assert peer.apply(lambda: from_script).result == "caf\u00e9"
    ended = run_engine(sandbox, f"--file={peer.file}", "--c=1/0")
    assert ended.status == 1 and "ZeroDivisionError: division by zero" in ended.err
    assert run_engine(sandbox, "--nonsense=1").status == 1


def test_an_engine_is_small_before_user_imports(engine, sandbox, peer):
    if sandbox.sanitizers:
        pytest.skip("a sanitizer's memory is its own")
    kilobytes = resident_kb(engine.pid)
    print(f"resident after registration: {kilobytes} kB", file=sys.stderr)
    assert kilobytes < 30_000


def test_the_interpreter_is_the_configured_one(engine, peer):
    def look():
        import subprocess
        import sys

        version = subprocess.run(
            [sys.executable, "-c", "import sys; print(sys.version_info[:2])"], capture_output=True, text=True
        ).stdout.strip()
        return sys.executable, version, str(sys.version_info[:2]), sys.path[0]

    executable, version, ours, first = peer.apply(look).result
    assert version == ours and first == ""


def test_a_forked_child_does_not_disturb_the_engine(engine, peer):
    def fork():
        import multiprocessing
        import time

        context = multiprocessing.get_context("fork")
        with context.Pool(2) as pool:
            squares = pool.map(abs, [-1, -2, -3])
        child = context.Process(target=time.sleep, args=(60,))
        child.start()
        child.terminate()
        child.join()
        return squares, child.exitcode

    assert peer.apply(fork).result == ([1, 2, 3], -signal.SIGTERM)
    wait_until(peer.beat, 20)
    assert peer.apply(lambda: 1).result == 1


def test_a_forked_child_that_returns_ends_and_the_engine_answers_once(engine, peer):
    def fork():
        import os

        child = os.fork()
        if child:
            os.waitpid(child, 0)
        return child

    assert peer.apply(fork).result > 0
    peer.execute("import os\nchild = os.fork()\nif not child: raise SystemExit\n_ = os.waitpid(child, 0)")
    assert peer.apply(lambda: 1).result == 1
    assert not peer.sockets["mux"].poll(300)


def test_threads_of_user_code_ask_for_the_request_while_it_ends(engine, peer):
    def begin():
        import threading

        shell, state = get_ipython(), {"count": 0, "go_on": True}

        def ask():
            while state["go_on"]:
                assert "msg_id" in shell.parent_header
                state["count"] += 1

        thread = threading.Thread(target=ask)
        thread.start()
        globals().update(state=state, thread=thread)

    def end():
        state["go_on"] = False
        thread.join()
        return state["count"]

    assert peer.apply(begin).content["status"] == "ok"
    for i in range(300):
        assert peer.apply(abs, -i).result == i
    assert peer.apply(end).result > 0
