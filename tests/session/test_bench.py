"""What the benchmark does with what it has measured: no time makes a test fail, because that would depend on the machine."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree

import pytest

from support import PYTHON, TOP, find_build, sanitizers

sys.path.insert(0, str(TOP / "tests/bench"))

import aims
import counts
import report
import scale


def test_a_path_that_takes_more_instructions_than_are_kept_is_named(capsys):
    kept = {"engine: a task": 1000, "controller: a task": 1000, "client: a task": 1000}
    wrong, better = counts.compare(kept, {"engine: a task": 1020, "controller: a task": 1040, "client: a task": 1000})
    assert wrong == ["controller: a task takes 1,040 instructions, 4.0% more than the 1,000 that are kept."]
    assert not better
    assert "1.040" in capsys.readouterr().out
    assert counts.compare(kept, {**kept, "engine: a task": 900}) == ([], True)
    crypto = "engine: a task, libcrypto"
    assert counts.compare({crypto: 1000}, {crypto: 1200}) == ([], False)
    assert len(counts.compare({crypto: 1000}, {crypto: 1400})[0]) == 1


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


MEASURED = {
    "date": "2026-11-30",
    "machine": "2 processors",
    "peers": {"4": {"Pool <of> few": {"noop_tasks": 22671.4, "100us_share": 0.5372, "1ms_share": 1.2, "rounds": 5},
                    "ipcluster, map": {"noop_tasks": 14132, "rounds": 5}, "no result": {"rounds": 5}}},
    "costs": {"tasks": {"2": {"map": {"rate": 18062, "client_cpu_us": 21.97, "controller_cpu_us": 28.6, "engine_cpu_us": 45.9}}}},
}  # fmt: skip


@pytest.fixture
def page(tmp_path):
    file = tmp_path / "performance.md"
    file.write_text("before\n<!-- measured: begin -->\nold\n<!-- measured: end -->\nbehind\n")
    (tmp_path / "bench.json").write_text(json.dumps(MEASURED))
    return file


def test_the_page_has_the_tables_of_what_was_measured_in_place_of_the_previous_ones(page):
    for _ in range(2):
        report.main(page.with_name("bench.json"), page.parent)
        text = page.read_text()
        assert text.startswith("before\n") and text.endswith("behind\n") and "old" not in text
        assert text.count("Measured on 2026-11-30 on 2 processors.") == 1
        assert "| Pool <of> few | 22671 | 53.7% | 120.0% | - |" in text
        assert "| map | 18062 | - | client | 22.0 | - | - | - |\n|  | - | - | controller | 28.6 |" in text


def test_the_picture_has_a_bar_for_each_peer_that_was_measured_and_a_line_for_its_shares(page):
    report.main(page.with_name("bench.json"), page.parent)
    svg = "{http://www.w3.org/2000/svg}"
    picture = xml.etree.ElementTree.parse(page.with_suffix(".svg")).getroot()
    texts = [each.text for each in picture.iter(f"{svg}text")]
    assert {"Pool <of> few", "ipcluster, map", "22,671", "14,132"} <= set(texts) and "no result" not in texts
    bars = {rect.get("fill"): float(rect.get("width")) for rect in picture.iter(f"{svg}rect") if rect.get("y")}
    first, second = bars.values()
    assert first > second > 0
    colour = next(iter(bars))
    lines = [each for each in picture.iter(f"{svg}polyline") if each.get("stroke") == colour]
    assert len(lines) == 1 and len(lines[0].get("points").split()) == 2


def test_what_was_not_measured_has_no_table(page):
    page.with_name("bench.json").write_text(
        json.dumps({**MEASURED, "costs": {"tasks": {}, "failed": "why"}, "peers": {}})
    )
    report.main(page.with_name("bench.json"), page.parent)
    assert "Measured on" in page.read_text() and "|" not in page.read_text()


def test_a_page_without_a_place_for_tables_is_left_as_it_is(page):
    page.write_text("no comments\n")
    with pytest.raises(SystemExit, match="performance.md has no comments"):
        report.main(page.with_name("bench.json"), page.parent)
    assert page.read_text() == "no comments\n"


def test_the_forecast_has_the_busiest_thread_or_what_the_processors_can_do():
    task_us = {"ZMQbg/IO/0": 30.0, "ZMQbg/IO/1": 10.0, "task": 25.0, "hub": 5.0}
    assert scale.forecast(task_us, 1) == (pytest.approx(1e6 / 70), "processors")
    assert scale.forecast(task_us, 2) == (pytest.approx(1e6 / 40), "1 threads of ZeroMQ")
    assert scale.forecast(task_us, 128) == (pytest.approx(1e6 / 25), "thread task")


def judged(aim, **found):
    return aims.row(aim, {name: {"reached": [value] * aims.ROUNDS} for name, value in found.items()}, {aims.BEFORE})


def test_an_aim_is_met_by_the_ratio_of_the_medians_or_missed():
    least = aims.Aim("more", "1/s", ("map", "reached"), ("Pool", "reached"), 1.5)
    most = least._replace(title="less", at_most=True)
    alone = least._replace(title="alone", base=())
    assert [judged(each, map=3, Pool=2)["met"] for each in (least, most, alone)] == [True, True, True]
    assert [judged(each, map=4, Pool=2)["met"] for each in (least, most, alone)] == [True, False, True]
    assert [judged(each, map=1, Pool=2)["met"] for each in (least, most, alone)] == [False, True, False]
    results = {"rounds": 3, "aims": [judged(least, map=3, Pool=1.5), judged(alone, map=1)]}
    table = next(aims.tables(results))
    assert table.rows == [
        ["more", "3 1/s", "1.5 1/s", "2", "at least 1.5", "met"],
        ["alone", "1 1/s", "-", "1", "at least 1.5", "missed"],
    ]


def test_an_aim_that_was_not_measured_says_why():
    aim = aims.Aim("more", "1/s", ("start", "reached"), ("start, before", "reached"), 1.5)
    rows = [judged(aim, start=3), judged(aim, **{"start, before": 3})]
    assert [each["why"] for each in rows] == ["no build before", "start failed"]
    assert [each[-1] for each in next(aims.tables({"rounds": 1, "aims": rows})).rows] == [
        "not measured: no build before",
        "not measured: start failed",
    ]
    assert aims.missing({"failed": [], "aims": rows}) == ["more"]


@pytest.mark.skipif(sanitizers(find_build()) != "", reason="the benchmark's clients preload no sanitizer")
def test_every_aim_is_measured_and_judged(tmp_path):
    build = find_build()
    env = {**os.environ, "IPCLUSTER_BENCH_SIZE": "0.01", "IPCLUSTER_BENCH_BEFORE": str(build)}
    ran = subprocess.run(
        [PYTHON, TOP / "tests/bench/bench.py", build, "aims"], cwd=tmp_path, env=env, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr + (tmp_path / "bench.log").read_text()
    found = json.loads((tmp_path / "bench.json").read_text())["aims"]["aims"]
    assert len(found) == 18
    for each in found:
        assert each.get("why") == aims.THEIRS or (each["ratio"] > 0 and isinstance(each["met"], bool)), each
        assert each["title"] in ran.stdout
