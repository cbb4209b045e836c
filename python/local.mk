# The Python package, with two extensions: _client, for libipcluster, and _engine, the engine. Both use the stable ABI of CPython 3.11, the
# first that has buffers, and are not linked with libpython: the same files serve every later Python.
#
# In a build tree python/ becomes an importable folder: PYTHONPATH=BUILD/python. There ipcluster/ has links to the sources and the
# extension that libtool built.
PYTHON_ABI = -DPy_LIMITED_API=0x030b0000
pypackagedir = $(pythondir)/ipcluster
pypackage_LTLIBRARIES = python/_client.la python/_engine.la
python__client_la_SOURCES = \
	python/extension/buffers.c \
	python/extension/completions.c \
	python/extension/connection.c \
	python/extension/extension.h \
	python/extension/future.c \
	python/extension/module.c \
	python/extension/waiting.c
python__client_la_CPPFLAGS = $(AM_CPPFLAGS) $(PYTHON_EXT_CFLAGS) $(PYTHON_ABI)
python__client_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -shrext .abi3.so \
	-export-symbols-regex '^PyInit__client$$'
python__client_la_LIBADD = core/client/libipcluster.la
python__engine_la_SOURCES = python/extension/engine.c
python__engine_la_CPPFLAGS = $(AM_CPPFLAGS) $(PYTHON_EXT_CFLAGS) $(PYTHON_ABI)
python__engine_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -shrext .abi3.so \
	-export-symbols-regex '^PyInit__engine$$'
python__engine_la_LIBADD = core/engine/libengine.la core/plugin/libplugin.la core/wire/libwire_bare.la $(ZMQ_LIBS) $(JANSSON_LIBS)

dist_pypackage_DATA = \
	python/ipcluster/__init__.py \
	python/ipcluster/__main__.py \
	python/ipcluster/abort.py \
	python/ipcluster/asyncresult.py \
	python/ipcluster/balanced.py \
	python/ipcluster/bars.py \
	python/ipcluster/besides.py \
	python/ipcluster/blocks.py \
	python/ipcluster/broadcast.py \
	python/ipcluster/bytecode.py \
	python/ipcluster/canned.py \
	python/ipcluster/canning.py \
	python/ipcluster/classes.py \
	python/ipcluster/client.py \
	python/ipcluster/cluster.py \
	python/ipcluster/control.py \
	python/ipcluster/controller.py \
	python/ipcluster/dask.py \
	python/ipcluster/datapub.py \
	python/ipcluster/dependency.py \
	python/ipcluster/direct.py \
	python/ipcluster/dispatcher.py \
	python/ipcluster/engines.py \
	python/ipcluster/error.py \
	python/ipcluster/executor.py \
	python/ipcluster/history.py \
	python/ipcluster/imap.py \
	python/ipcluster/imports.py \
	python/ipcluster/joblib.py \
	python/ipcluster/magics.py \
	python/ipcluster/manager.py \
	python/ipcluster/maps.py \
	python/ipcluster/programs.py \
	python/ipcluster/records.py \
	python/ipcluster/remotefunction.py \
	python/ipcluster/reply.py \
	python/ipcluster/requests.py \
	python/ipcluster/shown.py \
	python/ipcluster/streamed.py \
	python/ipcluster/there.py \
	python/ipcluster/view.py
# What configure knows. The programs' folder is relative to the package's, so that both can be moved together.
nodist_pypackage_DATA = python/ipcluster/built.py
CLEANFILES += python/ipcluster/built.py
python/ipcluster/built.py: Makefile
	$(AM_V_GEN)$(MKDIR_P) python/ipcluster && $(PYTHON) -c 'import os, sys; _, version, programs, package = sys.argv; \
	    print("\"\"\"Written by make.\"\"\"\n\n__version__ = %r\nPROGRAMS = %r" % (version, os.path.relpath(programs, package)))' \
	    '$(PACKAGE_VERSION)' '$(bindir)' '$(pypackagedir)' >$@.new && mv $@.new $@
pyenginedir = $(pypackagedir)/engine
dist_pyengine_DATA = \
	python/ipcluster/engine/__init__.py \
	python/ipcluster/engine/__main__.py \
	python/ipcluster/engine/about.py \
	python/ipcluster/engine/adopt.py \
	python/ipcluster/engine/answers.py \
	python/ipcluster/engine/comms.py \
	python/ipcluster/engine/datapub.py \
	python/ipcluster/engine/failures.py \
	python/ipcluster/engine/frontends.py \
	python/ipcluster/engine/ipython.py \
	python/ipcluster/engine/jupyter.py \
	python/ipcluster/engine/kernel.py \
	python/ipcluster/engine/lacking.py \
	python/ipcluster/engine/main.py \
	python/ipcluster/engine/messages.py \
	python/ipcluster/engine/othermpi.py \
	python/ipcluster/engine/plain.py \
	python/ipcluster/engine/startup.py

# Beside the package: `from IPython.parallel import Client` and `%load_ext parallel_magic` in a stock IPython.
dist_python_DATA = python/ipcluster.pth python/ipcluster_hook.py python/parallel_magic.py

# The file that ipengine has a Python run. Its folder has only our files, so that any Python may have it on its path.
enginedir = $(pkglibdir)/python
dist_engine_DATA = python/ipengine.py
ENGINE_LINKS = ipcluster ipcluster_hook.py parallel_magic.py

all-local: python-tree
python-tree: python/_client.la python/_engine.la python/ipcluster/built.py
	@$(MKDIR_P) python/ipcluster
	@if test "$(abs_srcdir)" != "$(abs_builddir)"; then \
	    for each in $(abs_srcdir)/python/ipcluster/* $(abs_srcdir)/python/*.py $(abs_srcdir)/python/*.pth; do \
	        case $$each in */__pycache__) continue ;; */python/ipcluster/*) to=python/ipcluster ;; *) to=python ;; esac; \
	        ln -sfn "$$each" "$$to/$$(basename "$$each")" || exit 1; \
	    done; \
	fi
	@for each in _client _engine; do ln -sf ../.libs/$$each.abi3.so python/ipcluster/$$each.abi3.so || exit 1; done

# Python needs the shared object alone. It finds libipcluster by the linker's cache, where the library's folder is one of the
# system's.
install-data-hook: finish-python
finish-python:
	rm -f "$(DESTDIR)$(pypackagedir)/_client.la" "$(DESTDIR)$(pypackagedir)/_engine.la"
	for each in $(ENGINE_LINKS); do ln -srnf "$(DESTDIR)$(pythondir)/$$each" "$(DESTDIR)$(enginedir)/$$each" || exit 1; done
	@if test -z "$(DESTDIR)" && test -w /etc/ld.so.cache; then PATH="$$PATH:/sbin:/usr/sbin" ldconfig || :; fi
uninstall-hook:
	rm -f "$(DESTDIR)$(pypackagedir)/_client.abi3.so" "$(DESTDIR)$(pypackagedir)/_engine.abi3.so"
	for each in $(ENGINE_LINKS); do rm -f "$(DESTDIR)$(enginedir)/$$each"; done
clean-local: clean-python-tree
clean-python-tree:
	rm -f python/ipcluster/_client.abi3.so python/ipcluster/_engine.abi3.so
	@if test "$(abs_srcdir)" != "$(abs_builddir)"; then rm -rf python/ipcluster python/*.py python/*.pth; fi
.PHONY: python-tree finish-python clean-python-tree
