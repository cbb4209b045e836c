"""Engines that go: who answers for them, and that everybody answers once."""

import zmq

from controller_peer import Engine


def answers_until_now(peer, mux):
    """What was answered before a request of now is: pairs of a msg_id and an error's name."""
    frames, asked = peer.message("apply_request")
    mux.send_multipart([b"nobody", *frames])
    answers = []
    while True:
        _, _, parent, _, content = peer.receive(mux)
        if parent["msg_id"] == asked:
            return answers
        answers.append((parent["msg_id"], content.get("ename")))


def test_what_an_engine_answered_comes_before_clients_are_told_that_it_has_gone(controller):
    peer = controller()
    notification = peer.subscribe(peer.client["notification"])
    mux = peer.connect(zmq.DEALER, peer.client["mux"])
    for number in range(10):
        engine = Engine(peer, wanted=number).open().beat()
        peer.notified(notification, "registration_notification", id=number)
        sent = []
        for _ in range(2):
            frames, msg_id = peer.message("apply_request")
            mux.send_multipart([engine.uuid.encode(), *frames])
            sent.append((*engine.take()[:2], msg_id))
        (route, header, first), (late_route, late_header, _) = sent
        leave, _ = peer.message("unregistration_request", {"id": number})
        # The controller hears of both at once, on two connections.
        engine.registration.send_multipart(leave)
        engine.answer(route, header)
        peer.notified(notification, "unregistration_notification", uuid=engine.uuid)
        assert answers_until_now(peer, mux) in ([], [(first, None)])
        # Clients have now failed what they have had no answer to: nothing comes that would be a second one.
        engine.answer(late_route, late_header)
        assert not mux.poll(100)


def test_what_a_dead_engine_never_got_is_answered_once_before_clients_are_told(controller):
    peer = controller()
    notification = peer.subscribe(peer.client["notification"])
    mux = peer.connect(zmq.DEALER, peer.client["mux"])
    engine = Engine(peer).beat()  # not connected to what requests come by
    frames, msg_id = peer.message("apply_request")
    mux.send_multipart([engine.uuid.encode(), *frames])
    assert answers_until_now(peer, mux) == []
    engine.die()
    peer.notified(notification, "unregistration_notification", uuid=engine.uuid)
    assert answers_until_now(peer, mux) == [(msg_id, "EngineError")]
    assert not mux.poll(300)
