"""Every option that ipyparallel's launchers and documentation give to ipcontroller and ipengine, once each."""

import json
import os
import re
import shutil

import pytest
import zmq

from support import PYTHON, TOP, free_ports, listeners, wait_until


def settings_of(sandbox, program, *arguments, env=None):
    """What --show-config says of a command line: {"Class.trait": value}; and what was logged."""
    folder = sandbox.profile_dir()
    folder.mkdir(exist_ok=True)
    done = sandbox.run(program, f"--profile-dir={folder}", *arguments, "--show-config", env=env, check=True)
    shown = json.loads(done.out)
    return {
        f"{name}.{trait}": value for name, traits in shown.items() if name != "about" for trait, value in traits.items()
    }, done.err


# The option, and what it sets (None: nothing, with a warning).
CONTROLLER = [
    (["--ip=*"], {"IPController.ip": "*"}),
    (["--ip='*'"], {"IPController.ip": "*"}),
    (["--ip", "127.0.0.1"], {"IPController.ip": "127.0.0.1"}),
    (["--location=host"], {"IPController.location": "host"}),
    (["--transport=tcp"], {"IPController.transport": "tcp"}),
    (["--port=0"], {"IPController.regport": 0}),
    (["--ports=10101-10120"], {"IPController.ports": ["10101-10120"]}),
    (["--ssh=user@gate"], {"IPController.ssh_server": "user@gate"}),
    (["--enginessh=gate:22"], {"IPController.engine_ssh_server": "gate:22"}),
    (["--ping=250"], {"HeartMonitor.period": 250}),
    (["--hwm=4"], {"TaskScheduler.hwm": 4}),
    (["--scheme=lru"], {"TaskScheduler.scheme_name": "lru"}),
    (["--TaskScheduler.hwm=0"], {"TaskScheduler.hwm": 0}),
    (["--log-level=10"], {"BaseParallelApplication.log_level": 10}),
    (["--log-level=DEBUG"], {"BaseParallelApplication.log_level": "DEBUG"}),
    (["--Application.log_level=30"], {"BaseParallelApplication.log_level": 30}),
    (["--debug"], {"BaseParallelApplication.log_level": "DEBUG"}),
    (["--quiet"], {"BaseParallelApplication.log_level": "ERROR"}),
    (["--log-to-file"], {"BaseParallelApplication.log_to_file": True}),
    (["--log-to-file=True"], {"BaseParallelApplication.log_to_file": True}),
    (["--BaseParallelApplication.log_to_file", "True"], {"BaseParallelApplication.log_to_file": True}),
    (["--clean-logs=True"], {"BaseParallelApplication.clean_logs": True}),
    (["--cluster-id=b"], {"BaseParallelApplication.cluster_id": "b"}),
    (["--cluster-id", ""], {"BaseParallelApplication.cluster_id": ""}),
    (["--work-dir=/tmp"], {"BaseParallelApplication.work_dir": "/tmp"}),
    (["--init"], {"IPController.auto_create": True}),
    (["--nodb"], {"IPController.db_class": "nodb"}),
    (["--dictdb"], {"IPController.db_class": "dictdb"}),
    (["--reuse"], {"IPController.reuse_files": True}),
    (["--restore"], {"IPController.restore_engines": True}),
    (["--secure"], {"Session.key": "random"}),
    (["--no-secure"], {"Session.key": ""}),
    (["--Session.key=b'secret'"], {"Session.key": "secret"}),
    (
        ["--Session.packer=msgpack.packb", "--Session.unpacker=msgpack.unpackb"],
        {"Session.packer": "msgpack.packb", "Session.unpacker": "msgpack.unpackb"},
    ),
    (["--Session.signature_scheme=hmac-sha512"], {"Session.signature_scheme": "hmac-sha512"}),
    (["--HubFactory.ip=0.0.0.0"], {"IPController.ip": "0.0.0.0"}),
    (["--IPControllerApp.reuse_files=False"], {"IPController.reuse_files": False}),
    (["--IPController.registration_timeout=60"], {"IPController.registration_timeout": 60}),
    (["--HeartMonitor.max_heartmonitor_misses=20"], {"HeartMonitor.max_heartmonitor_misses": 20}),
    (["--usethreads"], None),
    (["--log-url=tcp://127.0.0.1:20202"], None),
    (["--ident=me"], None),
    (["--user=me"], None),
    (["--Session.debug=True"], None),
    (["--DictDB.record_limit=10"], None),
    (["--IPController.mon_port=10000"], None),
]
ENGINE = [
    (["--file=/x/ipcontroller-engine.json"], {"IPEngine.url_file": "/x/ipcontroller-engine.json"}),
    (["-c", "a = 1"], {"IPEngine.startup_command": "a = 1"}),
    (["-s", "start.py"], {"IPEngine.startup_script": "start.py"}),
    (["--location=10.0.0.1"], {"IPEngine.location": "10.0.0.1"}),
    (["--timeout=5"], {"IPEngine.timeout": 5.0}),
    (["--EngineFactory.timeout=6.5"], {"IPEngine.timeout": 6.5}),
    (["--IPEngineApp.wait_for_url_file=1"], {"IPEngine.wait_for_url_file": 1.0}),
    (["--IPEngine.max_heartbeat_misses=50"], {"IPEngine.max_heartbeat_misses": 50}),
    (["--IPEngine.id=3"], {"IPEngine.id": 3}),
    (["--IPEngine.id=None"], {}),
    (["--log-level=20"], {"BaseParallelApplication.log_level": 20}),
    (["--cluster-id", "x", "--debug"], {"BaseParallelApplication.cluster_id": "x"}),
    (["--url=tcp://127.0.0.1:10000"], None),
    (["--IPEngine.enable_nanny=False"], {"IPEngine.enable_nanny": False}),
    (["--IPythonKernel.help_links=[]"], None),
    (["--no-secure"], None),
]


@pytest.mark.parametrize("arguments, sets", CONTROLLER, ids=lambda value: " ".join(value or []))
def test_the_controller_takes(sandbox, arguments, sets):
    check(sandbox, sandbox.programs.ipcontroller, arguments, sets)


@pytest.mark.parametrize("arguments, sets", ENGINE, ids=lambda value: " ".join(value or []))
def test_the_engine_takes(sandbox, arguments, sets):
    check(sandbox, sandbox.programs.ipengine, arguments, sets)


def check(sandbox, program, arguments, sets):
    shown, log = settings_of(sandbox, program, *arguments)
    if sets is None:
        assert log.count(" has no effect: ") == 1, log
    else:
        assert "no effect" not in log
        assert {key: shown.get(key) for key in sets} == sets


@pytest.mark.parametrize(
    "arguments, said",
    [
        (["--Session.packer=pickle"], "pickle"),
        (["--mongodb"], "MongoDB"),
        (["--IPController.use_thread=1"], "the nearest known one is IPController.use_threads"),
        (["--usethread"], "the nearest known one is --usethreads"),
        (["--config=ipcontroller_config.py"], "ipcluster profile convert"),
        (["--IPController.curve_secretkey=short"], "curve_secretkey"),
        (["--IPController.client_transport=ipc"], "the same transport"),
    ],
)
def test_the_controller_refuses_with_a_reason(sandbox, arguments, said):
    done = sandbox.run(sandbox.programs.ipcontroller, *arguments)
    assert done.status == 1 and said in done.err, done


def test_profile_and_cluster_id_come_from_the_environment_as_launchers_of_ipyparallel_8_set_it(sandbox):
    folder = sandbox.work / "elsewhere"
    env = {"IPP_PROFILE_DIR": str(folder), "IPP_CLUSTER_ID": "b", "IPP_SESSION_KEY": "a-key"}
    controller = sandbox.start(sandbox.programs.ipcontroller, env=env)
    file = folder / "security/ipcontroller-b-client.json"
    wait_until(file.exists, 20, "the controller writes its file")
    assert json.loads(file.read_text())["key"] == "a-key"
    assert controller.stop() == 0


def test_an_engine_takes_its_connection_from_the_environment(sandbox, new_cluster):
    cluster = new_cluster(0)
    info = cluster.engine_file.read_text()
    engine = sandbox.start(
        sandbox.programs.ipengine,
        f"--ipython-dir={sandbox.work}",
        env={"IPP_CONNECTION_INFO": info, "IPP_CLUSTER_ID": "not-there"},
    )
    client = cluster.client(wait_for=1)
    assert client[0].apply_sync(os.getpid) == engine.pid


def test_clients_and_engines_can_have_addresses_and_ports_of_their_own(new_cluster):
    for_clients, for_engines, mux_client, mux_engine = ports = free_ports(4)
    cluster = new_cluster(
        1,
        controller=[
            "--IPController.client_ip=127.0.0.2",
            "--IPController.engine_ip=127.0.0.1",
            f"--IPController.mux=({mux_client}, {mux_engine})",
            f"--IPController.client_ports={for_clients}",
            f"--IPController.engine_ports={for_engines}",
        ],
    )
    client_file = json.loads(cluster.client_file.read_text())
    engine_file = json.loads(cluster.engine_file.read_text())
    assert client_file["interface"] == "tcp://127.0.0.2" and engine_file["interface"] == "tcp://127.0.0.1"
    assert {mux_client, for_clients} <= set(map(str_or_int, client_file.values()))
    assert {port for port, _ in listeners(ports)} == set(ports)
    assert cluster.client()[0].apply_sync(os.getpid) == cluster.engines[0].pid


def str_or_int(value):
    return value if isinstance(value, (int, str)) else None


def test_a_key_can_be_given_by_a_file(sandbox, new_cluster):
    keyfile = sandbox.work / "key"
    keyfile.write_text("a secret\n")
    keyfile.chmod(0o600)
    cluster = new_cluster(1, controller=[f"--keyfile={keyfile}"])
    assert json.loads(cluster.client_file.read_text())["key"] == "a secret"
    assert cluster.client()[0].apply_sync(os.getpid) == cluster.engines[0].pid


def test_without_security_messages_are_not_signed_and_the_log_says_so(new_cluster):
    cluster = new_cluster(1, controller=["--no-secure"])
    assert json.loads(cluster.client_file.read_text())["key"] == ""
    cluster.controller.wait_for_output("messages are not signed")
    assert cluster.client()[0].apply_sync(os.getpid) == cluster.engines[0].pid


def test_curve_keys_can_be_given(new_cluster):
    public, secret = (key.decode() for key in zmq.curve_keypair())
    cluster = new_cluster(
        1, env={"IPP_CURVE_PUBLICKEY": public, "IPP_CURVE_SECRETKEY": secret, "IPP_ENABLE_CURVE": "1"}
    )
    assert json.loads(cluster.client_file.read_text())["curve_serverkey"] == public
    assert cluster.client()[0].apply_sync(os.getpid) == cluster.engines[0].pid


def test_old_logs_are_cleaned(sandbox, new_cluster):
    log = sandbox.profile_dir() / "log"
    log.mkdir(parents=True)
    for name in ("ipcontroller-1.log", "ipcontroller-b-1.log", "ipengine-1.log"):
        (log / name).touch()
    new_cluster(0, controller=["--clean-logs", "--log-to-file"])
    left = {path.name for path in log.iterdir()}
    assert "ipcontroller-1.log" not in left and {"ipcontroller-b-1.log", "ipengine-1.log"} < left


def test_a_further_file_of_settings_wins_over_the_profiles(sandbox):
    sandbox.profile_dir().mkdir()
    (sandbox.profile_dir() / "ipcontroller_config.json").write_text('{"TaskScheduler": {"hwm": 2}}')
    more = sandbox.work / "more.json"
    more.write_text('{"TaskScheduler": {"hwm": 3}}')
    assert settings_of(sandbox, sandbox.programs.ipcontroller, f"--config={more}")[0]["TaskScheduler.hwm"] == 3


def test_mpi_is_initialised_as_by_ipyparallels_engine(sandbox, new_cluster):
    cluster = new_cluster(0)
    sandbox.start(
        sandbox.programs.ipengine,
        "--IPEngine.use_mpi=True",
        "--IPEngine.init_mpi=doubled = 2 * mpi_size",
        env=sandbox.no_leak_check(),
    )
    client = cluster.client(wait_for=1)
    client[0].execute("name = MPI.COMM_WORLD.Get_name()", block=True)
    assert client[0]["doubled"] == 2 and client[0]["name"]


def test_help_names_what_has_no_effect(sandbox):
    for program in (sandbox.programs.ipcontroller, sandbox.programs.ipengine):
        for option in ("--help-all", "--help-man"):
            assert "Accepted with a warning, and without effect" in sandbox.run(program, option, check=True).out


NAME = re.compile(r"\b([A-Z][A-Za-z]+)\.([a-z][a-z_]+)\b")


def texts_of_c(source):
    """The string literals of a source file; adjacent literals are one."""
    code = re.sub(r"/\*.*?\*/", "", source.read_text(), flags=re.DOTALL)
    return re.findall(r'"((?:[^"\\\n]|\\.)*)"', re.sub(r'"\s*\n\s*"', "", code))


def test_every_setting_that_a_message_or_the_documentation_names_is_in_a_programs_help(sandbox):
    programs = sandbox.programs
    commands = [
        [programs.ipcontroller],
        [programs.ipengine],
        *([programs.ipcluster, word] for word in ("start", "engines", "stop", "list", "stats")),
    ]
    helps = [sandbox.run(*command, "--help-all", check=True).out for command in commands]
    helps += [sandbox.run(programs.ipcluster, "plugins", store, check=True).out for store in ("memory", "sqlite")]
    known = {
        tuple(name) for text in helps for name in re.findall(r"^  (?:--)?([A-Z]\w+)\.(\w+)[ =]", text, re.MULTILINE)
    }
    assert ("Cluster", "engine_timeout") in known
    known |= {
        (heir, name)
        for text in helps
        for heir, heard in re.findall(r"^  (\w+)\.\*: by default as for (\w+)", text, re.MULTILINE)
        for class_name, name in known
        if class_name == heard
    }
    classes = {name for name, _ in known}
    none = {
        ("Class", "trait"),
        ("PID", "log"),
        ("IPython", "core"),
        ("IPython", "parallel"),
        ("PBSEngineSetLauncher", "template"),
        ("Cluster", "from_file"),
    }
    named = [
        (name, source)
        for folder in ("core", "plugins")
        for source in (TOP / folder).rglob("*.[ch]")
        for text in texts_of_c(source)
        for name in NAME.findall(text)
        if name not in none
    ]
    others = [*(TOP / "python").rglob("*.py"), TOP / "README.md", *(TOP / "docs").rglob("*.md")]
    named += [
        (name, source)
        for source in others
        for name in NAME.findall(source.read_text())
        if name[0] in classes
        and name not in none
        and not (source.suffix == ".py" and name[0] in ("Cluster", "ProfileDir"))
    ]  # classes of Python, too
    assert len(named) > 50
    assert not [f"{source}: {name}" for name, source in named if name not in known]


# Which programs they are


def commands_of(sandbox):
    """The words of each command of ipcluster."""
    said = sandbox.run(sandbox.programs.ipcluster, "--help", check=True).out
    return re.findall(r"^  ([a-z]+)  ", said.partition("Commands:")[2].partition("Examples:")[0], re.MULTILINE)


def own_version():
    return re.search(r"AC_INIT\(\[ipcluster\], \[(.+?)\]\)", (TOP / "configure.ac").read_text()).group(1)


def test_every_program_and_command_and_the_package_tell_their_version(sandbox):
    programs = sandbox.programs
    commands = [word for word in commands_of(sandbox) if word != "help"]
    assert {"start", "profile", "plugins"} <= set(commands)
    lines = [
        [programs.ipcluster],
        *([programs.ipcluster, word] for word in commands),
        [programs.ipcontroller],
        [programs.ipengine],
    ]
    said = {
        (" ".join(map(str, line)), option): sandbox.run(*line, option, check=True).out
        for line in lines
        for option in ("--version", "-V")
    }
    assert {text for (line, _), text in said.items() if line.startswith(str(programs.ipcluster))} == {
        f"ipcluster {own_version()}\n"
    }
    assert {text for (line, _), text in said.items() if line.startswith(str(programs.ipengine))} == {
        f"ipengine {own_version()}\n"
    }
    assert {text for (line, _), text in said.items() if line.startswith(str(programs.ipcontroller))} == {
        f"ipcontroller {own_version()}\n"
    }
    assert (
        sandbox.run(PYTHON, "-c", "import ipcluster; print(ipcluster.__version__)", check=True, python=True).out
        == own_version() + "\n"
    )


def of_another_package(folder):
    """A folder with programs of our names that are not ours: they answer as ipyparallel's do."""
    folder.mkdir()
    for name in ("ipcluster", "ipcontroller", "ipengine"):
        (folder / name).write_text('#!/bin/sh\n[ "$*" = --version ] && echo 8.4.0 || touch "$0.ran"\n')
        (folder / name).chmod(0o755)
    return folder


def test_programs_are_those_of_the_packages_own_installation_whatever_is_first_on_the_path(sandbox):
    others = of_another_package(sandbox.dir / "others")
    env = {"PATH": f"{others}:{sandbox.env['PATH']}"}
    asked = {"ipcluster": "ipcluster", "ipcluster.controller": "ipcontroller"}
    for module, name in asked.items():
        assert (
            sandbox.run(PYTHON, "-m", module, "--version", env=env, check=True, python=True).out
            == f"{name} {own_version()}\n"
        )
    code = "import ipcluster\nwith ipcluster.Cluster(n=1) as client: print(client[:].apply_sync(lambda: 6 * 7))"
    assert sandbox.run(PYTHON, "-c", code, env=env, check=True, python=True).out == "[42]\n"
    assert not list(others.glob("*.ran"))


def test_a_program_of_the_path_is_taken_only_where_there_is_no_other_and_it_is_ours(sandbox):
    others = of_another_package(sandbox.dir / "others")
    package = sandbox.dir / "package/lib/python/site"
    shutil.copytree(sandbox.programs.python_path[0], package, ignore_dangling_symlinks=True)
    python = [PYTHON, "-m", "ipcluster", "--version"]
    alone = {"PYTHONPATH": str(package), "PATH": f"{others}:/usr/bin:/bin"}
    refused = sandbox.run(*python, env=alone, python=True)
    assert refused.status != 0 and "the program ipcluster is not there: it belongs at /" in refused.err
    found = {**alone, "PATH": f"{others}:{sandbox.env['PATH']}"}
    assert sandbox.run(*python, env=found, check=True, python=True).out == f"ipcluster {own_version()}\n"
    assert not list(others.glob("*.ran"))


def test_ipcluster_starts_no_other_packages_controller_where_its_own_is_missing(sandbox):
    others = of_another_package(sandbox.dir / "others")
    prefix = sandbox.dir / "prefix"
    for name, source in {
        "bin/ipcluster": sandbox.programs.ipcluster,
        "lib/ipcluster/launchers/local.so": sandbox.programs.build / "plugins/launchers/.libs/local.so",
    }.items():
        (prefix / name).parent.mkdir(parents=True)
        shutil.copy(source, prefix / name)
    refused = sandbox.run(prefix / "bin/ipcluster", "start", "--n=1", env={"PATH": f"{others}:/usr/bin:/bin"})
    assert (
        refused.status != 0
        and f"{prefix}/bin/ipcontroller, which belongs to this ipcluster, cannot be run" in refused.err
    )
    assert not list(others.glob("*.ran"))


def test_what_a_program_opens_does_not_become_a_standard_stream_that_was_closed(sandbox):
    """Some batch systems and daemons start programs so."""

    def start(program):
        return sandbox.start("/bin/sh", "-c", 'exec "$0" <&- >&- 2>&-', program)

    controller = start(sandbox.programs.ipcontroller)
    file = sandbox.profile_dir() / "security/ipcontroller-client.json"
    wait_until(file.exists, 20, "the controller writes its file")
    assert {os.readlink(f"/proc/{controller.pid}/fd/{fd}") for fd in range(3)} == {"/dev/null"}
    start(sandbox.programs.ipengine)
    code = """
import sys, ipcluster
with ipcluster.Client(sys.argv[1]) as client:
    client.wait_for_engines(1, timeout=100)
    result = client[0].apply_async(print, "hello")
    result.get()
    print(result.stdout, end="")
"""
    assert sandbox.run(PYTHON, "-c", code, file, python=True, check=True).out == "hello\n"
