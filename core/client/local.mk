# The folder by itself, for its unit tests; programs link libipcluster.
noinst_LTLIBRARIES += core/client/libclient.la
core_client_libclient_la_SOURCES = \
	core/client/await.c core/client/await_private.h \
	core/client/broadcast.c \
	core/client/client.c core/client/client_private.h \
	core/client/connect.c core/client/connect_private.h \
	core/client/engines.c core/client/engines_private.h \
	core/client/fetch.c core/client/fetch_private.h \
	core/client/future.c core/client/future_private.h \
	core/client/io.c core/client/io_private.h \
	core/client/leave.c core/client/leave_private.h \
	core/client/open.c \
	core/client/receive.c core/client/receive_private.h \
	core/client/restart.c core/client/restart_private.h \
	core/client/send.c core/client/send_private.h \
	core/client/sockets.c core/client/sockets_private.h \
	core/client/submission.c core/client/submission_private.h \
	core/client/submit.c \
	core/client/tracing.c core/client/tracing_private.h \
	core/client/value.c core/client/value_private.h \
	core/client/view.c
core_client_libclient_la_LIBADD =
lib_LTLIBRARIES += core/client/libipcluster.la
core_client_libipcluster_la_SOURCES =
core_client_libipcluster_la_LDFLAGS = $(AM_LDFLAGS) -version-info $(LIBIPCLUSTER_VERSION) \
	-export-symbols-regex '^ipcl_' -no-undefined
core_client_libipcluster_la_LIBADD = core/client/libclient.la core/plugin/libplugin.la core/wire/libwire_bare.la $(ZMQ_LIBS) $(JANSSON_LIBS)

pkgconfigdir = $(libdir)/pkgconfig
pkgconfig_DATA = core/client/ipcluster.pc
