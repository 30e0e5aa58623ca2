"""Mitogen's linear strategy, without its pinning of processes to processors, and with less work for each worker.

On a machine with two or three processors Mitogen keeps the first for its multiplexer and everything else, each ssh
included, off it: with two, Ansible has one to itself and the other idles. The scheduler does better.

Ansible forks a worker for each task on each host, and what a worker learns dies with it. So what every worker
would load for itself is loaded once before they are forked; a template sees the variables themselves instead of a deep
copy of all of them; and what needs no host, a task whose condition is false too, is done without a worker.
"""

import contextlib
import copy
import functools
import gc
import importlib
import inspect
import sys
from pathlib import Path

import ansible_mitogen.affinity

ansible_mitogen.affinity.policy = ansible_mitogen.affinity.Policy()

import ansible.plugins.strategy  # noqa: E402  the policy above must be in place first
import ansible_mitogen.loaders  # noqa: E402
import ansible_mitogen.mixins  # noqa: E402
import ansible_mitogen.planner  # noqa: E402
import ansible_mitogen.strategy  # noqa: E402
import mitogen.unix  # noqa: E402, F401  every worker connects by it
from ansible._internal import _task  # noqa: E402
from ansible._internal._display_utils import DeferredWarningContext  # noqa: E402
from ansible.errors import AnsibleError  # noqa: E402
from ansible.executor.process.worker import WorkerProcess  # noqa: E402
from ansible.executor.task_executor import TaskExecutor  # noqa: E402
from ansible.executor.task_result import _RawTaskResult  # noqa: E402
from ansible.plugins.loader import action_loader, filter_loader, lookup_loader, test_loader  # noqa: E402
from ansible.template import Templar, trust_as_template  # noqa: E402
from jinja2 import Environment  # noqa: E402

sys.path.append(str(Path(__file__).resolve().parents[3]))  # Ansible finds this file by its path, and nothing beside it

from secondsite.hands import mitogen_code  # noqa: E402

NEED_NO_HOST = frozenset({"ansible.builtin.validate_argument_spec", "ansible.builtin.include_tasks"})
# how a worker calls its executor differs between releases: done here only where it is known
AS_KNOWN = tuple(inspect.signature(TaskExecutor).parameters)[:4] == ("host", "task", "job_vars", "play_context")
Base = ansible_mitogen.loaders.strategy_loader.get("linear", class_only=True)


class Worker(WorkerProcess):  # type: ignore[misc]  # Ansible's own is untyped
    """A worker that is not started when its task needs no host."""

    def start(self) -> None:
        """Do the task here when it can be, else fork as ever."""
        if AS_KNOWN and (self._task.action in NEED_NO_HOST or self._is_to_be_skipped()):
            self._do_here()
        else:
            super().start()

    def _is_to_be_skipped(self) -> bool:
        """Say whether the task's condition is false. What is harder to say, or fails, is left to a worker."""
        task = self._task
        if not task.when or task.loop is not None or task.loop_with or task.delegate_to or task.async_val:
            return False
        with DeferredWarningContext(variables=self._task_vars), contextlib.suppress(AnsibleError):
            return not task._resolve_conditional(task.when, dict(self._task_vars))  # noqa: SLF001  as an executor does
        return False

    def _do_here(self) -> None:
        task = self._task.copy(exclude_parent=True, exclude_tasks=True)
        task._parent = self._task._parent  # noqa: SLF001  as Ansible itself does with a task it sends back
        with _task.TaskContext(task):
            came = TaskExecutor(
                self._host,
                task,
                dict(self._task_vars),
                self._play_context.copy(),
                self._loader,
                self._shared_loader_obj,
                self._final_q,
                self._variable_manager,
            ).run()
        result = _RawTaskResult(host=self._host, task=task, return_data=came, task_fields=task.dump_attrs())
        self._final_q.send_task_result(result)


class StrategyModule(ansible_mitogen.strategy.StrategyMixin, Base):  # type: ignore[misc, valid-type]  # found at run time
    """The class Ansible looks for."""

    _prepared = False

    def run(self, iterator, play_context, result=0):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201  Ansible's own signature
        """Load what workers need, then run the play."""
        ansible.plugins.strategy.WorkerProcess = Worker
        if not StrategyModule._prepared:
            StrategyModule._prepared = True
            mitogen_code.install()
            _load_once(self._loader)
        return super().run(iterator, play_context, result)


def _load_once(loader) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001  Ansible's loader of files
    for name in ("legacy.normal", "builtin.command", "builtin.copy", "builtin.validate_argument_spec"):
        action_loader.get(f"ansible.{name}", class_only=True)
    with contextlib.suppress(ImportError):  # how modules answer: an inside of Ansible, that other releases may not have
        importlib.import_module("ansible.module_utils._internal._json._profiles._module_legacy_m2c")
    for name in ("file", "template"):
        lookup = lookup_loader.get(f"ansible.builtin.{name}", class_only=True)
        vars(sys.modules[lookup.__module__])["deepcopy"] = _shallow
    with contextlib.suppress(KeyError):
        filter_loader.get("ansible.builtin.to_json")
        test_loader.get("ansible.builtin.match")
    # each host's conditions are the same words: Python compiles what Jinja made of them once
    once = functools.cache(functools.partial(compile, mode="exec"))
    Environment._compile = staticmethod(once)  # type: ignore[method-assign]  # noqa: SLF001
    Templar(loader=loader, variables={"a": ["b"]}).template(
        trust_as_template("{% for c in a %}{{ c | join }}{% endfor %}")
    )
    gc.collect()
    gc.freeze()  # else each worker's collector copies every page it looks at


def _shallow(variables):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
    """The template gets names of its own; the values are only read."""
    return variables.copy() if hasattr(variables, "copy") else copy.copy(variables)
