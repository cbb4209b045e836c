/* The mark that a supervisor puts into the environment of the processes that it starts: PID-BORN,
 * its own. If it is killed before it has noted them, they are found by this mark. */
#ifndef BASE_MARK_H
#define BASE_MARK_H

#define MARK_VARIABLE "IPCLUSTER_SUPERVISOR"

/* For a program whose user starts processes: the program keeps its mark, and none of its children
 * has it. Before there are threads. */
void mark_keep_to_self(void);
/* For a program that becomes another program. That may start processes before it can erase the
 * mark: then the mark has this process's number at its end, and counts for this process only. */
void mark_keep_to_process(void);
/* For a forked child: removes the mark from it, even if its parent has not called
 * mark_keep_to_self(). */
void mark_erase(void);

#endif
