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
	core/cluster/command_completion.c \
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
	core/cluster/hub_measure.c \
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
	core/cluster/offers.c core/cluster/offers.h \
	core/cluster/plugin_call.c core/cluster/plugin_call.h \
	core/cluster/plugin_check.c core/cluster/plugin_check.h \
	core/cluster/plugin_new.c core/cluster/plugin_new.h \
	core/cluster/plugin_table.c \
	core/cluster/plugin_trial.c \
	core/cluster/processes.c core/cluster/processes.h \
	core/cluster/progress.c core/cluster/progress.h \
	core/cluster/pythons.c core/cluster/pythons.h \
	core/cluster/slots.c core/cluster/slots.h \
	core/cluster/state.c core/cluster/state.h \
	core/cluster/strays.c core/cluster/strays.h \
	core/cluster/status.c core/cluster/status.h \
	core/cluster/supervisor.c core/cluster/supervisor.h \
	core/cluster/supervisor_answers.c \
	core/cluster/supervisor_claim.c \
	core/cluster/supervisor_elastic.c \
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
nodist_core_cluster_ipcluster_SOURCES = core/cluster/completion_scripts.h
core_cluster_ipcluster_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_builddir)/core -DOWN_LAUNCHERS='"$(launchers_LTLIBRARIES)"' \
	-DTEMPLATE_DIR='"$(pkgdatadir)"'
core_cluster_ipcluster_CFLAGS = $(AM_CFLAGS) $(UV_CFLAGS)
core_cluster_ipcluster_LDFLAGS = $(PROGRAM_LINK_FLAGS)
core_cluster_ipcluster_LDADD = core/plugin/libplugin.la core/config/libconfig.la core/wire/libwire.la \
	core/base/libbase.la $(UV_LIBS) $(ZMQ_LIBS) $(JANSSON_LIBS)

# What completes command lines, a file a shell: as strings of C, and where these shells look for it by a program's name.
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
