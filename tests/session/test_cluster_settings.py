"""The program ipcluster: its profiles and settings, its words, and what is shown of them."""

import json
import signal

import pytest

from ipcluster_box import UP, assert_nothing_left, listed


def test_a_profile_names_the_launcher(box):
    box.ipcluster("profile", "create", "mpi", "--elauncher=MPIExecEngineSetLauncher", check=True)
    config = json.loads((box.profile_dir("mpi") / "ipcluster_config.json").read_text())
    assert config["Cluster"] == {"engine_launcher_class": "MPIExecEngineSetLauncher"}
    assert not {"IPClusterEngines", "BaseParallelApplication"} & set(config)
    assert {path.name for path in box.profile_dir("mpi").glob("*_config.json")} == {
        "ipcluster_config.json",
        "ipcontroller_config.json",
        "ipengine_config.json",
    }
    cluster = box.begin("start", "--profile=mpi", "--n=2")
    cluster.wait_for_output(UP, 60)
    assert "with MPIExecEngineSetLauncher" in cluster.output
    assert [c["profile"] for c in listed(box, "--profile=mpi")] == ["mpi"]
    assert cluster.stop(signal.SIGINT, 60) == 0
    assert_nothing_left(box, box.profile_dir("mpi"))


@pytest.mark.parametrize("owner", ["IPClusterEngines", "IPClusterStart", "Cluster"])
def test_settings_are_known_under_the_names_of_both_generations(box, owner):
    box.ipcluster("profile", "create", "old", check=True)
    (box.profile_dir("old") / "ipcluster_config.json").write_text(json.dumps({owner: {"n": 1}}))
    box.ipcluster("start", "--profile=old", "--daemonize", check=True)
    assert [c["n"] for c in listed(box, "--profile=old")] == [1]
    box.ipcluster("stop", "--profile=old", check=True)


@pytest.mark.parametrize("command", ["list", "plugins"])
def test_what_a_profile_sets_for_one_command_is_no_mistake_to_the_others(box, command):
    box.ipcluster("profile", "create", "old", check=True)
    owners = "IPClusterList", "IPClusterPlugins", "IPClusterStatus"
    (box.profile_dir("old") / "ipcluster_config.json").write_text(
        json.dumps({owner: {"json": False} for owner in owners})
    )
    assert box.ipcluster(command, "--profile=old", check=True).err == ""


def test_a_profile_folder_of_any_name_can_be_made_and_used(box):
    folder = box.dir / "elsewhere"
    box.ipcluster("profile", "create", f"--profile-dir={folder}", "--n=1", check=True)
    assert str(folder) not in (folder / "ipcluster_config.json").read_text()
    started = box.ipcluster("start", f"--profile-dir={folder}", "--daemonize", check=True)
    assert f"ipcluster stop --profile-dir={folder}" in started.out
    box.ipcluster("stop", f"--profile-dir={folder}", check=True)
    assert_nothing_left(box, folder)


def test_a_missing_profile_is_refused_with_how_to_make_it(box):
    refused = box.ipcluster("start", "--profile=mpii")
    assert refused.status == 1 and "ipcluster profile create mpii" in refused.err
    assert not box.profile_dir("mpii").exists()


@pytest.mark.parametrize(
    "content, named",
    [
        ({"IPClusterEngines": {"engine_launcher_clas": "local"}}, "engine_launcher_class"),
        ({"IPClusterEngine": {"n": 4}}, " IPClusterEngines.n "),
        ({"IPClusterEngines": {"n": "four"}}, "n"),
    ],
)
def test_a_mistake_in_a_profile_names_file_key_and_what_was_meant(box, content, named):
    box.ipcluster("profile", "create", "typo", check=True)
    file = box.profile_dir("typo") / "ipcluster_config.json"
    file.write_text(json.dumps(content))
    refused = box.ipcluster("start", "--profile=typo", "--n=1")
    assert refused.status == 1 and str(file) in refused.err and named in refused.err


@pytest.mark.parametrize(
    "words, nearest",
    [
        (["strat"], "start"),
        (["profile", "crate", "x"], "create"),
        (["start", "--elaunchr=mpi"], "--elauncher"),
        (["stop", "--n=4"], "ipcluster stop --help"),
        (["start", "--elauncher=MPIEngineSetLaunchr"], "MPIEngineSetLauncher"),
    ],
)
def test_a_mistyped_word_names_the_nearest(box, words, nearest):
    refused = box.ipcluster(*words)
    assert refused.status == 1 and nearest in refused.err


def test_profiles_are_listed_and_located(box):
    box.ipcluster("profile", "create", "one", check=True)
    assert "one" in box.ipcluster("profile", "list", check=True).out
    assert box.ipcluster("profile", "locate", "one", check=True).out.strip() == str(box.profile_dir("one"))
    assert box.ipcluster("profile", "locate", "two").status == 1
    assert box.ipcluster("profile", "create", "one").status == 1


@pytest.mark.parametrize("command", ["start", "stop", "engines", "list", "plugins", "profile"])
def test_each_command_has_help_that_names_it(box, command):
    shown = box.ipcluster(command, "--help", check=True)
    assert f"ipcluster {command}" in shown.out
    assert box.ipcluster("help", command, check=True).out == shown.out
    assert "ipcluster" in box.ipcluster(command, "--help-all", check=True).out


# What is shown


@pytest.mark.parametrize(
    "words, reason",
    [
        (["list", "-o", "yaml"], "IPClusterList.output_format expects one of text,json, not yaml"),
        (
            ["list", "--IPClusterList.output_format=yaml"],
            "IPClusterList.output_format expects one of text,json, not yaml",
        ),
        (
            ["profile", "list", "--log-level=loud"],
            "log_level expects one of DEBUG,INFO,WARN,WARNING,ERROR,CRITICAL, not loud",
        ),
    ],
)
def test_a_word_that_is_none_of_those_an_option_takes_is_an_error_that_lists_them(box, words, reason):
    refused = box.ipcluster(*words)
    assert refused.status == 1 and not refused.out, refused
    assert reason in refused.err


def test_words_that_an_option_takes_are_taken_in_any_case(box):
    assert json.loads(box.ipcluster("list", "-o", "JSON", "--log-level=debug", check=True).out) == []
    assert json.loads(box.ipcluster("list", "-o", "json", "--log-level=40", check=True).out) == []


def test_names_of_any_length_leave_the_columns_of_a_list_straight(box):
    names = ["a", "a-profile-with-a-very-long-name-indeed", "m\xfcller"]
    for name in names:
        box.ipcluster(
            "start", "--n=0", "--daemonize", "--init", f"--profile={name}", f"--cluster-id=id-of-{name}", check=True
        )
    head, *lines = box.ipcluster("list", check=True).out.splitlines()
    assert len(lines) == len(names)
    for column, starts in ("CLUSTER ID", "id-of-"), ("STATE", "running"), ("ENGINES", "0"):
        at = head.index(column)
        assert all(line[at - 1] == " " and line[at:].startswith(starts) for line in lines), "\n".join([head, *lines])
    for name in names:
        box.ipcluster("stop", f"--profile={name}", f"--cluster-id=id-of-{name}", check=True)


@pytest.mark.parametrize("option", ["--cluster-id", "--profile"])
@pytest.mark.parametrize("name", ["a/b", "a\nb", "\x1b[31m", "n" * 129], ids=["slash", "newline", "escape", "long"])
def test_a_name_that_files_and_lines_have_no_room_for_is_refused_by_every_program(box, option, name):
    for program in (box.programs.ipcluster, "start"), (box.programs.ipcontroller,), (box.programs.ipengine,):
        refused = box.run(*program, f"{option}={name}", "--init" if len(program) == 1 else "--n=0", timeout=20)
        assert refused.status == 1 and "at most 128 bytes" in refused.err, refused


def test_the_longest_name_is_that_of_a_cluster_like_any_other(box):
    name = "n" * 128
    box.ipcluster("start", "--n=1", "--daemonize", "--init", f"--profile={name}", f"--cluster-id={name}", check=True)
    assert [c["cluster_id"] for c in listed(box, f"--profile={name}")] == [name]
    box.ipcluster("stop", f"--profile={name}", f"--cluster-id={name}", check=True)


# Profiles of ipyparallel's


@pytest.fixture
def theirs(box):
    """A profile that ipyparallel's programs have: settings in Python, and none of ours."""
    box.profile_dir("old").mkdir()
    for program in ("ipcluster", "ipengine"):
        (box.profile_dir("old") / f"{program}_config.py").write_text("c = get_config()\n")
    return box


def pointed_out(text):
    return [line for line in text.splitlines() if "ipcluster_config.py, ipengine_config.py" in line]


def test_files_of_ipyparallels_are_pointed_out_once_with_how_to_convert_them(theirs):
    started = theirs.ipcluster("start", "--n=2", "--profile=old", "--daemonize", check=True)
    (line,) = pointed_out(started.out + started.err)
    assert "ipcluster profile convert old" in line
    written = "".join(path.read_text() for path in (theirs.profile_dir("old") / "log").iterdir())
    assert "registered as engine" in written and not pointed_out(
        written
    ), "the programs that it starts say nothing of it"
    theirs.ipcluster("stop", "--profile=old", check=True)


@pytest.mark.parametrize("program", ["ipcontroller", "ipengine"])
def test_they_are_pointed_out_by_programs_that_are_started_by_hand(theirs, program):
    folder = theirs.profile_dir("old")
    process = theirs.start(getattr(theirs.programs, program), f"--profile-dir={folder}")
    process.wait_for_output(f"ipcluster profile convert --profile-dir={folder}")
    assert len(pointed_out(process.output)) == 1
    process.stop(signal.SIGINT)


def test_they_are_pointed_out_where_settings_of_ours_are_made_beside_them(theirs):
    made = theirs.ipcluster("profile", "create", "old", check=True)
    (line,) = pointed_out(made.out)
    assert "ipcluster profile convert --force old" in line
    theirs.ipcluster("profile", "convert", "--force", "--python=/usr/bin/python3", "old", check=True)


def test_nothing_is_pointed_out_where_a_profile_has_settings_of_ours_or_it_is_turned_off(theirs):
    off = theirs.ipcluster("list", "--profile=old", "--BaseParallelApplication.point_out_python=false", check=True)
    assert not pointed_out(off.out + off.err)
    (theirs.profile_dir("old") / "ipengine_config.json").write_text("{}")
    ours = theirs.ipcluster("list", "--profile=old", check=True)
    assert not pointed_out(ours.out + ours.err)
