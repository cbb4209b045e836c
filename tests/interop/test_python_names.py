"""Our Python package beside ipyparallel's: every public name, method, attribute and parameter of its is there, or left out for a
reason that stands here."""

import inspect

import pytest

from support import wait_until

ipp = pytest.importorskip("ipyparallel")

INTERNAL = "a step of how ipyparallel's client makes messages: libipcluster makes ours"
MODULE = "a module of its implementation"
FACE = (
    "our Cluster is a face of the program ipcluster, which keeps its state and settings, and no traitlets application"
)

# What is not there, and why.
LEFT_OUT = {
    "ipyparallel": {
        **dict.fromkeys(("client", "cluster", "controller", "serialize", "util"), MODULE),
        **dict.fromkeys(("builtins", "sys", "traceback", "print_function", "traitlets", "MultipleInstanceError"), "something that it imports"),
        **dict.fromkeys(("can_map", "uncan_map", "serialize_object", "deserialize_object", "pack_apply_message", "unpack_apply_message",
                         "wrap_exception", "unwrap_exception", "collect_exceptions"), INTERNAL),
        "load_jupyter_server_extension": "there is no extension of Jupyter's server here",
        "version_info": "the version of another package",
    },
    "Client": {
        **dict.fromkeys(("session", "create_message_futures", "send_apply_request", "send_execute_request"), INTERNAL),
        **dict.fromkeys(("curve_publickey", "curve_secretkey", "curve_serverkey"), "the connection file has the controller's key; ours are made anew "
                        "for each connection and never leave the library"),
    },
    "Cluster": {
        **dict.fromkeys((
            "cluster_file", "controller_launcher_class", "delay", "engine_launcher_class", "from_dict", "load_profile", "profile_config",
            "remove_cluster_file", "stop_controller", "stop_controller_sync", "to_dict", "update_cluster_file", "write_cluster_file", "log",
            "log_level", "parent", "config", "class_config_rst_doc", "class_config_section", "class_get_help", "class_get_trait_help",
            "class_print_help", "section_names", "update_config",
        ), FACE),
        **dict.fromkeys(("restart_engine", "restart_engine_sync"),
                        "not implemented there either"),
    },
    "ParallelFunction": {"mapObject": "how it deals out its arguments is its own affair"},
}  # fmt: skip

# Of a result: ours refuses whatever it is given.
SET_BY_THE_LIBRARY = ("set_result", "set_exception")


def names(obj):
    import traitlets

    return {name for name in dir(obj) if not name.startswith("_")} - set(dir(traitlets.HasTraits))


@pytest.fixture
def pairs(new_cluster):
    cluster = new_cluster(1, controller=["--dictdb"])
    import ipcluster

    ours = cluster.client()
    theirs = ipp.Client(str(cluster.client_file))
    wait_until(lambda: theirs.ids, 30, "ipyparallel's client sees the engine")
    made = [list(things_of(package, client)) for package, client in ((ipp, theirs), (ipcluster, ours))]
    yield {name: (its, our) for (name, its), (_, our) in zip(*made)}
    theirs.close()


def things_of(package, client):
    """The same things of either package."""
    direct, balanced = client[:], client.load_balanced_view()
    yield "ipyparallel", package
    yield "Client", client
    yield "DirectView", direct
    yield "LoadBalancedView", balanced
    yield "BroadcastView", client.broadcast_view()
    for name, result in ("AsyncResult", direct.apply_async(abs, -1)), ("AsyncMapResult", direct.map_async(abs, [-1])):
        result.get(20)
        yield name, result
    hub_result = client.get_result(result.msg_ids, owner=False)
    hub_result.get(20)
    yield "AsyncHubResult", hub_result
    yield "Dependency", package.Dependency(["a"])
    yield "Reference", package.Reference("a")
    yield "RemoteError", package.RemoteError("Error", "it failed", "", {})
    yield "CompositeError", package.CompositeError("it failed", [("Error", "it failed", "", {})])
    yield "ViewExecutor", client.executor()
    yield "RemoteFunction", direct.remote()(abs)
    yield "ParallelFunction", direct.parallel()(abs)
    yield "dependent", package.depend(abs)(abs)
    yield "Cluster", package.Cluster(n=1)


def test_every_public_name_is_there(pairs):
    missing = {thing: names(its) - names(ours) for thing, (its, ours) in pairs.items()}
    assert {thing: left for thing, left in missing.items() if left} == {
        thing: set(reasons) for thing, reasons in LEFT_OUT.items()
    }


def test_methods_are_methods_and_take_the_same_parameters(pairs):
    wrong = []
    for thing, (its, ours) in pairs.items():
        if thing == "ipyparallel":
            continue
        for name in sorted(names(its) & names(ours)):
            method, other = getattr(its, name), getattr(ours, name)
            if callable(method) != callable(other):
                wrong.append(f"{thing}.{name} is a method of one of them only")
            elif callable(method) and name not in SET_BY_THE_LIBRARY:
                lacking = parameters(method) - parameters(other)
                if lacking and not takes_any(other):
                    wrong.append(f"{thing}.{name} has {sorted(lacking)} there")
    assert not wrong, "\n".join(wrong)


def test_the_client_and_its_decorators_take_the_same_parameters():
    import ipcluster

    assert parameters(ipp.Client.__init__) - parameters(ipcluster.Client.__init__) == set()
    for name in (
        "depend",
        "require",
        "remote",
        "parallel",
        "interactive",
        "Dependency",
        "Reference",
        "register_joblib_backend",
    ):
        its, ours = getattr(ipp, name), getattr(ipcluster, name)
        assert parameters(its) <= parameters(ours), name


def parameters(function):
    """The names that its parameters can be given by."""
    try:
        found = inspect.signature(function).parameters.values()
    except ValueError:  # a method of a built-in type
        return set()
    return {
        parameter.name
        for parameter in found
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        and not parameter.name.startswith("_")
    }


def takes_any(function):
    """Whether further parameters by name are taken."""
    return any(
        parameter.kind is inspect.Parameter.VAR_KEYWORD for parameter in inspect.signature(function).parameters.values()
    )


def test_the_magics_have_the_same_names_and_options():
    pytest.importorskip("IPython")
    from IPython.testing.globalipapp import get_ipython, start_ipython

    from ipcluster.magics import ParallelMagics
    from ipyparallel.client.magics import ParallelMagics as Theirs

    shell = start_ipython() or get_ipython()
    its, ours = Theirs(shell, None), ParallelMagics(shell, None)
    for kind in ("line", "cell"):
        assert set(its.magics[kind]) <= set(ours.magics[kind])
    for name in ("pxconfig", "cell_px"):
        assert options(getattr(its, name)) <= options(getattr(ours, name))
    assert options(its.result) <= options(ours.pxresult)


def options(magic):
    return {option for action in magic.parser._actions for option in action.option_strings}


def test_a_dependency_says_whether_it_is_met():
    """As ipyparallel's, for all of its kinds."""
    import ipcluster

    for every in (True, False):
        for success, failure in ((True, False), (False, True), (True, True)):
            for of in ([], ["a"], ["a", "b"]):
                its, ours = (package.Dependency(of, every, success, failure) for package in (ipp, ipcluster))
                for completed, failed in (
                    (set(), set()),
                    ({"a"}, set()),
                    (set(), {"a"}),
                    ({"a"}, {"b"}),
                    ({"a", "b"}, None),
                    ({"b", "c"}, None),
                ):
                    assert ours.check(completed, failed) == its.check(completed, failed)
                    assert ours.unreachable(completed, failed) == its.unreachable(completed, failed)
