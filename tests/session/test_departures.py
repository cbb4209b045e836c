"""Engines that go: who answers for them, and that everybody answers once."""

import time

import zmq

from controller_peer import Engine

def test_what_an_engine_answered_comes_before_clients_are_told_that_it_has_gone(controller):
    peer = controller()
    notification = peer.connect(zmq.SUB, peer.client["notification"])
    mux = peer.connect(zmq.DEALER, peer.client["mux"])
    peer.engines()
    time.sleep(0.3)
    for number in range(10):
        engine = Engine(peer, wanted=number).open().beat()
        assert peer.receive(notification)[1]["msg_type"] == "registration_notification"
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
        _, told, _, _, content = peer.receive(notification)
        assert told["msg_type"] == "unregistration_notification" and content["uuid"] == engine.uuid
        if mux.poll(0):
            assert peer.receive(mux)[2]["msg_id"] == first
        # Clients have now failed what they have had no answer to: nothing comes that would be a second one.
        engine.answer(late_route, late_header)
        assert not mux.poll(100)


def test_what_a_dead_engine_never_got_is_answered_once_before_clients_are_told(controller):
    peer = controller()
    notification = peer.connect(zmq.SUB, peer.client["notification"])
    mux = peer.connect(zmq.DEALER, peer.client["mux"])
    peer.engines()
    time.sleep(0.3)
    engine = Engine(peer).beat()  # not connected to what requests come by
    peer.receive(notification)
    frames, msg_id = peer.message("apply_request")
    mux.send_multipart([engine.uuid.encode(), *frames])
    time.sleep(0.3)
    engine.die()
    peer.receive(notification)
    assert mux.poll(0), "the answer is out before"
    _, _, parent, _, content = peer.receive(mux)
    assert parent["msg_id"] == msg_id and content["ename"] == "EngineError"
    assert not mux.poll(300)
