"""How a sequence is dealt out to engines and put together again."""

import sys
from itertools import chain, islice


def _is_array(obj):
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(obj, numpy.ndarray)


class Map:
    """Contiguous parts in order, their lengths equal or one apart."""

    def partition(self, seq, index, count, length=None):
        """The part with number `index` of `count`."""
        length = len(seq) if length is None else length
        if not 0 <= index < count:
            raise ValueError(f"part {index} of {count}: the first is 0")
        size, longer = divmod(length, count)
        low = index * size + min(index, longer)
        high = low + size + (index < longer)
        try:
            return seq[low:high]
        except TypeError:
            return list(islice(seq, low, high))

    def join(self, parts):
        return _concatenate(parts)


class RoundRobinMap(Map):
    """Every count-th member, so that part 0 has members 0, count, 2 count, ..."""

    def partition(self, seq, index, count, length=None):
        length = len(seq) if length is None else length
        return seq[index:length:count]

    def join(self, parts):
        if not parts or not _is_sequence(parts[0]):
            return parts
        joined = [None] * sum(len(part) for part in parts)
        for index, part in enumerate(parts):
            joined[index :: len(parts)] = part
        if _is_array(parts[0]):
            return sys.modules["numpy"].array(joined)
        return joined


def _is_sequence(obj):
    return isinstance(obj, (list, tuple, range)) or _is_array(obj)


def _concatenate(parts):
    if not parts:
        return []
    if _is_array(parts[0]):
        return sys.modules["numpy"].concatenate(parts)
    if isinstance(parts[0], (list, tuple, range)):
        return list(chain.from_iterable(parts))
    return parts


DISTRIBUTIONS = {"b": Map, "r": RoundRobinMap}
