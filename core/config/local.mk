noinst_LTLIBRARIES += core/config/libconfig.la
core_config_libconfig_la_SOURCES = \
	core/config/profile.c core/config/profile.h \
	core/config/settings.c core/config/settings.h
core_config_libconfig_la_LIBADD = core/base/libbase.la $(JANSSON_LIBS)
