"""What packages are made from agrees with what is built. Whole packages are built and tried by tests/packages."""

import re
import subprocess

import pytest

from support import TOP

VERSION = re.search(r"AC_INIT\(\[ipcluster\], \[(.+?)\]\)", (TOP / "configure.ac").read_text()).group(1)
FOLDERS = ["debian", "packaging"]
# File, and where it says the version.
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
