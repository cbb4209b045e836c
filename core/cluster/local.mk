bin_PROGRAMS += core/cluster/ipcluster
core_cluster_ipcluster_SOURCES = \
	core/cluster/accepted.c core/cluster/accepted.h \
	core/cluster/argv.c \
	core/cluster/ask.c core/cluster/ask.h \
	core/cluster/batch.c core/cluster/batch.h \
	core/cluster/batch_classes.c core/cluster/batch_classes.h \
	core/cluster/batch_ends.c \
	core/cluster/batch_internal.h \
	core/cluster/batch_job.c \
	core/cluster/batch_poll.c \
	core/cluster/batch_query.c core/cluster/batch_query.h \
	core/cluster/batch_script.c \
	core/cluster/batch_state.c \
	core/cluster/batch_submit.c \
	core/cluster/by_hand.c core/cluster/by_hand.h \
	core/cluster/children.c core/cluster/children.h \
	core/cluster/cluster.c core/cluster/cluster.h \
	core/cluster/cluster_file.c core/cluster/cluster_file.h \
	core/cluster/columns.c core/cluster/columns.h \
	core/cluster/command_list.c \
	core/cluster/command_logs.c \
	core/cluster/command_plugins.c \
	core/cluster/command_profile.c \
	core/cluster/command_restart.c \
	core/cluster/command_run.c core/cluster/command_run.h \
	core/cluster/command_scale.c \
	core/cluster/command_signal.c \
	core/cluster/command_start.c \
	core/cluster/command_status.c \
	core/cluster/command_stop.c \
	core/cluster/commands.h \
	core/cluster/control.c core/cluster/control.h \
	core/cluster/control_ask.c \
	core/cluster/convert.c core/cluster/convert.h \
	core/cluster/convert_script.c \
	core/cluster/daemon.c core/cluster/daemon.h \
	core/cluster/hub_alone.c core/cluster/hub_watch_internal.h \
	core/cluster/hub_watch.c core/cluster/hub_watch.h \
	core/cluster/engine_names.c core/cluster/engine_names.h \
	core/cluster/instances.c core/cluster/instances.h \
	core/cluster/join.c core/cluster/join.h \
	core/cluster/json_text.c core/cluster/json_text.h \
	core/cluster/launcher_host.c core/cluster/launcher_host.h \
	core/cluster/launchers.c core/cluster/launchers.h \
	core/cluster/logs.c core/cluster/logs.h \
	core/cluster/main.c \
	core/cluster/named_engines.c core/cluster/named_engines.h \
	core/cluster/plugin_call.c core/cluster/plugin_call.h \
	core/cluster/plugin_check.c core/cluster/plugin_check.h \
	core/cluster/plugin_new.c core/cluster/plugin_new.h \
	core/cluster/plugin_table.c \
	core/cluster/plugin_trial.c \
	core/cluster/processes.c core/cluster/processes.h \
	core/cluster/progress.c core/cluster/progress.h \
	core/cluster/slots.c core/cluster/slots.h \
	core/cluster/state.c core/cluster/state.h \
	core/cluster/strays.c core/cluster/strays.h \
	core/cluster/status.c core/cluster/status.h \
	core/cluster/supervisor.c core/cluster/supervisor.h \
	core/cluster/supervisor_answers.c \
	core/cluster/supervisor_claim.c \
	core/cluster/supervisor_events.c \
	core/cluster/supervisor_heal.c \
	core/cluster/supervisor_internal.h \
	core/cluster/supervisor_joined.c \
	core/cluster/supervisor_sets.c \
	core/cluster/supervisor_scale.c \
	core/cluster/supervisor_start.c \
	core/cluster/supervisor_stop.c \
	core/cluster/template.c core/cluster/template.h \
	core/cluster/workplace.c core/cluster/workplace.h
core_cluster_ipcluster_CPPFLAGS = $(AM_CPPFLAGS) -DOWN_LAUNCHERS='"$(launchers_LTLIBRARIES)"' \
	-DTEMPLATE_DIR='"$(pkgdatadir)"'
core_cluster_ipcluster_CFLAGS = $(AM_CFLAGS) $(UV_CFLAGS)
core_cluster_ipcluster_LDFLAGS = $(PROGRAM_LINK_FLAGS)
core_cluster_ipcluster_LDADD = core/plugin/libplugin.la core/config/libconfig.la core/wire/libwire.la \
	core/base/libbase.la $(UV_LIBS) $(ZMQ_LIBS) $(JANSSON_LIBS)
