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

EXTRA_DIST += docs/guide.md docs/threats.md
EXTRA_DIST += docs/examples/c_client/Makefile docs/examples/c_client/c_client.c
EXTRA_DIST += docs/examples/launcher/Makefile docs/examples/launcher/wrap.c
