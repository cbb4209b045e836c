/* What a supervisor marks the processes with that it starts, in their environment: PID-BORN, its
 * own. Where it is killed before it has noted which these are, they are found by that. An engine
 * takes it out again, so that nothing that user code starts has it. */
#ifndef BASE_MARK_H
#define BASE_MARK_H

#define MARK_VARIABLE "IPCLUSTER_SUPERVISOR"

#endif
