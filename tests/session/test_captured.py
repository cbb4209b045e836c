"""What an attacker without the key does with messages that were captured where connections are not encrypted: sends them again, elsewhere,
later, and with other contents."""

import contextlib
import json
import signal

import pytest
import zmq

import framing
from controller_peer import Peer
from support import LONG, typed, wait_until
from wire_tap import tapped_file

OPEN = ["--IPController.enable_curve=false"]
ENGINE_PORTS = ["mux", "task", "control", "broadcast"]


@pytest.fixture
def captured(new_cluster, sandbox):
    """Starts a controller without encryption, `count` engines and a client, each with taps before its ports."""
    with contextlib.ExitStack() as stack:

        def start(count, *controller, engine=()):
            cluster = new_cluster(0, controller=[*OPEN, *controller])
            folder = cluster.profile_dir / "security"
            cluster.taps = []
            for i in range(count):
                file = folder / f"tapped-engine-{i}.json"
                cluster.taps.append(stack.enter_context(tapped_file(cluster.engine_file, file, ENGINE_PORTS)))
                cluster.start_engine(f"--file={file}", *engine)
            file = folder / "tapped-client.json"
            cluster.client_taps = stack.enter_context(
                tapped_file(cluster.client_file, file, ["mux", "task", "control", "broadcast"])
            )
            import ipcluster

            client = ipcluster.Client(str(file), timeout=LONG)
            cluster.clients.append(client)
            wait_until(lambda: len(client.ids) >= count, 30, "engines register")
            return cluster, client

        yield start


@typed
def run(code):
    return eval(code)


@typed
def nap(seconds, begun):
    import time

    open(begun, "w").close()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(0.05)


def requests(messages, msg_type):
    return [
        frames
        for frames in messages
        if framing.is_message(frames) and json.loads(framing.read(frames).header)["msg_type"] == msg_type
    ]


def with_buffers_of(message, other):
    """A captured message, in the envelope that it came in, with the buffers of another."""
    messages = [
        framing.changed(each, buffers=framing.read(other).buffers) for each in framing.opened(message.travelled)
    ]
    return framing.enveloped_again(message.travelled, messages)


def count_lines(file):
    return len(file.read_text().splitlines()) if file.exists() else 0


def write_line(file):
    return f"print('x', file=open({str(file)!r}, 'a'))"


def settle(client):
    """After this, whatever was sent before, by any channel, has run or never will."""
    nothing = typed(lambda: None)
    for _ in range(2):
        client[:].apply_sync(nothing)
        client.broadcast_view().apply_sync(nothing)
        for engine in client.ids:
            client.load_balanced_view(targets=[engine]).apply_sync(nothing)
        client.clear(block=True)  # by the control channel


def settle_anew(client):
    """The same after a restart: requests that the client sends before it has heard of it are refused, and the client is told."""

    def settled():
        try:
            settle(client)
        except ConnectionError:
            return False
        return True

    wait_until(settled, 20, "the client works with the new controller")


def wait_for_refusal(process, socket, reason):
    process.wait_for_output(rf"{socket}: a message was dropped: {reason}")


def test_a_captured_request_runs_once_wherever_a_client_may_send_it(captured, tmp_path):
    cluster, client = captured(2)
    ran = tmp_path / "ran"
    client[0].execute(write_line(ran)).get(timeout=LONG)
    [request] = requests(cluster.client_taps["mux"].to_controller, "execute_request")
    message = framing.changed(request, identities=())
    # On the same connection, to the same engine and as a task; then from a stranger, with and without the client's name.
    cluster.client_taps["mux"].inject(request, to_controller=True)
    cluster.client_taps["task"].inject(message, to_controller=True)
    cluster.client_taps["control"].inject(request, to_controller=True)
    cluster.client_taps["broadcast"].inject(message, to_controller=True)
    peer = Peer(cluster.profile_dir)
    try:
        cluster.client_taps["task"].inject(framing.enveloped([message]), to_controller=True)
        cluster.client_taps["task"].inject(framing.enveloped_again(request.travelled, [message]), to_controller=True)
        for port in ("mux", "control", "task"):
            stranger = peer.connect(zmq.DEALER, peer.client[port])
            stranger.send_multipart(message if port == "task" else request)
            stranger.send_multipart(request.travelled)
        wait_for_refusal(cluster.controller, "direct, client side", "repeated message")
        wait_for_refusal(cluster.controller, "task, client side", "forged signature")
        wait_for_refusal(cluster.controller, "control, client side", "forged signature")
        wait_for_refusal(cluster.controller, "broadcast, client side", "forged signature")
        settle(client)
        assert count_lines(ran) == 1
    finally:
        peer.close()


def test_what_one_engine_was_sent_runs_at_no_other_and_not_again(captured, tmp_path):
    cluster, client = captured(2)
    ran, marked = tmp_path / "ran", tmp_path / "marked"
    client[0].execute(write_line(ran)).get(timeout=LONG)
    client[[0]].apply(run, write_line(marked)).get(timeout=LONG)
    client.load_balanced_view(targets=[0]).apply(run, write_line(marked)).get(timeout=LONG)
    taps = next(taps for taps in cluster.taps if requests(taps["mux"].to_peer, "execute_request"))
    [other] = [each for each in cluster.taps if each is not taps]
    for channel in ENGINE_PORTS:
        for frames in requests(taps[channel].to_peer, "execute_request") + requests(
            taps[channel].to_peer, "apply_request"
        ):
            for each in (taps, other):
                for way in ENGINE_PORTS:
                    each[way].inject(frames)
    settle(client)
    assert count_lines(ran) == 1
    assert count_lines(marked) == 2
    for engine in cluster.engines:  # the log names the first that was dropped; the others are only counted
        engine.wait_for_output("(forged signature|repeated message) on the (shell|control) socket dropped")


def test_an_interrupt_for_one_engine_is_not_taken_by_another(captured, tmp_path):
    cluster, client = captured(2)
    first = client[0].apply_async(nap, 600, str(tmp_path / "first"))
    second = client[1].apply_async(nap, 3, str(tmp_path / "second"))
    wait_until(lambda: len(list(tmp_path.iterdir())) == 2, 30, "both run")
    client.interrupt(0)
    with pytest.raises(Exception, match="KeyboardInterrupt"):
        first.get(timeout=LONG)
    signals = [frames for taps in cluster.taps for frames in requests(taps["control"].to_peer, "signal_request")]
    assert signals
    for taps in cluster.taps:
        taps["control"].inject(signals[0])
    assert second.get(timeout=LONG) is None


def test_code_that_an_attacker_puts_in_a_captured_message_does_not_run(captured, tmp_path):
    cluster, client = captured(1)
    ran = tmp_path / "ran"
    client[0].apply(run, "1").get(timeout=LONG)
    [request] = requests(cluster.taps[0]["mux"].to_peer, "apply_request")
    client[0].apply(run, write_line(ran)).get(timeout=LONG)
    evil = requests(cluster.taps[0]["mux"].to_peer, "apply_request")[-1]
    cluster.taps[0]["mux"].inject(with_buffers_of(request, evil))
    # Also at the controller, where the message has not been before.
    [asked, evil] = requests(cluster.client_taps["mux"].to_controller, "apply_request")
    cluster.client_taps["mux"].inject(with_buffers_of(asked, evil), to_controller=True)
    cluster.engines[0].wait_for_output("forged signature on the shell socket dropped")
    wait_for_refusal(cluster.controller, "direct, client side", "forged signature")
    settle(client)
    assert count_lines(ran) == 1


def test_an_envelope_that_was_changed_on_its_way_is_refused_with_all_that_is_in_it(captured, tmp_path):
    cluster, client = captured(1)
    ran, tap = tmp_path / "ran", cluster.client_taps["task"]
    tap.holding = True
    late = client.load_balanced_view().map_async(run, [write_line(ran)] * 3)
    wait_until(lambda: len(requests(tap.to_controller, "apply_request")) == 3, 20, "the requests are on their way")
    envelopes = {id(each.travelled): each.travelled for each in requests(tap.to_controller, "apply_request")}
    tap.holding = False
    refused = 0
    for [envelope] in envelopes.values():
        count = len(framing.opened([envelope]))
        for at in range(len(framing.ENVELOPE), len(envelope), 61):
            changed = bytearray(envelope)
            changed[at] ^= 1
            tap.inject([bytes(changed)], to_controller=True)
        tap.inject([envelope], to_controller=True)
        refused += count
    assert late.get(timeout=LONG) == [None] * 3 and count_lines(ran) == 3
    for [envelope] in envelopes.values():
        tap.inject([envelope], to_controller=True)
    wait_until(
        lambda: sum(
            value
            for name, value in client.stats().items()
            if name.startswith("ipcluster_messages_refused_total") and 'reason="repeated"' in name
        )
        == refused,
        20,
        "what comes again is refused",
    )
    assert count_lines(ran) == 3


def test_a_request_that_was_captured_before_a_restart_is_refused_with_an_answer(captured, tmp_path):
    cluster, client = captured(1, "--reuse")
    ran = tmp_path / "ran"
    client[0].execute(write_line(ran)).get(timeout=LONG)
    [request] = requests(cluster.client_taps["mux"].to_controller, "execute_request")
    cluster.controller.stop(signal.SIGKILL)
    cluster.start_controller("--reuse", *OPEN)
    settle_anew(client)
    cluster.client_taps["mux"].inject(request, to_controller=True)
    wait_for_refusal(cluster.controller, "direct, client side", "message for another controller")
    header = json.loads(framing.read(request).header)

    def answers():
        replies = [framing.read(frames) for frames in cluster.client_taps["mux"].to_peer if framing.is_message(frames)]
        return [reply for reply in replies if json.loads(reply.parent).get("msg_id") == header["msg_id"]]

    wait_until(lambda: len(answers()) > 1, 20, "the refusal is answered")
    content = json.loads(answers()[-1].content)
    assert content["ename"] == "ConnectionError" and "submit it again" in content["evalue"]
    settle(client)
    assert count_lines(ran) == 1


def test_whoever_waits_for_a_request_that_is_refused_is_told_so(captured, tmp_path):
    cluster, client = captured(1, "--reuse")
    ran, tap = tmp_path / "ran", cluster.client_taps["mux"]
    tap.holding = True
    late = client[0].execute(write_line(ran))
    wait_until(lambda: requests(tap.to_controller, "execute_request"), 20, "the request is on its way")
    cluster.controller.stop(signal.SIGKILL)
    tap.holding = False
    cluster.start_controller("--reuse", *OPEN)
    settle_anew(client)
    tap.inject(requests(tap.to_controller, "execute_request")[0], to_controller=True)
    with pytest.raises(ConnectionError, match="made for the previous controller and has not run: submit it again"):
        late.get(timeout=LONG)
    settle(client)
    assert count_lines(ran) == 0


@pytest.mark.parametrize("kept", [True, False], ids=["small", "large"])
def test_a_task_that_was_on_its_way_to_the_previous_controller_is_sent_again_if_the_client_keeps_it(
    captured, tmp_path, kept
):
    cluster, client = captured(1, "--reuse", "--sqlitedb")
    ran, tap = tmp_path / "ran", cluster.client_taps["task"]
    view = client.load_balanced_view()
    view.apply_sync(run, "0")
    tap.holding = True
    before = len(requests(tap.to_controller, "apply_request"))
    code = write_line(ran) if kept else f"len({'x' * (1 << 17)!r})"
    late = view.apply_async(run, code)
    wait_until(lambda: len(requests(tap.to_controller, "apply_request")) > before, 20, "the task is on its way")
    cluster.controller.stop(signal.SIGKILL)
    tap.holding = False
    cluster.start_controller("--restore", "--sqlitedb", *OPEN)
    settle_anew(client)
    tap.inject(requests(tap.to_controller, "apply_request")[before], to_controller=True)
    wait_for_refusal(cluster.controller, "task, client side", "message for another controller")
    if kept:
        late.get(timeout=LONG)
        assert count_lines(ran) == 1
    else:
        with pytest.raises(ConnectionError, match="submit it again"):
            late.get(timeout=LONG)


def test_what_was_published_is_taken_once_by_whom_it_was_for_in_its_controllers_life(new_cluster):
    import ipcluster

    cluster = new_cluster(0, controller=[*OPEN, "--reuse"])
    with contextlib.ExitStack() as stack:

        def connect(name):
            file = cluster.profile_dir / "security" / f"tapped-{name}.json"
            taps = stack.enter_context(tapped_file(cluster.client_file, file, ["notification", "iopub"]))
            client = ipcluster.Client(str(file), timeout=LONG)
            cluster.clients.append(client)
            return client, taps

        def start_engine(*clients):
            """Starts an engine. When all clients have heard of it, they have read what was sent to them before."""
            engine, known = cluster.start_engine(), [set(client.ids) for client in clients]
            wait_until(
                lambda: all(set(client.ids) > before for client, before in zip(clients, known)), 30, "an engine comes"
            )
            return engine

        first, taps = connect("first")
        engine = start_engine(first)
        printed = first[0].execute("print('once')")
        assert printed.wait_for_output(LONG)
        [came] = requests(taps["notification"].to_peer, "registration_notification")[:1]
        for frames in requests(taps["iopub"].to_peer, "stream"):
            taps["iopub"].inject(frames)
        engine.stop(signal.SIGKILL)
        wait_until(lambda: not first.ids, 30, "it is known to be dead")
        start_engine(first)
        second, other_taps = connect("second")
        taps["notification"].inject(came)
        other_taps["notification"].inject(came)
        start_engine(first, second)
        assert first.ids == second.ids == [1, 2] and printed.stdout == "once\n"
        cluster.controller.stop(signal.SIGKILL)
        cluster.start_controller("--reuse", *OPEN)
        third, third_taps = connect("third")
        wait_until(lambda: third.ids == [1, 2], 30, "engines are back")
        third_taps["notification"].inject(came)
        start_engine(third)
        assert third.ids == [1, 2, 3]


def test_a_strangers_pongs_do_not_keep_a_dead_engine_registered(captured):
    cluster, client = captured(1, "--HeartMonitor.period=300", engine=["--IPEngine.enable_nanny=false"])
    peer = Peer(cluster.profile_dir)
    try:
        [uuid] = peer.engines().values()
        [name] = cluster.taps[0]["mux"].names()
        ping = peer.connect(zmq.SUB, peer.engine["hb_ping"])
        cluster.engines[0].stop(signal.SIGKILL)
        pongs = [peer.connect(zmq.DEALER, peer.engine["hb_pong"], each) for each in (uuid.encode(), name)]

        def gone():
            while ping.poll(50):
                message = ping.recv()
                for pong in pongs:
                    pong.send(message)
            return not peer.engines()

        wait_until(gone, 20, "the engine is known to be dead")
    finally:
        peer.close()
