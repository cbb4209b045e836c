"""Conditions of tasks: on which engine they may run, and after which tasks: `require`, `depend` and `Dependency`."""

from types import ModuleType

from ipcluster import there
from ipcluster.asyncresult import AsyncResult
from ipcluster.canned import can, dependent


class depend:
    """Decorator: a task runs only on an engine where a test holds. If it returns False, the task is given to another engine.

    Args:
        df (callable): the test.
        args: its positional arguments.
        kwargs: its keyword arguments.
    Example:
        >>> @ipcluster.depend(lambda: True)
        ... def f():
        ...     return 1
        >>> balanced.apply_sync(f)
        1
    """

    def __init__(self, df, /, *args, **kwargs):
        self.df = df
        self.args = args
        self.kwargs = kwargs

    def __call__(self, f):
        return dependent(f, self.df, *self.args, **self.kwargs)


def require(*objects, **mapping):
    """Decorator: what a task needs. If an engine cannot import a module, the task is given to another engine.

    Args:
        objects (module, str or function): modules, or their names, which are imported; functions, which are sent along.
        mapping: other objects, by name.
    Returns:
        A decorator.
    Raises:
        TypeError: one of the objects has no name.
    Example:
        >>> @ipcluster.require("os")
        ... def f():
        ...     return os.sep
        >>> balanced.apply_sync(f)
        '/'
    """
    names = []
    for obj in objects:
        if isinstance(obj, ModuleType):
            names.append(obj.__name__)
        elif isinstance(obj, str):
            names.append(obj)
        elif hasattr(obj, "__name__"):
            mapping[obj.__name__] = obj
        else:
            raise TypeError(f"require takes modules and functions, and other objects by keyword, not {type(obj)}")
    return depend(there.require_names, *names, **{name: can(value) for name, value in mapping.items()})


def _msg_ids(job):
    return job.msg_ids if isinstance(job, AsyncResult) else [job]


class Dependency(set):
    """Tasks that another task waits for: all or any of them, their success or their failure. It is a set of msg_ids.

    Args:
        dependencies (AsyncResult, str or a list of them): the tasks.
        all (bool): False: any of them.
        success (bool): whether it is met by their success.
        failure (bool): whether it is met by their failure.
    Raises:
        ValueError: neither success nor failure.
        TypeError: one of them is not a task.
    Example:
        >>> tasks = [balanced.apply_async(abs, -1), balanced.apply_async(abs, -2)]
        >>> with balanced.temp_flags(after=ipcluster.Dependency(tasks, all=False, failure=True)):
        ...     balanced.apply_sync(abs, -3)
        3
    """

    def __init__(self, dependencies=(), all=True, success=True, failure=False):
        if isinstance(dependencies, dict):
            all = dependencies.get("all", True)
            success = dependencies.get("success", True)
            failure = dependencies.get("failure", False)
            dependencies = dependencies.get("dependencies", ())
        if not (success or failure):
            raise ValueError("a Dependency is met by success, failure or both: one of them must be True")
        if isinstance(dependencies, (str, AsyncResult)):
            dependencies = [dependencies]
        ids = []
        for job in dependencies:
            ids += _msg_ids(job)
        if not {type(msg_id) for msg_id in ids} <= {str}:
            raise TypeError("a Dependency has msg_ids and AsyncResults")
        super().__init__(ids)
        self.all = all
        self.success = success
        self.failure = failure

    def check(self, completed, failed=None):
        """Whether it is met.

        Args:
            completed (set): msg_ids of tasks that have succeeded.
            failed (set): of those that have failed.
        Returns:
            bool: True if so.
        Example:
            >>> ipcluster.Dependency(["a", "b"]).check({"a"})
            False
        """
        return self._holds(self.success and completed, self.failure and failed, self.all)

    def unreachable(self, completed, failed=None):
        """Whether it cannot be met any more.

        Args:
            completed (set): msg_ids of tasks that have succeeded.
            failed (set): of those that have failed.
        Returns:
            bool: True if so.
        Example:
            >>> ipcluster.Dependency(["a", "b"]).unreachable({"a"}, {"b"})
            True
        """
        return bool(self) and self._holds(not self.success and completed, not self.failure and failed, not self.all)

    def _holds(self, completed, failed, every):
        """Whether these tasks include every one of ours, or any."""
        ended = set(completed or ()) | set(failed or ())
        return not self or (self <= ended if every else not self.isdisjoint(ended))

    def as_dict(self):
        """What a task's metadata have of it.

        Returns:
            dict: "all", "success", "failure" and "dependencies".
        Example:
            >>> ipcluster.Dependency(["a"]).as_dict()
            {'all': True, 'success': True, 'failure': False, 'dependencies': ['a']}
        """
        return {"all": self.all, "success": self.success, "failure": self.failure, "dependencies": list(self)}


def render(dependency):
    """What a task's metadata says of its dependency."""
    if dependency is None:
        return []
    if isinstance(dependency, Dependency):
        return dependency.as_dict()
    if isinstance(dependency, dict):
        return Dependency(dependency).as_dict()
    return list(Dependency(dependency))
