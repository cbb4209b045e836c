kernelsdir = $(pkglibdir)/kernels
kernels_LTLIBRARIES = plugins/kernels/python.la
plugins_kernels_python_la_SOURCES = \
	plugins/kernels/python.c plugins/kernels/python.h \
	plugins/kernels/python_buffers.c \
	plugins/kernels/python_command.c \
	plugins/kernels/python_host.c \
	plugins/kernels/python_interrupt.c \
	core/base/trust.c core/base/trust.h
plugins_kernels_python_la_CPPFLAGS = $(AM_CPPFLAGS) $(PYTHON_EXT_CFLAGS) $(PYTHON_ABI) -DPYTHON_PROGRAM='"$(PYTHON)"'
plugins_kernels_python_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_kernels_python_la_LIBADD = $(JANSSON_LIBS)
