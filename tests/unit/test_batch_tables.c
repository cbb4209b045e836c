/* The tables of batch systems read what these print, as their manuals and sites have it, in each
 * dialect. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include <ipcluster/launcher.h>

#include "cluster/batch/batch_query.h"
#include "plugin/registry.h"

static const struct ipcl_batch_system *table(const char *name)
{
    struct ipcl_error error;
    struct registry *registry = registry_create(NULL, &error);
    cr_assert(registry, "%s", error.text);
    const struct ipcl_plugin *plugin = registry_load(registry, "launcher", name, &error);
    cr_assert(plugin, "%s", error.text);
    registry_destroy(registry);
    return ((const struct ipcl_launcher_operations *)plugin->operations)->systems[0];
}

Test(batch_tables, ids_of_jobs_are_kept_whole)
{
    static const struct {
        const char *name, *printed, *id;
    } cases[] = {
        {"pbs", "1234\n", "1234"},
        {"pbs", "1234.server\n", "1234.server"},
        {"pbs", "1234[].server.example.org\n", "1234[].server.example.org"},
        {"pbs", "qsub: waiting for 2 nodes\n77.server\n", "77.server"},
        {"slurm", "Submitted batch job 88\n", "88"},
        {"slurm", "1234;cluster\n", "1234"},
        {"sge", "Your job 7 (\"x\") has been submitted\n", "7"},
        {"sge", "Your job-array 7.1-4:1 (\"x 9\") has been submitted\n", "7"},
        {"sge", "7.1-4:1\n", "7"},
        {"lsf", "Job <1234> is submitted to queue <normal>.\n", "1234"},
        {"lsf", "Note: 5 slots\nJob <9> is submitted to default queue <normal>.\n", "9"},
        {"htcondor", "Submitting job(s)....\n4 job(s) submitted to cluster 7.\n", "7"},
    };
    struct ipcl_error error;
    char id[BATCH_ID_BYTES];
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        cr_expect_eq(batch_read_id(table(cases[i].name)->job_id, 0, cases[i].printed, id, &error),
                     0, "%s: %s", cases[i].printed, error.text);
        cr_expect_str_eq(id, cases[i].id, "%s: %s", cases[i].printed, id);
    }
}

Test(batch_tables, what_has_no_id_is_refused)
{
    struct ipcl_error error;
    char id[BATCH_ID_BYTES];
    cr_expect(batch_read_id(table("pbs")->job_id, 0, "qsub: Unknown queue 1\n", id, &error));
    cr_expect(batch_read_id(table("sge")->job_id, 0, "Unable to run job\n", id, &error));
    cr_expect(batch_read_id(table("lsf")->job_id, 0, "Request aborted by esub.\n", id, &error));
    cr_expect(batch_read_id(table("htcondor")->job_id, 0, "0 job(s) submitted\n", id, &error));
}

struct seen {
    char line[512];
};

/* One line: id phase status (text) of each record. */
static bool note(void *context, const struct batch_record *record)
{
    static const char *const phases[] = {"pending", "runs", "ended"};
    struct seen *seen = context;
    size_t used = strlen(seen->line);
    snprintf(seen->line + used, sizeof(seen->line) - used, "%s%s %s %d (%s)", used ? "; " : "",
             record->id, phases[record->phase], record->status, record->text);
    return false;
}

static void expect(const struct ipcl_batch_system *system, const struct ipcl_batch_query *query,
                   const char *printed, const char *seen_line)
{
    struct seen seen = {""};
    struct ipcl_error error;
    cr_assert_eq(batch_read(system, query, printed, note, &seen, &error), 0, "%s", error.text);
    cr_expect_str_eq(seen.line, seen_line, "%s", seen.line);
}

Test(batch_tables, pbs_is_read_in_its_dialects)
{
    const struct ipcl_batch_system *pbs = table("pbs");
    expect(pbs, &pbs->query, /* OpenPBS */
           "Job Id: 12[].pbs\n    Job_Name = ipengine\n    job_state = B\n    array = True\n"
           "    comment = Job Array Began at Sun Nov 29\n\n"
           "Job Id: 13.pbs\n    job_state = Q\n"
           "    comment = Not Running: Insufficient amount of resource: ncpus\n\n"
           "Job Id: 14.pbs\n    job_state = F\n    Exit_status = 271\n",
           "12[].pbs runs 0 (); "
           "13.pbs pending 0 (waits in the queue: Not Running: Insufficient amount of resource: "
           "ncpus); 14.pbs ended 271 (ended with exit status 271)");
    expect(pbs, &pbs->query, /* Torque */
           "Job Id: 5.head.example.org\n    job_state = C\n    exit_status = 0\n"
           "Job Id: 6.head.example.org\n    job_state = H\n"
           "Job Id: 7.head.example.org\n    job_state = C\n    exit_status = -3\n",
           "5.head.example.org ended 0 (); 6.head.example.org pending 0 (is held); "
           "7.head.example.org ended -3 (ended with exit status -3)");
    expect(pbs, &pbs->query, "Job Id:\t1\n\tjob_state = R\n\n", "1 runs 0 ()"); /* Slurm */
    cr_expect(batch_matches(pbs->unknown_job, "qstat: Unknown Job Id 99.pbs\n"));
    cr_expect(batch_matches(pbs->unknown_job, "qstat: 14.pbs Job has finished, use -x or -H\n"));
    cr_expect_not(batch_matches(pbs->unknown_job, "qstat: cannot connect to server pbs\n"));
}

Test(batch_tables, grid_engine_is_read)
{
    const struct ipcl_batch_system *sge = table("sge");
    expect(sge, &sge->query,
           "<job_list state=\"running\">\n<JB_job_number>1</JB_job_number>\n<state>r</state>\n"
           "<tasks>1</tasks>\n</job_list>\n<job_list state=\"pending\">\n"
           "<JB_job_number>2</JB_job_number>\n<state>Eqw</state>\n<tasks>1-4:1</tasks>\n",
           "1 runs 0 (); "
           "2 pending 0 (could not be started (qstat -j says why; qmod -cj tries again))");
    expect(sge, &sge->history,
           "jobnumber    6                   \ntaskid       1\n"
           "failed       37  : qmaster enforced h_rt, h_cpu, or h_vmem limit\n"
           "exit_status  137                  (Killed)\n"
           "jobnumber    7\nfailed       0    \nexit_status  3\n",
           "6 ended 137 (has reached a limit of its queue, or one that it asked for); "
           "7 ended 3 (ended with exit status 3)");
}

Test(batch_tables, lsf_is_read)
{
    const struct ipcl_batch_system *lsf = table("lsf");
    expect(
        lsf, &lsf->query,
        "1|-|PEND|-|New job is waiting for scheduling;\n1|-|RUN|-|-\n2|-|DONE|-|-\n"
        "3|-|EXIT|3|-\n4|TERM_RUNLIMIT: job killed after reaching LSF run time limit|EXIT|140|-\n"
        "5|-|UNKWN|-|-\n",
        "1 pending 0 (New job is waiting for scheduling); 1 runs 0 (); 2 ended 0 (); "
        "3 ended 3 (ended with exit status 3); 4 ended 140 (has reached its time limit); "
        "5 runs 0 (its host does not answer)");
    cr_expect(batch_matches(lsf->unknown_job, "Job <99> is not found\n"));
    cr_expect_not(batch_matches(lsf->unknown_job, "LSF is down. Please wait ...\n"));
}

Test(batch_tables, htcondor_is_read)
{
    const struct ipcl_batch_system *htcondor = table("htcondor");
    expect(htcondor, &htcondor->query, "7 2\n7 5 via condor_hold (by user u)\n8 1\n",
           "7 runs 0 (); 7 pending 0 (is held: via condor_hold (by user u)); "
           "8 pending 0 (is idle (condor_q -better-analyze says what it waits for))");
    expect(htcondor, &htcondor->history, "7 4 3 \n8 4 signal 11\n9 3 \n",
           "7 ended 3 (ended with exit status 3); "
           "8 ended 139 (was ended by signal 11 (Segmentation fault)); 9 ended 1 (was removed)");
}
