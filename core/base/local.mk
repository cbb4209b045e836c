noinst_LTLIBRARIES += core/base/libbase.la
core_base_libbase_la_SOURCES = \
	core/base/batch_jobs.h \
	core/base/clock.c core/base/clock.h \
	core/base/container.h \
	core/base/counter.c core/base/counter.h \
	core/base/ending.h \
	core/base/hex.c core/base/hex.h \
	core/base/installation.c core/base/installation.h \
	core/base/job_name.c core/base/job_name.h \
	core/base/leftovers.c core/base/leftovers.h \
	core/base/limits.c core/base/limits.h \
	core/base/log.c core/base/log.h \
	core/base/mark.c core/base/mark.h \
	core/base/numbers.c core/base/numbers.h \
	core/base/own_words.c core/base/own_words.h \
	core/base/path.c core/base/path.h \
	core/base/random.c core/base/random.h \
	core/base/secret.c core/base/secret.h \
	core/base/shared.c core/base/shared.h \
	core/base/table.c core/base/table.h \
	core/base/trace.c core/base/trace.h core/base/trace_private.h \
	core/base/trace_write.c \
	core/base/trust.c core/base/trust.h
core_base_libbase_la_CPPFLAGS = $(AM_CPPFLAGS) -DPREFIX='"$(prefix)"' -DPROGRAM_DIR='"$(bindir)"' \
	-DPLUGIN_DIR='"$(pkglibdir)"'
core_base_libbase_la_LIBADD =
