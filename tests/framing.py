"""Messages as lists of frames: the one place where Python's tests know where a part of a message is. core/wire/message.h is the programs',
docs/reference/wire.md draws it."""

import hmac
import io
from types import SimpleNamespace

DELIMITER = b"<IDS|MSG>"
# What stands behind the delimiter; then come buffers.
PARTS = ("signature", "header", "parent", "metadata", "content")
# What a signature is over: one behind the other.
SIGNED = ("header", "parent", "metadata", "content")
# What an envelope begins with (core/wire/envelope.h).
ENVELOPE = b"\0ipcluster envelope 2\0"
SEAL_BYTES = 80  # behind that
NUMBER_BYTES = 4
SAME = 0xFFFFFFFF  # the size of a frame that is the same as in the message before


def _number(number):
    return number.to_bytes(NUMBER_BYTES, "big")


def make(identities=(), buffers=(), **parts):
    """The frames of a message with these parts, each bytes; the others are empty."""
    assert set(parts) <= set(PARTS), f"{set(parts) - set(PARTS)}: a message has no such part"
    return [*identities, DELIMITER, *(parts.get(name, b"") for name in PARTS), *buffers]


def read(frames):
    """The message of these frames: its `identities`, its `buffers`, and each part by its name, as bytes."""
    first = frames.index(DELIMITER) + 1
    behind = first + len(PARTS)
    assert len(frames) >= behind, f"a message of {len(frames)} frames is truncated"
    parts = dict(zip(PARTS, frames[first:behind]))
    return SimpleNamespace(identities=frames[: first - 1], buffers=frames[behind:], **parts)


def changed(frames, **changes):
    """The frames of the same message with other parts, identities or buffers."""
    return make(**{**vars(read(frames)), **changes})


def signed(frames, key, digest="sha256"):
    """The frames of the same message, signed with a key as a session signs."""
    message = read(frames)
    covered = b"".join(getattr(message, name) for name in SIGNED)
    return changed(frames, signature=hmac.new(key, covered, digest).hexdigest().encode())


def enveloped(messages):
    """The frames of an envelope with these messages, which have signatures or seals of their own: its seal is none."""
    parts = [ENVELOPE, bytes(SEAL_BYTES), _number(len(messages))]
    for frames in messages:
        parts += [_number(len(frames)), *(_number(len(frame)) for frame in frames), *frames]
    return [b"".join(parts)]


def enveloped_again(frames, messages):
    """An envelope with its seal, but with these messages in it. Of a message that came alone: the only one of these."""
    if not frames[0].startswith(ENVELOPE):
        [message] = messages
        return message
    [other] = enveloped(messages)
    behind = len(ENVELOPE) + SEAL_BYTES
    return [frames[0][:behind] + other[behind:]]


def opened(frames):
    """The messages of an envelope, or this message, as lists of frames."""
    if not frames[0].startswith(ENVELOPE):
        return [frames]
    data = io.BytesIO(frames[0][len(ENVELOPE) + SEAL_BYTES :])

    def number():
        return int.from_bytes(data.read(NUMBER_BYTES), "big")

    messages = []
    for _ in range(number()):
        sizes = [number() for _ in range(number())]
        messages.append([messages[-1][i] if size == SAME else data.read(size) for i, size in enumerate(sizes)])
    return messages


def is_message(frames):
    return DELIMITER in frames


def truncated(frames):
    """The frames up to each that a message may not lack."""
    return [frames[:count] for count in range(1, frames.index(DELIMITER) + 1 + len(PARTS))]
