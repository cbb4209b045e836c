"""RPM packages: built by the rpmbuild of Debian from a tarball, tried in a clean root of Debian, and removed."""

import re
import shutil
import subprocess

import pytest

import docblocks
from roots import left, run, sources
from support import TOP

SPEC = TOP / "packaging/rpm/ipcluster.spec"
# What the page on installing says.
PACK, BUILD = (typed for block in docblocks.blocks(TOP / "docs/howto/install.md") if block.note("tested by") == "tests/packages/test_rpm.py"
               for typed, _ in block.commands)  # fmt: skip
# Folders that belong to Fedora's package "filesystem", and to nobody in a clean root of Debian.
FILESYSTEM = ("usr/share/bash-completion/completions", "usr/share/fish/vendor_completions.d", "usr/share/zsh/site-functions", "usr/share/licenses",
              "usr/share/man/man1", "usr/lib/x86_64-linux-gnu/pkgconfig", "usr/libexec")  # fmt: skip
# Debian's packages are no RPMs, and its libraries are in folders of their own.
ON_DEBIAN = (
    "--nodeps --define '_build_id_links none' --define '_libdir /usr/lib/x86_64-linux-gnu' --define '_topdir {top}'"
)


@pytest.fixture(scope="session")
def packages(tmp_path_factory):
    if not shutil.which("rpmbuild"):
        pytest.skip("there is no rpmbuild here: apt-get install rpm")
    folder = tmp_path_factory.mktemp("rpm")
    options = ON_DEBIAN.format(top=folder / "top")
    run("sh", "-ec", f"./autogen.sh && ./configure --quiet && {PACK} && {BUILD.replace('-bb', f'-bb {options}')}",
        cwd=sources(folder / "ipcluster"), seconds=1800)  # fmt: skip
    return list(folder.glob("top/RPMS/*/*.rpm"))


def test_every_package_of_the_spec_is_built_and_rpmlint_finds_no_error_in_it(packages):
    names = {path.name.rpartition("-0")[0] for path in packages}
    assert {
        f"ipcluster-launcher-{system}" for system in re.findall(r"^%launcher (\w+)", SPEC.read_text(), re.MULTILINE)
    } < names
    assert {"ipcluster", "ipcluster-libs", "ipcluster-devel", "ipcluster-doc", "python3-ipcluster"} < names
    if not shutil.which("rpmlint"):
        pytest.skip("there is no rpmlint here: apt-get install rpmlint")
    done = subprocess.run(["rpmlint", "-r", SPEC.with_suffix(".rpmlintrc"), SPEC], capture_output=True, text=True)
    assert " 0 errors" in done.stdout, done.stdout


def test_a_clean_root_runs_the_session_of_the_readme_and_nothing_is_left_of_it(packages, root_of):
    root = root_of("bookworm")
    root.install("libjansson4", "libltdl7", "libsqlite3-0", "libssl3", "libuv1", "libzmq5", "openmpi-bin", "python3-mpi4py", "python3-numpy",
                 "libpython3.11")  # fmt: skip
    sources(root.folder / "src")
    for folder in FILESYSTEM:
        (root.folder / folder).mkdir(parents=True, exist_ok=True)
    before = root.files()
    rpm = ["rpm", "--root", root.folder, "--dbpath", "/root/rpm"]
    run(*rpm, "--nodeps", "-i", *packages)
    assert root.run("ipcl-cluster", "--version").startswith("ipcluster ")
    assert "the engines' sums:" in root.run(
        "env", "PATH=/usr/libexec/ipcluster/bin:/usr/bin:/bin", "/src/scripts/psum-session"
    )
    run(*rpm, "--nodeps", "-e", *run(*rpm, "-qa").split())
    assert not left(before, root.files())
