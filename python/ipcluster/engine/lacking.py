"""What an engine says where IPython is needed, and this Python does not have it: the command that installs it here."""

import builtins
import os
import re
import shutil
import sys
import sysconfig

# Statements that are IPython's: magics, shell commands and questions, also as what is assigned.
_STATEMENT = re.compile(r"^[ \t]*(?:[\w, ]+=[ \t]*)?[%!].*$|^.*\?[ \t]*$", re.M)


def command():
    """What installs IPython in this Python, as it is typed."""
    if os.path.isdir(os.path.join(sys.prefix, "conda-meta")):
        return f"conda install --prefix {sys.prefix} ipython"
    managed = os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
    if sys.prefix == sys.base_prefix and os.path.exists(managed) and shutil.which("apt-get"):
        return "apt-get install python3-ipython"
    return f"{sys.executable} -m pip install ipython"


def error(what):
    """The exception of what needs IPython."""
    return ModuleNotFoundError(
        f"{what} needs IPython, which this engine's Python does not have: {command()}", name="IPython"
    )


def statement_of(code):
    """The first line that is IPython's in code that is not Python; None where there is none."""
    found = _STATEMENT.search(code)
    return found and found.group().strip()


def hint(exception):
    """What is said behind the text of an exception: "" where it is not that IPython is missing, or says it itself."""
    missing = isinstance(exception, ModuleNotFoundError) and (exception.name or "").partition(".")[0] == "IPython"
    return f" ({command()} installs it)" if missing and " needs IPython" not in str(exception) else ""


def display(*_, **__):
    """Stands for IPython's, which code expects without an import."""
    raise error("display()")


def stand_in():
    """Puts in place what code expects of IPython without an import."""
    if not hasattr(builtins, "display"):
        builtins.display = display
