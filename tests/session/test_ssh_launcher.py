"""Engines on other hosts, which the launcher ssh starts: how they are started, and with what. Their hosts are those of ssh_hosts.py."""

import json
import os
import re
import signal
import stat

import docblocks
import pytest
from ssh_gate import needs_openssh
from ssh_hosts import HERE, PEERS, guides_command, real_home

from support import TOP, wait_until

pytestmark = needs_openssh


def test_engines_start_on_two_hosts_work_and_leave_nothing_there(box, hosts, connect):
    one, two = hosts.add("one"), hosts.add("two")
    cluster = hosts.start(engines={"one": 2, "two": 1})
    assert [len(host.engines()) for host in (one, two)] == [2, 1]
    view = connect(3)[:]
    assert sorted(view.apply_sync(os.getpid)) == sorted(
        process.pid for host in (one, two) for process in host.engines()
    )
    assert view.apply_sync(len, bytes(1_000_000)) == [1_000_000] * 3
    assert cluster.stop(signal.SIGINT, 60) == 0, cluster.output
    for host in one, two:
        wait_until(lambda: not host.processes(), 20, "nothing is left there")
        assert not host.folders()


def test_the_guides_command_starts_what_it_says(box, hosts):
    one, two = hosts.add("a.host"), hosts.add("b.host")
    words = [word.replace("me@b.host:2222", "b.host") for word in guides_command("me@b.host")]
    assert words[0] == "ipcluster"
    cluster = box.begin(*words[1:], f"--SSHLauncher.ssh_args=-F {hosts.config}")
    cluster.wait_for_output("The cluster is up", 60)
    assert [len(host.engines()) for host in (one, two)] == [4, 8]
    ((_, shown),) = (
        command
        for block in docblocks.blocks(TOP / "docs/howto/ssh.md")
        if block.kind == "sh"
        for command in block.commands
        if "me@b.host" in command[0]
    )
    assert docblocks.is_shown(shown, cluster.output)


def test_a_host_that_takes_no_part_is_told_in_a_sentence_and_the_others_go_on(box, hosts, connect):
    good, stranger, locked, empty = (
        hosts.add("good"),
        hosts.add("stranger", known=False),
        hosts.add("locked", key="other"),
        hosts.add("empty"),
    )
    down = hosts.add("down")
    down.gate.server.stop()
    cluster = hosts.start(
        "--log-level=INFO",
        engines={
            "good": 1,
            "stranger": 1,
            "locked": 2,
            "down": 1,
            "nowhere.invalid": 1,
            "empty": {"n": 1, "engine_cmd": ["/nowhere/python", "-m", "ipyparallel.engine"]},
        },
    )
    assert connect(1).ids == [0]
    for sentence in (
        "stranger: ssh says: .*Host key verification failed.*; 1 engine fewer",
        r"locked: ssh says: .*Permission denied \(publickey\).*without a password.*; 2 engines fewer",
        "down: ssh says: .*Connection refused; 1 engine fewer",
        "nowhere.invalid: ssh says: .*Could not resolve hostname.*; 1 engine fewer",
        "empty: there is no program /nowhere/python there; 1 engine fewer",
    ):
        assert len(re.findall(sentence, cluster.output)) == 1, (sentence, cluster.output)
    assert "1 of 1 engine has registered" in cluster.output
    for shown, host in zip(docblocks.troubles(TOP / "docs/howto/ssh.md"), ("stranger", "locked")):
        assert docblocks.is_shown(shown.replace("a.host", host), cluster.output)
    assert cluster.stop(signal.SIGINT, 60) == 0
    for host in good, stranger, locked, empty:
        wait_until(lambda: not host.processes() and not host.folders(), 20, "nothing is left there")


def test_the_start_fails_where_no_host_takes_part(hosts):
    one = hosts.add("one")
    one.home.chmod(0o500)
    cluster = hosts.launch(engines={"one": {"n": 2, "remote_profile_dir": "/proc/nowhere"}})
    assert cluster.wait(60) != 0
    assert re.search(
        "one: the profile folder /proc/nowhere cannot be used there: .*mkdir.*remote_profile_dir.*; 2 engines fewer",
        cluster.output,
    )
    assert "No engine can be started" in cluster.output


def test_no_ipengine_on_a_host_is_told_with_what_to_do(box, hosts):
    one = hosts.add("one")
    cluster = hosts.launch(
        "--SSHEngineSetLauncher.engine_cmd=/nowhere/ipengine",
        engines={"one": {"n": 1, "prologue": "PATH=/usr/bin:/bin"}},
    )
    assert cluster.wait(60) != 0
    assert re.search(
        "one: there is no ipengine of ipcluster there, neither as /nowhere/ipengine nor on the PATH: install it",
        cluster.output,
    )
    assert docblocks.is_shown(docblocks.troubles(TOP / "docs/howto/ssh.md")[2].replace("a.host", "one"), cluster.output)
    assert one


def test_keys_are_in_no_command_line_or_environment_and_in_files_of_their_owner_alone(box, hosts, connect):
    one = hosts.add("one")
    hosts.start(engines={"one": 1})
    connect(1)
    file = json.loads((box.profile_dir() / "security/ipcontroller-engine.json").read_text())
    secrets = [file["key"].encode(), file["curve_serverkey"].encode()]
    processes = {*box.marked(), *one.processes()}
    assert len(processes) > 5
    for process in processes:
        for name in "cmdline", "environ":
            with open(f"/proc/{process.pid}/{name}", "rb") as stream:
                text = stream.read()
            assert not [secret for secret in secrets if secret in text], (process, name)
    (folder,) = one.folders()
    there = json.loads((folder / "engine.json").read_text())
    assert there["key"] == file["key"] and there["curve_serverkey"] == file["curve_serverkey"]
    assert there["interface"] == f"ipc://{folder}/s"
    assert (
        stat.S_IMODE(folder.stat().st_mode) == 0o700 and stat.S_IMODE((folder / "engine.json").stat().st_mode) == 0o600
    )


def test_the_controller_stays_on_loopback_and_engines_reach_it_through_the_connection_that_started_them(
    box, hosts, connect
):
    hosts.add("one")
    hosts.start(engines={"one": 2})
    view = connect(2)[:]
    assert (
        json.loads((box.profile_dir() / "security/ipcontroller-client.json").read_text())["interface"]
        == "tcp://127.0.0.1"
    )
    assert view.apply_sync(eval, PEERS) == [set()] * 2, "engines there are connected to sockets alone"
    assert len([process for process in box.marked() if process.name() == "ssh"]) == 1, "one connection a host"


def test_where_sshd_forwards_no_sockets_its_loopback_stands_in(box, hosts, connect):
    one = hosts.add("one", more="AllowStreamLocalForwarding no\n")
    hosts.start(engines={"one": 2})
    view = connect(2)[:]
    assert view.apply_sync(len, bytes(1_000_000)) == [1_000_000] * 2
    (folder,) = one.folders()
    assert json.loads((folder / "engine.json").read_text())["interface"] == "tcp://127.0.0.1"


def test_a_controller_that_listens_for_others_is_reached_by_its_address(box, hosts, connect):
    one = hosts.add("one")
    if not one.apart:
        pytest.skip("there is one network")
    hosts.start("--ip=0.0.0.0", f"--location={HERE.format(5)}", engines={"one": 1})
    assert connect(1)[0].apply_sync(eval, PEERS) == {HERE.format(5)}


def test_a_host_file_and_settings_of_one_host(box, hosts, connect):
    one, two = hosts.add("one"), hosts.add("two")
    (two.home / "here").mkdir()
    file = box.work / "hosts"
    file.write_text("# ours\none slots=2 # big\n\n")
    own = {
        "n": 1,
        "environment": {"A_WORD": 'it\'s "quoted"\nand $more'},
        "work_dir": "here",
        "prologue": "export FROM=prologue; cd /",
    }
    hosts.start(f"--SSHEngineSetLauncher.hosts_file={file}", engines={"two": own})
    view = connect(3)[:]
    seen = view.apply_sync(
        eval, "[__import__('os').environ.get(name) for name in ('A_WORD', 'FROM')] + [__import__('os').getcwd()]"
    )
    assert sorted(seen, key=str) == [
        ['it\'s "quoted"\nand $more', "prologue", str(real_home(two) / "here")],
        *[[None, None, str(real_home(one))]] * 2,
    ]
    assert sorted(len(host.engines()) for host in (one, two)) == [1, 2]


def test_fewer_engines_than_hosts_take_and_more(hosts, connect):
    one = hosts.add("one")
    cluster = hosts.start("-n", "1", engines={"one": 3})
    connect(1)
    assert len(one.engines()) == 1
    assert cluster.stop(signal.SIGINT, 60) == 0
    more = hosts.start("-n", "5", engines={"one": 2})
    assert "5 engines were asked for, and the hosts take 2" in more.output
    connect(2)


def test_hosts_that_are_none_are_refused_before_anything_is_started(hosts, box):
    for words, sentence in (
        ([], "there is no host to start engines on"),
        (["--SSHEngineSetLauncher.engines=one=many"], "the engines of a host must be a number"),
        (
            ['--SSHEngineSetLauncher.engines={"one": {"n": 1, "engine_arg": []}}'],
            "the host one cannot have 'engine_arg' as a setting of its own",
        ),
        (
            ['--SSHEngineSetLauncher.engines={"one": {"engine_args": 5}}'],
            "engine_args of the host one must be a list of texts",
        ),
        (['--SSHEngineSetLauncher.engines={"-oProxyCommand": 1}'], "is not a host"),
    ):
        finished = box.ipcluster("start", "--engines=ssh", *words)
        assert finished.status != 0 and sentence in finished.err, finished


def test_a_dry_run_shows_commands_and_what_would_run_on_each_host_and_leaves_nothing_behind(box):
    box.ipcluster("profile", "create", "default", check=True)
    (box.work / "script.py").write_text("")
    before = sorted(box.dir.rglob("*"))
    engines = {
        "a.host": 4,
        "me@b.host:2222": {
            "n": 8,
            "prologue": "module load python",
            "work_dir": "the data",
            "environment": {"WORD": "it's"},
        },
    }
    shown = box.ipcluster(
        "start",
        "--dry-run",
        "--engines=ssh",
        f"--SSHEngineSetLauncher.engines={json.dumps(engines)}",
        "--SSHLauncher.ssh_args=-4",
        f"--SSHLauncher.to_send={box.work}/script.py=there.py",
        check=True,
    ).out
    controller, one, two = re.split("^# (?:a.host|me@b.host:2222):$", shown, flags=re.MULTILINE)
    assert "ipcontroller --profile-dir=" in controller
    assert re.search(r"^ssh .* -4 .* -- a.host 'exec /bin/sh", one, re.MULTILINE) and "run there, 4 times" in one
    assert (
        re.search(r"^ssh .* -p 2222 .* -- me@b.host 'exec /bin/sh", two, re.MULTILINE) and "run there, 8 times" in two
    )
    for line in (
        r"export 'WORD=it'\\''s'",
        "module load python",
        "cd 'the data'",
        f"# with the file {box.work}/script.py=there.py",
        "program=.*/ipengine",
        r'"\$program" "--profile-dir=\$profile" "--file=\$run/engine.json" .*',
    ):
        assert re.search(f"^{line}$", two, re.MULTILINE), (line, two)
    proxy = box.ipcluster(
        "start",
        "--dry-run",
        "--engines=sshproxy",
        "--SSHProxyEngineSetLauncher.location=c.host",
        "--controller=SSHControllerLauncher",
        "--SSHControllerLauncher.location=d.host",
        "--n=3",
        check=True,
    ).out
    assert '\n"$program" engines "--profile-dir=$profile" --cluster-id="$cluster" --n=3\n' in proxy
    assert re.search(r"-- d.host '(.*\n)*program=.*ipcontroller\n\"\$program\" \"--profile-dir=\$profile\"\n", proxy)
    assert sorted(box.dir.rglob("*")) == before


def test_files_are_sent_to_each_host_before_engines_start(box, hosts, connect):
    one, two = hosts.add("one"), hosts.add("two")
    script, large = box.work / "script.py", box.work / "large"
    script.write_text("answer = 42\n")
    large.write_bytes(os.urandom(300_000))
    hosts.start(
        f"--SSHLauncher.to_send={json.dumps([[str(script), 'sent to/script.py'], [str(large), 'large']])}",
        '--SSHEngineSetLauncher.engine_args=["-s", "sent to/script.py"]',
        engines={"one": 1, "two": 1},
    )
    assert connect(2)[:]["answer"] == [42, 42]
    for host in one, two:
        assert (host.home / "large").read_bytes() == large.read_bytes()


# A file that is whole as soon as it is there.
LATER = "import os; os.chdir(os.path.expanduser('~')); open('new', 'w').write('it is there'); os.rename('new', 'later')"


def test_files_are_fetched_from_each_host_once_engines_have_started(box, hosts, connect):
    one, two = hosts.add("one"), hosts.add("two")
    made = os.urandom(300_000)
    for host in one, two:
        (host.home / "a file").write_bytes(host.name.encode() + made)
    fetch = [
        ["a file", str(box.work / "fetched")],
        ["later", str(box.work / "later")],
        ["nowhere", "/nowhere/there"],
        ["never", str(box.work / "never")],
    ]
    cluster = hosts.start(f"--SSHLauncher.to_fetch={json.dumps(fetch)}", engines={"one": 1, "two": 1})
    connect(2)[:].execute(LATER, block=True)
    for host in one, two:
        for name, content in (("fetched", host.name.encode() + made), ("later", b"it is there")):
            file = box.work / f"{name}.{host.name}"
            wait_until(lambda: file.exists() and file.read_bytes() == content, 30, f"{file} has come")
    assert "nowhere of one was not fetched to /nowhere/there.one" in cluster.output
    assert cluster.stop(signal.SIGINT, 60) == 0, cluster.output
    assert not list(box.work.glob("*.part"))


def test_the_launcher_of_one_host_starts_as_many_as_are_asked_for(box, hosts, connect):
    one = hosts.add("one")
    cluster = box.begin(
        "start",
        "--engines=SSHEngineLauncher",
        f"--SSHLauncher.ssh_args=-F {hosts.config}",
        "--SSHEngineLauncher.location=one",
        "-n",
        "2",
    )
    cluster.wait_for_output("The cluster is up", 60)
    connect(2)
    assert len(one.engines()) == 2
