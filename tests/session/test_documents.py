"""Every block of code in README.md, CONTRIBUTING.md, the README.md of folders of tests, and docs/ is run, as a reader types it who reads a
section from its beginning: with the programs and headers that `make install` has installed, in a home of its own."""

import collections
import json
import os
import re
import shlex
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import docblocks
from support import OVERSUBSCRIBE, PYTHON, TOP, find_build

FOR_CONTRIBUTORS = [TOP / "CONTRIBUTING.md", *sorted((TOP / "tests").glob("*/README.md"))]
DOCUMENTS = [TOP / "README.md", *FOR_CONTRIBUTORS, *sorted((TOP / "docs").rglob("*.md"))]
KINDS = {"python", "ipython", "sh", "json", "c"}
# How many blocks no test can run. Each has its reason in the page.
NOT_RUN = {
    "README.md": 2,
    "CONTRIBUTING.md": 3,
    "tests/fuzz/README.md": 2,
    "tests/interop/README.md": 1,
    "docs/howto/frontends.md": 1,
    "docs/howto/laptop.md": 1,
    "docs/howto/monitoring.md": 3,
    "docs/reference/wire.md": 9,
    "docs/reference/files.md": 1,
    "docs/explanation/architecture.md": 1,
}

# Programs that stay until they are interrupted: what they print when they are ready.
STAYS = [
    (r"ipcluster start\b(?!.*(--daemonize|--dry-run))", "The cluster is up"),
    (r"ipcluster engines\b(?!.*(--daemonize|--dry-run))", "more engines? (is|are) up"),
    (r"ipcontroller\b(?! --help)", "connection files: "),
    (r"(mpiexec .*)?ipengine\b(?! --help)", "registered as engine"),
]
# A block's commands are one script of Bash. A program that stays has a terminal of its own. It is interrupted when the same program is
# typed again, and at the end. It has to end well (mpiexec ends with 1 if it is interrupted).
SCRIPT = """
set -m
declare -A staying
wrong=0
interrupt() {
    [ "${staying[$1]}" ] || return
    signal=INT
    [ $1 != ipengine ] || signal=TERM  # SIGINT is for what runs in it
    kill -$signal -- -${staying[$1]} 2>/dev/null
    wait ${staying[$1]} || [ $1 = mpiexec ] || { echo "$1 ended with $?"; wrong=1; }
    unset "staying[$1]"
}
interrupt_all() {
    for each in "${!staying[@]}"; do [ $each = ipcontroller ] || interrupt $each; done
    interrupt ipcontroller
    exit $wrong
}
trap interrupt_all EXIT
await() {
    until [ $(grep -cE "$2" $1.out) -ge $3 ]; do
        kill -0 $! 2>/dev/null || { echo "$1.out: it has ended"; wrong=1; exit; }
        sleep 0.05
    done
}
"""


def is_tutorial(document):
    return document.parent.name == "tutorial"


def sections():
    return [
        pytest.param(blocks, id=f"{document.name}: {heading}")
        for document in DOCUMENTS
        if not is_tutorial(document)
        for heading, blocks in docblocks.sections(document).items()
    ]


def ours(blocks, *kinds):
    """The blocks that this test runs."""
    return [
        block for block in blocks if block.kind in kinds and not block.notes.keys() & {"not run", "tested by", "file"}
    ]


def test_every_block_is_run_or_says_why_it_is_not():
    every = [block for document in DOCUMENTS for block in docblocks.blocks(document)]
    skipped = [block for block in every if block.note("not run")]
    strange = [
        f"{block}: what is {block.kind or 'this'}?"
        for block in every
        if block.kind not in KINDS and block not in skipped
    ]
    assert not strange, "\n".join(strange)
    counted = collections.Counter(str(block.document.relative_to(TOP)) for block in skipped)
    assert counted == NOT_RUN, "\n".join(f"{block}: {block.note('not run')}" for block in skipped)


def test_every_page_is_in_the_tarball():
    listed = set(re.findall(r"\bdocs/\S+", (TOP / "docs/local.mk").read_text()))
    there = {
        str(path.relative_to(TOP))
        for path in (TOP / "docs").rglob("*.*")
        if path.suffix in (".md", ".ipynb", ".py", ".css", ".svg")
    }
    assert there <= listed


def test_links_from_pages_outside_the_site_lead_somewhere():
    """Links of the site are checked when the site is made."""
    for page in TOP / "README.md", TOP / "SECURITY.md", TOP / "NEWS.md", *FOR_CONTRIBUTORS:
        for link in re.findall(r"\]\(([^):]+)\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page}: {link}"


def test_a_block_that_is_a_file_is_used_by_another_of_its_section():
    for document in DOCUMENTS:
        for blocks in docblocks.sections(document).values():
            for block in blocks:
                path = Path(block.note("file") or "")
                profile = path.parent.name.partition("profile_")[2]
                words = [path.name, f"--profile={profile} "]
                assert not path.name or any(
                    word in other.text for other in ours(blocks, *KINDS) for word in words
                ), f"{block}: nothing uses {path}"


def test_a_block_that_is_said_to_be_tested_elsewhere_is():
    for document in DOCUMENTS:
        for block in docblocks.blocks(document):
            test = block.note("tested by")
            assert not test or "docblocks" in (TOP / test).read_text(), f"{block}: {test} does not read it"


@pytest.mark.parametrize("blocks", sections())
def test_what_a_section_says_is_so(reader, blocks):
    reader.write_files(blocks)
    for block in ours(blocks, "json"):
        reader.use_settings(block)
    for block in ours(blocks, "c"):
        reader.compile(block)
    for block in ours(blocks, "sh"):
        reader.type_commands(block)
    reader.type_python(ours(blocks, "python", "ipython"))


@pytest.mark.parametrize("page", filter(is_tutorial, DOCUMENTS), ids=lambda page: page.name)
def test_a_tutorial_goes_as_it_says_from_its_beginning_to_its_end(reader, page):
    blocks = docblocks.blocks(page)
    reader.write_files(blocks)
    reader.type_all(ours(blocks, *KINDS))


def test_the_notebook_of_the_tutorial_shows_what_it_has(reader):
    said = reader.box.run(
        PYTHON, TOP / "tests/session/type_notebook.py", TOP / "docs/tutorial/sum.ipynb", timeout=100, check=True
    ).out
    assert not said, said


def test_commands_that_stand_in_sentences_have_options_that_there_are(reader):
    """Behind --help a program looks at its options and does nothing."""
    typed = {
        words
        for document in DOCUMENTS
        for words in re.findall(
            r"`(?:mpiexec [^`]* )?((?:ipcluster|ipcontroller|ipengine)(?: [^`]*)?)`", document.read_text()
        )
    }
    assert len(typed) > 20
    for words in typed:
        own, _, handed_on = words.removesuffix(" ...").partition(" -- ")
        if own != "ipcluster":
            reader.box.run(*shlex.split(own), "--help", check=True)
        if handed_on:
            reader.box.run("ipcontroller", *shlex.split(handed_on), "--help", check=True)


def test_commands_for_contributors_have_options_and_targets_that_there_are():
    """They would build and test for minutes and hours, so only their options and targets are checked."""
    typed = [
        shlex.split(command, comments=True)
        for document in FOR_CONTRIBUTORS
        for block in docblocks.blocks(document)
        for command, _ in (block.commands if block.kind == "sh" else ())
    ]
    assert len(typed) > 10
    for words in typed:
        words = [word for word in words if not re.match(r"\w+=", word)]
        if words[0] == "make":
            words[words.index("build")] = find_build()
            subprocess.run([*words, "-n"], check=True, stdout=subprocess.DEVNULL)
        elif words[0].startswith(("scripts/", "tests/")):
            assert os.access(TOP / words[0], os.X_OK), words
            told = (TOP / words[0]).read_text()
            assert all(word in told for word in words if word.startswith("--")), words
        assert all((TOP / word).exists() for word in words if re.match(r"(tests|scripts|docs)/", str(word))), words


def test_what_the_page_says_is_seen_where_something_does_not_start_is(box):
    sleeper = box.dir / "sleeper"
    sleeper.write_text("#!/bin/sh\nexec sleep 600\n")
    sleeper.chmod(0o755)
    start = [box.programs.ipcluster, "start", "--n=1"]
    seen = docblocks.troubles(TOP / "docs/howto/troubles.md")
    printed = [
        box.run(*command, python=command[0] == PYTHON).err
        for command in (
            [*start, "--EngineLauncher.engine_cmd=false"],
            [*start, "--Cluster.engine_timeout=1", f"--EngineLauncher.engine_cmd={sleeper}"],
            ["sh", "-c", '"$0" start --n=0 --daemonize >&2; "$0" start --n=0 >&2; "$0" stop', box.programs.ipcluster],
            [PYTHON, "-c", "import ipcluster; ipcluster.Client()"],
            [box.programs.ipengine, "--timeout=1"],
            [*start, "--elauncher=slrum"],
        )
    ]
    assert len(seen) == len(printed)
    for shown, text in zip(seen, printed):
        assert docblocks.is_shown(shown, text), (shown, text)


def test_every_public_name_of_the_package_says_what_it_takes_and_its_example_is_so(reader):
    reader.box.run(reader.box.programs.ipcluster, "start", "--n=4", "--daemonize", "--", "--dictdb", check=True)
    with ThreadPoolExecutor() as pool:  # they wait most of the time
        both = pool.map(
            lambda names: reader.box.run(
                PYTHON, TOP / "tests/session/type_docstrings.py", names, timeout=200, check=True
            ),
            ["clusters", "others"],
        )
        said = "".join(done.out for done in both)
    reader.box.run(reader.box.programs.ipcluster, "stop", check=True)
    assert not said, said


# Examples of --help, which are those of the manual pages too: what has to be there before one is typed.
BEFORE = {
    "ipcluster start --profile=mpi --n=4 --daemonize": ["ipcluster profile create mpi"],
    "ipcluster stop": ["ipcluster start --n=0 --daemonize"],
    "ipcluster stop --profile=mpi": ["ipcluster profile create mpi", "ipcluster start --n=0 --daemonize --profile=mpi"],
    "ipcluster stop --cluster-id=a": ["ipcluster start --n=0 --daemonize --cluster-id=a"],
    "ipcluster stop --engine=0,2-3": ["ipcluster start --n=4 --daemonize"],
    "ipcluster stop --engine-set=b": ["ipcluster engines --n=1 --engine-set=b --daemonize"],
    "ipcluster stop --all": ["ipcluster start --n=0 --daemonize", "ipcluster start --n=0 --daemonize --cluster-id=b"],
    "ipcluster engines --n=2": ["ipcluster start --n=0 --daemonize"],
    "ipcluster engines --profile=mpi --n=4 --engines=mpi --daemonize": [
        "ipcluster profile create mpi",
        "ipcluster start --n=0 --daemonize --profile=mpi",
    ],
    "ipcluster status": ["ipcluster start --n=0 --daemonize"],
    "ipcluster status --profile=mpi --cluster-id=a": [
        "ipcluster profile create mpi",
        "ipcluster start --n=0 --daemonize --profile=mpi --cluster-id=a",
    ],
    "ipcluster stats": ["ipcluster start --n=0 --daemonize"],
    "ipcluster logs": ["ipcluster start --n=2 --daemonize"],
    "ipcluster scale --n=6": ["ipcluster start --n=4 --daemonize"],
    "ipcluster signal INT": ["ipcluster start --n=1 --daemonize"],
    "ipcluster trace start": ["ipcluster start --n=1 --daemonize"],
    "IPCLUSTER_TRACE=~/trace ipcluster start --n=2 --daemonize": ["ipcluster stop"],
    "IPCLUSTER_TRACE=~/trace python3 program.py": ["echo pass >program.py"],
    "ipcluster restart 1": ["ipcluster start --n=4 --daemonize"],
    "ipcluster restart 0 2-3 --profile=mpi": [
        "ipcluster profile create mpi",
        "ipcluster start --n=4 --daemonize --profile=mpi",
    ],
    "ipcluster list --profile=mpi": ["ipcluster profile create mpi"],
    "ipcluster profile convert mpi": [
        "rm ~/.ipython/profile_mpi/*.json",
        "touch ~/.ipython/profile_mpi/ipcontroller_config.py",
    ],
    "ipcontroller --profile=mpi --cluster-id=b": ["ipcluster profile create mpi"],
    "ipengine": ["ipcluster start --n=0 --daemonize"],
    "ipengine --file=ipcontroller-engine.json": ["cp ~/.ipython/profile_default/security/ipcontroller-engine.json ."],
}
NOT_TYPED = {
    "ipcluster start --n=4 --elauncher=mpi --mpi=pytrilinos": "PyTrilinos is not packaged; test_psum_session.py has a stand-in",
    "ipcluster signal USR1 0 2-3": "it ends engines that have no handler for it; test_healing.py sends signals",
    "ipcluster stats --watch": "it shows what is counted until Ctrl-C; test_stats.py has it",
    "ipcluster stats --watch --interval=10 --json": "likewise",
    "ipcluster logs --follow": "it shows what is written until Ctrl-C; test_status.py has it",
}


@pytest.mark.parametrize(
    "program",
    [
        "ipcluster",
        *(
            f"ipcluster {command}"
            for command in (
                "start",
                "stop",
                "engines",
                "status",
                "stats",
                "logs",
                "restart",
                "scale",
                "signal",
                "trace",
                "list",
                "plugins",
                "profile",
            )
        ),
        "ipcontroller",
        "ipengine",
    ],
)
def test_what_help_gives_as_an_example_can_be_typed(reader, program):
    told = reader.box.run(*program.split(), "--help", check=True).out.partition("\nExamples:\n")[2].partition("\n\n")[0]
    examples = [re.split("  +", line.strip())[0] for line in told.splitlines()]
    assert examples, f"{program} --help gives none"
    for command in examples:
        if command not in NOT_TYPED:
            typed = "".join(f"$ {each}\n" for each in [*BEFORE.get(command, []), command])
            reader.type_commands(docblocks.Block(TOP / f"{program} --help", "Examples", 1, "sh", typed))
    for profile in "default", "mpi":
        reader.box.run("ipcluster", "stop", "--all", f"--profile={profile}")


@pytest.fixture
def reader(installed_sandbox):
    return Reader(installed_sandbox)


class Reader:
    """Somebody who types what a page says."""

    def __init__(self, box):
        self.box = box
        prefix = box.programs.ipcluster.parent.parent
        box.env.update(
            {
                "PKG_CONFIG_PATH": str(prefix / "lib/pkgconfig"),
                "LD_LIBRARY_PATH": str(prefix / "lib"),
                **OVERSUBSCRIBE,  # the reader has four cores
            }
        )
        (box.work / "build").symlink_to(prefix.parent)

    def write_files(self, blocks):
        for block in blocks:
            for command in block.notes.get("prepare", []):
                self.box.run("bash", "-c", command, check=True)
            name = block.note("file")
            if name:
                path = self.box.home / name[2:] if name.startswith("~/") else self.box.work / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block.text)

    def use_settings(self, block):
        """Writes a profile's file. One of the programs has to take all that is in it."""
        folder = self.box.profile_dir()
        folder.mkdir(exist_ok=True)
        taken = {}
        for program in ("ipcluster", "ipcontroller", "ipengine"):
            file = folder / f"{program}_config.json"
            file.write_text(block.text)
            words = ["list"] if program == "ipcluster" else []
            done = self.box.run(getattr(self.box.programs, program), *words, "--show-config")
            file.unlink()
            taken[program] = done.err or {
                name: value for name, value in json.loads(done.out).items() if name[0].isupper()
            }
        assert json.loads(block.text) in taken.values(), f"{block}: {taken}"

    def compile(self, block):
        (self.box.work / "block.c").write_text(block.text)
        flags = shlex.split(self.box.run("pkg-config", "--cflags", "ipcluster", check=True).out)
        self.box.run("gcc", "-std=c11", "-Wall", "-Wextra", "-Werror", *flags, "-fsyntax-only", "block.c", check=True)

    def type_commands(self, block):
        folder = self.box.dir / "typed"
        folder.mkdir()
        lines = [SCRIPT]
        for number, (command, _) in enumerate(block.commands):
            out = folder / str(number)
            stays = next((ready for pattern, ready in STAYS if re.match(pattern, command)), None)
            if stays:
                name = (
                    "ipcontroller" if command.startswith("ipcontroller") else command.split(" -")[0].replace(" ", "-")
                )
                count = re.search(r"mpiexec -n (\d+)", command)
                lines += [
                    f"interrupt {name}",
                    "{",
                    f"exec {command}",
                    f"}} >{out}.out 2>&1 &",
                    f"staying[{name}]=$!",
                    f"await {out} '{stays}' {count.group(1) if count else 1}",
                ]
            else:
                lines += [
                    "(exit $status)",
                    "{",
                    command,
                    f"}} >{out}.out 2>&1",
                    "status=$?",
                    f"echo $status >{out}.status",
                ]
        done = self.box.run("bash", "-c", "\n".join(lines), timeout=100)
        printed = [
            (folder / f"{number}.out").read_text() if (folder / f"{number}.out").exists() else "it was not run"
            for number in range(len(block.commands))
        ]
        said = f"{block}\n{done}\n" + "\n".join(
            f"$ {command}\n{text}" for (command, _), text in zip(block.commands, printed)
        )
        assert done.status == 0, said
        for number, (command, shown) in enumerate(block.commands):
            assert docblocks.is_shown(shown, printed[number]), said
            status = folder / f"{number}.status"
            asked = number + 1 < len(block.commands) and block.commands[number + 1][0].startswith("echo $?")
            assert asked or not status.exists() or status.read_text() == "0\n", said
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()

    def type_python(self, blocks):
        """In one interpreter, with a cluster of four engines that keeps records."""
        if not blocks:
            return
        ipcluster = self.box.programs.ipcluster
        self.box.run(ipcluster, "start", "--n=4", "--daemonize", "--", "--dictdb", check=True)
        self.type_all(blocks)
        self.box.run(ipcluster, "stop", check=True)

    def type_all(self, blocks):
        """Python in one interpreter, and between it commands."""
        work = self.box.dir / "blocks.json"
        work.write_text(
            json.dumps(
                [
                    {
                        "name": str(block.document),
                        "line": block.line,
                        "kind": block.kind,
                        "text": block.text,
                        "turns": [] if block.kind == "python" else block.inputs or block.commands,
                    }
                    for block in blocks
                ]
            )
        )
        self.box.run(PYTHON, TOP / "tests/session/type_blocks.py", work, timeout=100, check=True)


# The reading of pages


PAGE = """# Title

Text with `code`, and a list:

- an item

  its second part,
    - and one of its own.

Then a session:

    $ echo one \\
      two    # a remark
    one two

    In [1]: 1 + 1
    Out[1]: 2

## Section

<!-- file: a.py -->
<!-- not run: a reason -->
```python
a = 1

b = 2
```
"""


def test_blocks_are_found_as_a_reader_sees_them(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(PAGE)
    session, code = docblocks.blocks(page)
    assert (session.section, session.kind, session.line) == ("Title", "ipython", 12)
    assert session.inputs == [("1 + 1", "Out[1]: 2\n")]
    assert (code.section, code.kind, code.text, code.line) == ("Section", "python", "a = 1\n\nb = 2\n", 24)
    assert code.notes == {"file": ["a.py"], "not run": ["a reason"]}


@pytest.mark.parametrize(
    "text, reason",
    [
        ("- an item\n\n      $ command\n", "no place in a list"),
        ("- an item\n  ```python\n  a = 1\n  ```\n", "in a line of its own, at its beginning"),
        ("~~~\na = 1\n~~~\n", "code stands behind"),
        ("Text:\n\n\t$ command\n", "code stands behind"),
        ("```python\na = 1\n", "it has no end"),
        ("<!-- not run: why -->\nText.\n", "stands before no block"),
    ],
)
def test_a_page_that_would_hide_a_block_from_the_tests_is_an_error(tmp_path, text, reason):
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(AssertionError, match=reason):
        docblocks.blocks(page)


@pytest.mark.parametrize(
    "text",
    [
        "```python\nno_such_name\n```\n",
        "```python\n1 + 1   # 3\n```\n",
        "    In [1]: 1 + 1\n    Out[1]: 3\n",
        "    $ ipcluster no-such-command\n",
        "    $ echo one\n    two\n",
        "    $ ipengine --timeout=0.1\n",
        '```json\n{"IPController": {"no_such_setting": 1}}\n```\n',
        "```c\n#include <ipcluster/no_such_header.h>\n```\n",
    ],
)
def test_what_a_page_says_and_is_not_so_is_found(reader, tmp_path, text):
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(AssertionError):
        test_what_a_section_says_is_so(reader, docblocks.blocks(page))
    reader.box.run(reader.box.programs.ipcluster, "stop")
