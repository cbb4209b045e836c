# The engine is a library, because it is also a module of Python.
noinst_LTLIBRARIES += core/engine/libengine.la
core_engine_libengine_la_SOURCES = \
	core/engine/abort.c \
	core/engine/become.c core/engine/become.h \
	core/engine/bounds.c core/engine/bounds.h \
	core/engine/capture.c core/engine/capture.h \
	core/engine/children.c core/engine/children.h \
	core/engine/connect.c \
	core/engine/control.c \
	core/engine/door.c core/engine/door.h \
	core/engine/engine.h \
	core/engine/facts.c core/engine/facts.h \
	core/engine/frontends.c core/engine/frontends.h \
	core/engine/heart.c \
	core/engine/host.c core/engine/host.h \
	core/engine/io.c core/engine/io.h \
	core/engine/job.c core/engine/job.h \
	core/engine/link.c core/engine/link.h \
	core/engine/mpi.c core/engine/mpi.h \
	core/engine/options.c core/engine/options.h \
	core/engine/publish.c \
	core/engine/recall.c core/engine/recall.h \
	core/engine/registration.c \
	core/engine/reply.c \
	core/engine/run.c core/engine/run.h \
	core/engine/shell.c \
	core/engine/signals.c core/engine/signals.h \
	core/engine/stats.c core/engine/stats.h \
	core/engine/usage.c core/engine/usage.h \
	core/engine/watch_private.h \
	core/engine/watched.c core/engine/watched.h
core_engine_libengine_la_CPPFLAGS = $(AM_CPPFLAGS) -DPACKAGE_VERSION='"$(PACKAGE_VERSION)"' \
	-DPLUGIN_DIR='"$(pkglibdir)"'
core_engine_libengine_la_LIBADD =

# The program is also the watcher, so it is linked with the C library only. It loads this module when it needs the
# engine.
pkglib_LTLIBRARIES += core/engine/engine.la
core_engine_engine_la_SOURCES = core/engine/module.c core/engine/module.h core/engine/end_notice.c core/engine/end_notice.h
core_engine_engine_la_CPPFLAGS = $(AM_CPPFLAGS) -DPACKAGE_VERSION='"$(PACKAGE_VERSION)"'
core_engine_engine_la_LDFLAGS = $(PLUGIN_LDFLAGS)
core_engine_engine_la_LIBADD = core/engine/libengine.la core/plugin/libplugin.la core/wire/libwire_bare.la $(ZMQ_LIBS) $(JANSSON_LIBS)

bin_PROGRAMS += core/engine/ipengine
core_engine_ipengine_SOURCES = core/engine/main.c \
	core/engine/capture.c core/engine/capture.h \
	core/engine/module.h core/engine/module_load.c \
	core/engine/oom.c core/engine/oom.h \
	core/engine/watch_private.h \
	core/engine/watcher.c core/engine/watcher.h
core_engine_ipengine_CPPFLAGS = $(core_engine_libengine_la_CPPFLAGS)
core_engine_ipengine_LDFLAGS = $(PROGRAM_LINK_FLAGS)
core_engine_ipengine_LDADD = core/base/libbase.la
EXTRA_core_engine_ipengine_DEPENDENCIES = core/engine/engine.la
