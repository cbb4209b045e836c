"""A directive that shows a notebook: its text, its code, and what that has shown.

    ```{notebook} sum.ipynb
    ```
"""

import json
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList


class Notebook(Directive):
    required_arguments = 1

    def run(self):
        page, _ = self.state_machine.get_source_and_line(self.lineno)
        path = Path(page).parent / self.arguments[0]
        self.state.document.settings.env.note_dependency(str(path))
        found = nodes.Element()
        for cell in json.loads(path.read_text())["cells"]:
            source = "".join(cell["source"])
            if cell["cell_type"] == "markdown":
                self.state.nested_parse(StringList(source.splitlines(), str(path)), 0, found)
                continue
            found += nodes.literal_block(
                source, source, language="text" if source.startswith("%") else "python", classes=["input"]
            )
            for output in cell["outputs"]:
                text = "".join(output.get("text") or output["data"]["text/plain"])
                found += nodes.literal_block(text, text, language="text", classes=["output"])
        return found.children


def setup(app):
    app.add_directive("notebook", Notebook)
    return {"parallel_read_safe": True}
