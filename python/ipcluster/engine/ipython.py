"""IPython's shell in an engine: what it shows is published, and nothing is written to disk."""

import json
import sys

import _ipcluster_host as host
from IPython.core import page, payloadpage
from IPython.core.completer import provisionalcompleter, rectify_completions
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.error import StdinNotImplementedError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_magic, magics_class
from IPython.utils.tokenutil import token_at_cursor
from traitlets import Type
from traitlets.config import Config

from ipcluster.engine import failures, frontends, startup
from ipcluster.engine.datapub import DataPublisher
from ipcluster.engine.kernel import flush
from ipcluster.engine.messages import pack


def publish(msg_type, content, metadata=None, buffers=()):
    """Publishes, after the text that was printed earlier."""
    flush()
    host.publish(msg_type, pack(content), pack(metadata) if metadata else None, list(buffers))


class EngineDisplayHook(DisplayHook):
    """Publishes the value of the last expression."""

    def start_displayhook(self):
        self.content = {}

    def write_output_prompt(self):
        self.content["execution_count"] = self.prompt_count

    def write_format_data(self, format_dict, md_dict=None):
        self.content["data"] = format_dict
        self.content["metadata"] = md_dict or {}

    def finish_displayhook(self):
        if self.content.get("data"):
            publish("execute_result", self.content)
        self.content = {}


class EngineDisplayPublisher(DisplayPublisher):
    """Publishes display data."""

    def publish(self, data, metadata=None, source=None, *, transient=None, update=False, **kwargs):
        content = {"data": data, "metadata": metadata or {}, "transient": transient or {}}
        publish("update_display_data" if update else "display_data", content)

    def clear_output(self, wait=False):
        publish("clear_output", {"wait": bool(wait)})


class EngineShell(InteractiveShell):
    displayhook_class = Type(EngineDisplayHook)
    display_pub_class = Type(EngineDisplayPublisher)

    StdinNotImplementedError = StdinNotImplementedError

    def __init__(self, **settings):
        self.reply_error = None
        self._parent_header = {}
        super().__init__(**settings)
        self.data_pub = DataPublisher()

    @property
    def kernel(self):
        """For code that was written for ipykernel; ipykernel must be installed."""
        try:
            from ipcluster.engine.jupyter import kernel
        except ImportError as error:
            raise AttributeError(f"an engine's shell has a kernel only if ipykernel is installed: {error}") from None
        return kernel()

    @property
    def parent_header(self):
        """The header of the request that runs; if none runs, the last one that was read here."""
        text = host.part("header")
        if text is not None:
            self._parent_header = json.loads(text)
        return self._parent_header

    def get_parent(self):
        return {"header": self.parent_header}

    def init_hooks(self):
        """A pager's text goes to the client with the reply."""
        super().init_hooks()
        self.set_hook("show_in_pager", page.as_hook(payloadpage.page), 99)

    def init_magics(self):
        super().init_magics()
        self.register_magics(EngineMagics)

    def init_io(self):
        """The engine captures output at the file descriptors."""

    def enable_gui(self, gui=None):
        """There is no event loop to hook into; what matplotlib draws inline needs none."""

    def ask_exit(self):
        print("an engine ends when its client shuts it down", file=sys.stderr)
        self.payload_manager.write_payload({"source": "ask_exit", "keepkernel": True})

    def _showtraceback(self, etype, evalue, stb):
        host.finished()
        lines = list(stb) if isinstance(stb, (list, tuple)) else str(stb).splitlines()
        self.reply_error = failures.content_of(evalue, "execute", lines)
        publish("error", self.reply_error)

    def format_exception(self, exception, trace):
        return self.InteractiveTB.structured_traceback(type(exception), exception, trace, tb_offset=0)

    def run(self, code, silent, store_history, user_expressions):
        """Runs `code`, and returns the content of its reply."""
        self.reply_error = None
        result = self.run_cell(code, store_history=store_history, silent=silent)
        host.finished()
        exception = result.error_before_exec or result.error_in_exec
        if exception is None:
            reply = {"status": "ok", "user_expressions": self.user_expressions(user_expressions)}
        else:
            reply = self.reply_error or failures.content_of(exception, "execute", [])
        reply["execution_count"] = self.execution_count - 1 if store_history else self.execution_count
        reply["payload"] = self.payload_manager.read_payload()
        self.payload_manager.clear_payload()
        self.reply_error = None
        return reply

    def completions(self, code, cursor):
        """Completions with their types, as ipykernel sends them."""
        with provisionalcompleter():
            found = list(rectify_completions(code, self.Completer.completions(code, cursor)))
        names = ("start", "end", "text", "type", "signature")
        return {
            "matches": [completion.text for completion in found],
            "cursor_start": found[0].start if found else cursor,
            "cursor_end": found[0].end if found else cursor,
            "metadata": {
                "_jupyter_types_experimental": [
                    {name: getattr(completion, name) for name in names} for completion in found
                ]
            },
        }

    def inspect(self, code, cursor, detail_level, omit_sections):
        """What is known about the object at the cursor, by MIME type; None if there is no such object."""
        more = {"omit_sections": set(omit_sections)} if omit_sections else {}
        try:
            data = self.object_inspect_mime(token_at_cursor(code, cursor), detail_level=detail_level, **more)
        except KeyError:
            return None
        if not self.enable_html_pager:
            data.pop("text/html", None)
        return data

    def history(self, raw, output):
        """(session, line, input) or (session, line, (input, output)) for each, the oldest first."""
        kept = self.history_manager
        inputs = kept.input_hist_raw if raw else kept.input_hist_parsed
        entries = []
        for line, text in enumerate(inputs[1:], 1):
            value = (text, repr(kept.output_hist[line]) if line in kept.output_hist else None)
            entries.append((0, line, value if output else text))
        return entries

    def check_complete(self, code):
        status, indent = self.input_transformer_manager.check_complete(code)
        return status, " " * (indent or 0)


@magics_class
class EngineMagics(Magics):
    @line_magic
    def connect_info(self, line):
        """How Jupyter frontends connect to this engine, once bind_kernel() has been called."""
        path = frontends.connection_file()
        with open(path) as file:
            print(file.read())
        print(f"To connect from this machine:\n    jupyter console --existing {path}")

    @line_magic
    def qtconsole(self, line):
        """Opens a Qt console that is connected to this engine."""
        frontends.start_qtconsole(line.split())


def make_shell(module):
    config = Config()
    config.InteractiveShell.colors = "Linux"
    config.InteractiveShell.colors_force = True
    config.InteractiveShell.autoindent = False
    config.IPCompleter.use_jedi = False  # it reads sources; here the names of the live objects are needed
    config.merge(startup.config())
    config.HistoryManager.enabled = False
    config.HistoryManager.hist_file = ":memory:"
    return EngineShell.instance(
        config=config, profile_dir=startup.profile_dir(), user_module=module, user_ns=module.__dict__
    )
