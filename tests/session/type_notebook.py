"""Runs a notebook as Jupyter does, and says what its cells show otherwise than they have it: type_notebook.py FILE."""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from docblocks import is_shown


def shown(cell):
    """The texts of a cell's results and of what it printed."""
    return "\n".join(output.get("text") or output.get("data", {}).get("text/plain", "") for output in cell["outputs"])


kept = nbformat.read(sys.argv[1], as_version=4)
run = NotebookClient(nbformat.read(sys.argv[1], as_version=4), kernel_name="python3", timeout=60).execute()
for old, new in zip(kept.cells, run.cells):
    if old.cell_type == "code" and old.outputs and not is_shown(shown(old), shown(new)):
        print(f"{old.source}\n\nshows\n\n{shown(new)}\n\nand not\n\n{shown(old)}")
