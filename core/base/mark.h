/* What a supervisor marks the processes with that it starts, in their environment: PID-BORN, its
 * own. Where it is killed before it has noted which these are, they are found by that. */
#ifndef BASE_MARK_H
#define BASE_MARK_H

#define MARK_VARIABLE "IPCLUSTER_SUPERVISOR"

/* For a program whose user starts others: it keeps its mark, and none of its children has it.
 * Before there are threads. */
void mark_keep_to_self(void);
/* For a program that becomes another. That may start processes before it can erase the mark: then
 * the mark has this process's number at its end, and counts for this process only. */
void mark_keep_to_process(void);
/* In a child that is forked: it has none, also where its parent has not come so far. */
void mark_erase(void);

#endif
