"""What the benchmark does with what it has measured: no measurement, which would depend on the machine."""

import json
import sys

from support import TOP

sys.path.insert(0, str(TOP / "tests/bench"))

import counts


def test_a_path_that_takes_more_instructions_than_are_kept_is_named(capsys):
    kept = {"engine: a task": 1000, "controller: a task": 1000, "client: a task": 1000}
    wrong, better = counts.compare(kept, {"engine: a task": 1020, "controller: a task": 1040, "client: a task": 1000})
    assert wrong == ["controller: a task takes 1,040 instructions, 4.0% more than the 1,000 that are kept."]
    assert not better
    assert "1.040" in capsys.readouterr().out
    assert counts.compare(kept, {**kept, "engine: a task": 900}) == ([], True)


def test_a_path_that_is_not_kept_or_not_counted_is_named():
    wrong, _ = counts.compare({"gone": 1, "both": 1}, {"both": 1, "new": 1})
    assert wrong == ["gone is kept, and was not counted.", "new is not kept."]


def test_every_path_is_kept():
    kept = json.loads(counts.KEPT.read_text())["instructions"]
    names = [f"{way.program}: {way.name}" for way in counts.WAYS]
    assert list(kept) == [each for name in names for each in (name, f"{name}, libcrypto")]


def test_instructions_count_once_and_those_of_libcrypto_apart(tmp_path):
    file = tmp_path / "1.1"
    file.write_text(
        "events: Ir\nob=/usr/bin/program\nfl=???\nfn=main\n0 7\ncob=/usr/lib/libcrypto.so.3\ncfn=hash\ncalls=2 0\n0 50\n0 3\n"
        "\nob=/usr/lib/libcrypto.so.3\nfl=???\nfn=hash\n0 40\n+3 10\n\ntotals: 60\n"
    )
    assert counts.read_counts(file) == (10, 50)
