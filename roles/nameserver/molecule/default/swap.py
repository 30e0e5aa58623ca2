"""swap.py SERVER ZONE NAME FROM TO KEY SECRETS: move the service's address as a runbook does; 0 when it was moved, 3 when it was refused.

An answer that nobody signed proves nothing: 4. So a name server answers an update signed with the wrong key.
"""

import json
import sys
from pathlib import Path

from secondsite.errors import ActionError, Effect
from secondsite.hands.dns import NameServer

address, zone, name, old, new, key, secrets = sys.argv[1:]
words = json.loads(Path(secrets).read_text())["estate_secrets"][key]
server = NameServer(address=address, zone=zone, key_name=words["name"], secret=lambda: words["secret"])
try:
    server.swap(name, expected=old, new=new, ttl_s=1)
except ActionError as error:
    sys.stderr.write(f"{error}\n")
    sys.exit(3 if error.effect is Effect.NONE else 4)
