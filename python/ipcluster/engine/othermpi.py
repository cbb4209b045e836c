"""Keeps an mpi4py of another MPI out of an engine whose MPI the initialiser "native" has begun: two MPIs in one process crash it."""

import ctypes
import os
import sys

LONGEST_VERSION = 8192  # MPI_MAX_LIBRARY_VERSION_STRING, the largest there is: MPICH's


def _version(function):
    """An MPI's own name: "Open MPI v4.1.4"."""
    text = ctypes.create_string_buffer(LONGEST_VERSION)
    function(text, ctypes.byref(ctypes.c_int()))
    return text.value.decode(errors="replace").replace("\t", " ").partition("\n")[0].partition(",")[0]


class Guard:
    """The first of Python's finders of modules. It checks only mpi4py's."""

    def __init__(self, address):
        self.ours = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(address)
        self.address = address

    def find_spec(self, name, path=None, target=None):
        if name != "mpi4py.MPI":
            return None
        for finder in sys.meta_path:
            spec = finder.find_spec(name, path, target) if finder is not self else None
            if spec:
                self.check(spec.origin)
                return spec
        return None

    def check(self, file):
        """Raises ImportError if this extension module is linked with another MPI than the engine's. Loading it initialises nothing."""
        try:
            theirs = ctypes.CDLL(file).MPI_Get_library_version
        except (OSError, AttributeError):
            return  # its import says what is wrong, or it finds its MPI by itself
        if ctypes.cast(theirs, ctypes.c_void_p).value != self.address:
            raise ImportError(
                f"this mpi4py ({os.path.dirname(file)}) is built for {_version(theirs)}, and --mpi=native has initialised "
                f"{_version(self.ours)} in this engine: start engines with --mpi=mpi4py and the mpiexec of that MPI, or "
                "use an mpi4py that is built for this one",
                name="mpi4py.MPI",
                path=file,
            )


def guard(address):
    """`address` is the address of MPI_Get_library_version in the MPI that the engine initialises next."""
    made = Guard(address)
    loaded = sys.modules.get("mpi4py.MPI")
    if loaded:
        made.check(loaded.__file__)
    sys.meta_path.insert(0, made)
