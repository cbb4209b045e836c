bin_PROGRAMS += core/cluster/ipcluster
core_cluster_ipcluster_SOURCES = \
	core/cluster/main.c \
	core/cluster/batch/batch.c core/cluster/batch/batch.h \
	core/cluster/batch/batch_classes.c core/cluster/batch/batch_classes.h \
	core/cluster/batch/batch_ends.c \
	core/cluster/batch/batch_job.c \
	core/cluster/batch/batch_poll.c \
	core/cluster/batch/batch_private.h \
	core/cluster/batch/batch_query.c core/cluster/batch/batch_query.h \
	core/cluster/batch/batch_script.c \
	core/cluster/batch/batch_state.c \
	core/cluster/batch/batch_submit.c \
	core/cluster/batch/template.c core/cluster/batch/template.h \
	core/cluster/commands/columns.c core/cluster/commands/columns.h \
	core/cluster/commands/command_completion.c \
	core/cluster/commands/command_list.c \
	core/cluster/commands/command_logs.c \
	core/cluster/commands/command_plugins.c \
	core/cluster/commands/command_profile.c \
	core/cluster/commands/command_restart.c \
	core/cluster/commands/command_scale.c \
	core/cluster/commands/command_signal.c \
	core/cluster/commands/command_start.c \
	core/cluster/commands/command_stats.c \
	core/cluster/commands/command_status.c \
	core/cluster/commands/command_stop.c \
	core/cluster/commands/command_trace.c \
	core/cluster/commands/commands.h \
	core/cluster/commands/convert.c core/cluster/commands/convert.h \
	core/cluster/commands/convert_script.c \
	core/cluster/commands/join.c core/cluster/commands/join.h \
	core/cluster/commands/named_engines.c core/cluster/commands/named_engines.h \
	core/cluster/commands/status.c core/cluster/commands/status.h \
	core/cluster/commands/trace_merge.c core/cluster/commands/trace_merge.h \
	core/cluster/control/control.c core/cluster/control/control.h \
	core/cluster/control/control_ask.c \
	core/cluster/control/progress.c core/cluster/control/progress.h \
	core/cluster/launching/ask.c core/cluster/launching/ask.h \
	core/cluster/launching/children.c core/cluster/launching/children.h \
	core/cluster/launching/command_run.c core/cluster/launching/command_run.h \
	core/cluster/launching/instances.c core/cluster/launching/instances.h \
	core/cluster/launching/launcher.c core/cluster/launching/launcher.h \
	core/cluster/launching/launchers.c core/cluster/launching/launchers.h \
	core/cluster/launching/plugin_call.c core/cluster/launching/plugin_call.h \
	core/cluster/launching/workplace.c core/cluster/launching/workplace.h \
	core/cluster/plugins/plugin_check.c core/cluster/plugins/plugin_check.h \
	core/cluster/plugins/plugin_check_private.h \
	core/cluster/plugins/plugin_new.c core/cluster/plugins/plugin_new.h \
	core/cluster/plugins/plugin_report.c \
	core/cluster/plugins/plugin_table.c \
	core/cluster/plugins/plugin_trial.c \
	core/cluster/settings/accepted.c core/cluster/settings/accepted.h \
	core/cluster/settings/argv.c \
	core/cluster/settings/cluster.c core/cluster/settings/cluster.h \
	core/cluster/settings/offers.c core/cluster/settings/offers.h \
	core/cluster/state/cluster_file.c core/cluster/state/cluster_file.h \
	core/cluster/state/json_text.c core/cluster/state/json_text.h \
	core/cluster/state/processes.c core/cluster/state/processes.h \
	core/cluster/state/state.c core/cluster/state/state.h \
	core/cluster/supervisor/daemon.c core/cluster/supervisor/daemon.h \
	core/cluster/supervisor/logs.c core/cluster/supervisor/logs.h \
	core/cluster/supervisor/pythons.c core/cluster/supervisor/pythons.h \
	core/cluster/supervisor/slots.c core/cluster/supervisor/slots.h \
	core/cluster/supervisor/strays.c core/cluster/supervisor/strays.h \
	core/cluster/supervisor/supervisor.c core/cluster/supervisor/supervisor.h \
	core/cluster/supervisor/supervisor_answers.c \
	core/cluster/supervisor/supervisor_claim.c \
	core/cluster/supervisor/supervisor_elastic.c \
	core/cluster/supervisor/supervisor_events.c \
	core/cluster/supervisor/supervisor_heal.c \
	core/cluster/supervisor/supervisor_hub.c \
	core/cluster/supervisor/supervisor_jobs.c \
	core/cluster/supervisor/supervisor_joined.c core/cluster/supervisor/supervisor_joined.h \
	core/cluster/supervisor/supervisor_joining.c \
	core/cluster/supervisor/supervisor_left.c \
	core/cluster/supervisor/supervisor_loop.c \
	core/cluster/supervisor/supervisor_private.h \
	core/cluster/supervisor/supervisor_scale.c \
	core/cluster/supervisor/supervisor_sets.c \
	core/cluster/supervisor/supervisor_start.c \
	core/cluster/supervisor/supervisor_stop.c \
	core/cluster/watch/by_hand.c core/cluster/watch/by_hand.h \
	core/cluster/watch/engine_names.c core/cluster/watch/engine_names.h \
	core/cluster/watch/hub_alone.c \
	core/cluster/watch/hub_link.c core/cluster/watch/hub_link.h \
	core/cluster/watch/hub_measure.c \
	core/cluster/watch/hub_watch.c core/cluster/watch/hub_watch.h \
	core/cluster/watch/hub_watch_private.h
nodist_core_cluster_ipcluster_SOURCES = core/cluster/completion_scripts.h
core_cluster_ipcluster_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_builddir)/core -DOWN_LAUNCHERS='"$(launchers_LTLIBRARIES)"' \
	-DTEMPLATE_DIR='"$(pkgdatadir)"'
core_cluster_ipcluster_CFLAGS = $(AM_CFLAGS) $(UV_CFLAGS)
core_cluster_ipcluster_LDFLAGS = $(PROGRAM_LINK_FLAGS)
core_cluster_ipcluster_LDADD = core/plugin/libplugin.la core/config/libconfig.la core/wire/libwire.la \
	core/base/libbase.la $(UV_LIBS) $(ZMQ_LIBS) $(JANSSON_LIBS)

# The completion of command lines, a file for each shell: built in as C strings, and installed where the shells look for
# it by a program's name.
completion_files = \
	core/cluster/completion/ipcluster.bash \
	core/cluster/completion/ipcluster.zsh \
	core/cluster/completion/ipcluster.fish
core/cluster/completion_scripts.h: $(completion_files)
	$(AM_V_GEN)$(MKDIR_P) core/cluster && for file in $(completion_files); do \
	    shell=$${file##*.}; echo "static const char $${shell}_script[] ="; \
	    sed -e 's/[\\"]/\\&/g' -e 's/.*/    "&\\n"/' "$(srcdir)/$$file"; echo ';'; \
	done >$@.new && mv $@.new $@
EXTRA_DIST += $(completion_files)
BUILT_SOURCES += core/cluster/completion_scripts.h
CLEANFILES += core/cluster/completion_scripts.h

completion_programs = ipcluster ipcontroller ipengine
bash_folder = $(datadir)/bash-completion/completions
zsh_folder = $(datadir)/zsh/site-functions
fish_folder = $(datadir)/fish/vendor_completions.d
install-data-local: install-completions
install-completions:
	$(MKDIR_P) "$(DESTDIR)$(bash_folder)" "$(DESTDIR)$(zsh_folder)" "$(DESTDIR)$(fish_folder)"
	$(INSTALL_DATA) "$(srcdir)/core/cluster/completion/ipcluster.zsh" "$(DESTDIR)$(zsh_folder)/_ipcluster"
	@for program in $(completion_programs); do \
	    $(INSTALL_DATA) "$(srcdir)/core/cluster/completion/ipcluster.bash" "$(DESTDIR)$(bash_folder)/$$program" && \
	    $(INSTALL_DATA) "$(srcdir)/core/cluster/completion/ipcluster.fish" "$(DESTDIR)$(fish_folder)/$$program.fish" || exit 1; \
	done
uninstall-local: uninstall-completions
uninstall-completions:
	@rm -f "$(DESTDIR)$(zsh_folder)/_ipcluster"
	@for program in $(completion_programs); do \
	    rm -f "$(DESTDIR)$(bash_folder)/$$program" "$(DESTDIR)$(fish_folder)/$$program.fish"; \
	done
.PHONY: install-completions uninstall-completions
