"""What an engine says when it needs IPython and this Python does not have it: the command that installs it here."""

import builtins
import os
import re
import shutil
import sys
import sysconfig

# IPython's statements: magics, shell commands and questions, also on the right of an assignment.
_STATEMENT = re.compile(r"^[ \t]*(?:[\w, ]+=[ \t]*)?[%!].*$|^.*\?[ \t]*$", re.M)


def command():
    """The command that installs IPython in this Python."""
    if os.path.isdir(os.path.join(sys.prefix, "conda-meta")):
        return f"conda install --prefix {sys.prefix} ipython"
    managed = os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED")
    if sys.prefix == sys.base_prefix and os.path.exists(managed) and shutil.which("apt-get"):
        return "apt-get install python3-ipython"
    return f"{sys.executable} -m pip install ipython"


def error(what):
    """The exception for something that needs IPython."""
    return ModuleNotFoundError(
        f"{what} needs IPython, which this engine's Python does not have: {command()}", name="IPython"
    )


def statement_of(code):
    """The first line of IPython's own syntax in code that is not Python; None if there is none."""
    found = _STATEMENT.search(code)
    return found and found.group().strip()


def hint(exception):
    """Words to add to the text of an exception: "" if it is not about a missing IPython, or says so itself."""
    missing = isinstance(exception, ModuleNotFoundError) and (exception.name or "").partition(".")[0] == "IPython"
    return f" ({command()} installs it)" if missing and " needs IPython" not in str(exception) else ""


def display(*_, **__):
    """Stands for IPython's display(), which code expects without an import."""
    raise error("display()")


def stand_in():
    """Adds to builtins what code expects of IPython without an import."""
    if not hasattr(builtins, "display"):
        builtins.display = display
