/* How long an engine may take that is told to end: what it holds to, and whoever waits for it. */
#ifndef BASE_ENDING_H
#define BASE_ENDING_H

/* Whoever tells it and in whichever way: what runs to come to an end, and then exit handlers, MPI,
 * which waits for the other ranks, and the interpreter. The process ends without what takes
 * longer. */
#define ENDING_RUNNING_MS 2000
#define ENDING_QUIT_MS    5000
/* How long whoever kills it waits for its end before that. */
#define ENDING_AWAITED_MS (ENDING_RUNNING_MS + ENDING_QUIT_MS + 1000)

#endif
