# Unit tests, run by `make check`: a Criterion program for each concept, which needs no network and leaves nothing behind.
#
# To add tests/unit/test_NAME.c: append it to UNIT_TESTS, and write below
#
#     tests_unit_test_NAME_SOURCES = tests/unit/test_NAME.c
#     tests_unit_test_NAME_LDADD = $(UNIT_LIBS)
#
# UNIT_LIBS has core/base, core/config, core/plugin and core/wire, and tests/unit/unit.h (serializers by name, a temporary
# folder). A test of a program's own files names those behind its test in _SOURCES.

UNIT_TESTS = \
	tests/unit/test_asked \
	tests/unit/test_balancer \
	tests/unit/test_batch_query \
	tests/unit/test_broadcast_request \
	tests/unit/test_client_future \
	tests/unit/test_client_value \
	tests/unit/test_clock \
	tests/unit/test_connection \
	tests/unit/test_counter \
	tests/unit/test_decoder_noise \
	tests/unit/test_dependency \
	tests/unit/test_descriptor \
	tests/unit/test_early \
	tests/unit/test_engine_table \
	tests/unit/test_engines \
	tests/unit/test_gate \
	tests/unit/test_gather \
	tests/unit/test_heap \
	tests/unit/test_hub_alone \
	tests/unit/test_state \
	tests/unit/test_handouts \
	tests/unit/test_publishers \
	tests/unit/test_sqlite_plans \
	tests/unit/test_envelope \
	tests/unit/test_held \
	tests/unit/test_job_name \
	tests/unit/test_log \
	tests/unit/test_loop \
	tests/unit/test_sqlite_store \
	tests/unit/test_stores \
	tests/unit/test_message \
	tests/unit/test_numbers \
	tests/unit/test_path \
	tests/unit/test_slots \
	tests/unit/test_patience \
	tests/unit/test_profile \
	tests/unit/test_reach \
	tests/unit/test_registry \
	tests/unit/test_replay \
	tests/unit/test_reply \
	tests/unit/test_serial \
	tests/unit/test_serial_json \
	tests/unit/test_serial_msgpack \
	tests/unit/test_seal \
	tests/unit/test_segment \
	tests/unit/test_session \
	tests/unit/test_settings \
	tests/unit/test_settings_args \
	tests/unit/test_settings_other \
	tests/unit/test_table \
	tests/unit/test_template \
	tests/unit/test_trace \
	tests/unit/test_traffic \
	tests/unit/test_trust \
	tests/unit/test_window

UNIT_LIBS = tests/unit/libunit.la core/wire/libwire.la core/plugin/libplugin.la core/config/libconfig.la \
	core/base/libbase.la $(CRITERION_LIBS) $(ZMQ_LIBS) $(JANSSON_LIBS)

# The program whose settings the tests of settings read.
UNIT_SERVER = tests/unit/server.c tests/unit/server.h
UNIT_OPEN_STORE = tests/unit/open_store.c tests/unit/open_store.h

# Plugins for test_registry, each with one thing wrong. They are not installed: for these libtool builds a shared object only with an
# -rpath.
UNIT_PLUGINS = \
	tests/unit/plugins/sound.la \
	tests/unit/plugins/open.la \
	tests/unit/plugins/other_major.la \
	tests/unit/plugins/newer_minor.la \
	tests/unit/plugins/other_kind.la \
	tests/unit/plugins/other_name.la \
	tests/unit/plugins/no_descriptor.la \
	tests/unit/plugins/truncated.la \
	tests/unit/plugins/incomplete.la \
	tests/unit/plugins/needs_library.la \
	tests/unit/plugins/needs_function.la
UNIT_PLUGIN_LDFLAGS = $(PLUGIN_LDFLAGS) -rpath /nonexistent

if HAVE_CRITERION
check_PROGRAMS += $(UNIT_TESTS)
check_LTLIBRARIES += tests/unit/libunit.la $(UNIT_PLUGINS)
TESTS += $(UNIT_TESTS)
else
check-local:
	@echo "make check: the unit tests need Criterion: apt-get install libcriterion-dev, then configure again" >&2
	@false
endif

tests_unit_libunit_la_SOURCES = tests/unit/unit.c tests/unit/unit.h

tests_unit_test_asked_SOURCES = tests/unit/test_asked.c core/controller/exchange/asked.c core/controller/exchange/report.c
tests_unit_test_asked_LDADD = $(UNIT_LIBS)
tests_unit_test_balancer_SOURCES = tests/unit/test_balancer.c
tests_unit_test_balancer_LDADD = core/controller/libbalancer.la $(UNIT_LIBS)
tests_unit_test_batch_query_SOURCES = tests/unit/test_batch_query.c core/cluster/batch/batch_query.c
tests_unit_test_batch_query_LDADD = $(UNIT_LIBS)
tests_unit_test_broadcast_request_SOURCES = tests/unit/test_broadcast_request.c core/controller/schedulers/broadcast_request.c
tests_unit_test_broadcast_request_LDADD = $(UNIT_LIBS)
tests_unit_test_gather_SOURCES = tests/unit/test_gather.c core/controller/schedulers/gather.c core/controller/delivery/reply.c
tests_unit_test_gather_LDADD = $(UNIT_LIBS)
tests_unit_test_dependency_SOURCES = tests/unit/test_dependency.c
tests_unit_test_dependency_LDADD = core/controller/libbalancer.la $(UNIT_LIBS)
tests_unit_test_descriptor_SOURCES = tests/unit/test_descriptor.c
tests_unit_test_descriptor_LDADD = $(UNIT_LIBS)
tests_unit_test_table_SOURCES = tests/unit/test_table.c
tests_unit_test_table_LDADD = $(UNIT_LIBS)
tests_unit_test_template_SOURCES = tests/unit/test_template.c core/cluster/batch/template.c
tests_unit_test_template_LDADD = $(UNIT_LIBS)
tests_unit_test_gate_SOURCES = tests/unit/test_gate.c core/controller/door/gate.c core/controller/door/peer_name.c
tests_unit_test_gate_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=clock_ms
tests_unit_test_gate_LDADD = $(UNIT_LIBS)

tests_unit_test_trace_SOURCES = tests/unit/test_trace.c
tests_unit_test_trace_LDADD = $(UNIT_LIBS)
tests_unit_test_traffic_SOURCES = tests/unit/test_traffic.c
tests_unit_test_traffic_LDADD = $(UNIT_LIBS)
tests_unit_test_trust_SOURCES = tests/unit/test_trust.c
tests_unit_test_trust_LDADD = $(UNIT_LIBS)
tests_unit_test_handouts_SOURCES = tests/unit/test_handouts.c core/controller/delivery/handouts.c
tests_unit_test_handouts_LDADD = $(UNIT_LIBS)
tests_unit_test_publishers_SOURCES = tests/unit/test_publishers.c core/controller/schedulers/publishers.c
tests_unit_test_publishers_LDADD = $(UNIT_LIBS)
tests_unit_test_sqlite_plans_SOURCES = tests/unit/test_sqlite_plans.c plugins/stores/sqlite_sql.c plugins/stores/query.c
tests_unit_test_sqlite_plans_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS)
tests_unit_test_sqlite_plans_LDADD = $(UNIT_LIBS) $(SQLITE_LIBS) -lm
tests_unit_test_early_SOURCES = tests/unit/test_early.c core/controller/delivery/early.c core/controller/delivery/reply.c
tests_unit_test_early_LDADD = $(UNIT_LIBS)
tests_unit_test_engine_table_SOURCES = tests/unit/test_engine_table.c core/controller/hub/engine_table.c core/controller/hub/engines.c \
	core/controller/hub/ledger.c
tests_unit_test_engine_table_LDADD = $(UNIT_LIBS)
tests_unit_test_engines_SOURCES = tests/unit/test_engines.c core/controller/hub/engines.c core/controller/hub/ledger.c core/controller/restart/previous.c
tests_unit_test_engines_LDADD = $(UNIT_LIBS)
tests_unit_test_state_SOURCES = tests/unit/test_state.c core/cluster/state/cluster_file.c core/cluster/state/json_text.c core/cluster/state/processes.c core/cluster/state/state.c
tests_unit_test_state_LDADD = $(UNIT_LIBS)
tests_unit_test_hub_alone_SOURCES = tests/unit/test_hub_alone.c core/cluster/watch/engine_names.c core/cluster/watch/hub_alone.c \
	core/cluster/watch/hub_link.c core/cluster/watch/hub_measure.c core/cluster/watch/hub_watch.c core/cluster/state/json_text.c
tests_unit_test_hub_alone_CPPFLAGS = $(AM_CPPFLAGS) $(UV_CFLAGS)
tests_unit_test_hub_alone_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=clock_ms
tests_unit_test_hub_alone_LDADD = $(UNIT_LIBS) $(UV_LIBS)
tests_unit_test_heap_SOURCES = tests/unit/test_heap.c
tests_unit_test_heap_LDADD = core/controller/libbalancer.la $(UNIT_LIBS)
tests_unit_test_envelope_SOURCES = tests/unit/test_envelope.c
tests_unit_test_envelope_LDADD = $(UNIT_LIBS)
tests_unit_test_held_SOURCES = tests/unit/test_held.c
tests_unit_test_held_LDADD = $(UNIT_LIBS)
tests_unit_test_client_future_SOURCES = tests/unit/test_client_future.c
tests_unit_test_client_future_LDADD = core/client/libclient.la $(UNIT_LIBS)
tests_unit_test_client_value_SOURCES = tests/unit/test_client_value.c
tests_unit_test_client_value_LDADD = core/client/libclient.la $(UNIT_LIBS)
tests_unit_test_counter_SOURCES = tests/unit/test_counter.c
tests_unit_test_counter_LDADD = $(UNIT_LIBS)
tests_unit_test_clock_SOURCES = tests/unit/test_clock.c
tests_unit_test_clock_LDADD = $(UNIT_LIBS)
tests_unit_test_connection_SOURCES = tests/unit/test_connection.c
tests_unit_test_connection_LDADD = $(UNIT_LIBS)
tests_unit_test_loop_SOURCES = tests/unit/test_loop.c
tests_unit_test_loop_LDADD = $(UNIT_LIBS)
tests_unit_test_log_SOURCES = tests/unit/test_log.c
tests_unit_test_log_LDADD = $(UNIT_LIBS)
tests_unit_test_stores_SOURCES = tests/unit/test_stores.c $(UNIT_OPEN_STORE)
tests_unit_test_stores_LDADD = $(UNIT_LIBS)
tests_unit_test_sqlite_store_SOURCES = tests/unit/test_sqlite_store.c $(UNIT_OPEN_STORE)
tests_unit_test_sqlite_store_LDADD = $(UNIT_LIBS) $(SQLITE_LIBS)
tests_unit_test_message_SOURCES = tests/unit/test_message.c
tests_unit_test_message_LDADD = $(UNIT_LIBS)
tests_unit_test_job_name_SOURCES = tests/unit/test_job_name.c
tests_unit_test_job_name_LDADD = $(UNIT_LIBS)
tests_unit_test_numbers_SOURCES = tests/unit/test_numbers.c
tests_unit_test_numbers_LDADD = $(UNIT_LIBS)
tests_unit_test_slots_SOURCES = tests/unit/test_slots.c core/cluster/supervisor/slots.c
tests_unit_test_slots_LDADD = $(UNIT_LIBS)
tests_unit_test_path_SOURCES = tests/unit/test_path.c
tests_unit_test_path_LDADD = $(UNIT_LIBS)
tests_unit_test_patience_SOURCES = tests/unit/test_patience.c
tests_unit_test_patience_LDADD = $(UNIT_LIBS)
tests_unit_test_replay_SOURCES = tests/unit/test_replay.c
tests_unit_test_replay_LDADD = $(UNIT_LIBS)
tests_unit_test_reply_SOURCES = tests/unit/test_reply.c core/controller/delivery/reply.c
tests_unit_test_reply_LDADD = $(UNIT_LIBS)
tests_unit_test_serial_SOURCES = tests/unit/test_serial.c
tests_unit_test_serial_LDADD = $(UNIT_LIBS)
tests_unit_test_seal_SOURCES = tests/unit/test_seal.c
tests_unit_test_seal_LDADD = $(UNIT_LIBS)
tests_unit_test_window_SOURCES = tests/unit/test_window.c
tests_unit_test_window_LDADD = $(UNIT_LIBS)
tests_unit_test_segment_SOURCES = tests/unit/test_segment.c
tests_unit_test_segment_LDADD = $(UNIT_LIBS)
tests_unit_test_session_SOURCES = tests/unit/test_session.c
tests_unit_test_session_LDADD = $(UNIT_LIBS)
tests_unit_test_decoder_noise_SOURCES = tests/unit/test_decoder_noise.c
tests_unit_test_decoder_noise_LDADD = $(UNIT_LIBS)
tests_unit_test_reach_SOURCES = tests/unit/test_reach.c
tests_unit_test_reach_LDADD = $(UNIT_LIBS)
tests_unit_test_registry_SOURCES = tests/unit/test_registry.c
tests_unit_test_registry_LDADD = $(UNIT_LIBS)
tests_unit_test_serial_json_SOURCES = tests/unit/test_serial_json.c
tests_unit_test_serial_json_LDADD = $(UNIT_LIBS)
tests_unit_test_serial_msgpack_SOURCES = tests/unit/test_serial_msgpack.c
tests_unit_test_serial_msgpack_LDADD = $(UNIT_LIBS)
tests_unit_test_profile_SOURCES = tests/unit/test_profile.c
tests_unit_test_profile_LDADD = $(UNIT_LIBS)
tests_unit_test_settings_SOURCES = tests/unit/test_settings.c $(UNIT_SERVER)
tests_unit_test_settings_LDADD = $(UNIT_LIBS)
tests_unit_test_settings_args_SOURCES = tests/unit/test_settings_args.c $(UNIT_SERVER)
tests_unit_test_settings_args_LDADD = $(UNIT_LIBS)
tests_unit_test_settings_other_SOURCES = tests/unit/test_settings_other.c $(UNIT_SERVER)
tests_unit_test_settings_other_LDADD = $(UNIT_LIBS)

tests_unit_plugins_sound_la_SOURCES = tests/unit/plugins/variant.c
tests_unit_plugins_sound_la_CPPFLAGS = $(AM_CPPFLAGS) -DVARIANT_NAME='"sound"'
tests_unit_plugins_sound_la_LDFLAGS = $(UNIT_PLUGIN_LDFLAGS)
tests_unit_plugins_open_la_SOURCES = tests/unit/plugins/variant.c
tests_unit_plugins_open_la_CPPFLAGS = $(AM_CPPFLAGS) -DVARIANT_NAME='"open"'
tests_unit_plugins_open_la_LDFLAGS = $(UNIT_PLUGIN_LDFLAGS)
tests_unit_plugins_other_major_la_SOURCES = tests/unit/plugins/variant.c
tests_unit_plugins_other_major_la_CPPFLAGS = $(AM_CPPFLAGS) -DVARIANT_NAME='"other_major"' -DVARIANT_MAJOR=2
tests_unit_plugins_other_major_la_LDFLAGS = $(UNIT_PLUGIN_LDFLAGS)
tests_unit_plugins_newer_minor_la_SOURCES = tests/unit/plugins/variant.c
tests_unit_plugins_newer_minor_la_CPPFLAGS = $(AM_CPPFLAGS) -DVARIANT_NAME='"newer_minor"' -DVARIANT_MINOR=IPCL_ABI_MINOR+1
tests_unit_plugins_newer_minor_la_LDFLAGS = $(UNIT_PLUGIN_LDFLAGS)
tests_unit_plugins_other_kind_la_SOURCES = tests/unit/plugins/variant.c
tests_unit_plugins_other_kind_la_CPPFLAGS = $(AM_CPPFLAGS) -DVARIANT_NAME='"other_kind"' -DVARIANT_KIND='"store"'
tests_unit_plugins_other_kind_la_LDFLAGS = $(UNIT_PLUGIN_LDFLAGS)
tests_unit_plugins_other_name_la_SOURCES = tests/unit/plugins/variant.c
tests_unit_plugins_other_name_la_CPPFLAGS = $(AM_CPPFLAGS) -DVARIANT_NAME='"somebody"'
tests_unit_plugins_other_name_la_LDFLAGS = $(UNIT_PLUGIN_LDFLAGS)
tests_unit_plugins_no_descriptor_la_SOURCES = tests/unit/plugins/variant.c
tests_unit_plugins_no_descriptor_la_CPPFLAGS = $(AM_CPPFLAGS) -DVARIANT_NAME='"no_descriptor"' -DVARIANT_HIDDEN
tests_unit_plugins_no_descriptor_la_LDFLAGS = $(UNIT_PLUGIN_LDFLAGS)
tests_unit_plugins_truncated_la_SOURCES = tests/unit/plugins/variant.c
tests_unit_plugins_truncated_la_CPPFLAGS = $(AM_CPPFLAGS) -DVARIANT_NAME='"truncated"' -DVARIANT_SIZE=16
tests_unit_plugins_truncated_la_LDFLAGS = $(UNIT_PLUGIN_LDFLAGS)
tests_unit_plugins_incomplete_la_SOURCES = tests/unit/plugins/variant.c
tests_unit_plugins_incomplete_la_CPPFLAGS = $(AM_CPPFLAGS) -DVARIANT_NAME='"incomplete"' -DVARIANT_SUMMARY=NULL
tests_unit_plugins_incomplete_la_LDFLAGS = $(UNIT_PLUGIN_LDFLAGS)
tests_unit_plugins_needs_library_la_SOURCES = tests/unit/plugins/variant.c
tests_unit_plugins_needs_library_la_CPPFLAGS = $(AM_CPPFLAGS) -DVARIANT_NAME='"needs_library"' -DVARIANT_LIBRARY
tests_unit_plugins_needs_library_la_LDFLAGS = $(UNIT_PLUGIN_LDFLAGS)
tests_unit_plugins_needs_library_la_LIBADD = $(JANSSON_LIBS)
tests_unit_plugins_needs_function_la_SOURCES = tests/unit/plugins/variant.c
tests_unit_plugins_needs_function_la_CPPFLAGS = $(AM_CPPFLAGS) -DVARIANT_NAME='"needs_function"' -DVARIANT_ABSENT
tests_unit_plugins_needs_function_la_LDFLAGS = $(UNIT_PLUGIN_LDFLAGS)
