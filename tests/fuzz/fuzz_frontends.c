/* What bind_kernel() opens for Jupyter frontends, at an engine that is registered. An input is a
 * byte of settings (bit 0 MessagePack at the engine's own sockets) and messages, each with a first
 * byte that says what happens:
 *
 *     bits 0-2   0 to 4: it comes by this socket (shell, control, stdin, heartbeat, iopub)
 *                5: it comes by the engine's own shell
 *                6: a job is done, 7: user code asks the frontend a question
 *     bits 3-6   how the job ended
 *     bit 7      peers are gone */
#include "played.h"

const bool fuzz_frontends = true;
