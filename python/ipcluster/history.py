"""The msg_ids of earlier requests, as clients and views remember them."""

KEPT = 100_000


class History(list):
    """The newest is the last. The oldest are forgotten, many at a time, so that the cost stays the same however long a program runs."""

    def note(self, msg_ids):
        self += msg_ids
        if len(self) > 2 * KEPT:
            del self[:-KEPT]
