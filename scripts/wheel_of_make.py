"""The build backend of pyproject.toml (PEP 517): a wheel is what `make install` installs, and an sdist what `make dist` packs.

No known backend serves: they compile and list files themselves, and here make does both. The wheel's package is a prefix, in which
the installation finds its parts wherever it lies: ipcluster/bin, ipcluster/lib and so on are beside the modules.

Libraries. A wheel has to work where no package manager has installed libzmq and the others, so they are copied in, as auditwheel does:
under names of their own, because the process may be a Python that has loaded another copy of the same library. Libraries that a wheel for
Linux may expect of any system are not copied: the C and the C++ library with what belongs to them. MPI is not copied either, because an
engine needs the MPI whose mpiexec starts it. Only the initialiser `native` needs MPI; it is refused with a sentence if there is none.
"""

import base64
import hashlib
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
import zipfile
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
TAG = "cp311-abi3-" + sysconfig.get_platform().replace("-", "_").replace(".", "_")
# The folder that is to be site-packages, for configure: whatever lies below its prefix is found from there.
SITE = "/site"
SYSTEMS = re.compile(
    r"(ld-linux.*|lib(c|m|dl|rt|pthread|resolv|util|gcc_s|stdc\+\+|mpi|open-rte|open-pal|pmix|python3[.\d]*))\.so[.\d]*$"
)
ENTRY_POINTS = """[console_scripts]
ipcluster = ipcluster.__main__:main
ipcontroller = ipcluster.controller:main
ipengine = ipcluster.programs:ipengine
"""


def run(*words, **options):
    return subprocess.run([str(word) for word in words], check=True, **options)


def output(*words):
    return run(*words, stdout=subprocess.PIPE, text=True).stdout


def version():
    return re.search(r"AC_INIT\(\[ipcluster\], \[(.+?)\]\)", (TOP / "configure.ac").read_text()).group(1)


def metadata():
    return f"""Metadata-Version: 2.1
Name: ipcluster
Version: {version()}
Summary: Interactive parallel computing with IPython and MPI: controller, engines, launchers and clients
License: {(TOP / "LICENSE").read_text().partition(chr(10))[0]}
Requires-Python: >=3.11
Classifier: Operating System :: POSIX :: Linux
Classifier: Programming Language :: C
Classifier: Programming Language :: Python :: 3 :: Only
Classifier: Topic :: System :: Distributed Computing
Description-Content-Type: text/markdown

{(TOP / "README.md").read_text()}"""


def configure(folder, *options):
    if not (TOP / "configure").exists():
        run("./autogen.sh", cwd=TOP)
    include = sysconfig.get_path("include")
    headers = [f"PYTHON_EXT_CFLAGS=-I{include}", "PYTHON_EXT_LIBS= "] if os.path.exists(f"{include}/Python.h") else []
    run(TOP / "configure", "--quiet", f"PYTHON={sys.executable}", *headers, *options, cwd=folder)


def make(folder, *words):
    run("make", "--no-print-directory", "-s", f"-j{len(os.sched_getaffinity(0))}", *words, cwd=folder)


# The sdist


def build_sdist(sdist_directory, config_settings=None):
    name = f"ipcluster-{version()}"
    with tempfile.TemporaryDirectory() as folder:
        configure(folder)
        make(folder, "distdir")
        (Path(folder) / name / "PKG-INFO").write_text(metadata())
        with tarfile.open(Path(sdist_directory) / f"{name}.tar.gz", "w:gz", format=tarfile.PAX_FORMAT) as archive:
            archive.add(Path(folder) / name, name)
    return f"{name}.tar.gz"


# Libraries


def is_elf(path):
    if path.is_symlink() or not path.is_file():
        return False
    with open(path, "rb") as file:
        return file.read(4) == b"\x7fELF"


def needed(path):
    """{name: path} of the libraries that a file needs itself and that are not the system's."""
    found = dict(re.findall(r"^\s*(\S+) => (/\S+)", output("ldd", path), re.MULTILINE))
    return {
        name: found[name]
        for name in output("patchelf", "--print-needed", path).split()
        if name in found and not SYSTEMS.match(name)
    }


def bundle(package):
    """Copies the libraries that the files below a folder need beside libipcluster, and lets all find them from where they lie."""
    folder = package / "lib/bundled"
    folder.mkdir()
    own = {path.name for path in (package / "lib").glob("libipcluster.so*")}
    copies = {}  # of a library's own name: that of the copy

    def copy(name, path):
        if name in copies or name in own:
            return
        stem, _, number = name.partition(".so")
        copies[name] = f"{stem}-{hashlib.sha256(Path(path).read_bytes()).hexdigest()[:8]}.so{number}"
        shutil.copyfile(path, folder / copies[name])
        run("patchelf", "--set-soname", copies[name], folder / copies[name])
        for further in needed(path).items():
            copy(*further)

    files = [path for path in package.rglob("*") if is_elf(path)]
    for path in files:
        for library in needed(path).items():
            copy(*library)
    for path in [*files, *folder.iterdir()]:
        for name in output("patchelf", "--print-needed", path).split():
            if name in copies:
                run("patchelf", "--replace-needed", name, copies[name], path)
        up = os.path.relpath(package / "lib", path.parent)
        run("patchelf", "--set-rpath", f"$ORIGIN/{up}:$ORIGIN/{up}/bundled", path)


# The wheel

# In place of a link to the package, because a wheel can have no links.
PACKAGE_LINK = '''"""The package that lies further up."""

import os

__path__[:] = [os.path.normpath(os.path.join(os.path.dirname(__file__), {up!r}))]
__file__ = os.path.join(__path__[0], "__init__.py")
with open(__file__, encoding="utf-8") as _source:
    exec(compile(_source.read(), __file__, "exec"))
'''


def replace_links(site):
    for path in [path for path in site.rglob("*") if path.is_symlink()]:
        target = path.resolve()
        up = os.path.relpath(target, path)
        path.unlink()
        if target.is_dir():
            path.mkdir()
            (path / "__init__.py").write_text(PACKAGE_LINK.format(up=up))
        else:
            shutil.copyfile(target, path)


def tidy_library(package):
    """Keeps one file of libipcluster, under the name that is loaded. The name that is linked is a linker script for it."""
    library = next(path for path in (package / "lib").glob("libipcluster.so.*") if not path.is_symlink())
    loaded = output("patchelf", "--print-soname", library).strip()
    for path in (package / "lib").glob("libipcluster.so*"):
        if path != library:
            path.unlink()
    library.rename(package / "lib" / loaded)
    (package / "lib/libipcluster.so").write_text(f"INPUT({loaded})\n")
    description = package / "lib/pkgconfig/ipcluster.pc"
    description.write_text(
        re.sub(f"{SITE}/ipcluster", "${pcfiledir}/../..", description.read_text(), count=1).replace(
            f"{SITE}/ipcluster", "${prefix}"
        )
    )


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryDirectory() as stage:
        site = Path(stage + SITE)
        # The built files name neither the build folder nor the Python that builds, which may be gone later.
        configure(
            folder, f"--prefix={SITE}/ipcluster", f"--with-pythondir={SITE}", f"CFLAGS=-O2 -ffile-prefix-map={TOP}=."
        )
        make(folder, "python/ipcluster/built.py")
        make(folder, "PYTHON=/usr/bin/python3")
        make(folder, "install-strip", f"DESTDIR={stage}", "PYTHON=/usr/bin/python3")
        for path in site.rglob("*.la"):
            path.unlink()
        tidy_library(site / "ipcluster")
        replace_links(site)
        bundle(site / "ipcluster")
        return pack(site, Path(wheel_directory))


def pack(site, wheel_directory):
    about = f"ipcluster-{version()}.dist-info"
    name = f"ipcluster-{version()}-{TAG}.whl"
    records = []
    with zipfile.ZipFile(wheel_directory / name, "w", zipfile.ZIP_DEFLATED) as archive:

        def add(path, content, mode):
            entry = zipfile.ZipInfo(path)
            entry.external_attr = (0o100000 | mode) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            records.append(f"{path},sha256={digest},{len(content)}\n")
            archive.writestr(entry, content)

        for path in sorted(path for path in site.rglob("*") if path.is_file()):
            add(str(path.relative_to(site)), path.read_bytes(), 0o755 if os.access(path, os.X_OK) else 0o644)
        for file, text in {
            "METADATA": metadata(),
            "LICENSE": (TOP / "LICENSE").read_text(),
            "entry_points.txt": ENTRY_POINTS,
            "WHEEL": f"Wheel-Version: 1.0\nGenerator: wheel_of_make\nRoot-Is-Purelib: false\nTag: {TAG}\n",
        }.items():
            add(f"{about}/{file}", text.encode(), 0o644)
        archive.writestr(f"{about}/RECORD", "".join(records) + f"{about}/RECORD,,\n")
    return name
