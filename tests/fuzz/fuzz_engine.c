/* The engine's I/O thread: registration, requests, subscriptions, heartbeats. An input is a byte of
 * settings (bit 0 MessagePack, bit 1 registered already) and messages, each with a first byte that
 * says what happens:
 *
 *     bits 0-2   0 to 5: it comes by this socket
 *                6: a job is done, 7: time passes while the engine registers or connects
 *     bits 3-6   how the job ended; or how many seconds
 *     bit 7      peers are gone */
#include "played.h"

const bool fuzz_frontends = false;
