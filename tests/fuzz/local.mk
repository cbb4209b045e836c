# `make fuzzers`, after `configure --enable-fuzzers CC=clang`: libFuzzer programs that call the code which reads untrusted bytes, with
# AddressSanitizer and UndefinedBehaviorSanitizer. scripts/fuzz builds and runs them.
#
# To add tests/fuzz/fuzz_NAME.c: append it to FUZZERS, write below which of FUZZ_LIBS and of the network it needs (and which sources beside
# its own), and give it seeds in tests/fuzz/message_seeds.py or file_seeds.py.

FUZZERS = \
	tests/fuzz/fuzz_abort \
	tests/fuzz/fuzz_broadcast \
	tests/fuzz/fuzz_client \
	tests/fuzz/fuzz_connection \
	tests/fuzz/fuzz_direct \
	tests/fuzz/fuzz_elf \
	tests/fuzz/fuzz_engine \
	tests/fuzz/fuzz_files \
	tests/fuzz/fuzz_frontends \
	tests/fuzz/fuzz_gate \
	tests/fuzz/fuzz_heart \
	tests/fuzz/fuzz_hub \
	tests/fuzz/fuzz_iopub \
	tests/fuzz/fuzz_message \
	tests/fuzz/fuzz_metadata \
	tests/fuzz/fuzz_query \
	tests/fuzz/fuzz_records \
	tests/fuzz/fuzz_serial \
	tests/fuzz/fuzz_settings \
	tests/fuzz/fuzz_task \
	tests/fuzz/fuzz_template \
	tests/fuzz/fuzz_watch

EXTRA_PROGRAMS += $(FUZZERS)
EXTRA_LTLIBRARIES = $(FUZZ_PARTS)
CLEANFILES += $(FUZZ_PARTS)
EXTRA_DIST += tests/fuzz/README.md tests/fuzz/live.py tests/fuzz/run.py \
	tests/fuzz/seeds.py tests/fuzz/message_seeds.py tests/fuzz/file_seeds.py tests/fuzz/seeds

.PHONY: fuzzers
if FUZZERS
fuzzers: $(FUZZERS)
else
fuzzers:
	@echo "make fuzzers: configure with --enable-fuzzers CC=clang, or use scripts/fuzz" >&2
	@false
endif

# What a program or plugin is made of, to link with. Plugins export their descriptor under names of their own. CPPFLAGS of their own keep
# libtool's objects apart from those of the programs.
FUZZ_PARTS = \
	tests/fuzz/libfuzz.la tests/fuzz/libcontroller.la tests/fuzz/libengine.la \
	tests/fuzz/libnetwork.la tests/fuzz/libmodule.la tests/fuzz/libplayed.la \
	tests/fuzz/libjson.la tests/fuzz/libmsgpack.la tests/fuzz/libmemory.la tests/fuzz/liblocal.la tests/fuzz/libmpiexec.la
tests_fuzz_libfuzz_la_SOURCES = tests/fuzz/fuzz.c tests/fuzz/fuzz.h
tests_fuzz_libnetwork_la_SOURCES = tests/fuzz/network.c tests/fuzz/network.h
tests_fuzz_libmodule_la_SOURCES = tests/fuzz/module.c tests/fuzz/module.h
tests_fuzz_libplayed_la_SOURCES = tests/fuzz/played.c tests/fuzz/played.h
# The programs' main functions are not linked: libFuzzer has one.
tests_fuzz_libcontroller_la_SOURCES = $(core_controller_ipcontroller_SOURCES)
tests_fuzz_libcontroller_la_CPPFLAGS = $(AM_CPPFLAGS)
tests_fuzz_libengine_la_SOURCES = $(core_engine_libengine_la_SOURCES)
tests_fuzz_libengine_la_CPPFLAGS = $(core_engine_libengine_la_CPPFLAGS)
tests_fuzz_libjson_la_SOURCES = $(plugins_serial_json_la_SOURCES)
tests_fuzz_libjson_la_CPPFLAGS = $(AM_CPPFLAGS) -Dipcl_plugin=json_plugin
tests_fuzz_libmsgpack_la_SOURCES = $(plugins_serial_msgpack_la_SOURCES)
tests_fuzz_libmsgpack_la_CPPFLAGS = $(AM_CPPFLAGS) -Dipcl_plugin=msgpack_plugin
tests_fuzz_libmsgpack_la_CFLAGS = $(plugins_serial_msgpack_la_CFLAGS)
tests_fuzz_libmemory_la_SOURCES = $(plugins_stores_memory_la_SOURCES)
tests_fuzz_libmemory_la_CPPFLAGS = $(AM_CPPFLAGS) -Dipcl_plugin=memory_plugin
tests_fuzz_liblocal_la_SOURCES = plugins/launchers/local.c plugins/launchers/launch.h
tests_fuzz_liblocal_la_CPPFLAGS = $(AM_CPPFLAGS) -Dipcl_plugin=local_plugin
tests_fuzz_libmpiexec_la_SOURCES = $(plugins_launchers_mpiexec_la_SOURCES)
tests_fuzz_libmpiexec_la_CPPFLAGS = $(AM_CPPFLAGS) -Dipcl_plugin=mpiexec_plugin

# libFuzzer, which calls it, comes last.
FUZZ_LINK_FLAGS = $(AM_LDFLAGS) -fsanitize=fuzzer -Wl,--undefined=LLVMFuzzerTestOneInput
FUZZ_LIBS = tests/fuzz/libfuzz.la tests/fuzz/libjson.la tests/fuzz/libmsgpack.la core/wire/libwire.la core/plugin/libplugin.la \
	core/config/libconfig.la core/base/libbase.la $(MSGPACK_LIBS) $(ZMQ_LIBS) $(JANSSON_LIBS)
FUZZ_CONTROLLER = tests/fuzz/libcontroller.la core/controller/libbalancer.la
NETWORK_WRAP = -Wl,--wrap=message_recv,--wrap=zmq_bind,--wrap=zmq_connect,--wrap=zmq_msg_send,--wrap=zmq_send,--wrap=zmq_socket_monitor \
	-Wl,--wrap=socket_bind_port,--wrap=loop_add,--wrap=loop_add_open,--wrap=loop_add_ready,--wrap=loop_set_tick,--wrap=gate_watch_losses
FUZZ_MODULE_LINK_FLAGS = $(FUZZ_LINK_FLAGS) $(NETWORK_WRAP)
FUZZ_MODULE_LIBS = tests/fuzz/libnetwork.la tests/fuzz/libmodule.la $(FUZZ_CONTROLLER) tests/fuzz/libmemory.la $(FUZZ_LIBS) -lm
FUZZ_PLAYED_LINK_FLAGS = $(FUZZ_LINK_FLAGS) $(NETWORK_WRAP) -Wl,--wrap=usleep,--wrap=kill,--wrap=path_write_file
FUZZ_PLAYED_LIBS = tests/fuzz/libnetwork.la tests/fuzz/libplayed.la tests/fuzz/libengine.la $(FUZZ_LIBS)

tests_fuzz_fuzz_abort_LDFLAGS = $(FUZZ_LINK_FLAGS)
tests_fuzz_fuzz_abort_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_client_LDFLAGS = $(FUZZ_LINK_FLAGS) $(NETWORK_WRAP)
tests_fuzz_fuzz_client_LDADD = tests/fuzz/libnetwork.la core/client/libclient.la $(FUZZ_LIBS)
tests_fuzz_fuzz_connection_LDFLAGS = $(FUZZ_LINK_FLAGS) -Wl,--wrap=getaddrinfo
tests_fuzz_fuzz_connection_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_elf_LDFLAGS = $(FUZZ_LINK_FLAGS)
tests_fuzz_fuzz_elf_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_engine_LDFLAGS = $(FUZZ_PLAYED_LINK_FLAGS)
tests_fuzz_fuzz_engine_LDADD = $(FUZZ_PLAYED_LIBS)
tests_fuzz_fuzz_files_SOURCES = tests/fuzz/fuzz_files.c core/cluster/state/json_text.c core/cluster/state/processes.c
tests_fuzz_fuzz_files_LDFLAGS = $(FUZZ_LINK_FLAGS)
tests_fuzz_fuzz_files_LDADD = tests/fuzz/liblocal.la tests/fuzz/libmpiexec.la $(FUZZ_CONTROLLER) $(FUZZ_LIBS)
tests_fuzz_fuzz_frontends_LDFLAGS = $(FUZZ_PLAYED_LINK_FLAGS)
tests_fuzz_fuzz_frontends_LDADD = $(FUZZ_PLAYED_LIBS)
tests_fuzz_fuzz_gate_LDFLAGS = $(FUZZ_LINK_FLAGS)
tests_fuzz_fuzz_gate_LDADD = $(FUZZ_CONTROLLER) $(FUZZ_LIBS)
tests_fuzz_fuzz_message_LDFLAGS = $(FUZZ_LINK_FLAGS)
tests_fuzz_fuzz_message_LDADD = $(FUZZ_CONTROLLER) $(FUZZ_LIBS)
tests_fuzz_fuzz_metadata_LDFLAGS = $(FUZZ_LINK_FLAGS)
tests_fuzz_fuzz_metadata_LDADD = $(FUZZ_CONTROLLER) $(FUZZ_LIBS)
tests_fuzz_fuzz_settings_LDFLAGS = $(FUZZ_LINK_FLAGS)
tests_fuzz_fuzz_settings_LDADD = $(FUZZ_CONTROLLER) $(FUZZ_LIBS)
tests_fuzz_fuzz_query_SOURCES = tests/fuzz/fuzz_query.c plugins/stores/query.c plugins/stores/sqlite_sql.c
tests_fuzz_fuzz_query_CPPFLAGS = $(AM_CPPFLAGS) $(SQLITE_CFLAGS) -I$(top_srcdir)/plugins/stores
tests_fuzz_fuzz_query_LDFLAGS = $(FUZZ_LINK_FLAGS)
tests_fuzz_fuzz_query_LDADD = $(FUZZ_LIBS) $(SQLITE_LIBS) -lm
tests_fuzz_fuzz_serial_LDFLAGS = $(FUZZ_LINK_FLAGS)
tests_fuzz_fuzz_serial_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_template_SOURCES = tests/fuzz/fuzz_template.c core/cluster/batch/template.c
tests_fuzz_fuzz_template_LDFLAGS = $(FUZZ_LINK_FLAGS)
tests_fuzz_fuzz_template_LDADD = $(FUZZ_LIBS)
tests_fuzz_fuzz_broadcast_LDFLAGS = $(FUZZ_MODULE_LINK_FLAGS)
tests_fuzz_fuzz_broadcast_LDADD = $(FUZZ_MODULE_LIBS)
tests_fuzz_fuzz_direct_LDFLAGS = $(FUZZ_MODULE_LINK_FLAGS)
tests_fuzz_fuzz_direct_LDADD = $(FUZZ_MODULE_LIBS)
tests_fuzz_fuzz_heart_LDFLAGS = $(FUZZ_MODULE_LINK_FLAGS)
tests_fuzz_fuzz_heart_LDADD = $(FUZZ_MODULE_LIBS)
tests_fuzz_fuzz_hub_LDFLAGS = $(FUZZ_MODULE_LINK_FLAGS)
tests_fuzz_fuzz_hub_LDADD = $(FUZZ_MODULE_LIBS)
tests_fuzz_fuzz_iopub_LDFLAGS = $(FUZZ_MODULE_LINK_FLAGS)
tests_fuzz_fuzz_iopub_LDADD = $(FUZZ_MODULE_LIBS)
tests_fuzz_fuzz_records_LDFLAGS = $(FUZZ_MODULE_LINK_FLAGS)
tests_fuzz_fuzz_records_LDADD = $(FUZZ_MODULE_LIBS)
tests_fuzz_fuzz_task_LDFLAGS = $(FUZZ_MODULE_LINK_FLAGS)
tests_fuzz_fuzz_task_LDADD = $(FUZZ_MODULE_LIBS)
tests_fuzz_fuzz_watch_SOURCES = tests/fuzz/fuzz_watch.c core/cluster/watch/hub_watch.c core/cluster/watch/hub_link.c core/cluster/watch/hub_measure.c core/cluster/watch/engine_names.c \
	core/cluster/state/json_text.c
tests_fuzz_fuzz_watch_CPPFLAGS = $(AM_CPPFLAGS) $(UV_CFLAGS)
tests_fuzz_fuzz_watch_LDFLAGS = $(FUZZ_LINK_FLAGS) $(NETWORK_WRAP) \
	-Wl,--wrap=serializer_load,--wrap=connection_read,--wrap=uv_timer_start,--wrap=uv_poll_start
tests_fuzz_fuzz_watch_LDADD = tests/fuzz/libnetwork.la $(FUZZ_LIBS) $(UV_LIBS)
