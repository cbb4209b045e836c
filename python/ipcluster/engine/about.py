"""What this kernel tells a Jupyter frontend about itself."""

import sys


def _text(text):
    """A JSON text; an empty one if the text has characters that JSON or UTF-8 cannot have unescaped."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' if text.isprintable() else '""'


def info():
    """A kernel_info_reply's content, without its status, as JSON bytes. It is written out, so that an engine that only runs functions does not
    import json."""
    version = ".".join(str(number) for number in sys.version_info[:3])
    major = sys.version_info[0]
    return f"""{{
        "protocol_version": "5.3",
        "implementation": "ipcluster",
        "implementation_version": "{version}",
        "banner": "Python {version} in an engine of ipcluster",
        "help_links": [],
        "language_info": {{
            "name": "python",
            "version": "{version}",
            "executable": {_text(sys.executable or "")},
            "mimetype": "text/x-python",
            "file_extension": ".py",
            "codemirror_mode": {{"name": "ipython", "version": {major}}},
            "pygments_lexer": "ipython{major}",
            "nbconvert_exporter": "python"
        }}
    }}""".encode()
