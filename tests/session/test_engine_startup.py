"""What an engine runs and reads before it registers: startup files, commands, scripts, and IPython's settings."""

import signal

import pytest

from support import without


@pytest.fixture
def profile(sandbox):
    """The default profile's folder, with an empty startup folder."""
    folder = sandbox.profile_dir("default")
    (folder / "startup").mkdir(parents=True)
    return folder


def start(sandbox, peer, *arguments, env=None):
    engine = sandbox.start(sandbox.programs.ipengine, f"--file={peer.file}", *arguments, env=env)
    peer.register(timeout=60)
    return engine


def test_startup_files_run_in_their_order_as_ipython_runs_them(sandbox, peer, profile):
    (profile / "startup/00-first.py").write_text("order = ['first']\nname = __file__\n")
    (profile / "startup/10-second.ipy").write_text("order.append('second')\n%alias_magic t timeit\nhere = !echo ipy\n")
    (profile / "startup/20-broken.py").write_text("order.append('broken')\n1/0\n")
    (profile / "startup/30-last.py").write_text("order.append('last')\n")
    (profile / "startup/README").write_text("not code")
    python_startup = sandbox.dir / "mine.py"
    python_startup.write_text("zeroth = True")
    engine = start(sandbox, peer, env={"PYTHONSTARTUP": str(python_startup)})
    assert peer.apply(lambda: order).result == ["first", "second", "broken", "last"]
    assert peer.apply(lambda: (list(here), name, zeroth)).result == (
        ["ipy"], str(profile / "startup/00-first.py"), True)  # fmt: skip
    assert peer.apply(lambda: "__file__" in globals()).result is False
    engine.wait_for_output("20-broken.py failed at the start; the engine goes on")
    assert "ZeroDivisionError" in engine.output


def test_startup_files_are_ipythons_and_wait_for_it(sandbox, peer, profile):
    (profile / "startup/00-first.py").write_text("ran = True")
    start(sandbox, peer, "--InteractiveShell.colors=nocolor", env=without(sandbox, "IPython"))
    assert peer.apply(lambda: "ran" in globals()).result is False


def test_a_command_runs_before_a_script_and_both_may_be_ipythons(sandbox, peer, profile):
    (profile / "startup/00-first.py").write_text("steps = ['file']")
    script = sandbox.dir / "script.ipy"
    script.write_text("steps.append('script')\nfolder = %pwd\n")
    start(sandbox, peer, "-c", "steps.append('command')\n%precision 3", f"--IPEngine.startup_script={script}")
    assert peer.apply(lambda: (steps, folder != "")).result == (["file", "command", "script"], True)
    msg_id = peer.send("execute_request", {"code": "2 / 3", "silent": False})
    assert [
        m.content["data"]["text/plain"] for m in peer.outputs(msg_id, timeout=60) if m.type == "execute_result"
    ] == ["0.667"]


def test_a_script_knows_its_file(sandbox, peer):
    script = sandbox.dir / "script.py"
    script.write_text("# -*- coding: latin-1 -*-\nname, text = __file__, '\xe9'\n", encoding="latin-1")
    start(sandbox, peer, "-s", str(script))
    assert peer.apply(lambda: (name, text)).result == (str(script), "\xe9")


@pytest.mark.parametrize("ipython", [True, False])
def test_what_is_called_as_a_module_of_pythons_in_the_working_folder_is_left_to_user_code(
    sandbox, peer, profile, ipython
):
    for name in ("ast", "codeop", "datetime", "inspect", "json", "logging", "pickle", "signal", "traceback"):
        (sandbox.work / f"{name}.py").write_text("raise SystemError('a module of the user')")
    (sandbox.work / "mine.py").write_text("value = 5")
    (profile / "ipython_config.py").write_text("c.InteractiveShellApp.exec_lines = ['import mine']")
    start(sandbox, peer, env={} if ipython else without(sandbox, "IPython"))
    assert peer.execute("1/0").content["ename"] == "ZeroDivisionError"
    assert peer.execute("value = __import__('mine').value").content["status"] == "ok"
    assert peer.apply(lambda: value).result == 5


def test_the_working_folder_is_not_looked_in_where_python_is_told_so(sandbox, peer):
    (sandbox.work / "mine.py").write_text("value = 5")
    start(sandbox, peer, env={"PYTHONSAFEPATH": "1"})
    assert peer.apply(eval, "__import__('importlib.util').util.find_spec('mine')").result is None


@pytest.mark.parametrize("module", ["main", "kernel"])
def test_ctrl_c_while_python_starts_ends_an_engine_without_a_word(sandbox, peer, module):
    (sandbox.dir / "sitecustomize.py").write_text(
        f"""
import os, signal, sys
class Finder:
    def find_spec(name, *_):
        if name == "ipcluster.engine.{module}":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder)
"""
    )
    engine = sandbox.start(
        sandbox.programs.ipengine,
        f"--file={peer.file}",
        env={"PYTHONPATH": f"{sandbox.dir}:{sandbox.env['PYTHONPATH']}"},
    )
    assert engine.wait(60) == -signal.SIGINT
    assert "Interrupt" not in engine.output


@pytest.mark.parametrize("arguments, reason", [
    (["-c", "1/0"], "the start-up command failed: ZeroDivisionError"),
    (["-c", "%no_such_magic"], "the start-up command failed"),
    (["-s", "/nonexistent.py"], "the start-up script /nonexistent.py failed"),
])  # fmt: skip
def test_a_command_that_fails_ends_the_engine_with_the_reason(sandbox, peer, arguments, reason):
    engine = sandbox.start(sandbox.programs.ipengine, f"--file={peer.file}", *arguments)
    assert engine.wait(60) == 1
    assert reason in engine.output


def test_ipythons_settings_reach_its_shell(sandbox, peer, profile):
    (profile / "ipython_config.py").write_text(
        "c.InteractiveShellApp.exec_lines = ['from_config = 1', '1/0']\n"
        "c.InteractiveShellApp.extensions = ['no_such_extension']\n"
        "c.PlainTextFormatter.float_precision = '%.2f'\n"
        "c.InteractiveShell.colors = 'Linux'\n"
    )
    extra = sandbox.dir / "extra.py"
    extra.write_text("from_file = 2")
    engine = start(
        sandbox,
        peer,
        "--InteractiveShell.colors=nocolor",
        "--InteractiveShell.ast_node_interactivity=all",
        f"--InteractiveShellApp.exec_files={extra}",
    )
    assert peer.apply(lambda: (from_config, from_file)).result == (1, 2)
    engine.wait_for_output("the extension no_such_extension failed at the start")
    reply = peer.execute("1/0")
    assert reply.content["ename"] == "ZeroDivisionError"
    assert "\x1b[" not in "".join(reply.content["traceback"]), "without colours"
    msg_id = peer.send("execute_request", {"code": "0.125\n7", "silent": False})
    peer.reply(msg_id)
    shown = [m.content["data"]["text/plain"] for m in peer.outputs(msg_id) if m.type == "execute_result"]
    assert shown == ["0.12", "7"]
    assert peer.execute("get_ipython().profile_dir.location").content["status"] == "ok"


def test_a_setting_that_ipython_does_not_know_is_its_matter(sandbox, peer):
    start(sandbox, peer, "--InteractiveShell.no_such_trait=1", "--InlineBackend.figure_format=svg")
    assert peer.execute("1 + 1").content["status"] == "ok"
