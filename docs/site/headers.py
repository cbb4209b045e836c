"""A directive that shows an installed header: each declaration as it is, and below it what its comment says.

    ```{header} client.h
    ```
"""

import re
import textwrap
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx import addnodes

from programs import paragraph

HEADERS = Path(__file__).parents[2] / "core/include/ipcluster"
# What is for compilers alone: guards, and what makes a header serve C++.
COMPILERS = re.compile(
    r'#(ifndef|ifdef|if|else|endif|include|pragma)\b.*|#define IPCLUSTER_\w+_H|extern "C" \{|\}|__attribute__.*'
)
DECLARED = re.compile(
    r"^(?:#define |(?:struct|enum) (?=ipcl_\w+ \{)|(?:[\w*]+ +\**)*\**(?=ipcl_\w+\())(ipcl_\w+|IPCL_\w+)", re.MULTILINE
)


def items(text):
    """Pairs of a comment and the declarations that it stands before; either may be missing."""
    told, code, depth, in_comment = [], [], 0, False
    for line in [*text.splitlines(), ""]:
        begins = not depth and line.startswith("/*")
        if (begins or not line and not depth) and not in_comment and (told or code):
            yield "\n".join(told), "\n".join(code)
            told, code = [], []
        if begins or in_comment:
            told.append(re.sub(r"^(/\*| \*/?) ?|\s*\*/$", "", line))
            in_comment = not line.endswith("*/")
        elif line and (depth or not COMPILERS.fullmatch(line)):
            code.append(line)
            depth += line.count("{") - line.count("}")


def paragraphs(told):
    for part in re.split(r"\n\n+", told.strip()):
        if part.startswith("    "):
            code = textwrap.dedent(part)
            yield nodes.literal_block(code, code, language="c")
        elif part:
            yield paragraph(part.split())


class Header(Directive):
    required_arguments = 1

    def run(self):
        path = HEADERS / self.arguments[0]
        self.state.document.settings.env.note_dependency(str(path))
        found = []
        for told, code in items(path.read_text()):
            if code:
                names = DECLARED.findall(code)
                index = addnodes.index(entries=[("single", f"{name} (C)", f"c.{name}", "", None) for name in names])
                found += [index, nodes.literal_block(code, code, language="c", ids=[f"c.{name}" for name in names])]
            told = list(paragraphs(told))
            found += [nodes.block_quote("", *told)] if code and told else told
        return found


def setup(app):
    app.add_directive("header", Header)
    return {"parallel_read_safe": True}
