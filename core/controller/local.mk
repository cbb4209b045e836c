bin_PROGRAMS += core/controller/ipcontroller
core_controller_ipcontroller_SOURCES = \
	core/controller/addresses.c core/controller/addresses.h \
	core/controller/asked.c core/controller/asked.h \
	core/controller/broadcast.c \
	core/controller/broadcast_request.c core/controller/broadcast_request.h \
	core/controller/controller.c core/controller/controller.h \
	core/controller/departures.c core/controller/departures.h \
	core/controller/early.c core/controller/early.h \
	core/controller/engine_table.c core/controller/engine_table.h \
	core/controller/engines.c core/controller/engines.h \
	core/controller/files.c core/controller/files.h \
	core/controller/flight.c core/controller/flight.h \
	core/controller/gate.c core/controller/gate.h \
	core/controller/gather.c core/controller/gather.h \
	core/controller/handouts.c core/controller/handouts.h \
	core/controller/heart.c \
	core/controller/held.c core/controller/held.h \
	core/controller/hub.c core/controller/hub.h \
	core/controller/hub_ends.c core/controller/hub_ends.h \
	core/controller/hub_engines.c \
	core/controller/hub_queries.c \
	core/controller/hub_records.c \
	core/controller/iopub.c \
	core/controller/ledger.c core/controller/ledger.h \
	core/controller/main.c \
	core/controller/notice.c core/controller/notice.h \
	core/controller/options.c core/controller/options.h \
	core/controller/outbox.c core/controller/outbox.h \
	core/controller/peer_name.c core/controller/peer_name.h \
	core/controller/previous.c core/controller/previous.h \
	core/controller/publishers.c core/controller/publishers.h \
	core/controller/records.c core/controller/records.h \
	core/controller/records_purge.c \
	core/controller/records_queries.c \
	core/controller/records_resubmit.c \
	core/controller/records_restore.c \
	core/controller/refusal.c core/controller/refusal.h \
	core/controller/relay.c \
	core/controller/replies.c core/controller/replies.h \
	core/controller/reply.c core/controller/reply.h \
	core/controller/report.c core/controller/report.h \
	core/controller/restored.h \
	core/controller/targets.c core/controller/targets.h \
	core/controller/store.c core/controller/store.h \
	core/controller/reuse.c core/controller/reuse.h \
	core/controller/room.c core/controller/room.h \
	core/controller/routes.c core/controller/routes.h \
	core/controller/task.c core/controller/task.h \
	core/controller/task_metadata.c core/controller/task_metadata.h \
	core/controller/task_abort.c \
	core/controller/task_answers.c \
	core/controller/task_clients.c \
	core/controller/task_engines.c \
	core/controller/task_recall.c \
	core/controller/task_restore.c \
	core/controller/task_retry.c \
	core/controller/trim.c core/controller/trim.h
# The load balancer's books know of no sockets: their unit tests link them alone.
noinst_LTLIBRARIES += core/controller/libbalancer.la
core_controller_libbalancer_la_SOURCES = \
	core/controller/balancer.c core/controller/balancer.h core/controller/balancer_internal.h \
	core/controller/binding.c \
	core/controller/choice.c \
	core/controller/dependency.c \
	core/controller/finished.c core/controller/finished.h \
	core/controller/heap.c core/controller/heap.h \
	core/controller/share.c
core_controller_libbalancer_la_LIBADD = core/base/libbase.la
core_controller_ipcontroller_LDFLAGS = $(PROGRAM_LINK_FLAGS)
core_controller_ipcontroller_LDADD = core/controller/libbalancer.la core/plugin/libplugin.la \
	core/config/libconfig.la core/wire/libwire.la core/base/libbase.la $(JANSSON_LIBS) $(ZMQ_LIBS)
