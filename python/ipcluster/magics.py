"""IPython magics that run code on the engines: %px, %%px, %autopx, %pxresult, %pxconfig, %pxrun."""

import ast
import re
import warnings

from IPython.core import magic_arguments
from IPython.core.error import UsageError
from IPython.core.magic import Magics

from ipcluster import error as errors
from ipcluster.shown import get_shell

LISTED_ENGINES = 10
PROGRESS_AFTER = 2.0  # seconds


def _execution_arguments(f):
    argument = magic_arguments.argument
    for decorate in (
        argument("-b", "--block", action="store_const", const=True, dest="block", help="wait for the result"),
        argument("-a", "--noblock", action="store_const", const=False, dest="block", help="do not wait"),
        argument("--stream", action="store_const", const=True, dest="stream", help="show output as it comes"),
        argument("--no-stream", action="store_const", const=False, dest="stream", help="show output at the end"),
        argument("-t", "--targets", type=str, help="the engines: 0, [0,2], ::2 or all"),
        argument("--local", action="store_const", const=True, dest="local", help="run the cell here too"),
        argument("--verbose", action="store_const", const=True, dest="verbose", help="say where code runs"),
        argument("--no-verbose", action="store_const", const=False, dest="verbose", help="do not say where code runs"),
        argument(
            "--signal-on-interrupt", dest="signal_on_interrupt", type=str, default=None,
            help="what Ctrl-C sends to the engines while the result is waited for: SIGINT, 2, ... (0: nothing, the default)",
        ),
        argument(
            "--progress-after", dest="progress_after", type=float, default=None,
            help="show progress after this many seconds (0: at once, -1: never)",
        ),  # fmt: skip
    ):
        f = decorate(f)
    return f


def _output_arguments(f):
    argument = magic_arguments.argument
    for decorate in (
        argument("-r", action="store_const", dest="groupby", const="order", help="group output by order"),
        argument("-e", action="store_const", dest="groupby", const="engine", help="group output by engine"),
        argument(
            "--group-outputs",
            dest="groupby",
            type=str,
            choices=["engine", "order", "type"],
            default="type",
            help="how output is grouped",
        ),  # fmt: skip
        argument("-o", "--out", dest="save_name", type=str, help="keep the AsyncResult under this name"),
    ):
        f = decorate(f)
    return f


class ParallelMagics(Magics):
    """The magics of one view. With a suffix their names end in it: %px_even."""

    registered = True

    def __init__(self, shell, view=None, suffix=""):
        self.view = view
        self.suffix = suffix
        self.block = True
        self.verbose = True
        self.stream = True
        self.progress_after = PROGRESS_AFTER
        self.signal_on_interrupt = None
        self.last_result = None
        self._saved_run_nodes = None
        self.magics = {
            "line": {
                "px" + suffix: self.px,
                "pxresult" + suffix: self.pxresult,
                "pxconfig" + suffix: self.pxconfig,
                "pxrun" + suffix: self.pxrun,
                "autopx" + suffix: self.autopx,
            },
            "cell": {"px" + suffix: self.cell_px},
        }
        if not suffix:
            self.magics["line"]["result"] = self.pxresult  # an older name of ipyparallel's
        super().__init__(shell=shell)

    def use(self, view):
        self.view = view
        self.block = True

    def _need_view(self):
        if self.view is None or self.view.client.closed:
            raise UsageError("no view is active: view = Client()[:] and view.activate() first")
        return self.view

    def _targets_from(self, text):
        ids = self._need_view().client.ids
        if text == "all":
            return "all"
        try:
            if ":" in text:
                return ids[slice(*[int(part) if part else None for part in text.split(":")])]
            return ast.literal_eval(text)
        except (ValueError, SyntaxError):
            raise UsageError(f"engines are written 0, [0,2], ::2 or all, not {text!r}") from None

    def _say_where(self, targets, block):
        ids = targets
        if ids is None or isinstance(ids, str):
            ids = self.view.client.ids
        if isinstance(ids, int):
            ids = [ids]
        words = [str(each) for each in ids]
        if len(words) > LISTED_ENGINES:
            words = [*words[:4], "...", *words[-4:]]
        print(f"{'Parallel' if block else 'Async parallel'} execution on engines: [{','.join(words)}]", flush=True)

    def _signal_from(self, text, otherwise):
        if text is None:
            return otherwise
        return (int(text) or None) if text.isdigit() else text

    def _execute(
        self, code, block=None, groupby="type", save_name=None, stream=None, progress_after=None, targets=None, signal=None
    ):  # fmt: skip
        view = self._need_view()
        block = self.block if block is None else block
        stream = self.stream if stream is None else stream
        targets = view.targets if targets is None else targets
        if self.verbose:
            self._say_where(targets, block)
        result = view.execute(code, silent=False, targets=targets, block=False)
        result.fname = "%px"
        self.last_result = result
        if save_name:
            self.shell.user_ns[save_name] = result
        if not block:
            return result
        try:
            self._show(result, groupby, stream, self.progress_after if progress_after is None else progress_after)
        except KeyboardInterrupt:
            signal = self._signal_from(signal, self.signal_on_interrupt)
            if signal is None:
                raise
            print(f"sending {signal} to the engines", flush=True)
            view.client.send_signal(signal, targets=targets, block=True)
            self._show(result, groupby, False, -1)
        return None

    def _show(self, result, groupby, stream, progress_after):
        if stream and groupby == "type":
            with result.stream_output():
                self._wait(result, progress_after)
            failed = self._error_of(result)
            if isinstance(failed, errors.RemoteError):
                failed = errors.AlreadyDisplayedError(failed)
        else:
            self._wait(result, progress_after)
            failed = self._error_of(result)
            result.display_outputs(groupby)
        if failed is not None:
            raise failed

    def _wait(self, result, progress_after):
        if progress_after >= 0 and not result.wait(progress_after):
            result.wait_interactive()
        result.wait()
        result.wait_for_output()

    def _error_of(self, result):
        try:
            result.get()
        except errors.KernelError as error:
            return error
        return None

    def px(self, line=""):
        """Runs a line of Python on the engines.

        In [1]: %px import os
        In [2]: %px print(os.getpid())
        """
        return self._execute(line)

    @magic_arguments.magic_arguments()
    @_execution_arguments
    @_output_arguments
    def cell_px(self, line="", cell=None):
        """Runs the cell on the engines."""
        args = magic_arguments.parse_argstring(self.cell_px, line)
        view = self._need_view()
        targets = self._targets_from(args.targets) if args.targets else view.targets
        block = self.block if args.block is None else args.block
        verbose = self.verbose
        if args.verbose is not None:
            self.verbose = args.verbose
        try:
            # The engines work while the cell runs here.
            result = self._execute(
                cell, block and not args.local, args.groupby, args.save_name, args.stream, args.progress_after, targets,
                args.signal_on_interrupt,
            )  # fmt: skip
        finally:
            self.verbose = verbose
        if args.local:
            self.shell.run_cell(cell)
            if block:
                self._show(result, args.groupby, False, -1)
                return None
        return result

    @magic_arguments.magic_arguments()
    @_output_arguments
    def pxresult(self, line=""):
        """Shows the result of the last %px when it has finished."""
        args = magic_arguments.parse_argstring(self.pxresult, line)
        if self.last_result is None:
            raise UsageError("%pxresult shows the result of the last %px, but there was no %px yet")
        if args.save_name:
            self.shell.user_ns[args.save_name] = self.last_result
        self._show(self.last_result, args.groupby, False, -1)

    @magic_arguments.magic_arguments()
    @_execution_arguments
    def pxconfig(self, line=""):
        """Sets the engines, and whether to wait, for the %px that follow."""
        args = magic_arguments.parse_argstring(self.pxconfig, line)
        if args.targets:
            self._need_view().targets = self._targets_from(args.targets)
        if args.block is not None:
            self.block = args.block
        if args.verbose is not None:
            self.verbose = args.verbose
        if args.stream is not None:
            self.stream = args.stream
        if args.progress_after is not None:
            self.progress_after = args.progress_after
        self.signal_on_interrupt = self._signal_from(args.signal_on_interrupt, self.signal_on_interrupt)

    def pxrun(self, line=""):
        """Runs a file of this machine on the engines: %pxrun psum.py"""
        filename = line.strip().strip("\"'")
        if not filename:
            raise UsageError("%pxrun takes the name of a file")
        with open(filename, encoding="utf-8") as file:
            return self._execute(file.read() + "\n")

    def autopx(self, line=""):
        """Switches: from now on what is typed runs on the engines; %autopx again ends it."""
        if self._saved_run_nodes is None:
            self._need_view()
            self._saved_run_cell = self.shell.run_cell
            self._saved_run_nodes = self.shell.run_ast_nodes
            self._cell = ""
            self.shell.run_cell = self._run_cell
            self.shell.run_ast_nodes = self._run_nodes
            print("%autopx enabled")
        else:
            self._end_autopx()

    def _end_autopx(self):
        self.shell.run_cell = self._saved_run_cell
        self.shell.run_ast_nodes = self._saved_run_nodes
        self._saved_run_nodes = None
        print("%autopx disabled")

    def _run_cell(self, raw_cell, *args, **kwargs):
        self._cell = raw_cell
        return self._saved_run_cell(raw_cell, *args, **kwargs)

    async def _run_nodes(self, *args, **kwargs):
        """Replaces IPython's: returns whether there was an error."""
        if re.match(r"\s*%?autopx" + re.escape(self.suffix) + r"\s*$", self._cell):
            self._end_autopx()
            return False
        try:
            self._execute(self._cell)
        except Exception:
            self.shell.showtraceback()
            return True
        return False


def _find(shell, suffix=""):
    """The magics of this suffix, or None."""
    magic = shell.magics_manager.magics["line"].get("px" + suffix)
    owner = getattr(magic, "__self__", None)
    return owner if isinstance(owner, ParallelMagics) else None


def register(shell, suffix=""):
    """The magics of this suffix. They are made if there are none, and replace another package's px."""
    magics = _find(shell, suffix)
    if magics is None:
        magics = ParallelMagics(shell, suffix=suffix)
        shell.magics_manager.register(magics)
    return magics


def activate(view, suffix=""):
    shell = get_shell()
    if shell is None:
        warnings.warn("%px and the other magics work in IPython only", stacklevel=3)
        return
    register(shell, suffix).use(view)


def activate_default(shell, client):
    """Makes the magics use a first client's engines, unless a view is active already."""
    if "px" in shell.magics_manager.magics["line"]:
        magics = _find(shell)
        if magics is None or (magics.view is not None and not magics.view.client.closed):
            return
    register(shell).use(client.direct_view("all"))
