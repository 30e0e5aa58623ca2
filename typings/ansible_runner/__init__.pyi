from collections.abc import Callable
from typing import Any

class RunnerConfig:
    artifact_dir: str
    cwd: str
    env: dict[str, str]
    command: list[str]
    suppress_ansible_output: bool
    def __init__(self, *, private_data_dir: str, playbook: str, quiet: bool, timeout: float) -> None: ...
    def prepare(self) -> None: ...

class Runner:
    rc: int | None
    status: str
    def __init__(
        self,
        config: RunnerConfig,
        *,
        event_handler: Callable[[dict[str, Any]], bool],
        cancel_callback: Callable[[], bool],
        remove_partials: bool,
    ) -> None: ...
    def run(self) -> None: ...
