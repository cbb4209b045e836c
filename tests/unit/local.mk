# Unit tests, run by `make check`: one Criterion program a concept, which needs no network and leaves nothing behind.
#
# To add tests/unit/test_NAME.c: append it to UNIT_TESTS, and write below
#
#     tests_unit_test_NAME_SOURCES = tests/unit/test_NAME.c
#     tests_unit_test_NAME_LDADD = $(UNIT_LIBS)
#
# UNIT_LIBS has core/base, core/config, core/plugin and core/wire, and tests/unit/unit.h (serializers by name, a temporary
# folder). A test of a program's own files names those behind its test in _SOURCES.

UNIT_TESTS = \
	tests/unit/test_connection \
	tests/unit/test_log \
	tests/unit/test_message \
	tests/unit/test_path \
	tests/unit/test_replay \
	tests/unit/test_serial \
	tests/unit/test_session

UNIT_LIBS = tests/unit/libunit.la core/wire/libwire.la core/plugin/libplugin.la core/config/libconfig.la \
	core/base/libbase.la $(CRITERION_LIBS) $(ZMQ_LIBS) $(JANSSON_LIBS)

if HAVE_CRITERION
check_PROGRAMS += $(UNIT_TESTS)
check_LTLIBRARIES += tests/unit/libunit.la
TESTS += $(UNIT_TESTS)
else
check-local:
	@echo "make check: the unit tests need Criterion: apt-get install libcriterion-dev, then configure again" >&2
	@false
endif

tests_unit_libunit_la_SOURCES = tests/unit/unit.c tests/unit/unit.h

tests_unit_test_connection_SOURCES = tests/unit/test_connection.c
tests_unit_test_connection_LDADD = $(UNIT_LIBS)
tests_unit_test_log_SOURCES = tests/unit/test_log.c
tests_unit_test_log_LDADD = $(UNIT_LIBS)
tests_unit_test_message_SOURCES = tests/unit/test_message.c
tests_unit_test_message_LDADD = $(UNIT_LIBS)
tests_unit_test_path_SOURCES = tests/unit/test_path.c
tests_unit_test_path_LDADD = $(UNIT_LIBS)
tests_unit_test_replay_SOURCES = tests/unit/test_replay.c
tests_unit_test_replay_LDADD = $(UNIT_LIBS)
tests_unit_test_serial_SOURCES = tests/unit/test_serial.c
tests_unit_test_serial_LDADD = $(UNIT_LIBS)
tests_unit_test_session_SOURCES = tests/unit/test_session.c
tests_unit_test_session_LDADD = $(UNIT_LIBS)
