"""The code that stands in a Markdown file: its fenced and indented blocks, and what a comment before a block says of it.

A comment in the line before a block is for tests, as a reader of the page does not see it:

    <!-- not run: WHY -->      a block that needs what a test has not
    <!-- tested by: PATH -->   this file of the sources runs it
    <!-- file: NAME -->        the block is what a file holds, in the folder of the section's commands or, with ~/, at home
    <!-- prepare: COMMAND -->  what makes the files that a reader has and a test has not; may stand there several times
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

HEADING = re.compile(r"#+ (.*)")
FENCE = re.compile(r"```(\w*)$")
DIRECTIVE = re.compile(
    r"```\{(toctree|manual|settings|metrics|header|notebook|glossary|eval-rst)\}.*$"
)  # of the site: it shows no code
NOTE = re.compile(r"<!-- (not run|tested by|file|prepare): (.*) -->$")
ITEM = re.compile(r" *([-*]|\d+\.) ")
OTHER = re.compile(r" *(~~~|<pre|<code|>|\t)")  # other ways to set code, or to hide it in a quotation
PROMPT = re.compile(r"\$ |In \[\d+\]: ")


@dataclass
class Block:
    document: Path
    section: str
    line: int  # of its first line of code
    kind: str  # the fence's word; of an indented one "sh" or "ipython", by its prompts, or ""
    text: str = ""
    notes: dict = field(default_factory=dict)  # the comments before it: lists of texts

    def __str__(self):
        return f"{self.document.name}:{self.line}"

    def note(self, name):
        return self.notes.get(name, [None])[0]

    @property
    def commands(self):
        """Pairs of what is typed at a shell's prompt and what is shown then."""
        return [(typed, shown) for prompt, typed, shown in self._dialogue() if prompt == "$ "]

    @property
    def inputs(self):
        """Likewise of what is typed into IPython."""
        return [(typed, shown) for prompt, typed, shown in self._dialogue() if prompt != "$ "]

    def _dialogue(self):
        turns = []
        for line in self.text.splitlines():
            prompt = PROMPT.match(line)
            if prompt:
                turns.append([prompt.group(), line[prompt.end() :], ""])
            elif not turns:
                raise AssertionError(f"{self}: {line!r} stands before the first prompt")
            elif turns[-1][1].endswith("\\") and not turns[-1][2]:
                turns[-1][1] += "\n" + line
            else:
                turns[-1][2] += line + "\n"
        return turns


class _Reader:
    def __init__(self, document):
        self.document = document
        self.section = ""
        self.notes = {}
        self.blocks = []
        self.block = None  # whose lines are being read
        self.fenced = False
        self.in_directive = False
        self.in_list = False
        self.after_blank = True

    def begin(self, number, kind, fenced):
        self.block = Block(self.document, self.section, number, kind, notes=self.notes)
        self.blocks.append(self.block)
        self.notes, self.fenced = {}, fenced

    def end(self):
        self.block.text = self.block.text.rstrip("\n") + "\n"
        prompts = {prompt.group()[0] for prompt in map(PROMPT.match, self.block.text.splitlines()) if prompt}
        if not self.fenced and prompts:
            self.block.kind = "ipython" if "I" in prompts else "sh"
        self.block = None

    def read(self, number, line):
        if self.in_directive or DIRECTIVE.match(line):
            self.in_directive = line != "```"
            return
        if self.block and self.fenced:
            if line == "```":
                self.end()
            else:
                self.block.text += line + "\n"
            return
        if self.block and (line.startswith("    ") or not line):
            self.block.text += line[4:] + "\n"
            return
        if self.block:
            self.end()
        self.read_text(number, line)
        self.after_blank = not line or bool(self.notes)

    def read_text(self, number, line):
        note, fence, heading = NOTE.match(line), FENCE.match(line), HEADING.match(line)
        if OTHER.match(line) or ("```" in line and not fence):
            raise AssertionError(
                f"{self.document}:{number}: code stands behind ``` in a line of its own, at its beginning, or is indented by spaces"
            )
        if fence:
            self.begin(number + 1, fence.group(1), True)
        elif note:
            self.notes.setdefault(note.group(1), []).append(note.group(2))
        elif line.startswith("    ") and self.in_list and PROMPT.match(line.strip()):
            raise AssertionError(f"{self.document}:{number}: code has no place in a list: put it behind")
        elif line.startswith("    ") and self.after_blank and not self.in_list:
            self.begin(number, "", False)
            self.block.text = line[4:] + "\n"
        elif line and self.notes:
            raise AssertionError(f"{self.document}:{number}: a comment for tests stands before no block")
        if heading:
            self.section = heading.group(1)
        if ITEM.match(line):
            self.in_list = True
        elif line and self.after_blank and not line.startswith(" "):
            self.in_list = False


def blocks(document):
    """All blocks of a file, in their order."""
    reader = _Reader(document)
    for number, line in enumerate([*document.read_text().splitlines(), ""], 1):
        reader.read(number, line.rstrip())
    if reader.block and reader.fenced:
        raise AssertionError(f"{reader.block}: it has no end")
    if reader.block:
        reader.end()
    return reader.blocks


def sections(document):
    """The blocks by the heading that they stand under."""
    found = {}
    for block in blocks(document):
        found.setdefault(block.section, []).append(block)
    return found


def troubles(document):
    """What programs print, by a page's table of "you see" and "what helps": a text for each row."""
    rows = document.read_text().partition("| you see | what helps |\n|---|---|\n")[2].partition("\n\n")[0].splitlines()
    return [re.match(r"\| `([^`]*)` \|", row).group(1) for row in rows]


def is_shown(expected, shown):
    """Whether what a page shows is what came: "..." stands for anything, and white space does not count."""
    parts = [re.escape("".join(part.split())) for part in expected.split("...")]
    return re.search(".*".join(parts), "".join(shown.split()), re.DOTALL) is not None
