noinst_LTLIBRARIES += core/plugin/libplugin.la
core_plugin_libplugin_la_SOURCES = \
	core/plugin/carry.c core/plugin/carry.h \
	core/plugin/descriptor.c core/plugin/descriptor.h \
	core/plugin/elf.c core/plugin/elf.h \
	core/plugin/loader.c core/plugin/loader.h \
	core/plugin/offer.c core/plugin/offer.h \
	core/plugin/registry.c core/plugin/registry.h \
	core/plugin/services.c core/plugin/services.h
core_plugin_libplugin_la_CPPFLAGS = $(AM_CPPFLAGS) -DPLUGIN_DIR='"$(pkglibdir)"'
core_plugin_libplugin_la_LIBADD = core/config/libconfig.la $(LTDL_LIBS)
