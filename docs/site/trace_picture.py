"""Draws a trace that `ipcluster trace` has merged, for a page: python3 docs/site/trace_picture.py picture.json > docs/howto/trace.svg

A line for each thread and, above those of a process, one for its bars; a colour for each request; and lines that are the ways of
messages. What no client of the trace has submitted is left out.
"""

import itertools
import json
import sys
from html import escape

WIDTH, LEFT, TOP, ROW = 960, 150, 34, 22
COLOURS = ["#2a6fbb", "#c2571a", "#3d8b4f", "#8a4fa3"]


def slices(events):
    """(process, row, name, begin, end, request) of each step and bar; the row of a bar is None."""
    open_at = {}
    for event in sorted(events, key=lambda event: (event["ts"], event["ph"] != "E")):
        pid, tid, name, at, args = event["pid"], event.get("tid"), event["name"], event["ts"], event.get("args", {})
        request = event["id2"]["local"] if "id2" in event else args.get("of", args.get("id"))
        key = pid, name, request
        if event["ph"] == "X":
            yield pid, tid, name, at, at + event["dur"], request
        elif event["ph"] in "Bb":
            open_at[key] = at
        elif event["ph"] in "Ee":
            yield pid, tid if event["ph"] == "E" else None, name, open_at.pop(key), at, request


def ways(events):
    """(request, [(time, process, thread), ...]) of each message's way: a request's with its reply, and that of each output."""
    steps = [event["args"] for event in events if event["ph"] == "X" and "of" in event["args"]]
    requests = {args["id"]: args["of"] for args in steps}
    found = {}
    for event in events:
        if event["ph"] in "stf":
            found.setdefault(event["id"], []).append((event["ts"], event["pid"], event["tid"]))
    return [(requests.get(msg_id, msg_id), sorted(way)) for msg_id, way in found.items()]


def draw(events):
    named = {
        kind: {(event["pid"], event.get("tid") if kind == "thread_name" else None): event["args"] for event in events
               if event["name"] == kind}
        for kind in ("process_name", "process_sort_index", "thread_name")
    }  # fmt: skip
    drawn = list(slices(event for event in events if event["ph"] in "XBEbe"))
    requests = list(dict.fromkeys(step[5] for step in sorted(drawn, key=lambda step: step[3]) if step[2] == "submit"))
    drawn = [step for step in drawn if step[5] in requests]
    begin, end = min(step[3] for step in drawn), max(step[4] for step in drawn)
    order = {pid: (args["sort_index"], pid) for (pid, _), args in named["process_sort_index"].items()}
    # A bar has the line of its request.
    rows = sorted(
        {(order[pid], pid, tid is not None, tid or requests.index(request)) for pid, tid, *_, request in drawn}
    )
    heights = {row[1:]: TOP + ROW * number for number, row in enumerate(rows)}

    def x(at):
        return LEFT + (at - begin) / (end - begin) * (WIDTH - LEFT - 10)

    def y(step):
        pid, tid, *_, request = step
        return heights[pid, tid is not None, tid or requests.index(request)]

    height = TOP + ROW * len(rows) + 8
    yield f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="11">'
    yield f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>'
    for ms in range(0, int((end - begin) / 1000) + 1, 10):
        at = x(begin + ms * 1000)
        yield f'<path d="M{at:.1f} 22V{height}" stroke="#ddd"/><text x="{at:.1f}" y="16" fill="#666">{ms} ms</text>'
    for number, (_, pid, is_thread, tid) in enumerate(rows):
        top = TOP + ROW * number
        process = named["process_name"][pid, None]["name"]
        text = named["thread_name"][pid, tid]["name"] if is_thread else "" if tid else process
        if not number or rows[number - 1][1] != pid:
            yield f'<path d="M0 {top - 2}H{WIDTH}" stroke="#999"/><text x="4" y="{top + 13}" font-weight="bold">{escape(process)}</text>'
        if is_thread:
            yield f'<text x="{LEFT - 8}" y="{top + 13}" text-anchor="end" fill="#444">{escape(text)}</text>'
    colours = dict(zip(requests, itertools.cycle(COLOURS)))
    for request, way in ways(events):
        if request in colours:
            points = " ".join(f"{x(at):.1f},{heights[pid, True, tid] + 8}" for at, pid, tid in way)
            yield f'<polyline points="{points}" fill="none" stroke="{colours[request]}" stroke-dasharray="3 2"/>'
    for request, colour in colours.items():
        for step in (step for step in drawn if step[5] == request):
            left, right, top = x(step[3]), max(x(step[4]), x(step[3]) + 2), y(step)
            opacity = 1 if step[1] else 0.25
            yield (
                f'<rect x="{left:.1f}" y="{top}" width="{right - left:.1f}" height="{ROW - 6}" fill="{colour}" fill-opacity="{opacity}">'
                f"<title>{escape(step[2])}: {step[4] - step[3]:.0f} microseconds</title></rect>"
            )
            if right - left > 6 * len(step[2]):
                fill = "#fff" if step[1] else "#222"
                yield f'<text x="{left + 4:.1f}" y="{top + 12}" fill="{fill}">{escape(step[2])}</text>'
    yield "</svg>"


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        print("\n".join(draw(json.load(file))))
