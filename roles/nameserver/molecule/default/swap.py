"""swap.py SERVER ZONE NAME FROM TO KEY SECRETS: move the service's address as a runbook does; 0 when it was moved, 3 when it was refused."""

import json
import sys
from pathlib import Path

from secondsite.errors import ActionError
from secondsite.hands.dns import NameServer

address, zone, name, old, new, key, secrets = sys.argv[1:]
words = json.loads(Path(secrets).read_text())[key]
server = NameServer(address=address, zone=zone, key_name=words["name"], secret=lambda: words["secret"])
try:
    server.swap(name, expected=old, new=new, ttl_s=1)
except ActionError as error:
    sys.exit(f"{error}") if "unknown" in error.effect.value else sys.exit(3)
