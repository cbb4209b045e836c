# Manual pages: each program writes its own, from the tables that its options are made of.
man_MANS = \
	docs/man/ipcluster.1 \
	docs/man/ipcluster-engines.1 \
	docs/man/ipcluster-list.1 \
	docs/man/ipcluster-logs.1 \
	docs/man/ipcluster-plugins.1 \
	docs/man/ipcluster-profile.1 \
	docs/man/ipcluster-restart.1 \
	docs/man/ipcluster-scale.1 \
	docs/man/ipcluster-signal.1 \
	docs/man/ipcluster-start.1 \
	docs/man/ipcluster-status.1 \
	docs/man/ipcluster-stop.1 \
	docs/man/ipcontroller.1 \
	docs/man/ipengine.1
CLEANFILES += $(man_MANS)
write_manual = $(AM_V_GEN)$(MKDIR_P) docs/man && $(1) --help-man >$@.new && mv $@.new $@

docs/man/ipcluster.1: core/cluster/ipcluster$(EXEEXT)
	$(call write_manual,core/cluster/ipcluster)
docs/man/ipcluster-%.1: core/cluster/ipcluster$(EXEEXT)
	$(call write_manual,core/cluster/ipcluster $*)
docs/man/ipcontroller.1: core/controller/ipcontroller$(EXEEXT)
	$(call write_manual,core/controller/ipcontroller)
docs/man/ipengine.1: core/engine/ipengine$(EXEEXT)
	$(call write_manual,core/engine/ipengine)

EXTRA_DIST += \
	docs/index.md \
	docs/explanation/architecture.md \
	docs/explanation/restarts.md \
	docs/explanation/scheduling.md \
	docs/explanation/security.md \
	docs/explanation/threats.md \
	docs/howto/batch-system.md \
	docs/howto/batch.md \
	docs/howto/dask.md \
	docs/howto/debug.md \
	docs/howto/frontends.md \
	docs/howto/healing.md \
	docs/howto/ipyparallel.md \
	docs/howto/laptop.md \
	docs/howto/launcher.md \
	docs/howto/mpi.md \
	docs/howto/python.md \
	docs/howto/records.md \
	docs/howto/secure.md \
	docs/howto/slurm.md \
	docs/howto/ssh.md \
	docs/howto/start.md \
	docs/howto/tasks.md \
	docs/howto/troubles.md \
	docs/howto/work.md \
	docs/reference/c.md \
	docs/reference/configuration.md \
	docs/reference/control.md \
	docs/reference/engine.md \
	docs/reference/files.md \
	docs/reference/plugins.md \
	docs/reference/wire.md 
EXTRA_DIST += docs/examples/c_client/Makefile docs/examples/c_client/c_client.c
EXTRA_DIST += docs/examples/launcher/Makefile docs/examples/launcher/wrap.c
