/* A controller without a network, for harnesses of its modules. An input is a byte of settings and
 * messages, each with a first byte that says what happens:
 *
 *     bits 0-2   0 to 4: it comes by this socket
 *                5: time passes, 6: an engine has gone, 7: one is there
 *     bits 3-6   which engine; or five times as many sockets on; or three times as many seconds
 *     bit 7      peers are gone
 *
 * Bits of the settings: 0 MessagePack; 1 a store; 2 another controller was there before; 3 the
 * scheme is pure; 4 no high water. */
#ifndef FUZZ_MODULE_H
#define FUZZ_MODULE_H

#include "controller/exchange/channels.h"
#include "controller/exchange/controller.h"
#include "controller/exchange/notice.h"

/* What a harness of modules defines. Notices come from the hub where that is among them. */
struct fuzz_modules {
    const struct module *const *modules; /* NULL-terminated */
    const char *const *inside;           /* their addresses within the program, likewise */
    enum channel notices;     /* where engines are announced; CHANNEL_LISTENERS: nowhere */
    enum notice_kind arrival; /* how */
    bool store;               /* there is always one */
};
extern const struct fuzz_modules fuzz_modules;

#endif
