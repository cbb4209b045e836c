"""IPython's shell in an engine: what it shows is published, and nothing is written to disk."""

import sys

import _ipcluster_host as host
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.tokenutil import line_at_cursor
from traitlets import Type
from traitlets.config import Config

from ipcluster.canning import serialize
from ipcluster.engine import failures
from ipcluster.engine.kernel import flush
from ipcluster.engine.messages import pack


def publish(msg_type, content, metadata=None, buffers=()):
    """What was printed before is written before."""
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


class DataPublisher:
    """get_ipython().data_pub, through which ipyparallel's publish_data sends."""

    def publish_data(self, data):
        publish("data_message", {}, buffers=serialize(data))


class EngineShell(InteractiveShell):
    displayhook_class = Type(EngineDisplayHook)
    display_pub_class = Type(EngineDisplayPublisher)

    def __init__(self, **settings):
        self.reply_error = None
        super().__init__(**settings)
        self.data_pub = DataPublisher()

    def init_io(self):
        """The engine captures output at the file descriptors."""

    def enable_gui(self, gui=None):
        """There is no event loop to hook into; what matplotlib draws inline needs none."""

    def ask_exit(self):
        print("an engine ends when its client shuts it down", file=sys.stderr)

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
        line, offset = line_at_cursor(code, cursor)
        text, matches = self.complete("", line, cursor - offset)
        return cursor - len(text), cursor, matches


def make_shell(module):
    config = Config()
    config.HistoryManager.enabled = False
    config.HistoryManager.hist_file = ":memory:"
    config.InteractiveShell.colors = "Linux"
    config.InteractiveShell.colors_force = True
    config.InteractiveShell.autoindent = False
    config.IPCompleter.use_jedi = False  # it reads sources; what is wanted here are the live objects' names
    return EngineShell.instance(config=config, user_module=module, user_ns=module.__dict__)
