/* How long an engine that is told to end may take: for the engine, and for programs that wait for
 * it. */
#ifndef BASE_ENDING_H
#define BASE_ENDING_H

/* The time is the same, whatever told it to end. First what runs comes to an end. Then exit
 * handlers, MPI (which waits for the other ranks) and the interpreter end. The process does not
 * wait for what takes longer. */
#define ENDING_RUNNING_MS 2000
#define ENDING_QUIT_MS    5000
/* How long a program waits for its end before it kills it. */
#define ENDING_AWAITED_MS (ENDING_RUNNING_MS + ENDING_QUIT_MS + 1000)

#endif
