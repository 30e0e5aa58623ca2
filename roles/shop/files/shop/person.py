"""What a person may ask of what is held about him: his documents, everything there is, and a correction."""

from __future__ import annotations

import asyncio
import base64
import re
from collections.abc import Callable
from typing import TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from .books import Books, Kept
from .documents import Documents, Erased

T = TypeVar("T")

LARGEST = 1 << 20
EXPORTED = 16 << 20
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,100}")


class Person:
    """Answers for the customer who is signed in; ``customer_of`` says who that is, or refuses."""

    def __init__(self, books: Books, documents: Documents | None, customer_of: Callable[[Request], str]) -> None:
        self._books, self._documents, self._customer_of = books, documents, customer_of

    async def names(self, request: Request) -> JSONResponse:
        """Return the names of his documents."""
        account, _ = await self._account(request)
        return JSONResponse({"names": await self._asked(lambda store: store.names(account))})

    async def read(self, request: Request) -> Response:
        """Return one of his documents."""
        account, _ = await self._account(request)
        name = _name(request)
        found = await self._asked(lambda store: store.read(account, name))
        if found is None:
            raise HTTPException(404, "no such document")
        headers = {"Content-Disposition": "attachment", "X-Content-Type-Options": "nosniff"}
        return Response(found, media_type="application/octet-stream", headers=headers)

    async def keep(self, request: Request) -> JSONResponse:
        """Keep one of his documents."""
        account, _ = await self._account(request)
        name, raw = _name(request), bytearray()
        async for part in request.stream():
            raw += part
            if len(raw) > LARGEST:
                raise HTTPException(413, "too long")
        await self._asked(lambda store: store.keep(account, name, bytes(raw)))
        return JSONResponse({"name": name}, status_code=201)

    async def remove(self, request: Request) -> JSONResponse:
        """Remove one of his documents."""
        account, _ = await self._account(request)
        name = _name(request)
        if not await self._asked(lambda store: store.remove(account, name)):
            raise HTTPException(404, "no such document")
        return JSONResponse({"removed": name})

    async def export(self, request: Request) -> JSONResponse:
        """Return everything that is held about him: rows of every table, and his documents as far as they fit in."""
        account, _ = await self._account(request)
        kept = await self._books.export(self._customer_of(request))
        told = dict(kept.row[0])
        if self._documents is not None:
            told |= await self._exported(account)
        return JSONResponse(told, headers={"X-Database": kept.node})

    async def _exported(self, account: str) -> dict[str, object]:
        documents: dict[str, str] = {}
        left_out: list[str] = []
        size = 0
        for name in await self._asked(lambda store: store.names(account)):
            found = await self._asked(lambda store, name=name: store.read(account, name))
            if found is None:  # removed meanwhile
                continue
            size += len(found)
            if size > EXPORTED:
                left_out.append(name)
            else:
                documents[name] = base64.b64encode(found).decode()
        return {"documents": documents, "documents_to_be_read_one_by_one": left_out}

    async def correct(self, request: Request, contact: str) -> JSONResponse:
        """Put right where he is reached."""
        _, customer = await self._account(request)
        if not contact.isprintable():
            raise HTTPException(422, "that is nowhere to be reached")
        kept = await self._books.correct(customer, contact)
        return JSONResponse({"contact": contact}, headers={"X-Database": kept.node})

    async def _account(self, request: Request) -> tuple[str, str]:
        customer = self._customer_of(request)
        kept: Kept = await self._books.account(customer)
        if kept.row is None:
            raise HTTPException(401, "no such customer any more")
        return str(kept.row[0]), customer

    async def _asked(self, ask: Callable[[Documents], T]) -> T:
        if self._documents is None:
            raise HTTPException(404, "no documents are kept here")
        try:
            return await asyncio.to_thread(ask, self._documents)
        except Erased:
            raise HTTPException(410, "whose documents they were was erased") from None


def _name(request: Request) -> str:
    name = str(request.path_params["name"])
    if not _NAME.fullmatch(name):
        raise HTTPException(400, "a document's name is letters, digits, dots, dashes and underscores")
    return name
