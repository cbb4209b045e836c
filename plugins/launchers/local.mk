launchersdir = $(pkglibdir)/launchers
launchers_LTLIBRARIES = plugins/launchers/local.la plugins/launchers/mpiexec.la
plugins_launchers_local_la_SOURCES = plugins/launchers/local.c plugins/launchers/launch.c plugins/launchers/launch.h
plugins_launchers_local_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_launchers_local_la_LIBADD = $(JANSSON_LIBS)
plugins_launchers_mpiexec_la_SOURCES = plugins/launchers/mpiexec.c plugins/launchers/launch.c plugins/launchers/launch.h
plugins_launchers_mpiexec_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_launchers_mpiexec_la_LIBADD = $(JANSSON_LIBS)
