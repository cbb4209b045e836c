"""make bench-docs: what make bench has measured, for the docs. report.py BENCH.JSON FOLDER draws FOLDER/performance.svg, and writes the
tables into FOLDER/performance.md, between its two comments "measured"."""

import json
import math
import re
import sys
from html import escape
from pathlib import Path

import aims
import costs
import peers
import scale
from peers_client import DURATIONS

WIDTH, TOP, ROW, BOTTOM = 960, 44, 26, 30
BARS, LINES = (170, 500), (600, 930)  # where the two pictures are, from left to right
COLOURS = ["#7a7a7a", "#2a6fbb", "#3d8b4f", "#8a4fa3", "#b59a1d", "#2f9aa0", "#e08a4f", "#c2571a"]
MEASURED = re.compile(r"(?<=<!-- measured: begin -->\n).*(?=<!-- measured: end -->)", re.DOTALL)


def markdown(table):
    lines = [table.columns, ["---", *["---:"] * (len(table.columns) - 1)], *table.rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def tables(results):
    """What stands in the page."""
    parts = [f"Measured on {results['date']} on {results['machine']}.\n"]
    for group in (peers, costs, scale, aims):
        if group.__name__ in results:
            parts += map(markdown, group.tables(results[group.__name__]))
    return "\n".join(parts)


def text(x, y, words, **more):
    attributes = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in more.items())
    return f'<text x="{x:.1f}" y="{y:.1f}"{attributes}>{escape(words)}</text>'


def line(points, **more):
    attributes = "".join(f' {name.replace("_", "-")}="{value}"' for name, value in more.items())
    places = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{places}" fill="none"{attributes}/>'


def draw_bars(rates, colours, bottom):
    """A bar for each peer, on a logarithmic axis. The names are the key to the colours, also of the lines."""
    left, right = BARS
    least, most = math.floor(math.log10(min(rates.values()))), math.ceil(math.log10(max(rates.values())) + 0.01)

    def x(rate):
        return left + (math.log10(rate) - least) / (most - least) * (right - left)

    yield text(left, 18, f"no-op tasks a second, {peers.WORKERS[0]} workers", font_weight="bold")
    for power in range(least, most + 1):
        yield line([(x(10**power), TOP - 8), (x(10**power), bottom)], stroke="#ddd")
        yield text(x(10**power), TOP - 12, f"{10**power:,}", fill="#666", text_anchor="middle")
    for number, (peer, rate) in enumerate(rates.items()):
        top = TOP + ROW * number
        yield text(left - 8, top + 15, peer, text_anchor="end")
        yield f'<rect x="{left}" y="{top + 3}" width="{x(rate) - left:.1f}" height="{ROW - 8}" fill="{colours[peer]}"/>'
        yield text(x(rate) + 5, top + 15, f"{rate:,.0f}", fill="#444")


def draw_lines(shares, colours, bottom):
    """Of tasks that take some time: a line for each peer."""
    left, right = LINES
    names = [name for name, seconds in DURATIONS.items() if seconds]

    def x(number):
        return left + 20 + number / (len(names) - 1) * (right - left - 40)

    def y(share):
        return bottom - share * (bottom - TOP)

    yield text(left, 18, "tasks that take some time: share of the ideal rate", font_weight="bold")
    for share in (0, 0.25, 0.5, 0.75, 1):
        yield line([(left, y(share)), (right, y(share))], stroke="#ddd")
        yield text(left - 6, y(share) + 4, f"{share:.0%}", fill="#666", text_anchor="end")
    for number, name in enumerate(names):
        yield text(x(number), bottom + 16, name, fill="#666", text_anchor="middle")
    for peer, each in shares.items():
        points = [(x(number), y(min(each[name], 1))) for number, name in enumerate(names) if name in each]
        yield line(points, stroke=colours[peer], stroke_width=2)


def draw(found):
    """The picture of what `found` has of each peer."""
    rates = {peer: each["noop_tasks"] for peer, each in found.items() if each.get("noop_tasks")}
    shares = {
        peer: {name: each[f"{name}_share"] for name in DURATIONS if f"{name}_share" in each}
        for peer, each in found.items()
    }
    colours = {peer: COLOURS[number % len(COLOURS)] for number, peer in enumerate(found)}
    bottom = TOP + ROW * len(rates)
    height = bottom + BOTTOM
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="11">'
    yield f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>'
    yield from draw_bars(rates, colours, bottom)
    yield from draw_lines(shares, colours, bottom)
    yield "</svg>"


def main(bench_json, folder):
    results = json.loads(Path(bench_json).read_text())
    page = Path(folder) / "performance.md"
    written, places = MEASURED.subn(lambda _: f"\n{tables(results)}\n", page.read_text())
    if places != 1:
        sys.exit(
            f"{page} has no comments <!-- measured: begin --> and <!-- measured: end -->, with the tables between them"
        )
    page.write_text(written)
    found = results.get("peers", {}).get(str(peers.WORKERS[0]))
    if found:
        page.with_suffix(".svg").write_text("\n".join(draw(found)) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
