"""What the commands of batch systems print, a file for each system in batch/. It has parts that begin with "== NAME", or with "== NAME:
COMMAND", where COMMAND printed the part.

Names are those of the samples that `ipcluster plugins check` reads. `query-runs` and `query-ended`, or `history-ended`, are of the job whose
`submit` it is; `cancel` ends it, and `run`, if there is such a command, starts programs in it. "== job: HOW IT IS CALLED" has the variables of
its environment, and "== found" all that the table is to read in the samples."""

import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "batch"
SAMPLES = "submit", "refused", "query", "history", "unknown", "unreachable"


class Samples:
    def __init__(self, system):
        _, *parts = re.split(r"^== ([\w-]+)(?:: (.+))?\n", (FOLDER / f"{system}.txt").read_text(), flags=re.MULTILINE)
        self.text = dict(zip(parts[0::3], parts[2::3], strict=True))
        behind = {name: words for name, words in zip(parts[0::3], parts[1::3], strict=True) if words}
        self.job = behind.pop("job")
        self.env = dict(line.split("=", 1) for line in self.text["job"].splitlines())
        self.roles = {tuple(words.split()): name.partition("-")[0] for name, words in behind.items()}

    def write(self, folder):
        """Each sample as a file."""
        for name, text in self.text.items():
            if name.partition("-")[0] in SAMPLES:
                folder.joinpath(name).write_text(text)
