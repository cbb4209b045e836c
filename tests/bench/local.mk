# Tests have these, too; the rest is built only when asked for, by make bench.
noinst_PROGRAMS += tests/bench/crowd tests/bench/engines tests/bench/floor tests/bench/tasks
EXTRA_PROGRAMS += tests/bench/queue
tests_bench_engines_SOURCES = tests/bench/engines.c plugins/serial/json.c plugins/serial/utf8.h
tests_bench_engines_CFLAGS = $(AM_CFLAGS) -O2
tests_bench_engines_LDADD = core/wire/libwire.la core/plugin/libplugin.la core/base/libbase.la $(ZMQ_LIBS) $(JANSSON_LIBS)
tests_bench_crowd_SOURCES = tests/bench/crowd.c
tests_bench_crowd_CFLAGS = $(AM_CFLAGS) -O2
tests_bench_crowd_LDADD = core/client/libipcluster.la
tests_bench_floor_SOURCES = tests/bench/floor.c
tests_bench_floor_CFLAGS = $(AM_CFLAGS) -O2
tests_bench_floor_LDADD = $(ZMQ_LIBS)
tests_bench_queue_SOURCES = tests/bench/queue.c plugins/serial/json.c plugins/serial/utf8.h
tests_bench_queue_CFLAGS = $(AM_CFLAGS) -O2
tests_bench_queue_LDADD = core/wire/libwire.la core/plugin/libplugin.la core/base/libbase.la $(ZMQ_LIBS) $(JANSSON_LIBS)
tests_bench_tasks_SOURCES = tests/bench/tasks.c
tests_bench_tasks_CFLAGS = $(AM_CFLAGS) -O2
tests_bench_tasks_LDADD = core/client/libipcluster.la
CLEANFILES += $(EXTRA_PROGRAMS) bench.json bench.log bench-check.log

.PHONY: bench bench-docs bench-check bench-check-update
bench: all $(EXTRA_PROGRAMS)
	$(PYTHON) $(top_srcdir)/tests/bench/bench.py .
bench-docs:
	$(PYTHON) $(top_srcdir)/tests/bench/report.py bench.json $(top_srcdir)/docs/explanation
bench-check: all
	$(PYTHON) $(top_srcdir)/tests/bench/counts.py .
bench-check-update: all
	$(PYTHON) $(top_srcdir)/tests/bench/counts.py . --update

# Tests that run from a tarball, too.
EXTRA_DIST += scripts/build scripts/install-packages scripts/packages .ci/run \
	tests/conftest.py tests/support.py tests/framing.py tests/hub_queries.py tests/bad_day.py tests/docblocks.py tests/churn.py tests/tally.py tests/lsan.supp tests/tsan.supp \
	tests/session tests/interop tests/bench/aims.py tests/bench/bench.py tests/bench/harness.py tests/bench/clients.py tests/bench/compare.py \
	tests/bench/costs.py tests/bench/counts.json tests/bench/counts.py tests/bench/report.py tests/bench/request_client.py tests/bench/scale.py \
	tests/bench/crowd.py tests/bench/fanout.py tests/bench/fanout_client.py tests/bench/peers.py tests/bench/peers_client.py \
	tests/bench/python_client.py tests/bench/mixed_client.py tests/bench/waiting.py
dist-hook:
	find $(distdir) -name __pycache__ -prune -exec rm -rf {} +
