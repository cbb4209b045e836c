"""Asking a cluster that runs: ipcluster status, and the socket at which its supervisor answers."""

import contextlib
import json
import os
import re
import signal
import socket
import stat
import threading

import pexpect
import pytest
from ipcluster_box import UP, assert_nothing_left

from support import LONG, TOP, wait_until


def status(box, *words):
    """The exit code, and what is told."""
    told = box.ipcluster("status", "--json", *words)
    return told.status, json.loads(told.out)


def control_path(box, profile_dir=None):
    (state,) = (profile_dir or box.profile_dir()).glob("pid/ipcluster.json")
    return json.loads(state.read_text())["socket"]


@contextlib.contextmanager
def connected(path):
    """A connection to a socket whose path may be too long for an address."""
    folder = os.open(os.path.dirname(path), os.O_RDONLY | os.O_DIRECTORY)
    with socket.socket(socket.AF_UNIX) as end:
        end.connect(f"/proc/self/fd/{folder}/{os.path.basename(path)}")
        end.settimeout(LONG)
        os.close(folder)
        yield end


def asked(end, line):
    """The answer to one line; more may follow it."""
    end.sendall(line + b"\n")
    answer = b""
    while not answer.endswith(b"\n"):
        some = end.recv(1 << 16)
        assert some, answer
        answer += some
    return json.loads(answer.splitlines()[0])


def test_status_shows_sets_engines_and_how_the_last_ended(box):
    box.ipcluster("start", "--n=2", "--daemonize", check=True)
    box.ipcluster("engines", "--n=1", "--daemonize", check=True)
    code, told = status(box)
    assert (code, told["state"], told["departed"]) == (0, "running", [])
    controller, first, added = sorted(told["sets"], key=lambda one: (one["role"], -one["asked"]))
    assert [(one["launcher"], one["asked"], one["running"], one["state"]) for one in (controller, first, added)] == [
        ("LocalControllerLauncher", 1, 1, "running"),
        ("LocalEngineSetLauncher", 2, 2, "running"),
        ("LocalEngineSetLauncher", 1, 1, "running"),
    ]
    assert [engine["id"] for engine in told["engines"]] == [0, 1, 2]
    assert [engine["engine_set"] for engine in told["engines"]] == [first["set"], first["set"], added["set"]]
    for engine in told["engines"]:
        assert (engine["host"], engine["state"], engine["tasks"]) == (socket.gethostname(), "idle", 0)
        assert engine["since"] > told["started"] and engine["log"].endswith(f"-{engine['pid']}.log")
    assert sorted(first["logs"]) == sorted(engine["log"] for engine in told["engines"][:2])

    os.kill(told["engines"][0]["pid"], signal.SIGKILL)
    _, told = wait_until(lambda: (seen := status(box))[1]["departed"] and seen, 20, "its end is told")
    (gone,) = told["departed"]
    assert (
        gone["id"] == 0
        and "killed by signal 9" in gone["reason"]
        and [engine["id"] for engine in told["engines"]] == [1, 2]
    )
    _, told = wait_until(
        lambda: (seen := status(box))[1]["sets"][1]["running"] == 1 and seen, 20, "the set has one less"
    )
    shown = box.ipcluster("status", check=True).out
    assert "1 of 2" in shown and gone["reason"] in shown and f"{told['engines'][0]['pid']}" in shown
    box.ipcluster("stop", check=True)
    assert_nothing_left(box, box.profile_dir())


def test_logs_shows_what_was_written_and_follows_what_is(box):
    assert box.ipcluster("logs").status == 11
    box.ipcluster("start", "--n=2", "--daemonize", "--engine-set=both", check=True)
    whole = box.ipcluster("logs", check=True).out
    assert all(text in whole for text in ("registered as engine 0", "registered as engine 1", "engine 1 ")), whole
    assert "registered as engine 1" in (one := box.ipcluster("logs", "1", check=True).out) and "engine 0" not in one
    assert "registered as engine" not in box.ipcluster("logs", "controller", check=True).out
    assert (of_set := box.ipcluster("logs", "both", check=True).out) != whole and of_set in whole
    assert box.ipcluster("logs", "--lines=1", "0", check=True).out.count("\n") == 1
    wrong = box.ipcluster("logs", "0", "7")
    assert wrong.status == 1 and wrong.out == "" and "there is no engine 7" in wrong.err
    following = box.begin("logs", "--follow", "0")
    following.wait_for_output("registered as engine 0", 60)
    log = status(box)[1]["engines"][0]["log"]
    with open(log, "a") as file:
        file.write("and more\n")
    following.wait_for_output("and more", 60)
    following.stop(signal.SIGINT)
    box.ipcluster("stop", check=True)
    assert_nothing_left(box, box.profile_dir())


def test_status_fits_the_terminal(box):
    box.ipcluster("start", "--n=1", "--daemonize", check=True)
    terminal = pexpect.spawn(
        str(box.programs.ipcluster),
        ["status"],
        env=box.env,
        cwd=str(box.work),
        timeout=LONG,
        encoding="utf-8",
        dimensions=(24, 60),
    )
    terminal.expect(pexpect.EOF)
    terminal.close()
    table = terminal.before.splitlines()[1:]
    assert terminal.exitstatus == 0 and any(line.endswith("...") for line in table)
    assert max(map(len, table)) <= 60
    box.ipcluster("stop", check=True)


@pytest.mark.parametrize("engines", [0, 2])
def test_status_shows_what_was_started_by_hand(new_cluster, box, engines):
    cluster = new_cluster(engines)
    with cluster.client():
        code, told = status(box)
    assert (code, told["state"], told["pid"], told["sets"]) == (0, "by hand", cluster.controller.pid, [])
    assert sorted(engine["pid"] for engine in told["engines"]) == sorted(engine.pid for engine in cluster.engines)
    assert ("No engine is registered" in box.ipcluster("status", check=True).out) == (engines == 0)


def test_who_stops_a_set_does_not_take_it_for_gone_where_the_supervisor_does_not_answer(box):
    box.ipcluster("start", "--n=0", "--daemonize", check=True)
    box.ipcluster("engines", "--n=1", "--daemonize", "--engine-set=b", check=True)
    (file,) = box.profile_dir().glob("pid/ipcluster.json")
    state, asked_for, busy = json.loads(file.read_text()), [], f"{file.parent}/busy"

    def pass_on(end):
        """Passes one request on. The answers to the first two requests for the status are dropped."""
        with contextlib.suppress(OSError), end, connected(state["socket"]) as supervisor, end.makefile("rb") as lines:
            line = lines.readline().strip()
            asked_for.append(json.loads(line)["request"])
            answer = asked(supervisor, line)
            if asked_for[-1] == "stop" or asked_for.count("status") > 2:
                end.sendall(json.dumps(answer).encode() + b"\n")

    def serve(listener):
        with contextlib.suppress(OSError):
            while True:
                pass_on(listener.accept()[0])

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(busy)
        listener.listen()
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        file.write_text(json.dumps({**state, "socket": busy}))
        assert "Stopped" in box.ipcluster("stop", "--engine-set=b", check=True).out
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    os.unlink(busy)
    assert asked_for[0] == "stop" and asked_for.count("status") > 2
    box.ipcluster("stop", check=True)
    assert_nothing_left(box, box.profile_dir())


def test_the_exit_code_of_status_says_how_the_cluster_is(box):
    assert status(box)[0] == 11
    cluster = box.begin("start", "--n=1", "--delay=600")
    wait_until(lambda: status(box)[0] == 20, 60, "it is starting")
    assert cluster.stop(signal.SIGINT, 60) == 130
    cluster = box.begin("start", "--n=1")
    cluster.wait_for_output(UP, 60)
    assert status(box)[0] == 0
    cluster.stop(signal.SIGKILL)
    code, told = status(box)
    assert code == 22 and told["state"] == "stale" and len(told["engines"]) == 1
    box.ipcluster("stop", check=True)
    assert status(box)[0] == 11
    assert_nothing_left(box, box.profile_dir())


def test_the_control_socket_is_its_users_alone_however_long_its_path_is(box):
    folder = box.work / ("long" * 30)
    box.ipcluster("profile", "create", f"--profile-dir={folder}", check=True)
    box.ipcluster("start", "--n=0", "--daemonize", f"--profile-dir={folder}", check=True)
    path = control_path(box, folder)
    assert len(path) > 108
    assert (
        stat.S_IMODE(os.stat(path).st_mode) == 0o600 and stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode) == 0o700
    )
    with connected(path) as end:
        assert asked(end, b'{"request": "status"}')["status"] == "ok"
    assert status(box, f"--profile-dir={folder}")[0] == 0
    box.ipcluster("stop", f"--profile-dir={folder}", check=True)
    assert_nothing_left(box, folder)


def test_what_is_no_request_is_answered_with_an_error_and_harms_nobody(box):
    box.ipcluster("start", "--n=0", "--daemonize", check=True)
    path = control_path(box)
    with connected(path) as end, contextlib.ExitStack() as others:
        for line, reason in [
            (b"nonsense", "not JSON"),
            (b"", "not JSON"),
            (b"\x00\xff", "not JSON"),
            (b"[" * 5000, "not JSON"),
            (b"[]", "JSON object"),
            (b"{}", "a request has a name"),
            (b'{"request": 7}', "a request has a name"),
            (b'{"request": "dance"}', "'dance'"),
            (b'{"request": "stop", "set": "x"}', "'x'"),
            (b'{"request": "signal"}', "''"),
            (b'{"request": "engines"}', "list of strings"),
            (b'{"request": "engines", "argv": ["engines", 7], "label": "a"}', "list of strings"),
            (
                b'{"request": "engines", "argv": ["engines"], "label": "a", "environment": [], "work_dir": "."}',
                "work_dir",
            ),
            (
                b'{"request": "engines", "argv": ["engines", "--help"], "label": "a", "environment": [], "work_dir": "/"}',
                "help",
            ),
        ]:
            answer = asked(end, line)
            assert answer["status"] == "error" and reason in answer["error"], (line, answer)
        assert asked(end, b'{"request": "status"}')["status"] == "ok"
        assert "4194304 bytes" in asked(end, b"x" * (4 << 20))["error"]
        with contextlib.suppress(ConnectionResetError):
            assert end.recv(1) == b""
        for _ in range(40):  # silent connections make room for one that asks
            others.enter_context(connected(path))
        last = others.enter_context(connected(path))
        last.sendall(b'{"request": "status"}\n' * 100)  # answers that are not read wait
        assert status(box)[0] == 0
    (log,) = box.profile_dir().glob("log/ipcluster-*.log")
    assert 1 <= log.read_text().count("was refused") < 8
    box.ipcluster("stop", check=True)
    assert_nothing_left(box, box.profile_dir())


def test_a_connection_that_is_told_of_a_set_asks_for_nothing_else(box):
    box.ipcluster("start", "--n=0", "--daemonize", check=True)
    with connected(control_path(box)) as end:
        for label in ("one", "other"):
            request = {
                "request": "engines",
                "argv": ["ipcluster", f"--profile-dir={box.profile_dir()}", "--n=1"],
                "label": label,
                "environment": [f"{name}={value}" for name, value in box.env.items()],
                "work_dir": str(box.dir),
            }
            end.sendall(json.dumps(request).encode() + b"\n")
        told = b""
        while b"open another one" not in told:
            some = end.recv(1 << 16)
            assert some, told
            told += some
    assert [one["set"] for one in status(box)[1]["sets"] if one["role"] == "engines"] == ["one"]
    box.ipcluster("stop", check=True)
    assert_nothing_left(box, box.profile_dir())


def test_a_set_that_is_asked_for_another_cluster_is_refused_with_the_names_of_both(box):
    box.ipcluster("start", "--n=0", "--daemonize", check=True)
    other = box.work / "other"
    box.ipcluster("profile", "create", f"--profile-dir={other}", check=True)

    def asking(end, *words):
        request = {
            "request": "engines",
            "argv": ["engines", "--n=1", *words],
            "label": "1-1",
            "work_dir": str(box.work),
            "environment": [f"{name}={value}" for name, value in box.env.items()],
        }
        return asked(end, json.dumps(request).encode())

    with connected(control_path(box)) as end:
        for words, names in [
            (["--cluster-id=b"], ("cluster '' of", "cluster 'b' of")),
            ([f"--profile-dir={other}"], (str(box.profile_dir()), str(other))),
        ]:
            refused = asking(end, *words)
            assert refused["status"] == "error" and all(name in refused["error"] for name in names), refused
        assert "is a --dry-run" in asking(end, "--dry-run")["error"]
        link = box.work / "link"
        link.symlink_to(box.profile_dir())
        assert asking(end, f"--profile-dir={link}", "--engine-set=here")["set"] == "here"
    box.ipcluster("stop", check=True)
    assert_nothing_left(box, box.profile_dir())


PAGE = "docs/reference/control.md"


def page_of_requests():
    """Each request that the page has, with the members of its tables by their headings."""
    sections = re.split(r"^## `(\w+)`$", (TOP / PAGE).read_text(), flags=re.MULTILINE)[1:]
    page = {}
    for name, text in zip(sections[::2], sections[1::2]):
        tables = page[name] = {}
        for heading, rows in re.findall(r"^\| ([\w ]+) \| is \|\n\|---\|---\|\n((?:\|.*\n)+)", text, re.MULTILINE):
            tables[heading] = {
                member
                for cell in re.findall(r"^\| (.*?) \|", rows, re.MULTILINE)
                for member in re.findall(r"`(\w+)`", cell)
            }
        assert "\nErrors: " in text, name
    return page


def test_the_page_on_the_control_socket_has_each_request_with_what_it_reads_and_answers(box):
    page = page_of_requests()
    # What the sources read of a request.
    sources = "".join(
        (TOP / f"core/cluster/{name}.c").read_text()
        for name in ("supervisor/supervisor_answers", "supervisor/supervisor_joining", "launching/workplace")
    )
    read = set(re.findall(r'json_object_get\((?:request|object), "(\w+)"\)', sources)) - {"request"}
    assert read == {member for tables in page.values() for member in tables.get("asked with", ())}
    box.ipcluster("start", "--n=1", "--n-max=2", "--daemonize", check=True)
    with connected(control_path(box)) as end:
        unknown = asked(end, b'{"request": "unknown"}')["error"]
        assert re.findall(r"\w+", unknown.partition("knows of ")[2].replace(" and ", " ")) == list(page)
        told = asked(end, b'{"request": "status"}')
        controller, engines = told["sets"]
        assert told.keys() - {"status"} == page["status"]["answered"]
        assert engines.keys() == page["status"]["of a set"]
        assert controller.keys() == engines.keys() - {"bounds"}
        assert all(f"`{member}`" in (TOP / PAGE).read_text() for member in engines["bounds"])
        for request in (
            {"request": "scale", "set": engines["set"], "n": 1},
            {"request": "stop", "engines": []},
            {"request": "restart", "engines": []},
            {"request": "signal", "set": engines["set"], "signal": 18},
        ):
            answer = asked(end, json.dumps(request).encode())
            assert answer.pop("status") == "ok" and answer.keys() == page[request["request"]].get("answered", set()), (
                request,
                answer,
            )
    box.ipcluster("stop", check=True)
