# Manual pages: each program writes its own, from the tables that its options are made of.
man_MANS = \
	docs/man/ipcluster.1 \
	docs/man/ipcluster-completion.1 \
	docs/man/ipcluster-engines.1 \
	docs/man/ipcluster-list.1 \
	docs/man/ipcluster-logs.1 \
	docs/man/ipcluster-plugins.1 \
	docs/man/ipcluster-profile.1 \
	docs/man/ipcluster-restart.1 \
	docs/man/ipcluster-scale.1 \
	docs/man/ipcluster-signal.1 \
	docs/man/ipcluster-start.1 \
	docs/man/ipcluster-stats.1 \
	docs/man/ipcluster-status.1 \
	docs/man/ipcluster-stop.1 \
	docs/man/ipcluster-trace.1 \
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

# The site: `make docs` (or html) makes it with Sphinx, of the pages and of what programs, headers and the Python package say of themselves, and
# `make install-html` installs it.
DOCS_PAGES = \
	docs/index.md \
	docs/explanation/architecture.md \
	docs/explanation/performance.md \
	docs/explanation/performance.svg \
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
	docs/howto/install.md \
	docs/howto/ipyparallel.md \
	docs/howto/laptop.md \
	docs/howto/launcher.md \
	docs/howto/monitoring.md \
	docs/howto/mpi.md \
	docs/howto/python.md \
	docs/howto/records.md \
	docs/howto/secure.md \
	docs/howto/slurm.md \
	docs/howto/ssh.md \
	docs/howto/start.md \
	docs/howto/tasks.md \
	docs/howto/trace.md \
	docs/howto/trace.svg \
	docs/howto/troubles.md \
	docs/howto/work.md \
	docs/reference/c.md \
	docs/reference/commands.md \
	docs/reference/configuration.md \
	docs/reference/control.md \
	docs/reference/engine.md \
	docs/reference/files.md \
	docs/reference/glossary.md \
	docs/reference/metrics.md \
	docs/reference/plugin-headers.md \
	docs/reference/plugins.md \
	docs/reference/python.md \
	docs/reference/settings.md \
	docs/reference/wire.md \
	docs/tutorial/notebook.md \
	docs/tutorial/prompt.md \
	docs/tutorial/sum.ipynb 
DOCS_SITE = \
	docs/conf.py \
	docs/site/headers.py \
	docs/site/notebooks.py \
	docs/site/programs.py \
	docs/site/trace_picture.py \
	docs/site/static/site.css
EXTRA_DIST += $(DOCS_PAGES) $(DOCS_SITE)
EXTRA_DIST += docs/examples/c_client/Makefile docs/examples/c_client/c_client.c
EXTRA_DIST += docs/examples/launcher/Makefile docs/examples/launcher/wrap.c

docs html-local: docs/html/index.html
docs/html/index.html: $(DOCS_PAGES) $(DOCS_SITE) $(man_MANS) $(dist_ipcluster_include_HEADERS) $(dist_pypackage_DATA) | all-am
	@$(PYTHON) -c 'import furo, myst_parser' || \
	    { echo "make docs needs Sphinx with MyST and furo; on Debian: apt install python3-myst-parser furo" >&2; exit 1; }
	@rm -rf docs/html.new docs/doctrees
	$(AM_V_GEN)PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=python IPCLUSTER_BUILD='$(abs_builddir)' \
	    $(PYTHON) -m sphinx -q -W --keep-going -d docs/doctrees '$(srcdir)/docs' docs/html.new
	@rm -rf docs/html docs/doctrees && mv docs/html.new docs/html
install-html-local: docs/html/index.html
	$(MKDIR_P) "$(DESTDIR)$(htmldir)"
	cp -R docs/html/. "$(DESTDIR)$(htmldir)"
uninstall-local: uninstall-docs
uninstall-docs:
	@if test -e docs/html/index.html; then \
	    (cd docs/html && find . -type f) | (cd "$(DESTDIR)$(htmldir)" 2>/dev/null && xargs rm -f); \
	    (cd docs/html && find . -depth -type d) | (cd "$(DESTDIR)$(htmldir)" 2>/dev/null && xargs rmdir 2>/dev/null); :; \
	fi
clean-local: clean-docs
clean-docs:
	rm -rf docs/html docs/html.new docs/doctrees
.PHONY: docs uninstall-docs clean-docs
