"""What packages are made from agrees with what is built. Whole packages are built and tried by tests/packages."""

import ast
import builtins
import re
import shutil
import subprocess
import sys
import types
from unittest import mock

import jinja2
import pytest
import yaml

from support import TOP

VERSION = re.search(r"AC_INIT\(\[ipcluster\], \[(.+?)\]\)", (TOP / "configure.ac").read_text()).group(1)
FOLDERS = ["debian", "packaging"]
# Files, and the line that has the version.
VERSIONS = {
    "debian/changelog": r"^ipcluster \((.+?)\)",
    "packaging/rpm/ipcluster.spec": r"^Version: +(.+)$",
    "packaging/conda/meta.yaml": r'^{% set version = "(.+)" %}$',
}


@pytest.mark.parametrize("name", VERSIONS)
def test_packages_have_the_version_of_the_sources(name):
    assert re.search(VERSIONS[name], (TOP / name).read_text(), re.MULTILINE).group(1) == VERSION


def test_nothing_that_packages_are_made_from_names_a_place_or_a_host_of_some_machine():
    files = [path for name in FOLDERS for path in [TOP / name, *(TOP / name).rglob("*")] if path.is_file()]
    assert len(files) > 20
    for path in files:
        hosts = set(re.findall(r"https?://([\w.-]+)", path.read_text())) - {"www.debian.org", "example.org"}
        assert not hosts and not re.search(r"(?<![\w.}])/(home|root|tmp|work|srv)/", path.read_text()), path


@pytest.mark.skipif(not (TOP / ".git").exists(), reason="no repository says which files there are")
def test_a_source_archive_has_each_file_of_the_repository(build, tmp_path):
    folder = tmp_path / "archive"
    subprocess.run(["make", "-s", "-C", build, "distdir", f"distdir={folder}", f"top_distdir={folder}"], check=True)
    files = subprocess.run(
        ["git", "-c", f"safe.directory={TOP}", "-C", TOP, "ls-files"], check=True, capture_output=True, text=True
    ).stdout.split("\n")
    assert {name for name in files if name and not (folder / name).exists()} == {".gitignore"}
    subprocess.run(["chmod", "-R", "u+w", folder], check=True)


def test_the_symbols_file_has_each_name_that_the_library_shows(build):
    library = build / "core/client/.libs/libipcluster.so"
    shown = {line.split()[-1] for line in subprocess.run(["nm", "-D", "--defined-only", library], check=True, capture_output=True,
                                                         text=True).stdout.splitlines()}  # fmt: skip
    listed = set(re.findall(r"^ (\w+)@Base ", (TOP / "debian/libipcluster1.symbols").read_text(), re.MULTILINE))
    assert listed == {name for name in shown if name.startswith("ipcl_")}


def test_each_launcher_of_a_batch_system_is_in_a_package_and_all_others_in_that_of_the_programs(build):
    plugins = {path.stem for path in (build / "plugins/launchers/.libs").glob("*.so")}
    packed = {
        name
        for path in (TOP / "debian").glob("*.install")
        for name in re.findall(r"launchers/(\w+)\.so", path.read_text())
    }
    assert packed == plugins
    systems = {path.stem for path in (TOP / "plugins/launchers/batch").glob("*.c")}
    assert systems <= plugins, "scripts/list_batch_launchers.py makes each source a plugin"
    control, spec = (TOP / "debian/control").read_text(), (TOP / "packaging/rpm/ipcluster.spec").read_text()
    assert set(re.findall(r"^Package: ipcluster-launcher-(\w+)$", control, re.MULTILINE)) == systems
    assert set(re.findall(r"^ +ipcluster-launcher-(\w+),?$", control, re.MULTILINE)) == systems
    assert set(re.findall(r"^%launcher (\w+) ", spec, re.MULTILINE)) == systems


@pytest.fixture
def batch_launchers(tmp_path):
    """Runs scripts/list_batch_launchers.py on a copy of what it reads and writes."""
    for folder in ("debian", "packaging/rpm", "plugins/launchers/batch", "scripts"):
        shutil.copytree(TOP / folder, tmp_path / folder)
    (tmp_path / "core/base").mkdir(parents=True)
    script = tmp_path / "scripts/list_batch_launchers.py"
    return lambda: subprocess.run([sys.executable, script], capture_output=True, text=True)


LISTS = "plugins/launchers/batch.mk", "core/base/batch_jobs.h", "debian/control", "packaging/rpm/ipcluster.spec"


def test_the_lists_of_launchers_of_batch_systems_are_those_that_their_tables_make(batch_launchers, tmp_path):
    done = batch_launchers()
    assert done.returncode == 0, done
    for name in LISTS:
        assert (tmp_path / name).read_text() == (TOP / name).read_text(), f"{name}: run scripts/list_batch_launchers.py"


def test_a_new_table_is_in_each_list(batch_launchers, tmp_path):
    table = (TOP / "plugins/launchers/batch/lsf.c").read_text()
    (tmp_path / "plugins/launchers/batch/mine.c").write_text(table.replace('"LSF"', '"Mine"'))
    assert batch_launchers().returncode == 0
    for name, row in zip(
        LISTS, ("launchers/mine.la", '{"Mine", ', "Package: ipcluster-launcher-mine\n", "%launcher mine Mine\n")
    ):
        assert row in (tmp_path / name).read_text()
    assert (tmp_path / "debian/ipcluster-launcher-mine.install").read_text().endswith("/launchers/mine.so\n")


def test_a_table_without_a_name_and_one_that_is_gone_are_refused_and_nothing_is_written(batch_launchers, tmp_path):
    nameless = tmp_path / "plugins/launchers/batch/nameless.c"
    nameless.write_text("")
    done = batch_launchers()
    assert done.returncode == 1 and "batch/nameless.c has no line '    .name = " in done.stderr
    nameless.unlink()
    (tmp_path / "plugins/launchers/batch/lsf.c").unlink()
    done = batch_launchers()
    assert done.returncode == 1 and "There is no lsf.c any more: remove " in done.stderr
    assert "/debian/ipcluster-launcher-lsf.install, and lsf from " in done.stderr
    assert not (tmp_path / LISTS[0]).exists() and not (tmp_path / LISTS[1]).exists()


# What configure asks for, as Debian, RPM, Spack and conda call it.
LIBRARIES = {
    "libzmq": ("libzmq3-dev", "pkgconfig(libzmq)", "libzmq", "zeromq"),
    "jansson": ("libjansson-dev", "pkgconfig(jansson)", "jansson", "jansson"),
    "$msgpack": ("libmsgpack-dev", "msgpack-devel", "msgpack-c", "msgpack-c"),
    "libcrypto": ("libssl-dev", "pkgconfig(libcrypto)", "openssl", "openssl"),
    "sqlite3": ("libsqlite3-dev", "pkgconfig(sqlite3)", "sqlite", "libsqlite"),
    "libuv": ("libuv1-dev", "pkgconfig(libuv)", "libuv", "libuv"),
    "python3": ("python3-dev", "python3-devel", "python", "python"),
}
ASKED = [
    ("debian/control", r"^(?:Build-Depends:)? +{}(?: \(>= (?P<version>[\d.]+)\))?,$"),
    ("packaging/rpm/ipcluster.spec", r"^BuildRequires: +{}(?: >= (?P<version>[\d.]+))?$"),
    ("packaging/spack/package.py", r'^ +depends_on\("{}(?:@(?P<version>[\d.]+):)?"'),
    ("packaging/conda/meta.yaml", r"^ +- {}(?: >=(?P<version>[\d.]+))?$"),
]


def test_each_kind_of_package_is_built_with_every_library_that_configure_asks_for():
    text = (TOP / "configure.ac").read_text()
    needed = dict(re.findall(r"^IPCL_NEED\(\[\w+\], \[(\S+) >= ([\d.]+)\]", text, re.MULTILINE))
    assert needed.keys() == LIBRARIES.keys()
    for library, version in needed.items():
        for (name, pattern), called in zip(ASKED, LIBRARIES[library]):
            found = re.search(pattern.format(re.escape(called)), (TOP / name).read_text(), re.MULTILINE)
            assert found and found["version"] in (None, version), f"{name}: {called} >= {version}"


# Debian has neither conda-build nor Spack. The files may only use what their documentation names.
CONDA = {
    "": {"package", "source", "build", "outputs", "requirements", "test", "about", "extra"},
    "outputs": {"name", "version", "script", "build", "requirements", "files", "test"},
    "package": {"name", "version"},
    "source": {"path", "url", "sha256", "git_url"},
    "build": {"number", "skip", "script", "run_exports", "ignore_run_exports_from"},
    "requirements": {"build", "host", "run", "run_constrained"},
    "test": {"imports", "commands", "requires", "files"},
    "about": {"home", "license", "license_family", "license_file", "summary", "description", "doc_url", "dev_url"},
    "extra": {"recipe-maintainers"},
}


def test_the_conda_recipe_keeps_to_what_conda_build_documents():
    folder = TOP / "packaging/conda"
    functions = {
        name: lambda said, name=name, **options: f"{name}-{said}" for name in ("compiler", "stdlib", "pin_subpackage")
    }
    text = jinja2.Environment(undefined=jinja2.StrictUndefined).from_string((folder / "meta.yaml").read_text())
    recipe = yaml.safe_load(text.render(functions))
    assert recipe["package"] == {"name": "ipcluster", "version": VERSION}
    for part in (recipe, *recipe["outputs"]):
        assert part.keys() <= CONDA["" if part is recipe else "outputs"]
        for section in CONDA.keys() & part.keys() - {"outputs"}:
            assert part[section].keys() <= CONDA[section], section
    assert [output["name"] for output in recipe["outputs"]] == ["libipcluster", "ipcluster"]
    for output in recipe["outputs"]:
        subprocess.run(["bash", "-n", folder / output["script"]], check=True)
    assert (TOP / recipe["about"]["license_file"]).exists() and (folder / recipe["source"]["path"]).resolve() == TOP


SPACK = {
    "license",
    "version",
    "variant",
    "depends_on",
    "extends",
    "run_after",
    "on_package_attributes",
    "Executable",
    "join_path",
}


def test_the_spack_package_keeps_to_what_spack_documents_and_configure_takes(build):
    path = TOP / "packaging/spack/package.py"
    tree = ast.parse(path.read_text())
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    bound = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    # What Spack's package of Python gives to a package that extends it.
    assert names - bound - set(dir(builtins)) <= SPACK | {"AutotoolsPackage", "python_platlib", "self"}
    api, base = types.ModuleType("spack.package"), types.ModuleType("autotools")
    for name in SPACK:
        setattr(api, name, mock.Mock(side_effect=lambda *words, **options: lambda function: function))
    base.AutotoolsPackage = type(
        "AutotoolsPackage", (), {"with_or_without": lambda self, name: [f"--{self.mpi}-{name}"]}
    )
    modules = {"spack.package": api, "spack_repo.builtin.build_systems.autotools": base}
    for name in ("spack", "spack_repo", "spack_repo.builtin", "spack_repo.builtin.build_systems"):
        modules[name] = types.ModuleType(name)
    found = {"python_platlib": "/python", "__name__": "package"}
    with mock.patch.dict(sys.modules, modules):
        exec(compile(tree, path, "exec"), found)
    package = found["Ipcluster"]()
    package.spec = {"python": mock.Mock()}
    takes = subprocess.run([TOP / "configure", "--help"], check=True, capture_output=True, text=True).stdout
    for package.mpi in ("with", "without"):
        for word in package.configure_args():
            option = word.partition("=")[0]
            assert not option.startswith("--") or option.replace("--with-mpi", "--without-mpi") in takes, option
