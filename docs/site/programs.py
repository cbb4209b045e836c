"""Directives that show what programs say of themselves: their manual pages, which they write from the tables of their options.

    ```{manual} ipcluster start       its usage, options with short names, exit status and examples
    ```{metrics} ipcontroller         what it counts
    ```{settings} ipcontroller        every setting, a class at a time, but those that the page has already
"""

import itertools
import os
import re
import subprocess
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive

WHERE = {"ipcluster": "core/cluster", "ipcontroller": "core/controller", "ipengine": "core/engine"}


def read(command):
    """A program's manual page: the parts by title, each a list of blocks ("text", lines), ("as it is", lines) or ("item", terms, text)."""
    name, *words = command.split()
    program = Path(os.environ["IPCLUSTER_BUILD"]) / WHERE[name] / name
    roff = subprocess.run([program, *words, "--help-man"], check=True, capture_output=True, text=True).stdout
    parts, blocks, kind = {}, None, "text"
    for line in roff.splitlines():
        macro, _, rest = line.partition(" ")
        rest = plain(rest)
        if macro in (".SH", ".SS"):
            blocks = parts.setdefault(rest, [])
            kind = "text"
        elif macro in (".TP", ".TQ"):
            if macro == ".TP":
                blocks.append(("item", [], []))
            kind = "term"
        elif macro == ".nf":
            blocks.append(("as it is", []))
            kind = "as it is"
        elif macro in (".fi", ".PP"):
            kind = "text"
            blocks.append(("text", []))
        elif macro in (".TH", ".BR"):
            pass
        elif kind == "term":
            blocks[-1][1].append(rest if macro == ".B" else plain(line))
            kind = "item"
        elif kind == "item":
            blocks[-1][2].append(plain(line))
        else:
            if not blocks or blocks[-1][0] != kind:
                blocks.append((kind, []))
            blocks[-1][1].append(plain(line))
    return parts


def plain(text):
    return text.removeprefix("\\&").replace("\\-", "-").replace("\\e", "\\")


def paragraph(lines):
    """Text in which what stands between backticks is code."""
    parts = re.split("`([^`]*)`", " ".join(lines))
    return nodes.paragraph(
        "", "", *(nodes.literal(text=part) if number % 2 else nodes.Text(part) for number, part in enumerate(parts))
    )


def shown(blocks):
    """The nodes of blocks."""
    found = []
    for kind, *rest in blocks:
        if kind == "item":
            if not found or not isinstance(found[-1], nodes.definition_list):
                found.append(nodes.definition_list())
            terms, text = rest
            found[-1] += item(terms[0].split(", ") if terms[0].startswith("-") else terms, text)
        elif rest[0]:
            text = "\n".join(rest[0])
            found.append(paragraph(rest[0]) if kind == "text" else nodes.literal_block(text, text, language="text"))
    return found


def item(terms, text):
    term = nodes.term()
    for number, name in enumerate(terms):
        term += [nodes.Text(", ")] * bool(number) + [nodes.literal(text=name)]
    return nodes.definition_list_item("", term, nodes.definition("", paragraph(text)))


class Manual(Directive):
    required_arguments = 1
    final_argument_whitespace = True

    def run(self):
        parts = read(self.arguments[0])
        usage = parts["SYNOPSIS"][0][1][0]
        found = shown(parts["DESCRIPTION"]) + [nodes.literal_block(usage, usage, language="text")]
        options = nodes.definition_list()
        for kind, *rest in itertools.chain.from_iterable(parts.values()):
            terms = rest[0][0].split(", ") if kind == "item" else [""]
            if re.match(r"--[A-Z]\w*\.", terms[0]):  # a setting, which has a short name or not
                del terms[0]
            if terms and terms[0].startswith("-"):
                options += item(terms, rest[1])
        found += [nodes.rubric(text="Options"), options]
        for title, heading in ("EXIT STATUS", "Exit status"), ("EXAMPLES", "Examples"):
            if title in parts:
                found += [nodes.rubric(text=heading), *shown(parts[title])]
        return found


class Settings(Directive):
    required_arguments = 1
    final_argument_whitespace = True

    def run(self):
        document = self.state.document
        known = document.settings.env.temp_data.setdefault("settings", set())
        found = []
        for title, blocks in read(self.arguments[0]).items():
            new = [block for block in blocks if block[0] == "item" and block[1][0] not in known]
            if title.isupper() or not new:
                continue
            known.update(block[1][0] for block in new)
            section = nodes.section("", nodes.title(text=title), *shown(new), names=[nodes.fully_normalize_name(title)])
            document.note_implicit_target(section)
            found.append(section)
        return found


class Metrics(Directive):
    required_arguments = 1

    def run(self):
        return shown(read(self.arguments[0])["METRICS"])


def setup(app):
    app.add_directive("metrics", Metrics)
    app.add_directive("manual", Manual)
    app.add_directive("settings", Settings)
    return {"parallel_read_safe": True}
