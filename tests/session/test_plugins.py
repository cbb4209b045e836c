"""Plugins: sound ones are found and used, also a site's own. Others are refused in one line, and nothing else fails because of them."""

import json
import os
import re
import shlex
import shutil
import signal
import subprocess

import psutil
import pytest

import docblocks
from ipcluster_box import UP
from support import TOP, named, typed, wait_until


def package_config(installed):
    """The environment in which pkg-config knows what is installed."""
    prefix = installed.ipcluster.parent.parent
    (found,) = prefix.glob("**/ipcluster.pc")
    return {**os.environ, "PKG_CONFIG_PATH": str(found.parent)}


# A site's own


@pytest.fixture(scope="module")
def wrap_plugin(installed, tmp_path_factory):
    """The folder of plugins with the example launcher, built by its own Makefile from the installed headers."""
    folder = tmp_path_factory.mktemp("wrap")
    source = folder / "launcher"
    shutil.copytree(TOP / "docs/examples/launcher", source)
    subprocess.run(
        ["make", "-C", source, "install", f"PREFIX={folder}/plugins"],
        check=True,
        env=package_config(installed),
        stdout=subprocess.DEVNULL,
    )
    yield folder / "plugins"
    shutil.rmtree(folder, ignore_errors=True)


def test_a_third_party_launcher_is_found_through_the_search_path(box, wrap_plugin):
    private = box.dir / "plugins"
    shutil.copytree(wrap_plugin, private)
    shown = json.loads(
        box.ipcluster("plugins", "--json", "wrap", env={"IPCLUSTER_PLUGIN_PATH": str(private)}, check=True).out
    )
    assert [item["classes"][0]["name"] for item in shown] == ["WrapEngineSetLauncher"]
    env = {"IPCLUSTER_PLUGIN_PATH": str(private)}
    cluster = box.begin("start", "--n=2", "--elauncher=wrap", "--wrap-command=nice -n 7", env=env)
    cluster.wait_for_output(UP, 60)
    engines = [psutil.Process(process.pid) for process in named(box, "ipengine")]
    own = os.nice(0)
    assert [engine.nice() for engine in engines] == [min(own + 7, 19)] * 2
    cluster.stop(signal.SIGKILL)
    box.ipcluster("stop", env=env, check=True)
    box.wait_for_no_processes()


def test_an_installation_that_was_moved_as_a_whole_has_its_own_plugins(installed_sandbox, installed):
    moved = installed_sandbox.dir / "moved"
    shutil.copytree(installed.ipcluster.parent.parent, moved, symlinks=True)
    shown = json.loads(installed_sandbox.run(moved / "bin/ipcluster", "plugins", "--json", check=True).out)
    assert shown
    assert [plugin["path"] for plugin in shown if not plugin["path"].startswith(f"{moved}/")] == []


def test_the_launcher_of_the_guide_is_compiled_as_it_says_and_starts_engines(box, installed):
    blocks = docblocks.blocks(TOP / "docs/howto/launcher.md")
    (source,) = (block.text for block in blocks if block.kind == "c")
    ((command, _),) = (each for block in blocks if block.kind == "sh" for each in block.commands)
    folder = box.dir / "plugins/launchers"
    folder.mkdir(parents=True, mode=0o755)
    (folder / "mine.c").write_text(source)
    subprocess.run(
        ["sh", "-c", f"{command} -Wall -Wextra -Werror"], check=True, cwd=folder, env=package_config(installed)
    )
    env = {"IPCLUSTER_PLUGIN_PATH": str(folder.parent)}
    (shown,) = json.loads(box.ipcluster("plugins", "--json", "mine", env=env, check=True).out)
    assert shown["classes"][0]["name"] == "MineEngineSetLauncher"
    cluster = box.begin("start", "--n=2", "--elauncher=mine", env=env)
    cluster.wait_for_output(UP, 60)
    assert len(named(box, "ipengine")) == 2
    assert cluster.stop(signal.SIGINT, 60) == 0
    cluster = box.begin("start", "--n=2", "--elauncher=mine", env=env)
    cluster.wait_for_output(UP, 60)
    cluster.stop(signal.SIGKILL)
    box.ipcluster("stop", env=env, check=True)
    box.wait_for_no_processes()


def test_a_plugin_that_was_built_with_the_headers_of_an_earlier_abi_works(box):
    old = TOP / "tests/session/abi_1_1"
    folder = box.dir / "plugins/launchers"
    folder.mkdir(parents=True, mode=0o755)
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", f"-I{old}", old / "old.c", "-o", folder / "old.so"], check=True)
    (folder / "old.so").chmod(0o644)
    env = {"IPCLUSTER_PLUGIN_PATH": str(folder.parent)}
    (shown,) = json.loads(box.ipcluster("plugins", "--json", "old", env=env, check=True).out)
    assert [each["name"] for each in shown["classes"]] == ["OldEngineSetLauncher", "OlderEngineSetLauncher"]
    cluster = box.begin("start", "--n=2", "--elauncher=older", env=env)
    cluster.wait_for_output(UP, 60)
    cluster.stop(signal.SIGKILL)
    box.ipcluster("stop", env=env, check=True)
    box.wait_for_no_processes()


# What is found, and where


def test_plugins_shows_what_was_found_and_what_was_refused(box, wrap_plugin):
    private = box.dir / "plugins"
    shutil.copytree(wrap_plugin, private)
    (private / "launchers/nonsense.so").write_text("this is no shared object")
    shutil.copy(private / "launchers/wrap.so", private / "launchers/open.so")
    (private / "launchers/open.so").chmod(0o666)
    env = {"IPCLUSTER_PLUGIN_PATH": str(private)}
    shown = box.ipcluster("plugins", env=env, check=True).out
    for name in ("local", "mpiexec", "wrap", "json", "nonsense.so", "open.so", "Refused"):
        assert name in shown
    one = box.ipcluster("plugins", "mpiexec", env=env, check=True).out
    for text in ("MPIExecEngineSetLauncher", "MPILauncher.mpi_cmd", "default 'mpi4py'", "BSD-2-Clause"):
        assert text in one
    started = box.ipcluster("start", "--n=1", "--daemonize", env=env, check=True)
    assert len([line for line in started.err.splitlines() if "nonsense.so" in line]) == 1
    box.ipcluster("stop", env=env, check=True)
    assert box.ipcluster("plugins", "no-such-plugin").status == 1


def test_plugins_below_the_home_folder_are_found_once_and_warned_of_once(box):
    """As if all is installed below ~/.local, which is in the search path twice."""
    home = box.dir / "home/.local/lib/ipcluster"
    (home / "launchers").mkdir(parents=True, mode=0o755)
    (home / "launchers/nonsense.so").write_text("this is no shared object")
    (box.dir / "again").symlink_to(home)
    env = {"HOME": str(box.dir / "home"), "IPCLUSTER_PLUGIN_PATH": f"{home}:{box.dir}/again:{home}/launchers/.."}
    shown = box.ipcluster("plugins", env=env, check=True).out
    assert shown.count("nonsense.so was refused") == 1
    searched = shown.partition("Searched:")[2].split()
    assert [folder for folder in searched if folder.startswith(str(box.dir))] == [str(home)]
    started = box.ipcluster("start", "--elauncher=none", env=env)
    assert started.err.count("nonsense.so was refused") == 1


# What is refused


def build(path, **odd):
    """Builds the odd plugin: CLASS=..., with texts in quotes."""
    flags = subprocess.run(["pkg-config", "--cflags", "jansson"], capture_output=True, text=True, check=True).stdout
    subprocess.run(
        [
            "gcc",
            "-shared",
            "-fPIC",
            "-O1",
            f"-I{TOP}/core/include",
            *shlex.split(flags),
            f'-DNAME="{path.stem}"',
            *(f"-D{name}={value}" for name, value in odd.items()),
            TOP / "tests/session/odd_plugin.c",
            "-o",
            path,
        ],
        check=True,
    )
    path.chmod(0o644)


def cut_off(path):
    build(path)
    os.truncate(path, path.stat().st_size // 2)


def other_machine(path):
    build(path)
    data = bytearray(path.read_bytes())
    data[18:20] = b"\xb7\0"  # e_machine: EM_AARCH64
    path.write_bytes(data)


def odd(**macros):
    return lambda path: build(path, **macros)


BAD = {
    "nonsense": (lambda path: path.write_text("this is no shared object"), "not a shared object"),
    "cut": (cut_off, "cut off after "),
    "pipe": (os.mkfifo, "not a regular file"),
    "foreign": (other_machine, "built for 64-bit aarch64, but this program for"),
    "absent": (odd(ABSENT=1), "undefined symbol: function_that_is_nowhere"),
    "nameless": (odd(CLASS="NULL"), "one of its launcher classes lacks name"),
    "classless": (odd(CLASSES="NULL"), "lacks classes"),
    "none": (odd(CLASS_COUNT=0), "its class_count is 0"),
    "idle": (
        odd(WITHOUT_FUNCTIONS=1),
        "'OddEngineSetLauncher' lacks create, start, signal, stop, output, to_json, from_json, destroy",
    ),
    "creator": (odd(CREATE="NULL"), "'OddEngineSetLauncher' lacks create"),
    "mistyped": (odd(DEFAULT='"often"'), "Odd.times expects an integer, not often"),
    "defaultless": (odd(DEFAULT="NULL"), "Odd.times has no default"),
    "taker": (
        odd(CREATE="something", SETTINGS='"OddEngineSetLauncher"', SETTING='"engine_cmd"'),
        "the setting OddEngineSetLauncher.engine_cmd is defined twice",
    ),
    "usurper": (
        odd(CLASS='"LocalEngineSetLauncher"'),
        "LocalEngineSetLauncher has the name 'LocalEngineSetLauncher', which LocalEngineSetLauncher of the plugin local",
    ),
    "alias": (odd(ALIASES='"own,MPI"'), "has the name 'MPI', which MPIEngineSetLauncher of the plugin mpiexec"),
}


def refusals(text, path):
    return [line for line in text.splitlines() if f"plugin {path} was refused: " in line]


@pytest.mark.parametrize("name", BAD)
def test_a_bad_launcher_is_refused_in_one_line_and_no_command_ends_by_it(box, name):
    make, reason = BAD[name]
    box.ipcluster("profile", "create", "default", check=True)
    folder = box.profile_dir() / "plugins/launchers"
    folder.mkdir(parents=True, mode=0o755)
    path = folder / f"{name}.so"
    make(path)
    shown = box.ipcluster("plugins", check=True)
    (line,) = refusals(shown.out, path)
    assert reason in line and "mpiexec" in shown.out.partition("Refused:")[0]
    assert not shown.err
    assert json.loads(box.ipcluster("plugins", "--json", name, check=True).out)[0]["refused"] == line.strip()
    for words, status in [
        (["--help"], 0),
        (["start", "--help"], 0),
        (["list"], 0),
        (["stop"], 11),
        (["profile", "list"], 0),
    ]:
        done = box.ipcluster(*words)
        assert done.status == status and not refusals(done.out + done.err, path)
    started = box.ipcluster("start", "--n=1", f"--elauncher={name}")
    assert started.status == 1 and f"there is no launcher '{name}' for engines" in started.err
    assert reason in started.err.splitlines()[-1]


@pytest.mark.parametrize(
    "command, status", [(["stop"], 0), (["start", "--n=0", "--daemonize"], 0)], ids=["stop", "start"]
)
def test_what_a_supervisor_had_started_and_not_noted_when_it_was_killed_is_ended(box, command, status):
    folder = box.dir / "plugins/launchers"
    folder.mkdir(parents=True, mode=0o755)
    build(folder / "odd.so", CREATE="keep", START="start_and_die")
    env = {"IPCLUSTER_PLUGIN_PATH": str(folder.parent)}
    assert box.begin("start", "--n=1", "--elauncher=odd", env=env).wait(60) == -signal.SIGKILL
    assert len(named(box, "sleep")) == 1
    told = box.ipcluster(*command, env=env)
    assert told.status == status and "Ending 1 process that had just been started" in told.out
    assert not named(box, "sleep")
    box.ipcluster("stop")
    box.wait_for_no_processes()


def test_a_supervisors_mark_is_on_what_it_starts_and_on_nothing_that_an_engine_starts(box):
    box.ipcluster("start", "--n=1", "--daemonize", check=True)
    (engine,), (watcher,) = named(box, "ipengine"), named(box, "engine-watcher")
    marks = [process.environ().get("IPCLUSTER_SUPERVISOR", "").strip() for process in (engine, watcher)]
    assert [bool(mark) for mark in marks] == [True, False]
    code = "import ipcluster, os; print(ipcluster.Client()[:].apply_sync(os.getenv, 'IPCLUSTER_SUPERVISOR'))"
    assert box.run("/usr/bin/python3", "-c", code, env=box.python_env()).out == "[None]\n"
    box.ipcluster("stop", check=True)


def test_bad_plugins_beside_good_ones_do_not_hinder_a_start(box):
    folder = box.dir / "plugins/launchers"
    folder.mkdir(parents=True, mode=0o755)
    for name, (make, _) in BAD.items():
        make(folder / f"{name}.so")
    env = {"IPCLUSTER_PLUGIN_PATH": str(folder.parent)}
    started = box.ipcluster("start", "--n=1", "--daemonize", "--elauncher=local", env=env, check=True)
    for name, (_, reason) in BAD.items():
        (line,) = refusals(started.err, folder / f"{name}.so")
        assert reason in line
    stopped = box.ipcluster("stop", env=env, check=True)
    assert not stopped.err


def test_a_refused_plugins_settings_in_the_profile_hinder_no_command_that_starts_nothing(box):
    box.ipcluster("profile", "create", "default", check=True)
    folder = box.profile_dir() / "plugins/launchers"
    folder.mkdir(parents=True, mode=0o755)
    cut_off(folder / "odd.so")
    (box.profile_dir() / "ipcluster_config.json").write_text('{"Odd": {"times": 3}}')
    for words, status in [(["list"], 0), (["stop"], 11), (["plugins"], 0)]:
        done = box.ipcluster(*words)
        assert done.status == status
        assert refusals(done.err, folder / "odd.so") and "there is no setting Odd.times" in done.err
    started = box.ipcluster("start", "--n=1")
    assert started.status == 1 and refusals(started.err, folder / "odd.so")
    build(folder / "odd.so")
    assert not box.ipcluster("list", check=True).err
    (folder / "odd.so").unlink()
    assert box.ipcluster("list").status == 1


def test_commands_that_need_no_launcher_load_none(box):
    """The plugin ends a program that loads it. This cannot be prevented, but many commands need no launcher."""
    box.ipcluster("profile", "create", "default", check=True)
    folder = box.profile_dir() / "plugins/launchers"
    folder.mkdir(parents=True, mode=0o755)
    build(folder / "odd.so", ON_LOAD=1)
    for words, status in [
        (["--help"], 0),
        (["list"], 0),
        (["stop"], 11),
        (["stop", "--help"], 0),
        (["profile", "list"], 0),
    ]:
        assert box.ipcluster(*words).status == status
    assert box.ipcluster("plugins").status == box.ipcluster("start", "--n=1").status == 99


def test_a_plugin_of_a_name_that_is_installed_takes_its_place(box):
    folder = box.dir / "plugins/launchers"
    folder.mkdir(parents=True, mode=0o755)
    build(folder / "mpiexec.so", CLASS='"MPIEngineSetLauncher"', ALIASES='"mpi"')
    shown = box.ipcluster("plugins", env={"IPCLUSTER_PLUGIN_PATH": str(folder.parent)}, check=True)
    assert "Refused" not in shown.out and shown.out.count("hidden by an earlier one of this name") == 1


def test_a_profiles_launcher_does_not_take_the_place_of_one_of_its_name(box):
    """Launchers' options are read before the profile is known."""
    box.ipcluster("profile", "create", "default", check=True)
    folder = box.profile_dir() / "plugins/launchers"
    folder.mkdir(parents=True, mode=0o755)
    build(folder / "mpiexec.so", CLASS='"MPIEngineSetLauncher"', ALIASES='"mpi"')
    shown = box.ipcluster("plugins", check=True)
    (line,) = refusals(shown.out, folder / "mpiexec.so")
    assert "a launcher plugin of this name was found first" in line
    assert "hidden by an earlier one" not in shown.out
    assert refusals(box.ipcluster("start", "--elauncher=none").err, folder / "mpiexec.so")


# All that is wrong with one


def checked(box, path, *words):
    """What is said of a file, a finding a line, and the exit status."""
    done = box.ipcluster("plugins", "check", path, *words)
    lines = [line for line in done.out.splitlines() if line]
    assert not done.err and all(line.startswith(f"{path}: ") for line in lines), done
    return [line.removeprefix(f"{path}: ") for line in lines], done.status


@pytest.mark.parametrize("name", [name for name in BAD if name not in ("usurper", "alias", "taker", "pipe")])
def test_check_says_what_is_wrong_with_a_file_that_is_refused(box, name):
    make, reason = BAD[name]
    path = box.dir / f"{name}.so"
    make(path)
    found, status = checked(box, path)
    assert status == 1 and any(reason in line for line in found), found


def test_check_says_all_that_is_wrong_with_a_descriptor_a_finding_a_line(box):
    build(box.dir / "odd.so", WITHOUT_FUNCTIONS=1, DEFAULT='"often"')
    path = box.dir / "mine.so"
    (box.dir / "odd.so").rename(path)
    found, status = checked(box, path)
    assert status == 1 and len(found) == 3, found
    for line, part in zip(found, ("it calls itself 'odd'", "lacks create, start", "Odd.times expects an integer")):
        assert part in line


def test_check_says_that_others_can_change_a_plugin_and_does_not_load_it(box):
    path = box.dir / "odd.so"
    build(path, ON_LOAD=1)
    path.chmod(0o666)
    found, status = checked(box, path)
    assert status == 1 and len(found) == 1 and "odd.so" in found[0], found


@pytest.mark.parametrize(
    "macros, finding",
    [
        ({"ON_LOAD": 1}, "it ended the process when it was loaded"),
        ({}, "OddEngineSetLauncher could not be created and gave no reason"),
        (
            {"CREATE": "something"},
            "cannot start 'exec sleep 90': the launcher OddEngineSetLauncher could not start anything",
        ),
        (
            {"CREATE": "something", "START": "something", "CLASS": '"LocalEngineSetLauncher"'},
            "has the name 'LocalEngineSetLauncher', which LocalEngineSetLauncher of the plugin local",
        ),
        ({"CREATE": "(void *)8"}, "it crashed in create() of OddEngineSetLauncher: Segmentation fault"),
    ],
)
def test_check_runs_a_launcher_and_outlives_it(box, macros, finding):
    if box.sanitizers and "crashed" in finding:
        pytest.skip("a sanitizer ends what crashes with a report")
    path = box.dir / "odd.so"
    build(path, **macros)
    found, status = checked(box, path)
    assert status == 1 and any(finding in line for line in found), found


def test_check_finds_nothing_wrong_with_launchers_that_keep_to_the_header(box, wrap_plugin):
    found, status = checked(box, wrap_plugin / "launchers/wrap.so")
    assert status == 0 and found == ["nothing is wrong with the launcher wrap 1.0 (ABI 1.4)"]
    old = TOP / "tests/session/abi_1_1"
    path = box.dir / "old.so"
    subprocess.run(["gcc", "-shared", "-fPIC", "-O1", f"-I{old}", old / "old.c", "-o", path], check=True)
    path.chmod(0o644)
    found, status = checked(box, path)
    assert status == 0 and "(ABI 1.1)" in found[0]
    box.wait_for_no_processes()


def test_check_reads_samples_by_the_table_of_a_batch_system(box):
    samples = box.dir / "samples"
    samples.mkdir()
    (samples / "submit").write_text("Submitted batch job 5\n")
    (samples / "query").write_text("5|RUNNING|None|N/A|0|\n6|PENDING|Priority|2026-11-29T10:00:00|0|\n")
    (shown,) = json.loads(box.ipcluster("plugins", "--json", "slurm", check=True).out)
    plugin = shown["path"]
    done = box.ipcluster("plugins", "check", plugin, f"--samples={samples}", check=True)
    assert "query: job 5 runs\nquery: job 6 is pending: Priority, starts about 10:00\nsubmit: job 5\n" in done.out
    (samples / "submit").write_text("sbatch: error\n")
    (samples / "query-2").write_text("7|REVOKED|None|N/A|0|\n")
    done = box.ipcluster("plugins", "check", plugin, f"--samples={samples}")
    assert done.status == 1
    assert "submit: there is no job id in the output 'sbatch: error'" in done.out
    assert "query-2: the state 'REVOKED' of job 7 is none of its states" in done.out
    (samples / "query-2").write_text("8|-|-|-|0|\n")
    (samples / "query-3").write_text("JOBID is not here\n")
    done = box.ipcluster("plugins", "check", plugin, f"--samples={samples}")
    assert "query-2: no state of job 8 was found with the regular expression '" in done.out
    assert "query-3: no job was found in it with the regular expression '" in done.out


# New ones


@pytest.fixture
def author(box, installed):
    """The box with what a plugin's author has: the installed headers, and the programs on PATH."""
    box.env.update(
        package_config(installed),
        PATH=f"{box.programs.ipcluster.parent}:{os.environ['PATH']}",
        DEBFULLNAME="Ada Example",
    )
    return box


@pytest.mark.parametrize(
    "kind, place",
    [
        ("batch", "launchers"),
        ("launcher", "launchers"),
        ("mpi", "mpi"),
        ("serial", "serial"),
        ("kernel", "kernels"),
        ("store", "stores"),
    ],
)
def test_a_new_plugin_builds_passes_its_own_test_and_is_found_where_it_is_installed(author, kind, place):
    made = author.ipcluster("plugins", "new", kind, "mine", f"--folder={author.dir}/folder", check=True)
    assert f"{author.dir}/folder/mine.c is the plugin" in made.out
    folder = author.dir / "folder"
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files >= {
        "Makefile",
        "mine.c",
        "test.sh",
        "ipcluster-mine.7",
        "ipcluster-mine.spec",
        "debian/control",
        "debian/rules",
    }
    texts = [(folder / file).read_text() for file in files]
    assert (
        not [text for text in texts if re.search("@[A-Z]+@|NAME@", text)]
        and "Ada Example" in (folder / "debian/changelog").read_text()
    )
    author.run("make", "-C", folder, "check", check=True)
    author.run(
        "make", "-C", folder, "install", f"PLUGINS={author.dir}/plugins", f"MANUALS={author.dir}/man", check=True
    )
    (shown,) = json.loads(
        author.ipcluster(
            "plugins", "--json", "mine", env={"IPCLUSTER_PLUGIN_PATH": f"{author.dir}/plugins"}, check=True
        ).out
    )
    assert shown["path"] == f"{author.dir}/plugins/{place}/mine.so" and "refused" not in shown
    assert (author.dir / "man/man7/ipcluster-mine.7").exists()


@pytest.mark.parametrize(
    "words, reason",
    [
        (["batch", "there"], "there exists already: name another folder with --folder"),
        (["bach", "mine"], "'bach' is not a kind of plugin; the nearest is batch"),
        (["batch", "my-own"], "'my-own' cannot be a plugin's name"),
        (["batch", "../mine"], "'../mine' cannot be a plugin's name"),
        (["batch", "mine", "--folder=no/such"], "no/such cannot be made: No such file or directory"),
        (["batch"], "name a kind and a plugin: ipcluster plugins new KIND NAME"),
    ],
)
def test_a_new_plugin_that_cannot_be_made_is_said_and_nothing_is_left(box, words, reason):
    (box.work / "there").mkdir()
    done = box.ipcluster("plugins", "new", *words, cwd=box.work)
    assert done.status == 1 and reason in done.err and [path.name for path in box.work.iterdir()] == ["there"]


# The guide's batch system


@pytest.fixture
def spooler(author):
    """The box with the plugin for task-spooler, made from a new folder and the files of the guide's chapter, and a queue of its own."""
    kept = TOP / "tests/session/task_spooler"
    folder = author.dir / "tsp"
    author.ipcluster("plugins", "new", "batch", "tsp", f"--folder={folder}", check=True)
    shutil.copytree(kept, folder, dirs_exist_ok=True)
    author.run("make", "-C", folder, "check", check=True)
    author.run(
        "make", "-C", folder, "install", f"PLUGINS={author.dir}/plugins", f"MANUALS={author.dir}/man", check=True
    )
    author.env.update(
        IPCLUSTER_PLUGIN_PATH=f"{author.dir}/plugins",
        TS_SOCKET=f"{author.dir}/tsp.socket",
        TS_SLOTS="1",
        TMPDIR=str(author.dir),
    )
    author.tsp = lambda *words: author.run("tsp", *words, check=True).out
    author.tsp()
    yield author
    author.tsp("-K")


def test_the_guides_chapter_shows_the_table_that_is_tested():
    (block,) = (block for block in docblocks.blocks(TOP / "docs/howto/batch-system.md") if block.kind == "c")
    text = (TOP / "tests/session/task_spooler/tsp.c").read_text()
    assert block.text == text and len(text.splitlines()) <= 60


def test_the_guides_commands_make_samples_which_its_table_reads(author):
    blocks = docblocks.blocks(TOP / "docs/howto/batch-system.md")
    (table,) = (block.text for block in blocks if block.kind == "c")
    folder, samples, tried = ([typed for typed, _ in block.commands] for block in blocks if block.kind == "sh")
    author.env.update(TS_SOCKET=f"{author.dir}/tsp.socket", TMPDIR=str(author.dir), HOME=str(author.home))
    lines = [*folder, *samples, "tsp -K", "cat > tsp.c", "make check", *tried[1:4]]
    done = author.run("bash", "-c", "\n".join(lines), cwd=author.work, stdin=table)
    assert done.status == 0, done
    assert sorted((author.work / "tsp/expected.txt").read_text().splitlines()) == [
        "query: job 0 has ended: was killed",
        "query: job 1 has ended: ended with exit status 3",
        "query: job 2 has ended",
        "query: job 3 runs",
        "query: job 4 runs",
        "query: job 5 is pending: waits for a slot (tsp -S)",
        "submit: job 0",
    ]
    assert "#TSP -L ipengine-" in done.out and list(author.home.glob(".local/lib/ipcluster/launchers/tsp.so"))


def test_engines_of_the_guides_batch_system_start_wait_work_and_stop(spooler, ipcluster):
    busy = spooler.tsp("sleep", "300").strip()
    cluster = spooler.begin("start", "--n=2", "--elauncher=tsp")
    cluster.wait_for_output("job 1 is pending: waits for a slot", 30)
    spooler.tsp("-k", busy)
    cluster.wait_for_output(UP, 60)
    with ipcluster.Client(str(spooler.profile_dir() / "security/ipcontroller-client.json")) as client:
        assert client[:].apply_sync(typed(lambda: 6 * 7)) == [42, 42]
    assert (
        json.loads((spooler.profile_dir() / "security/ipcontroller-engine.json").read_text())["interface"]
        == "tcp://127.0.0.1"
    )
    assert cluster.stop(signal.SIGINT, 60) == 0
    wait_until(lambda: "running" not in spooler.tsp("-l") and not named(spooler, "ipengine"), 20, "the job has ended")


def test_a_job_of_the_guides_batch_system_is_killed_found_again_and_cancelled(spooler):
    cluster = spooler.begin("start", "--n=1", "--elauncher=tsp")
    cluster.wait_for_output(UP, 60)
    spooler.tsp("-k", "0")
    cluster.wait_for_output("TaskSpooler job 0 was killed", 60)
    cluster.stop(signal.SIGINT, 60)
    cluster = spooler.begin("start", "--n=1", "--elauncher=tsp")
    cluster.wait_for_output(UP, 60)
    cluster.stop(signal.SIGKILL)
    spooler.ipcluster("stop", check=True)
    wait_until(lambda: "running" not in spooler.tsp("-l") and not named(spooler, "ipengine"), 20, "the job has ended")
    failed = spooler.ipcluster("start", "--n=2", "--elauncher=tsp", env={"PYTHONHOME": "/none"})
    assert failed.status and "The engines ended with status 1 before all engines had registered" in failed.err


# What fails without a word


@pytest.mark.parametrize(
    "macros, what", [({}, "could not be created"), ({"CREATE": "something"}, "could not start anything")]
)
def test_a_launcher_that_fails_without_a_reason_is_said_to(box, macros, what):
    folder = box.dir / "plugins/launchers"
    folder.mkdir(parents=True, mode=0o755)
    build(folder / "odd.so", **macros)
    started = box.ipcluster("start", "--n=1", "--elauncher=odd", env={"IPCLUSTER_PLUGIN_PATH": str(folder.parent)})
    assert f"the launcher OddEngineSetLauncher {what} and gave no reason" in started.err


@pytest.mark.parametrize(
    "kind, folder, words, reason",
    [
        (
            "store",
            "stores",
            ["ipcontroller", "--IPController.db_class=odd"],
            "the store of records odd could not be opened",
        ),
        (
            "serial",
            "serial",
            ["ipcontroller", "--Session.packer=odd"],
            "the serializer odd could not pack an empty mapping",
        ),
        ("kernel", "kernels", ["ipengine", "--IPEngine.kernel=odd"], "the kernel odd could not be created"),
        ("mpi", "mpi", ["ipengine", "--mpi=odd", "--IPEngine.mpi_singleton=true"], "odd could not initialise MPI"),
    ],
)
def test_a_plugin_that_fails_without_a_reason_is_said_to(box, new_cluster, kind, folder, words, reason):
    place = box.dir / "plugins" / folder
    place.mkdir(parents=True, mode=0o755)
    build(place / "odd.so", KIND=f'"{kind}"', OPERATIONS=kind)
    program, *options = words
    if program == "ipengine":
        new_cluster(0)
    done = box.run(getattr(box.programs, program), *options, env={"IPCLUSTER_PLUGIN_PATH": str(place.parent)})
    assert done.status != 0 and f"{reason} and gave no reason" in done.err


def start_with(box, **macros):
    """An ipcluster with the odd launcher."""
    folder = box.dir / "plugins/launchers"
    folder.mkdir(parents=True, mode=0o755)
    build(folder / "odd.so", **macros)
    return box.begin("start", "--n=1", "--elauncher=odd", env={"IPCLUSTER_PLUGIN_PATH": str(folder.parent)})


@pytest.mark.parametrize(
    "macros, function",
    [({"CREATE": "crash"}, "create"), ({"CREATE": "keep", "START": "crash"}, "start")],
    ids=["create", "start"],
)
def test_a_launcher_that_crashes_is_named_and_stop_ends_what_had_been_started(box, macros, function):
    if box.sanitizers:
        pytest.skip("a sanitizer ends what crashes with a report")
    started = start_with(box, **macros)
    assert started.wait(60) == -signal.SIGSEGV
    assert f"the launcher OddEngineSetLauncher (plugin odd) has crashed in {function}()" in started.output
    assert box.ipcluster("stop").status == (0 if function == "start" else 11)
    box.wait_for_no_processes()


def test_a_launcher_that_does_not_return_is_named_and_can_be_interrupted(box):
    started = start_with(box, CREATE="keep", START="stick")
    started.wait_for_output(
        re.escape(
            "OddEngineSetLauncher (plugin odd) has not returned for 5 seconds from start(): Ctrl-C ends ipcluster"
        ),
        30,
    )
    assert started.stop(signal.SIGINT, 20) == -signal.SIGINT
    box.ipcluster("stop", check=True)
    box.wait_for_no_processes()


@pytest.mark.parametrize(
    "kind, folder, words",
    [
        ("store", "stores", ["ipcontroller", "--IPController.db_class=odd"]),
        ("serial", "serial", ["ipcontroller", "--Session.packer=odd"]),
        ("kernel", "kernels", ["ipengine", "--IPEngine.kernel=odd"]),
        ("mpi", "mpi", ["ipengine", "--mpi=odd"]),
    ],
)
def test_a_plugin_of_any_kind_that_lacks_functions_is_refused(box, kind, folder, words):
    place = box.dir / "plugins" / folder
    place.mkdir(parents=True, mode=0o755)
    build(place / "odd.so", KIND=f'"{kind}"', OPERATIONS="empty")
    done = box.run(getattr(box.programs, words[0]), *words[1:], env={"IPCLUSTER_PLUGIN_PATH": str(place.parent)})
    assert done.status > 0
    (line,) = refusals(done.err, place / "odd.so")
    assert "its struct of operations lacks " in line and f"<ipcluster/{kind}.h>" in line
