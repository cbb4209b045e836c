"""A stand-in for PyTrilinos, which Debian no longer packages: as much of its Epetra as the engine's initialiser uses, over Debian's
libtrilinos-epetra. For tests only."""
