#!/usr/bin/python3
"""Makes each source of plugins/launchers/batch/ a plugin, and each plugin a package: writes plugins/launchers/batch.mk, and adds what is
missing to debian/ and to the spec. scripts/build runs it first."""

import re
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
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


def write(path, text):
    """Only what has changed, for make."""
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


systems = {
    source.stem: re.search(r'^    \.name = "(.+)"', source.read_text(), re.MULTILINE).group(1)
    for source in sorted(TOP.glob("plugins/launchers/batch/*.c"))
}
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
write(
    TOP / "plugins/launchers/batch.mk",
    "# Written by scripts/list_batch_launchers.py.\n" + "".join(RULES.format(name=name) for name in systems),
)
