"""The engines of a cluster, and what each told about itself when it registered."""

import json
from collections import Counter
from html import escape
from itertools import islice
from typing import NamedTuple, Optional

ROWS_MAX = 100  # of a table in a notebook
HOSTS_MAX = 8  # that are named; if there are more, only their number is shown
_names = {"python": "language_version", "set": "engine_set", "version": "implementation_version"}


class Engine(NamedTuple):
    """One engine. What it did not tell is None; ipyparallel's engines tell nothing."""

    id: int
    uuid: str
    host: Optional[str] = None
    pid: Optional[int] = None
    rank: Optional[int] = None  # in MPI_COMM_WORLD, if it has MPI
    python: Optional[str] = None  # its Python's version
    executable: Optional[str] = None  # and its path: sys.executable
    set: Optional[str] = None  # the set of engines that ipcluster started it in
    job: Optional[str] = None  # the batch job that it is in: "Slurm job 88"
    version: Optional[str] = None  # ipcluster's


def _engine(number, uuid, text):
    said = json.loads(text)
    return Engine(number, uuid, *(said.get(_names.get(name, name)) for name in Engine._fields[2:]))


class Engines(dict):
    """The engines that were registered when this was made, a dict by id. Shown, it is the number of engines on each host, and their Python.

    Args:
        connection: of the client, which makes it.
    """

    def __init__(self, connection):
        super().__init__(
            (number, _engine(number, uuid, connection.engine_info(number))) for number, uuid in connection.engines()
        )

    def summary(self, ids=None):
        """What is shown about engines: "8 engines: 4 on node1, 4 on node2; Python 3.11.2".

        Args:
            ids (list): of which engines; by default all.
        Returns:
            str: the text.
        Example:
            >>> c.engines.summary([0, 1])[:9]
            '2 engines'
        """
        chosen = list(self.values()) if ids is None else [self[number] for number in ids if number in self]
        hosts = Counter(engine.host for engine in chosen if engine.host)
        pythons = {engine.python for engine in chosen if engine.python}
        text = f"{len(chosen)} engine{'' if len(chosen) == 1 else 's'}"
        if len(hosts) > HOSTS_MAX:
            text += f" on {len(hosts)} hosts"
        elif list(hosts.values()) == [len(chosen)]:
            text += f" on {next(iter(hosts))}"
        elif hosts:
            text += ": " + ", ".join(f"{number} on {host}" for host, number in sorted(hosts.items()))
        return text + (f"; Python {', '.join(sorted(pythons))}" if pythons else "")

    def __repr__(self):
        return self.summary()

    def _repr_html_(self):
        head = "".join(f"<th>{name}</th>" for name in Engine._fields)
        rows = [
            "".join(f"<td>{'' if value is None else escape(str(value))}</td>" for value in engine)
            for engine in islice(self.values(), ROWS_MAX)
        ]
        more = (
            f"<tr><td colspan='{len(Engine._fields)}'>and {len(self) - len(rows)} more</td></tr>"
            if len(self) > len(rows)
            else ""
        )
        return (
            f"{escape(self.summary())}<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}{more}</table>"
        )
