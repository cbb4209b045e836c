"""Each table of a batch system, in plugins/launchers/batch/, without the system. The table reads what the commands print according to
manuals and sites; and an engine is submitted, named and cancelled by commands that print that. What needs the system is in
test_batch_systems.py and test_slurm.py."""

import json
import re
import subprocess

import pytest
from batch_samples import Samples
from batch_systems import Sampled
from ipcluster_box import assert_nothing_left

from support import TOP

NAMES = sorted(path.stem for path in TOP.glob("plugins/launchers/batch/*.c"))
each = pytest.mark.parametrize("name", NAMES)


@each
def test_a_table_reads_what_is_printed(box, name, build):
    samples = Samples(name)
    folder = box.dir / "samples"
    folder.mkdir()
    samples.write(folder)
    done = box.ipcluster("plugins", "check", str(build / f"plugins/launchers/.libs/{name}.so"), f"--samples={folder}")
    print(done.out)  # for a new system: the text for its part "found"
    *found, verdict = done.out.splitlines()
    assert sorted(found) == sorted(samples.text.get("found", "").splitlines())
    assert "nothing is wrong" in verdict


def site_plugin(box, variables):
    """A site's own plugin "site": LSF's table with other variables of a job."""
    folder = box.dir / "plugins/launchers"
    folder.mkdir(parents=True, exist_ok=True)
    source, plugin = box.dir / "site.c", folder / "site.so"
    table = (TOP / "plugins/launchers/batch/lsf.c").read_text().replace('"LSF"', '"Site"').replace('"lsf"', '"site"')
    source.write_text(re.sub(r'(\.job_variables = )"[^"]+"', rf'\1"{variables}"', table))
    subprocess.run(["gcc", "-shared", "-fPIC", f"-I{TOP}/core/include", source, "-o", plugin], check=True)
    plugin.chmod(0o644)
    box.env["IPCLUSTER_PLUGIN_PATH"] = str(folder.parent)
    return plugin


@pytest.mark.parametrize("variables", ["LSB_JOBID", "{LSB_JOBID", "job {LSB_JOBID}", "{LSB_JOBID}|7"])
def test_the_check_says_where_a_table_names_no_variable_of_a_job(box, variables):
    done = box.ipcluster("plugins", "check", site_plugin(box, variables))
    assert done.status == 1 and f"its job_variables '{variables}' do not begin with a variable" in done.out, done


@pytest.mark.parametrize("variables, taken", [("{LSB_JOBID}", True), ("{LSB_JOBID", False), ("{LSB_JOBID}|7", False)])
def test_engines_are_told_no_variables_that_they_would_refuse(box, variables, taken):
    site_plugin(box, variables)
    shown = box.ipcluster("start", "--n=1", "--elauncher=site", "--dry-run", check=True).out
    assert ("--IPEngine.batch_job" in shown, f"--IPEngine.batch_job=Site job {variables}" in shown) == (taken, taken)


@each
def test_an_engine_is_submitted_named_and_cancelled(box, name, ipcluster):
    system = Sampled(name)
    box.env.update({**system.env, "PATH": f"{system.dir}/bin:{box.env['PATH']}"})
    try:
        box.ipcluster("start", "--daemonize", "--n=1", "--n-min=1", f"--elauncher={name}", check=True)
        with ipcluster.Client(str(box.profile_dir() / "security/ipcontroller-client.json")) as client:
            assert client[0].apply_sync(eval, "6 * 7") == 42
            assert client.engines[0].job == system.samples.job
        (engines,) = (
            one for one in json.loads(box.ipcluster("status", "--json").out)["sets"] if one["role"] == "engines"
        )
        assert f"\nsubmit: job {engines['jobs'][0]}\n" in system.samples.text["found"]
        box.ipcluster("stop", check=True)
        assert_nothing_left(box, box.profile_dir())
    finally:
        system.stop()


@each
def test_a_setting_becomes_a_directive_or_is_refused(box, name):
    table = (TOP / f"plugins/launchers/batch/{name}.c").read_text()
    system = re.search(r'^    \.name = "([^"]+)"', table, re.MULTILINE).group(1)
    for setting, value in (("queue", "xq7long"), ("account", "xq7mine"), ("timelimit", "2:07:11"), ("qos", "xq7high")):
        done = box.ipcluster(
            "start", "--n=2", f"--elauncher={name}", "--dry-run", f"--{system}Launcher.{setting}={value}"
        )
        if f"{{{setting}}}" in table:
            assert done.status == 0 and value in done.out
        else:
            assert (
                done.status
                and f"'{setting}' is set, but the batch system's own template has no {{{setting}}}" in done.err
            )


@each
def test_a_table_has_at_most_64_lines_and_the_guide_a_row_for_it(name):
    assert len((TOP / f"plugins/launchers/batch/{name}.c").read_text().splitlines()) <= 64
    assert f"\n| `{name}` |" in (TOP / "docs/howto/batch.md").read_text()
