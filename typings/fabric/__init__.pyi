from typing import Any

import paramiko

class Config:
    def __init__(self, *, overrides: dict[str, Any] | None = None) -> None: ...

class Connection:
    client: paramiko.SSHClient
    transport: Any
    is_connected: bool
    def __init__(
        self,
        host: str,
        user: str | None = None,
        port: int | None = None,
        config: Config | None = None,
        connect_timeout: float | None = None,
        connect_kwargs: dict[str, Any] | None = None,
    ) -> None: ...
    def open(self) -> Any: ...
    def close(self) -> None: ...
