"""Message contents as JSON bytes, also with any objects that user code puts into them."""

import base64
import json
import math
import re
from datetime import date, datetime

INTEGER_MIN, INTEGER_MAX = -(1 << 63), (1 << 63) - 1
_long_number = re.compile(r"\d{19}").search


def _encode(value):
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, (set, frozenset)):
        return list(value)
    if isinstance(value, datetime):
        # Without a time zone it is a time of this machine's zone.
        return (value if value.tzinfo else value.astimezone()).isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return value.isoformat()
    item = getattr(value, "item", None)  # numpy's scalars
    if callable(item):
        try:
            return item()
        except Exception:
            pass
    return repr(value)


def _clean(value):
    """JSON has no infinities and no NaN, and its keys are texts."""
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if isinstance(value, dict):
        return {str(key): _clean(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_clean(item) for item in value]
    return value


def _big_integer(value, name=""):
    """The name of a member that is an integer beyond 64 bits, or None."""
    if isinstance(value, int):
        return None if INTEGER_MIN <= value <= INTEGER_MAX else name or "the value"
    if isinstance(value, dict):
        members = ((f"{name}.{key}" if name else str(key), item) for key, item in value.items())
    elif isinstance(value, (list, tuple, set, frozenset)):
        members = ((name, item) for item in value)
    else:
        return None
    for member_name, item in members:
        found = _big_integer(item, member_name)
        if found:
            return found
    return None


def pack(content):
    """JSON text in UTF-8. Lone surrogates become question marks; an integer beyond 64 bits is a ValueError."""
    try:
        text = json.dumps(content, ensure_ascii=False, allow_nan=False, default=_encode)
    except (ValueError, TypeError):
        text = json.dumps(_clean(content), ensure_ascii=False, default=lambda value: _clean(_encode(value)))
    if _long_number(text):
        name = _big_integer(content)
        if name:
            raise ValueError(f"{name} is an integer beyond 64 bits, which a message cannot hold: make it text")
    return text.encode("utf-8", "replace")
