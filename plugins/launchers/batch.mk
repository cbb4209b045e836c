# Written by scripts/list_batch_launchers.py, which only scripts/build runs: change the tables.
launchers_LTLIBRARIES += plugins/launchers/htcondor.la
plugins_launchers_htcondor_la_SOURCES = plugins/launchers/batch/htcondor.c
plugins_launchers_htcondor_la_LDFLAGS = $(PLUGIN_LDFLAGS)
launchers_LTLIBRARIES += plugins/launchers/lsf.la
plugins_launchers_lsf_la_SOURCES = plugins/launchers/batch/lsf.c
plugins_launchers_lsf_la_LDFLAGS = $(PLUGIN_LDFLAGS)
launchers_LTLIBRARIES += plugins/launchers/pbs.la
plugins_launchers_pbs_la_SOURCES = plugins/launchers/batch/pbs.c
plugins_launchers_pbs_la_LDFLAGS = $(PLUGIN_LDFLAGS)
launchers_LTLIBRARIES += plugins/launchers/sge.la
plugins_launchers_sge_la_SOURCES = plugins/launchers/batch/sge.c
plugins_launchers_sge_la_LDFLAGS = $(PLUGIN_LDFLAGS)
launchers_LTLIBRARIES += plugins/launchers/slurm.la
plugins_launchers_slurm_la_SOURCES = plugins/launchers/batch/slurm.c
plugins_launchers_slurm_la_LDFLAGS = $(PLUGIN_LDFLAGS)
