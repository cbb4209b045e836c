"""The msg_ids of earlier requests, as clients and views remember them."""

KEPT = 100_000


class History(list):
    """The newest last. Of the oldest some are forgotten at a time, so that remembering costs the same however long a program runs."""

    def note(self, msg_ids):
        self += msg_ids
        if len(self) > 2 * KEPT:
            del self[:-KEPT]
