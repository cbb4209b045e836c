"""A man in the middle of connections that are not encrypted. It passes messages on, keeps them (those
of an envelope one by one), and adds messages of its own."""

import contextlib
import json
import pathlib
import select
import socket
import threading

import framing

GREETING = 64  # bytes (ZMTP 3)
COMMAND, LONG_SIZE, MORE = 4, 2, 1


def encode(frames):
    """The bytes of a message (ZMTP 3)."""

    def flags(index):
        return (MORE if index + 1 < len(frames) else 0) | (LONG_SIZE if len(frames[index]) > 255 else 0)

    return b"".join(
        bytes([flags(i)]) + len(frame).to_bytes(8 if len(frame) > 255 else 1, "big") + frame
        for i, frame in enumerate(frames)
    )


class Captured(list):
    """The frames of a message. `travelled` are those that it came in: its envelope's, or its own."""

    def __init__(self, frames, travelled):
        super().__init__(frames)
        self.travelled = travelled


class Stream:
    """One direction of a connection."""

    def __init__(self, source, sink, keep, tap):
        self.source, self.sink, self.keep, self.tap = source, sink, keep, tap
        self.buffer, self.greeted, self.frames = b"", False, []
        self.name = b""  # the name that the source gives itself
        self.lock = threading.Lock()

    def _next_frame(self):
        """Takes a whole frame off the buffer: its flags, bytes and how it was sent; or None."""
        size_bytes = 8 if self.buffer and self.buffer[0] & LONG_SIZE else 1
        head = 1 + size_bytes
        if len(self.buffer) < head:
            return None
        end = head + int.from_bytes(self.buffer[1:head], "big")
        if len(self.buffer) < end:
            return None
        frame, self.buffer = self.buffer[:end], self.buffer[end:]
        return frame[0], frame[head:]

    def pass_on(self):
        """Hands on what has come, in whole messages. Returns whether there may be more."""
        data = self.source.recv(1 << 16)
        self.buffer += data
        if not self.greeted:
            if len(self.buffer) < GREETING:
                self.sink.sendall(data)
                return bool(data)
            rest, self.buffer = (
                data[len(data) - (len(self.buffer) - GREETING) :] if data else b"",
                self.buffer[GREETING:],
            )
            self.sink.sendall(data[: len(data) - len(rest)])
            self.greeted = True
        while frame := self._next_frame():
            flags, body = frame
            if flags & COMMAND:
                _, found, rest = body.partition(b"\x08Identity")
                if found:
                    self.name = rest[4 : 4 + int.from_bytes(rest[:4], "big")]
                size = len(body).to_bytes(8 if flags & LONG_SIZE else 1, "big")
                self.sink.sendall(bytes([flags]) + size + body)
                continue
            self.frames.append(body)
            if not flags & MORE:
                self.keep += [Captured(frames, self.frames) for frames in framing.opened(self.frames)]
                if not self.tap.holding:
                    self.send(self.frames)
                self.frames = []
        return bool(data)

    def send(self, frames):
        with self.lock:
            self.sink.sendall(encode(frames))


class Tap:
    """Stands before one port. `to_controller` and `to_peer` are the messages that have come; while it is `holding`, none passes."""

    def __init__(self, port):
        self.port = port
        self.to_controller, self.to_peer, self.connections = [], [], []
        self.holding = False
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.own_port = self.listener.getsockname()[1]
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        streams = {}
        while True:
            try:
                ready, _, _ = select.select([self.listener, *streams], [], [])
                peer = self.listener.accept()[0] if self.listener in ready else None
            except (OSError, ValueError):
                return  # closed
            if peer:
                try:
                    controller = socket.create_connection(("127.0.0.1", self.port))
                except OSError:
                    peer.close()  # a peer that finds no controller comes again
                    continue
                up = Stream(peer, controller, self.to_controller, self)
                down = Stream(controller, peer, self.to_peer, self)
                streams[peer], streams[controller] = up, down
                self.connections.append((up, down))
            for source in ready:
                if source in streams:
                    try:
                        if streams[source].pass_on():
                            continue
                    except OSError:
                        pass
                    stream = streams.pop(source)
                    with contextlib.suppress(OSError):
                        stream.sink.shutdown(socket.SHUT_RDWR)

    def names(self):
        """The names of the peers that are connected."""
        return [up.name for up, _ in self.connections]

    def inject(self, frames, to_controller=False):
        """Sends a message on each connection that stands: one that was captured in an envelope as it came."""
        frames = getattr(frames, "travelled", frames)
        for up, down in self.connections:
            with contextlib.suppress(OSError):
                (up if to_controller else down).send(frames)

    def close(self):
        self.listener.close()
        for up, _ in self.connections:
            up.source.close()
            up.sink.close()


@contextlib.contextmanager
def tapped_file(file, to, names):
    """Writes a connection file with taps in the places of some ports: by name, broadcast's too."""
    content, taps = json.loads(pathlib.Path(file).read_text()), {}
    content.pop("local", None)  # a tap hears TCP
    for name in names:
        value = content[name]
        taps[name] = Tap(value[0] if isinstance(value, list) else value)
        content[name] = [taps[name].own_port] if isinstance(value, list) else taps[name].own_port
    to.touch(mode=0o600)
    to.write_text(json.dumps(content))
    try:
        yield taps
    finally:
        for tap in taps.values():
            tap.close()
