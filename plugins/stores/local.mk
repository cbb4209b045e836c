storedir = $(pkglibdir)/stores
store_LTLIBRARIES = plugins/stores/memory.la plugins/stores/sqlite.la
plugins_stores_memory_la_SOURCES = plugins/stores/memory.c plugins/stores/query.c plugins/stores/query.h
plugins_stores_memory_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_stores_memory_la_LIBADD = $(JANSSON_LIBS) -lm
plugins_stores_sqlite_la_SOURCES = plugins/stores/sqlite.c plugins/stores/sqlite.h plugins/stores/sqlite_find.c \
	plugins/stores/sqlite_open.c plugins/stores/sqlite_sql.c plugins/stores/sqlite_sql.h \
	plugins/stores/query.c plugins/stores/query.h core/base/trust.c core/base/trust.h
plugins_stores_sqlite_la_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS)
plugins_stores_sqlite_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_stores_sqlite_la_LIBADD = $(JANSSON_LIBS) $(SQLITE_LIBS) -lm
