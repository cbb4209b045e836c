storedir = $(pkglibdir)/stores
store_LTLIBRARIES = plugins/stores/memory.la
plugins_stores_memory_la_SOURCES = plugins/stores/memory.c plugins/stores/query.c plugins/stores/query.h
plugins_stores_memory_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_stores_memory_la_LIBADD = $(JANSSON_LIBS) -lm
