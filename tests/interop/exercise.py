"""Drives a cluster with one client and checks every answer: exercise.py MODULE FILE ENGINES ROUNDS [START-FILE].

MODULE is ipyparallel, of whichever version is first on PYTHONPATH, or ipcluster. Prints "connected" once it sees the engines, then
waits for START-FILE to exist, so that several of these run at the same time; prints "all right" after the last round.
"""

import importlib
import os
import sys
import time


def whoami():
    import os

    return os.getpid()


def add(a, b=0):
    return a + b


def fail(word):
    raise ValueError(word)


def check(what, got, wanted):
    if got != wanted:
        sys.exit(f"{what}: got {got!r}, wanted {wanted!r}")


def check_fails(what, module, call, word):
    """An engine's error arrives with its name and text: as itself from one engine, in a CompositeError from several. A coalesced reply has
    one error, to which our controller adds how many there were."""
    try:
        call()
    except module.CompositeError as error:
        check(f"{what}: CompositeError", [name for name, *_ in error.elist], ["ValueError"] * len(error.elist))
        check(f"{what}: text", all(word in str(text) for _, text, *_ in error.elist), True)
    except module.RemoteError as error:
        check(f"{what}: RemoteError", (error.ename, error.evalue[: len(word)]), ("ValueError", word))
    else:
        sys.exit(f"{what}: no error")


def direct(module, client, engines, word):
    view = client[:]
    check("apply", view.apply_sync(add, 1, b=len(word)), [1 + len(word)] * engines)
    name = "v" + str(os.getpid())
    view.push({name: word}, block=True)
    check("pull", view.pull(name, block=True), [word] * engines)
    view.scatter(name, list(range(3 * engines)), block=True)
    check("gather", list(view.gather(name, block=True)), list(range(3 * engines)))
    done = view.execute(f"print({word!r})")
    done.get(60)
    deadline = time.monotonic() + 60
    # Output comes by another socket than the reply.
    while [text.strip() for text in done.stdout] != [word] * engines and time.monotonic() < deadline:
        time.sleep(0.01)
    check("output", [text.strip() for text in done.stdout], [word] * engines)
    check_fails("direct", module, lambda: view.apply_sync(fail, word), word)
    check_fails("one engine", module, lambda: client[client.ids[0]].apply_sync(fail, word), word)


def balanced(module, client, word):
    view = client.load_balanced_view()
    check("map", view.map_sync(add, range(40), [len(word)] * 40), [i + len(word) for i in range(40)])
    first = view.apply_async(add, 1)
    with view.temp_flags(after=[first]):
        check("after", view.apply_async(add, 2).get(60), 2)
    check_fails("balanced", module, lambda: view.apply_sync(fail, word), word)


def broadcast(module, client, engines, word):
    for coalescing in (False, True):
        view = client.broadcast_view(is_coalescing=coalescing)
        pids = view.apply_sync(whoami)
        check("broadcast", (len(pids), len(set(pids))), (engines, engines))
        view["b" + str(os.getpid())] = word
        check("broadcast pull", view["b" + str(os.getpid())], [word] * engines)
        check_fails("broadcast", module, lambda view=view: view.apply_sync(fail, word), word)


def main(module, file, engines, rounds, start=None):
    module = importlib.import_module(module)
    client = module.Client(file)
    engines = int(engines)
    client.wait_for_engines(engines, timeout=120)
    print("connected", module.__name__, getattr(module, "__version__", ""), flush=True)
    while start and not os.path.exists(start):
        time.sleep(0.01)
    for i in range(int(rounds)):
        word = f"{os.getpid()} in round {i}"
        direct(module, client, engines, word)
        balanced(module, client, word)
        broadcast(module, client, engines, word)
    client.close()
    print("all right", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
