#!/usr/bin/python3
"""Makes each source of plugins/launchers/batch/ a plugin, and each plugin a package: writes plugins/launchers/batch.mk, and adds what is
missing to debian/ and to the spec. Also writes the list of how batch systems call their jobs, for engines that are not told. scripts/build
runs it first."""

import re
import sys
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
WRITTEN = "Written by scripts/list_batch_launchers.py, which only scripts/build runs: change the tables"
CONTROL, SPEC = TOP / "debian/control", TOP / "packaging/rpm/ipcluster.spec"
RULES = """\
launchers_LTLIBRARIES += plugins/launchers/{name}.la
plugins_launchers_{name}_la_SOURCES = plugins/launchers/batch/{name}.c
plugins_launchers_{name}_la_LDFLAGS = $(PLUGIN_LDFLAGS)
"""
STANZA = """\
Package: ipcluster-launcher-{name}
Architecture: linux-any
Depends: ipcluster (= ${{binary:Version}}), ${{misc:Depends}}, ${{shlibs:Depends}}
Description: interactive parallel computing - engines as jobs of {system}
 Lets ipcluster start controllers and engines as jobs of the batch system
 {system}: ipcluster start --engines={name}.

"""
# An engine asks them in this order: a system whose variables have short names, which others might set as well, comes last.
JOBS = """\
/* How batch systems call their jobs: `name` and `job_variables` of the tables in
 * plugins/launchers/batch/.
 * {written}. */
#ifndef BASE_BATCH_JOBS_H
#define BASE_BATCH_JOBS_H

static const struct batch_jobs {{
    const char *system, *variables;
}} batch_jobs[] = {{
{rows}}};

#endif
"""


def member(source, name):
    """The text of a table's member, or None."""
    found = re.search(rf'^    \.{name} = "([^"]+)"', source.read_text(), re.MULTILINE)
    return found and found.group(1)


def write(path, text):
    """Writes a file only if its text has changed, so that make does no needless work."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


sources = sorted(TOP.glob("plugins/launchers/batch/*.c"))
systems = {source.stem: member(source, "name") for source in sources}
for name, system in systems.items():
    if not system:
        sys.exit(f"plugins/launchers/batch/{name}.c has no line '    .name = \"...\",'")
for file in TOP.glob("debian/ipcluster-launcher-*.install"):
    name = file.stem.removeprefix("ipcluster-launcher-")
    if name not in systems:
        sys.exit(f"There is no {name}.c any more: remove {file}, and {name} from {CONTROL} and {SPEC}")
jobs = [(systems[source.stem], member(source, "job_variables")) for source in sources]
jobs = sorted((job for job in jobs if job[1]), key=lambda job: -job[1].index("}"))
control, spec = CONTROL.read_text(), SPEC.read_text()
for name, system in systems.items():
    package = f"ipcluster-launcher-{name}"
    if f"Package: {package}\n" not in control:
        control = control.replace(
            "Package: ipcluster-doc\n", STANZA.format(name=name, system=system) + "Package: ipcluster-doc\n"
        )
        control = control.replace("Suggests: ipcluster-doc,\n", f"Suggests: ipcluster-doc,\n          {package},\n", 1)
    if f"%launcher {name} " not in spec:
        spec = spec.replace("\n%launcher ", f"\n%launcher {name} {system}\n%launcher ", 1)
    write(TOP / f"debian/{package}.install", f"usr/lib/*/ipcluster/launchers/{name}.so\n")
write(CONTROL, control)
write(SPEC, spec)
write(TOP / "plugins/launchers/batch.mk", f"# {WRITTEN}.\n" + "".join(RULES.format(name=name) for name in systems))
write(
    TOP / "core/base/batch_jobs.h",
    JOBS.format(written=WRITTEN, rows="".join(f'    {{"{name}", "{variables}"}},\n' for name, variables in jobs)),
)
