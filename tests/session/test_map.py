"""What the map (docs/explanation/architecture.md) and the other pages about the sources say is compared with the sources."""

import collections
import re
import subprocess
from pathlib import Path

import framing
from support import TOP, find_build

MAP = TOP / "docs/explanation/architecture.md"
SOURCES = [
    path
    for folder in ("core", "plugins", "python")
    for path in sorted((TOP / folder).rglob("*.*"))
    if path.suffix in (".c", ".h", ".py", ".sh")
]


def map_section(heading):
    return re.search(rf"^## {heading}\n(.*?)^## ", MAP.read_text(), re.DOTALL | re.MULTILINE).group(1)


def map_folder(path):
    """The row of the map that a file of core/ belongs to: its folder."""
    return str(path.parent.relative_to(TOP / "core"))


def arrows_of_the_sources():
    """By each folder of core/ those whose headers its files include."""
    arrows = {}
    for path in SOURCES:
        if path.is_relative_to(TOP / "core/include") or path.suffix not in (".c", ".h"):
            continue
        if not path.is_relative_to(TOP / "core"):
            continue
        own = arrows.setdefault(map_folder(path), set())
        for name in re.findall(r'^#include "([^"]+)"', path.read_text(), re.MULTILINE):
            header = TOP / "core" / name
            if header.exists():  # or the build has made it
                own.add(map_folder(header))
    return {folder: others - {folder} for folder, others in arrows.items()}


def test_the_maps_arrows_are_the_includes_and_run_one_way():
    rows = re.findall(
        r"^\| `([a-z/]+)` \| [^|]+ \| ?([^|]*)\|$", map_section("What each folder may include"), re.MULTILINE
    )
    drawn = {folder: set(re.findall(r"`([a-z/]+)`", others)) for folder, others in rows}
    there = arrows_of_the_sources()
    wrong = [
        f"core/{folder} includes {sorted(there.get(folder, []))}, and the map says {sorted(drawn.get(folder, []))}"
        for folder in sorted(drawn.keys() | there.keys())
        if drawn.get(folder) != there.get(folder)
    ]
    assert not wrong, "\n".join(wrong)
    above = set()
    for folder, _ in rows:
        assert drawn[folder] <= above, f"core/{folder} includes what stands below it: {drawn[folder] - above}"
        above.add(folder)


def calls_of_the_objects(build):
    """By each C file of the programs and plugins, without its suffix, those whose functions and variables it uses: as the objects have it."""
    objects = {}
    for path in SOURCES:
        own = path.relative_to(TOP).with_suffix("")
        for folder in (build / own.parent, build / own.parent / ".libs"):
            for made in (folder / f"{own.name}.o", *folder.glob(f"*-{own.name}.o")):
                if path.suffix == ".c" and made.exists():
                    objects[str(made)] = str(own)
    defined, used = collections.defaultdict(set), collections.defaultdict(set)
    for line in subprocess.run(["nm", "-A", *objects], check=True, capture_output=True, text=True).stdout.splitlines():
        made, symbol = line.split(":", 1)
        kind, name = symbol.split()[-2:]
        if kind == "U":
            used[objects[made]].add(name)
        elif kind in "TDBR":
            defined[name].add(objects[made])
    # close() of the gate stands in front of the C library's: its callers mean that.
    one = {name: next(iter(owners)) for name, owners in defined.items() if len(owners) == 1 and name != "close"}
    return {own: {one[name] for name in names if name in one} - {own} for own, names in used.items()}


def circles_of(calls):
    """The groups whose members reach each other."""

    def reached(own):
        found, left = set(), [own]
        while left:
            for other in calls.get(left.pop(), ()):
                if other not in found:
                    found.add(other)
                    left.append(other)
        return found

    reach = {own: reached(own) for own in calls}
    return {
        frozenset(other for other in reach[own] if own in reach.get(other, ())) for own in calls if own in reach[own]
    }


def test_files_call_each_other_only_where_the_map_says_why():
    calls = calls_of_the_objects(find_build())
    assert len(calls) > 200 and "core/controller/hub/hub_tell" in calls["core/controller/hub/hub_ends"]
    rows = re.findall(r"^\| `([a-z/]+)` \| (`.+?`) \| \w", map_section("Files that call each other"), re.MULTILINE)
    named = {frozenset(f"{folder}/{name}" for name in re.findall(r"`(\w+)`", files)) for folder, files in rows}
    assert len(named) == len(rows) > 0
    found = circles_of(calls)
    assert (
        found == named
    ), f"not in the map: {[sorted(c) for c in found - named]}; no more: {[sorted(c) for c in named - found]}"


def test_only_core_wire_knows_where_a_part_of_a_message_is():
    knows = re.compile(r"\bframes\[|message(?:->|\.)(?:frames|count|delimiter)\b|MESSAGE_(?:DELIMITER|FRAMES)")
    found = [
        f"{path.relative_to(TOP)}: {line.strip()}"
        for path in SOURCES
        if path.suffix in (".c", ".h") and not path.is_relative_to(TOP / "core/wire")
        for line in path.read_text().splitlines()
        if knows.search(line)
    ]
    assert not found, "\n".join(found)


def test_only_one_file_of_the_tests_knows_where_a_part_of_a_message_is():
    knows = re.compile(r"IDS\|MSG|index\(.*DELIMITER|\bframes\[-?\d")
    own = {TOP / "tests/framing.py", Path(__file__)}
    found = [
        f"{path.relative_to(TOP)}: {line.strip()}"
        for path in sorted((TOP / "tests").rglob("*.py"))
        if path not in own
        for line in path.read_text().splitlines()
        if knows.search(line)
    ]
    assert not found, "\n".join(found)


def test_the_parts_of_a_message_are_drawn_and_tested_in_the_order_of_the_decoder():
    decoder = (TOP / "core/wire/message.h").read_text()
    names = re.search(r"enum message_part \{(.*?)MESSAGE_PARTS", decoder, re.DOTALL).group(1)
    parts = [name.lower() for name in re.findall(r"MESSAGE_(\w+),", names)]
    assert len(parts) >= 5
    assert list(framing.PARTS) == parts, "tests/framing.py"
    page = (TOP / "docs/reference/wire.md").read_text()
    drawings = re.findall(r"<IDS.MSG> *\| (.* content.*)|\| delimiter \| (.*)", page)
    assert len(drawings) == 3, "the message, output and notifications"
    for drawing in map("".join, drawings):
        drawn = [name.removesuffix("_header") for name in re.findall(r"\w+", drawing) if name != "buffers"]
        assert drawn == parts, f"docs/reference/wire.md: {drawing}"


def test_functions_and_files_that_pages_name_are_there():
    pages = [MAP, TOP / "docs/reference/wire.md", TOP / "docs/reference/files.md"]
    text = "\n".join(page.read_text() for page in pages)
    named = set(re.findall(r"`(?:[\w.]+\.)?(\w+)\(\)`", text))
    defined = set()
    for path in SOURCES:
        defined.update(re.findall(r"^(?:[a-z][\w *]*?[ *])?(\w+)\(", path.read_text(), re.MULTILINE))
        defined.update(re.findall(r"^ *(?:async )?def (\w+)\(", path.read_text(), re.MULTILINE))
    assert len(named) > 80
    assert not named - defined, "these are named and are not there"
    files = set(re.findall(r"`((?:core|plugins|tests|python|scripts|docs|debian)/[\w./]*)`", text))
    bases = set(re.findall(r"`([a-z]\w*\.(?:c|h|py))`", text)) - {path.name for path in SOURCES}
    tests = {path.name for path in (TOP / "tests").rglob("*.*")}
    gone = [name for name in files if "NAME" not in name and not (TOP / name).exists()] + sorted(bases - tests)
    assert not gone, "these are named and are not there"


def test_each_test_that_the_threat_model_names_is_there():
    named = set(
        re.findall(r"`(?:\w+\.py::)?((?:test_)?[a-z_]{12,})`", (TOP / "docs/explanation/threats.md").read_text())
    )
    defined = set()
    for path in (TOP / "tests").rglob("*.[pc]*"):
        if path.suffix in (".py", ".c"):
            defined.update(re.findall(r"^(?:def |Test\(\w+, )(\w+)", path.read_text(), re.MULTILINE))
    assert len(named) > 80
    assert not named - defined, "these are named and are not there"
