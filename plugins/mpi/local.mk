mpidir = $(pkglibdir)/mpi
mpi_LTLIBRARIES = plugins/mpi/mpi4py.la plugins/mpi/pytrilinos.la
plugins_mpi_mpi4py_la_SOURCES = plugins/mpi/mpi4py.c plugins/mpi/package.c plugins/mpi/package.h
plugins_mpi_mpi4py_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_mpi_pytrilinos_la_SOURCES = plugins/mpi/pytrilinos.c plugins/mpi/package.c plugins/mpi/package.h
plugins_mpi_pytrilinos_la_LDFLAGS = $(PLUGIN_LDFLAGS)
if HAVE_MPI
mpi_LTLIBRARIES += plugins/mpi/native.la
endif
plugins_mpi_native_la_SOURCES = plugins/mpi/native.c
plugins_mpi_native_la_CFLAGS = $(AM_CFLAGS) $(MPI_CFLAGS)
plugins_mpi_native_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_mpi_native_la_LIBADD = $(MPI_LIBS)
