"""type_docstrings.py clusters|others: checks the docstrings of the package's public names, and runs their examples. Those of clusters have
a `client` of a `cluster` of their own, whose engines may end. The others have a client `c` of a cluster of four engines, and its views
`view` and `balanced`. Prints what is wrong, a line each."""

import contextlib
import doctest
import inspect
import io
import os
import re
import sys

import ipcluster

OPTIONS = doctest.NORMALIZE_WHITESPACE
NOT_CALLED = re.compile("get_object|set_.*(result|exception|cancel)")  # by users: of canned objects and of futures
OF_CLUSTERS = re.compile(r">>> .*\b(client|cluster)\b")


def public():
    """The documented objects by name: functions and classes, and the methods and properties that these have from this package."""
    found = {}
    for name in ipcluster.__all__:
        value = getattr(ipcluster, name)
        if not getattr(value, "__module__", "").startswith("ipcluster") or not callable(value):
            continue
        found[name] = value
        for base in value.__mro__ if isinstance(value, type) else ():
            if base.__module__.startswith("ipcluster"):
                found.update(
                    (f"{base.__name__}.{each}", member)
                    for each, member in vars(base).items()
                    if is_public(each, member)
                )
    return found


def is_public(name, member):
    return not (name.startswith("_") or NOT_CALLED.fullmatch(name)) and (
        inspect.isfunction(member) or isinstance(member, (property, classmethod, staticmethod))
    )


def function_of(member):
    return member.__init__ if isinstance(member, type) else getattr(member, "__func__", member)


def lacks(name, member):
    """What the docstring of a name does not say."""
    said = inspect.getdoc(member) or ""
    is_error = isinstance(member, type) and issubclass(member, Exception)
    if not said:
        yield "has no docstring"
    if isinstance(member, property):
        parameters = {}
    else:
        parameters = inspect.signature(function_of(member)).parameters
        if parameters and "__init__" not in vars(member) and isinstance(member, type):
            parameters = {}  # that of a base, which says it
    told = said.partition("Args:\n")[2]
    for each in parameters.values():
        anything = each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD) and not told
        if (
            each.name != "self"
            and each.name != "cls"
            and not anything
            and not re.search(rf"^ +{each.name}( \(.*\))?: ", told, re.MULTILINE)
        ):
            yield f"does not say what {each.name} is"
    if ">>>" not in said and not is_error and not inspect.iscoroutinefunction(member):
        yield "has no example"


def main():
    of_clusters = sys.argv[1:] == ["clusters"]
    names = public()
    assert len(names) > 120, sorted(names)
    names = {
        name: member
        for name, member in names.items()
        if bool(OF_CLUSTERS.search(inspect.getdoc(member) or "")) == of_clusters
    }
    for name, member in names.items():
        for what in lacks(name, member):
            print(f"{name} {what}")
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(optionflags=OPTIONS)
    seen = set()
    with ipcluster.Cluster(n=5) if of_clusters else ipcluster.Client() as c:
        here = (
            {"client": c, "cluster": c.cluster}
            if of_clusters
            else {"c": c, "view": c[:], "balanced": c.load_balanced_view()}
        )
        for name, member in names.items():
            said = inspect.getdoc(member) or ""
            if said in seen:
                continue
            seen.add(said)
            report = io.StringIO()
            runner.run(
                parser.get_doctest(said, {"ipcluster": ipcluster, "os": os, **here}, name, None, 0), out=report.write
            )
            print(report.getvalue(), end="")
            with contextlib.suppress(Exception):
                c.wait(timeout=60)


main()
