"""The hub's queries as its own table has them, so that nothing else needs a list of them."""

import re
from pathlib import Path

_HUB = Path(__file__).resolve().parent.parent / "core/controller/hub"
_TABLE = re.search(r"^} queries\[\] = {\n(.*?)^};", (_HUB / "hub_queries.c").read_text(), re.DOTALL | re.MULTILINE)[1]

# Which side asks it ("CLIENT" or "ENGINE"), by the name of each query.
ROLES = dict(re.findall(r'^    {"(\w+)", (?:"\w+"|NULL), CONNECTION_(\w+),', _TABLE, re.MULTILINE))
assert len(ROLES) == len(
    re.findall(r"^    {", _TABLE, re.MULTILINE)
), "a row of queries[] begins otherwise than the others"

# What the hub and the records' thread look for in the content of one query or another.
MEMBERS = sorted(
    {
        name
        for file in (*_HUB.glob("*.c"), *_HUB.with_name("records").glob("*.c"))
        for text in [file.read_text()]
        for name in re.findall(r'json_object_get\((?:query->)?content, "(\w+)"', text)
        + re.findall(r'json_unpack\((?:query->)?content, "[^"]*", "(\w+)"', text)
    }
)
assert {"connections", "msg_ids", "uuid"} <= set(MEMBERS), "members are read otherwise than this file looks for"
