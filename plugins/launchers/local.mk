launchersdir = $(pkglibdir)/launchers
launchers_LTLIBRARIES = plugins/launchers/local.la plugins/launchers/mpiexec.la plugins/launchers/ssh.la
include plugins/launchers/batch.mk
plugins_launchers_local_la_SOURCES = plugins/launchers/local.c plugins/launchers/launch.c plugins/launchers/launch.h
plugins_launchers_local_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_launchers_local_la_LIBADD = $(JANSSON_LIBS)
plugins_launchers_mpiexec_la_SOURCES = plugins/launchers/mpiexec.c plugins/launchers/mpi_places.c plugins/launchers/mpi_places.h \
	plugins/launchers/launch.c plugins/launchers/launch.h
plugins_launchers_mpiexec_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_launchers_mpiexec_la_LIBADD = $(JANSSON_LIBS)
plugins_launchers_ssh_la_SOURCES = plugins/launchers/ssh.c plugins/launchers/ssh.h \
	plugins/launchers/ssh_command.c \
	plugins/launchers/ssh_controller.c \
	plugins/launchers/ssh_events.c \
	plugins/launchers/ssh_fetch.c \
	plugins/launchers/ssh_forward.c plugins/launchers/ssh_forward.h \
	plugins/launchers/ssh_host.c \
	plugins/launchers/ssh_plan.c plugins/launchers/ssh_plan.h \
	plugins/launchers/ssh_set.c plugins/launchers/ssh_set.h \
	plugins/launchers/ssh_state.c \
	plugins/launchers/ssh_text.c plugins/launchers/ssh_text.h \
	plugins/launchers/launch.c plugins/launchers/launch.h \
	core/base/trust.c core/base/trust.h
nodist_plugins_launchers_ssh_la_SOURCES = plugins/launchers/ssh_agent.h
plugins_launchers_ssh_la_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_builddir)/plugins/launchers -DPACKAGE_VERSION='"$(PACKAGE_VERSION)"'
plugins_launchers_ssh_la_LDFLAGS = $(PLUGIN_LDFLAGS)
plugins_launchers_ssh_la_LIBADD = $(JANSSON_LIBS)

# The script as a C string, without its comments.
plugins/launchers/ssh_agent.h: plugins/launchers/ssh_agent.sh
	$(AM_V_GEN)$(MKDIR_P) plugins/launchers && { echo 'static const char agent_script[] ='; \
	sed -e '/^ *#/d' -e '/^$$/d' -e 's/[\\"]/\\&/g' -e 's/.*/    "&\\n"/' $(srcdir)/plugins/launchers/ssh_agent.sh; echo ';'; } >$@.new && mv $@.new $@
EXTRA_DIST += plugins/launchers/ssh_agent.sh
BUILT_SOURCES += plugins/launchers/ssh_agent.h
CLEANFILES += plugins/launchers/ssh_agent.h
