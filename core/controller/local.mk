# The sources, by folder. The load balancer has no sockets, so that its unit tests need no other file of
# the controller.
noinst_LTLIBRARIES += core/controller/libbalancer.la
core_controller_libbalancer_la_SOURCES = \
	core/controller/balancer/balancer.c core/controller/balancer/balancer.h \
	core/controller/balancer/balancer_private.h \
	core/controller/balancer/binding.c \
	core/controller/balancer/dependency.c \
	core/controller/balancer/finished.c core/controller/balancer/finished.h \
	core/controller/balancer/heap.c core/controller/balancer/heap.h \
	core/controller/balancer/places.c \
	core/controller/balancer/schemes.c core/controller/balancer/schemes.h \
	core/controller/balancer/share.c \
	core/controller/balancer/workers.c
core_controller_libbalancer_la_LIBADD = core/base/libbase.la

bin_PROGRAMS += core/controller/ipcontroller
core_controller_ipcontroller_SOURCES = \
	core/controller/addresses.c core/controller/addresses.h \
	core/controller/files.c core/controller/files.h \
	core/controller/keys.c core/controller/keys.h \
	core/controller/main.c \
	core/controller/options.c core/controller/options.h \
	core/controller/reuse.c core/controller/reuse.h \
	core/controller/door/gate.c core/controller/door/gate.h \
	core/controller/door/peer_name.c core/controller/door/peer_name.h \
	core/controller/door/room.c core/controller/door/room.h \
	core/controller/exchange/asked.c core/controller/exchange/asked.h \
	core/controller/exchange/channels.c core/controller/exchange/channels.h \
	core/controller/exchange/controller.c core/controller/exchange/controller.h \
	core/controller/exchange/notice.c core/controller/exchange/notice.h \
	core/controller/exchange/refusal.c core/controller/exchange/refusal.h \
	core/controller/exchange/report.c core/controller/exchange/report.h \
	core/controller/exchange/routes.c core/controller/exchange/routes.h \
	core/controller/exchange/segments.c core/controller/exchange/segments.h \
	core/controller/delivery/early.c core/controller/delivery/early.h \
	core/controller/delivery/flight.c core/controller/delivery/flight.h \
	core/controller/delivery/handouts.c core/controller/delivery/handouts.h \
	core/controller/delivery/outbox.c core/controller/delivery/outbox.h \
	core/controller/delivery/replies.c core/controller/delivery/replies.h \
	core/controller/delivery/reply.c core/controller/delivery/reply.h \
	core/controller/delivery/targets.c core/controller/delivery/targets.h \
	core/controller/delivery/trim.c core/controller/delivery/trim.h \
	core/controller/schedulers/broadcast.c \
	core/controller/schedulers/broadcast_request.c core/controller/schedulers/broadcast_request.h \
	core/controller/schedulers/gather.c core/controller/schedulers/gather.h \
	core/controller/schedulers/heart.c \
	core/controller/schedulers/iopub.c \
	core/controller/schedulers/passage.c core/controller/schedulers/passage.h \
	core/controller/schedulers/publishers.c core/controller/schedulers/publishers.h \
	core/controller/schedulers/relay.c \
	core/controller/schedulers/task.c core/controller/schedulers/task.h \
	core/controller/schedulers/task_abort.c \
	core/controller/schedulers/task_answers.c \
	core/controller/schedulers/task_clients.c \
	core/controller/schedulers/task_dispatch.c \
	core/controller/schedulers/task_engines.c \
	core/controller/schedulers/task_hooks.h \
	core/controller/schedulers/task_metadata.c core/controller/schedulers/task_metadata.h \
	core/controller/schedulers/task_retry.c \
	core/controller/schedulers/task_send.c \
	core/controller/schedulers/task_thread.c \
	core/controller/schedulers/task_window.c \
	core/controller/records/records.c core/controller/records/records.h \
	core/controller/records/records_keep.c \
	core/controller/records/records_purge.c \
	core/controller/records/records_queries.c \
	core/controller/records/records_resubmit.c \
	core/controller/records/records_thread.c \
	core/controller/stats/metrics.c core/controller/stats/metrics.h \
	core/controller/stats/stats.c core/controller/stats/stats.h core/controller/stats/table.h \
	core/controller/records/store.c core/controller/records/store.h \
	core/controller/hub/departures.c core/controller/hub/departures.h \
	core/controller/hub/engine_table.c core/controller/hub/engine_table.h \
	core/controller/hub/engines.c core/controller/hub/engines.h \
	core/controller/hub/hub.c core/controller/hub/hub.h \
	core/controller/hub/hub_ends.c core/controller/hub/hub_ends.h \
	core/controller/hub/hub_engines.c \
	core/controller/hub/hub_queries.c \
	core/controller/hub/hub_records.c \
	core/controller/hub/hub_tell.c \
	core/controller/hub/ledger.c core/controller/hub/ledger.h \
	core/controller/restart/hub_restore.c \
	core/controller/restart/previous.c core/controller/restart/previous.h \
	core/controller/restart/records_restore.c \
	core/controller/restart/restart.c core/controller/restart/restart.h \
	core/controller/restart/restored.h \
	core/controller/restart/task_away.c \
	core/controller/restart/task_recall.c \
	core/controller/restart/task_restart.h \
	core/controller/restart/task_restore.c
core_controller_ipcontroller_LDFLAGS = $(PROGRAM_LINK_FLAGS)
core_controller_ipcontroller_LDADD = core/controller/libbalancer.la core/plugin/libplugin.la \
	core/config/libconfig.la core/wire/libwire.la core/base/libbase.la $(JANSSON_LIBS) $(ZMQ_LIBS)
