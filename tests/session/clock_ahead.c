/* A wall clock that is two hours ahead, for a program that this is loaded into (LD_PRELOAD). */
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now)
{
    int status = (int)syscall(SYS_clock_gettime, clock, now);
    if (!status && clock == CLOCK_REALTIME)
        now->tv_sec += 7200;
    return status;
}
