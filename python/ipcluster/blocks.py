"""What one engine has published so far for a call: a block of texts, each after its mark, and of figures and the like. It does not grow without
bound."""

import json

from ipcluster.reply import as_shown

TEXT_MAX = 50_000  # characters of a block that are shown: the last ones
DISPLAYS_MAX = 20  # figures and the like of a block: the last ones


def plain_text(content):
    """The text of a display. User code may give something that is not text, and a notebook's file has a list of lines."""
    text = content["data"].get("text/plain", "")
    if isinstance(text, list) and all(isinstance(line, str) for line in text):
        return "".join(text)
    return str(text)


def result_as_shown(content, engine):
    """An execute_result's content with its engine in the text: "Out[0:3]: 42"."""
    text = plain_text(content)
    head = f"Out[{engine}:{content.get('execution_count')}]: "
    return dict(content, data={**content["data"], "text/plain": head + ("\n" if "\n" in text else "") + text})


class _Part:
    """A piece of a block: text after its mark, or a display."""

    def __init__(self, mark, text="", content=None):
        self.mark = mark
        self.text = text
        self.content = content

    def add(self, text):
        whole, newline, last = self.text.rpartition("\n")
        last += text
        self.text = whole + newline + as_shown(last) + last[len(last.rstrip("\r")) :]


class Block:
    """The output of one engine."""

    def __init__(self):
        self._parts = []
        self._clearing = False
        self._hidden = 0  # characters
        self._hidden_displays = 0

    def take(self, msg_type, content, engine):
        """Adds what an engine has published; returns whether it is shown.

        Args:
            msg_type: the message's type.
            content: the message's content, as JSON.
            engine: the engine's id, or "?".
        """
        add = self._TAKES.get(msg_type)
        if add is None:
            return False
        if self._clearing and msg_type != "clear_output":
            self._clear()
        add(self, json.loads(content), engine)
        return True

    def _clear(self):
        self._parts, self._clearing, self._hidden, self._hidden_displays = [], False, 0, 0

    def write(self, mark, text):
        """Adds text to the text after the same mark, if nothing was displayed since then."""
        for part in reversed(self._parts):
            if part.content is not None:
                break
            if part.mark == mark:
                part.add(text)
                self._cut()
                return
        self._parts.append(_Part(mark))
        self.write(mark, text)

    def _cut(self):
        too_many = sum(len(part.text) for part in self._parts) - TEXT_MAX
        while too_many > 0:
            part = next(part for part in self._parts if part.text)
            # A line ends there, if it can.
            cut = part.text.find("\n", too_many - 1, too_many + TEXT_MAX // 10) + 1 or too_many
            cut = min(cut, len(part.text))
            part.text = part.text[cut:]
            self._hidden += cut
            too_many -= cut
        self._parts = [part for part in self._parts if part.text or part.content is not None]

    def _stream(self, content, engine):
        self.write(f"[{content['name']}:{engine}] ", content["text"])

    def _display(self, content, engine):
        self._parts.append(_Part(f"[output:{engine}]\n", content=dict(content, engine=engine)))
        displays = [place for place, part in enumerate(self._parts) if part.content is not None]
        if len(displays) > DISPLAYS_MAX:
            self._hide(displays[0])

    def _hide(self, place):
        """Removes the oldest display: texts with the same mark before and after it become one."""
        behind = self._parts[place + 1 :]
        del self._parts[place:]
        self._hidden_displays += 1
        while behind and behind[0].content is None:
            part = behind.pop(0)
            self.write(part.mark, part.text)
        self._parts += behind

    def _result(self, content, engine):
        content = result_as_shown(content, engine)
        if len(content["data"]) > 1:
            self._parts.append(_Part("", content=dict(content, engine=engine)))
        else:
            self.write("", plain_text(content) + "\n")

    def _update(self, content, engine):
        name = (content.get("transient") or {}).get("display_id")
        for part in self._parts:
            if (
                part.content is not None
                and name is not None
                and (part.content.get("transient") or {}).get("display_id") == name
            ):
                part.content = dict(content, engine=engine)

    def _clear_output(self, content, _):
        if content.get("wait"):
            self._clearing = True  # once something else comes
        else:
            self._clear()

    _TAKES = {"stream": _stream, "display_data": _display, "execute_result": _result,
              "update_display_data": _update, "clear_output": _clear_output}  # fmt: skip

    def pieces(self):
        """Texts and contents of display messages, in their order; never two texts next to each other."""
        pieces = [""]
        if self._hidden:
            pieces[
                -1
            ] += f"[{self._hidden} characters before these are not shown: the result's stdout and stderr have them]\n"
        if self._hidden_displays:
            pieces[
                -1
            ] += f"[{self._hidden_displays} outputs before these are not shown: the result's outputs have them]\n"
        for part in self._parts:
            line = "\n" if pieces[-1] and not pieces[-1].endswith("\n") else ""
            pieces[-1] += line + part.mark + part.text.rstrip("\r")
            if part.content is not None:
                pieces += [part.content, ""]
        return [piece for piece in pieces if piece]

    def bundles(self):
        """The pieces as (data, metadata) by MIME types."""
        return [({"text/plain": piece.removesuffix("\n")}, {}) if isinstance(piece, str) else
                (piece["data"], dict(piece.get("metadata") or {}, engine=piece["engine"])) for piece in self.pieces()]  # fmt: skip

    def tail(self, count):
        """The last lines of the block as text, the first of them after its mark."""
        lines = []
        for part in self._parts:
            text = part.text if part.content is None else plain_text(part.content)
            lines += [(part.mark, line) for line in text.splitlines()]
        lines = lines[-count:]
        return [
            (mark.replace("\n", " ") if place == 0 or mark != lines[place - 1][0] else "") + line
            for place, (mark, line) in enumerate(lines)
        ]
