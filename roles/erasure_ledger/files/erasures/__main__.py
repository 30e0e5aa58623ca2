"""python3 -m erasures keep: be one of the ledger's keepers. python3 -m erasures accounts ...: what accountctl does."""

from __future__ import annotations

import os
import sys

from .settings import load

if __name__ == "__main__":
    os.umask(0o077)
    if sys.argv[1:2] == ["keep"]:
        from . import keep

        keep.main(load())
    elif sys.argv[1:2] == ["accounts"]:
        from . import accounts

        sys.exit(accounts.main(sys.argv[2:], load()))
    else:
        sys.exit("one of: keep, accounts")
