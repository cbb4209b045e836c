noinst_LTLIBRARIES += core/wire/libwire.la
core_wire_libwire_la_SOURCES = \
	core/wire/connection.c core/wire/connection.h \
	core/wire/message.c core/wire/message.h \
	core/wire/replay.c core/wire/replay.h \
	core/wire/session.c core/wire/session.h \
	core/wire/socket.c core/wire/socket.h
core_wire_libwire_la_CFLAGS = $(AM_CFLAGS) $(ZMQ_CFLAGS) $(CRYPTO_CFLAGS)
core_wire_libwire_la_LIBADD = core/base/libbase.la $(ZMQ_LIBS) $(CRYPTO_LIBS) $(JANSSON_LIBS)
