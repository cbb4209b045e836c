"""Message contents as JSON bytes: whatever objects user code puts into them."""

import base64
import json
import math


def _encode(value):
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, (set, frozenset)):
        return list(value)
    item = getattr(value, "item", None)  # numpy's scalars
    if callable(item):
        try:
            return item()
        except Exception:
            pass
    return repr(value)


def _clean(value):
    """JSON has no infinities, no NaN, and keys that are texts."""
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    if isinstance(value, dict):
        return {str(key): _clean(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(item) for item in value]
    return value


def pack(content):
    """JSON text in UTF-8. Lone surrogates become question marks."""
    try:
        text = json.dumps(content, ensure_ascii=False, allow_nan=False, default=_encode)
    except (ValueError, TypeError):
        text = json.dumps(_clean(content), ensure_ascii=False, default=lambda value: repr(value))
    return text.encode("utf-8", "replace")
