noinst_LTLIBRARIES += core/config/libconfig.la
core_config_libconfig_la_SOURCES = \
	core/config/accepted.c core/config/accepted.h \
	core/config/nearest.c core/config/nearest.h \
	core/config/option.c \
	core/config/profile.c core/config/profile.h \
	core/config/settings.c core/config/settings.h core/config/settings_private.h \
	core/config/settings_args.c \
	core/config/settings_carry.c \
	core/config/settings_complete.c \
	core/config/settings_environment.c \
	core/config/settings_file.c \
	core/config/settings_give.c \
	core/config/settings_help.c \
	core/config/settings_keys.c \
	core/config/settings_man.c \
	core/config/settings_names.c \
	core/config/settings_other.c \
	core/config/settings_values.c \
	core/config/value.c
core_config_libconfig_la_LIBADD = core/base/libbase.la $(JANSSON_LIBS)
