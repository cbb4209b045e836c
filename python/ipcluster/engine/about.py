"""What this kernel says of itself to a Jupyter frontend."""

import sys


def _text(text):
    """A JSON text; of one that has what JSON or UTF-8 cannot be written with in plain, nothing."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"' if text.isprintable() else '""'


def info():
    """A kernel_info_reply's content, but for its status, as JSON bytes. Written out: an engine that runs functions only shall not
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
