"""The SQLite store's file is damaged, cannot be written, belongs to another user, or its disk is full: the controller says what is wrong,
and tasks go on."""

import os
import random
import signal
import sqlite3
import subprocess

import pytest

from support import wait_until
from test_records import Records

PAGE = 4096


def as_a_user():
    """The words that start a program for which permissions count, also as root."""
    return ["setpriv", "--bounding-set=-dac_override,-dac_read_search"] if os.geteuid() == 0 else []


def run(sandbox, folder, *arguments):
    return sandbox.run(
        *as_a_user(), sandbox.programs.ipcontroller, "--sqlitedb", f"--SQLiteDB.location={folder}", *arguments
    )


@pytest.fixture
def folder(sandbox):
    made = sandbox.dir / "records"
    made.mkdir()
    yield made
    made.chmod(0o700)


def fill(controller, sandbox, count):
    """A file with the records of so many tasks, whose controller has ended; returns its path and the tasks' msg_ids."""
    records = Records(controller("--sqlitedb"))
    ids = []
    for i in range(count):
        ids.append(records.submit(content={"i": i}, buffers=[bytes([i]) * 3000]))
        records.answer(buffers=[bytes([i]) * 3000])
    records.wait_for(ids[-1])
    records.peer.process.stop()
    return sandbox.profile_dir() / "tasks.db", ids


def leaves(file, table):
    """The numbers of a table's, or an index's, outermost pages in their order."""
    database = sqlite3.connect(file)
    try:
        return [
            row[0]
            for row in database.execute(
                "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'leaf' ORDER BY path", (table,)
            )
        ]
    except sqlite3.OperationalError:
        pytest.skip("this SQLite does not tell what is on its pages")
    finally:
        database.close()


def overwrite(file, pages, seed=0):
    data, chance = bytearray(file.read_bytes()), random.Random(seed)
    for page in pages:
        data[(page - 1) * PAGE : page * PAGE] = chance.randbytes(PAGE)
    file.write_bytes(data)


# --- a file that cannot be taken ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["folder", "file", "folder of the file"])
def test_what_cannot_be_written_is_refused_with_its_name(sandbox, folder, what):
    file = folder / "tasks.db"
    if what != "folder":
        sqlite3.connect(file).executescript("CREATE TABLE other (a)")
    if what == "file":
        file.chmod(0o400)
    else:
        folder.chmod(0o500)
    finished = run(sandbox, folder)
    assert finished.status == 1
    assert f"{file}: cannot be opened" in finished.err or f"{file} cannot be written" in finished.err
    assert "SQLiteDB.location" in finished.err


@pytest.mark.parametrize("what", ["text", "damaged from its beginning"])
def test_what_is_no_sqlite_file_is_refused_and_stays(sandbox, controller, what):
    if what == "text":
        file = sandbox.profile_dir() / "tasks.db"
        file.parent.mkdir(parents=True)
        file.write_text("this is not a database " * 100)
    else:
        file, _ = fill(controller, sandbox, 3)
        overwrite(file, range(2, file.stat().st_size // PAGE + 1))
    before = file.read_bytes()[PAGE:]
    finished = run(sandbox, file.parent)
    assert finished.status == 1 and f"{file}: " in finished.err
    assert "move the file away or set SQLiteDB.filename" in finished.err
    assert file.read_bytes()[PAGE:] == before
    file.rename(file.with_suffix(".bad"))
    assert Records(controller("--sqlitedb")).run()


def test_a_file_that_another_program_has_locked_is_not_taken(sandbox, folder):
    other = sqlite3.connect(folder / "tasks.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    finished = run(sandbox, folder)
    assert finished.status == 1 and "it is in use by another program" in finished.err
    other.close()


# --- a file that turns out to be damaged -------------------------------------------------------------------------------------------


def test_tasks_go_on_where_pages_in_the_middle_are_damaged(sandbox, controller):
    file, ids = fill(controller, sandbox, 200)
    pages = [leaves(file, "ipython-tasks" + ending) for ending in ("", "-buffers")]
    assert all(len(table) > 10 for table in pages)
    # The last page of a table is kept: without it the controller does not start. So are two before it: a record that no longer fits into
    # the last is shared out among these.
    overwrite(file, [page for table in pages for page in table[:-3]])
    records = Records(controller("--sqlitedb"))
    for _ in range(30):
        records.submit()
        records.answer()
    for msg_type, content in (
        ("history", {}),
        ("db", {"query": {"completed": {"$ne": None}}}),
        ("result", {"msg_ids": ids[:3]}),
        ("resubmit", {"msg_ids": ids[:1]}),
        ("purge", {"msg_ids": "all"}),
    ):
        answer = records.ask(msg_type, **content)
        assert answer["status"] == "error" and "it is damaged" in answer["evalue"], (msg_type, answer)
        assert str(file) in answer["evalue"] and "move the file away" in answer["evalue"]
    # What is recorded now is found.
    last = records.run()
    assert records.ask("result", msg_ids=[last])["completed"] == [last]
    assert records.peer.process.stop() == 0
    assert records.peer.process.output.count("it is damaged") < 50


@pytest.mark.parametrize("seed", range(4))
def test_no_damage_ends_the_controller(sandbox, controller, seed):
    file, ids = fill(controller, sandbox, 60)
    chance = random.Random(seed)
    data = bytearray(file.read_bytes())
    for _ in range(chance.choice([3, 30, 300])):
        at = chance.randrange(100, len(data) - 64)
        data[at : at + 64] = chance.choice([bytes(64), b"\xff" * 64, chance.randbytes(64)])
    file.write_bytes(data)
    process = sandbox.start(sandbox.programs.ipcontroller, "--sqlitedb")
    client_file = file.parent / "security/ipcontroller-client.json"
    if (
        wait_until(lambda: client_file.exists() or not process.alive, 20, "it starts or refuses to")
        and not process.alive
    ):
        assert process.wait() == 1 and f"{file}: " in process.output
        return
    process.stop()
    records = Records(controller("--sqlitedb"))
    for _ in range(10):
        records.submit()
        records.answer()
    for msg_type, content in (
        ("history", {}),
        ("db", {"query": {}}),
        ("db", {"query": {"completed": None}, "keys": ["buffers"]}),
        ("result", {"msg_ids": ids[:5]}),
        ("resubmit", {"msg_ids": ids[:1]}),
        ("purge", {"msg_ids": ids[5:10]}),
        ("purge", {"msg_ids": "all"}),
    ):
        assert records.ask(msg_type, **content)["status"] in ("ok", "error")
    assert records.peer.process.stop() == 0


# --- a disk that is full -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(folder):
    """A file system of 3 MiB."""
    if (
        os.geteuid()
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "records", folder], capture_output=True).returncode
    ):
        pytest.skip("only root makes a file system")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill_up(folder):
    """A file that takes what room there is."""
    filler = folder / "filler"
    for piece in (bytes(65536), bytes(512)):
        with pytest.raises(OSError), open(filler, "ab", buffering=0) as file:
            while True:
                file.write(piece)
    return filler


def test_what_a_full_disk_has_no_room_for_is_lost_and_the_rest_recorded_again(small_disk, controller):
    records = Records(controller("--sqlitedb", f"--SQLiteDB.location={small_disk}"))
    first = records.run()
    records.wait_for_commit(small_disk)
    filler = fill_up(small_disk)
    for _ in range(20):
        records.submit(buffers=[bytes(50000)])
        records.answer()
    records.peer.process.wait_for_output("its disk is full or has failed .*changes of records are lost")
    assert first in records.ids({"queue": "task"})
    filler.unlink()
    last = records.run()
    records.wait_for_commit(small_disk)
    records.peer.process.stop(signal.SIGKILL)
    database = sqlite3.connect(small_disk / "tasks.db")
    assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    kept = [
        row[0] for row in database.execute('SELECT msg_id FROM "ipython-tasks" WHERE completed IS NOT NULL ORDER BY id')
    ]
    database.close()
    assert kept[0] == first and kept[-1] == last


def test_a_purge_that_a_full_disk_has_no_room_for_is_an_error_and_one_that_is_confirmed_has_purged(
    small_disk, controller
):
    arguments = "--sqlitedb", f"--SQLiteDB.location={small_disk}"
    records = Records(controller(*arguments))
    ids = [records.submit(buffers=[bytes(1000)]) for _ in range(300)]
    for _ in ids:
        records.answer()
    records.wait_for(ids[-1])
    records.peer.process.stop()
    records = Records(controller(*arguments))  # its log of changes is short, and would have to grow
    filler = fill_up(small_disk)
    answer = records.ask("purge", msg_ids="all")
    assert answer["status"] == "error" and "its disk is full or has failed" in answer["evalue"], answer
    assert set(records.ids({})) == set(ids)
    filler.unlink()
    assert records.ask("purge", msg_ids="all")["status"] == "ok"
    records.peer.process.stop(signal.SIGKILL)
    database = sqlite3.connect(small_disk / "tasks.db")
    assert database.execute('SELECT count(*) FROM "ipython-tasks"').fetchall() == [(0,)]
    database.close()
