"""How sequences are dealt out to engines, and how results are put together again."""

import operator
import sys
from array import array
from itertools import accumulate, chain, islice

# For these types a slice has the members that iterating gives. That is known for few: there are tables whose slices are
# rows but which are iterated over by column, and classes whose members are numbered but which cannot be sliced.
_SEQUENCES = frozenset({list, tuple, range, str, bytes, bytearray, array})
_LISTS = (list, tuple, range)


def _is_array(obj):
    """Whether it is a numpy array with a first axis."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(obj, numpy.ndarray) and obj.ndim > 0


def _is_table(obj):
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(obj, (pandas.DataFrame, pandas.Series))


def _is_sequence(obj):
    # A memoryview of another format arrives as one of bytes.
    return (
        type(obj) in _SEQUENCES or _is_array(obj) or (type(obj) is memoryview and obj.format == "B" and obj.ndim == 1)
    )


def _has_first_axis(obj):
    shape = getattr(obj, "shape", None)
    return (
        isinstance(shape, tuple) and bool(shape) and hasattr(type(obj), "__getitem__") and type(obj) is not memoryview
    )


def _can_be_cut(obj):
    return _is_sequence(obj) or hasattr(obj, "iloc") or _has_first_axis(obj)


def length_of(seq):
    return seq.shape[0] if _has_first_axis(seq) else len(seq)


def cut(seq, where):
    """The member at a position, or the members in a slice of positions. (A table's own indices are labels.)"""
    return seq.iloc[where] if hasattr(seq, "iloc") else seq[where]


def whole(seq, limit=None):
    """A sequence that can be cut: `seq` itself (a table by rows), or else a list of the members that iterating over it gives, at most `limit`."""
    return seq if _can_be_cut(seq) else list(islice(seq, limit))


def equally_long(sequences):
    """The sequences in a form that can be cut, and their length; ValueError if their lengths differ."""
    shortest = min((length_of(seq) for seq in sequences if _can_be_cut(seq)), default=None)
    sequences = [whole(seq, None if shortest is None else shortest + 1) for seq in sequences]
    lengths = {length_of(seq) for seq in sequences}
    if len(lengths) > 1:
        raise ValueError(f"the sequences have different lengths: one has {min(lengths)} members, another more")
    return sequences, max(lengths, default=0)


def zipped(sequences):
    """What the builtin map() would take from each of the sequences, as sequences of one length, and that length."""
    iterated = [iter(seq) for seq in sequences if not _is_sequence(seq)]
    length = min((len(seq) for seq in sequences if _is_sequence(seq)), default=None)
    if iterated:
        lists = [[] for _ in iterated]
        for members in islice(zip(*iterated), length):
            for each, member in zip(lists, members):
                each.append(member)
        length = len(lists[0])
        lists = iter(lists)
    return [
        next(lists) if not _is_sequence(seq) else seq if len(seq) == length else seq[:length] for seq in sequences
    ], length


def checked_chunksize(chunksize):
    try:
        number = operator.index(chunksize)
    except TypeError:
        number = 0
    if number < 1:
        raise ValueError(f"chunksize is a positive integer, not {chunksize!r}")
    return number


class Map:
    """Contiguous parts in order, their lengths equal or one apart."""

    in_order = True

    def part(self, index, count, length):
        """Where the part with number `index` of `count` is, as a slice."""
        size, longer = divmod(length, count)
        low = index * size + min(index, longer)
        return slice(low, low + size + (index < longer))

    def members(self, part):
        """What a part adds to a list of all members: itself if it is not a sequence."""
        return part if isinstance(part, _LISTS) or _is_array(part) or (_is_table(part) and part.ndim == 1) else [part]

    def join(self, parts):
        """The parts as one: an array, a table or a list; a list of the parts if they are something else, or of several kinds."""
        if not parts:
            return []
        if all(map(_is_array, parts)):
            numpy = sys.modules["numpy"]
            # numpy.concatenate() loses masks.
            return (numpy.ma if any(map(numpy.ma.isMaskedArray, parts)) else numpy).concatenate(parts)
        if all(map(_is_table, parts)) and len({part.ndim for part in parts}) == 1:
            return sys.modules["pandas"].concat(parts)
        if all(isinstance(part, _LISTS) or _is_array(part) for part in parts):
            return list(chain.from_iterable(parts))
        return parts


class OneByOne:
    """Each part is one member."""

    in_order = True

    def part(self, index, count, length):
        return index

    def members(self, part):
        return [part]

    def join(self, parts):
        return parts


class RoundRobinMap(Map):
    """Every count-th member, so that part 0 has members 0, count, 2 count, ..."""

    in_order = False

    def part(self, index, count, length):
        return slice(index, length, count)

    def join(self, parts):
        joined = super().join(parts)
        if joined is parts or not parts:
            return joined
        lengths = [length_of(part) for part in parts]
        starts = accumulate(lengths, initial=0)
        numbered = [range(start, start + length) for start, length in zip(starts, lengths)]
        # One member of each part in turn, as long as the part has some.
        order = [numbers[turn] for turn in range(max(lengths)) for numbers in numbered if turn < len(numbers)]
        return [joined[number] for number in order] if isinstance(joined, list) else cut(joined, order)


DISTRIBUTIONS = {"b": Map, "r": RoundRobinMap}
