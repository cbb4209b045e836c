# The folder by itself, for its unit tests; programs link libipcluster.
noinst_LTLIBRARIES += core/client/libclient.la
core_client_libclient_la_SOURCES = \
	core/client/await.c \
	core/client/broadcast.c \
	core/client/client.c core/client/client.h \
	core/client/fetch.c \
	core/client/future.c core/client/future.h \
	core/client/io.c \
	core/client/leave.c \
	core/client/receive.c \
	core/client/restart.c \
	core/client/sockets.c \
	core/client/submit.c \
	core/client/tracing.c \
	core/client/value.c core/client/value.h \
	core/client/view.c
core_client_libclient_la_LIBADD =
lib_LTLIBRARIES += core/client/libipcluster.la
core_client_libipcluster_la_SOURCES =
core_client_libipcluster_la_LDFLAGS = $(AM_LDFLAGS) -version-info $(LIBIPCLUSTER_VERSION) \
	-export-symbols-regex '^ipcl_' -no-undefined
core_client_libipcluster_la_LIBADD = core/client/libclient.la core/plugin/libplugin.la core/wire/libwire_bare.la $(ZMQ_LIBS) $(JANSSON_LIBS)

pkgconfigdir = $(libdir)/pkgconfig
pkgconfig_DATA = core/client/ipcluster.pc
