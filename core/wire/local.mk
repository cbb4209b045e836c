# The folder by itself, for a shared library that has core/base already; programs link libwire.la.
noinst_LTLIBRARIES += core/wire/libwire_bare.la core/wire/libwire.la
core_wire_libwire_bare_la_SOURCES = \
	core/wire/abort_request.c core/wire/abort_request.h \
	core/wire/connection.c core/wire/connection.h \
	core/wire/envelope.c core/wire/envelope.h \
	core/wire/held.c core/wire/held.h \
	core/wire/loop.c core/wire/loop.h \
	core/wire/mac.c core/wire/mac.h \
	core/wire/message.c core/wire/message.h \
	core/wire/metric.c core/wire/metric.h core/wire/metric_rows.h \
	core/wire/poly.c core/wire/poly.h \
	core/wire/replay.c core/wire/replay.h \
	core/wire/published.c core/wire/published.h \
	core/wire/reach.c core/wire/reach.h \
	core/wire/seal.c core/wire/seal.h \
	core/wire/segment.c core/wire/segment.h \
	core/wire/segment_link.c core/wire/segment_link.h \
	core/wire/serializer.c core/wire/serializer.h \
	core/wire/session.c core/wire/session.h \
	core/wire/socket.c core/wire/socket.h \
	core/wire/local.c core/wire/local.h \
	core/wire/socket_folder.c core/wire/socket_folder.h \
	core/wire/traffic.c core/wire/traffic.h \
	core/wire/tunnel.c core/wire/tunnel.h \
	core/wire/window.c core/wire/window.h
core_wire_libwire_bare_la_CFLAGS = $(AM_CFLAGS) $(ZMQ_CFLAGS) $(CRYPTO_CFLAGS)
core_wire_libwire_bare_la_LIBADD = $(ZMQ_LIBS) $(CRYPTO_LIBS) $(JANSSON_LIBS)
core_wire_libwire_la_SOURCES =
core_wire_libwire_la_LIBADD = core/wire/libwire_bare.la core/base/libbase.la
