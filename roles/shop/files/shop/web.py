"""The shop's HTTP face. Every answer says who gave it: X-Served-By, and X-Database where a database was used."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from . import door, tokens
from .books import Books, InDoubt, Kept, OnHold, Revoked, Taken
from .documents import Documents
from .door import Door
from .person import Person
from .pool import Away, Pool
from .settings import DOOR, Settings, load

PRICES = {"coffee": 350, "tea": 300, "cake": 420, "newspaper": 280}
_BODY_LIMIT = 16 * 1024
_LOG = logging.getLogger("shop")
_BUSY = {"Retry-After": "1"}

Handler = Callable[[Request], Awaitable[Response]]


def application(settings: Settings, door_file: Path = DOOR) -> Starlette:
    """Build the application; it connects to nothing until it is asked something."""
    billing = Pool(settings.billing, size=settings.pool_size, wait_s=settings.wait_s)
    reading = Pool(settings.billing, size=settings.pool_size, wait_s=settings.wait_s)
    control = Pool(settings.control, size=settings.pool_size, wait_s=settings.wait_s) if settings.control else None

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        for pool in (billing, reading, control):
            if pool is not None:
                await pool.close()

    shop = _Shop(settings, Books(billing, reading, control, budget_s=settings.budget_s), door_file)
    person = shop.person
    routes = [
        Route("/health", shop.health, methods=["GET"]),
        Route("/signin", shop.when_open(shop.sign_in), methods=["POST"]),
        Route("/orders", shop.when_open(shop.order), methods=["POST"]),
        Route("/orders/{id}", shop.when_open(shop.find_order), methods=["GET"]),
        Route("/bills", shop.when_open(shop.bills), methods=["GET"]),
        Route("/customers/me", shop.when_open(shop.me), methods=["GET"]),
        Route("/documents", shop.when_open(person.names), methods=["GET"]),
        Route("/documents/{name}", shop.when_open(person.read), methods=["GET"]),
        Route("/documents/{name}", shop.when_open(person.keep), methods=["PUT"]),
        Route("/documents/{name}", shop.when_open(person.remove), methods=["DELETE"]),
        Route("/export", shop.when_open(person.export), methods=["GET"]),
        Route("/corrections", shop.when_open(shop.correct), methods=["POST"]),
    ]
    if control is not None:
        routes.append(Route("/control", shop.when_open(shop.mark), methods=["POST"]))
    handlers = {Away: _away, InDoubt: _in_doubt, Revoked: _revoked, HTTPException: _refused}
    return Starlette(routes=routes, exception_handlers=handlers, lifespan=lifespan)


class _Shop:
    def __init__(self, settings: Settings, books: Books, door_file: Path) -> None:
        self._settings = settings
        self._books = books
        self._door_file = door_file
        documents = Documents(settings.stores, settings.tls) if settings.stores else None
        self.person = Person(books, documents, self._customer)

    def when_open(self, handler: Handler) -> Handler:
        """Answer 503 while the door is not open, and to who waited so long that he has gone or soon will have.

        Without that a shop which fell behind once would go on serving nobody: each of its answers would come too late.
        """

        async def guarded(request: Request) -> Response:
            if _waited_s(request) > self._settings.wait_s:
                return JSONResponse({"error": "not now"}, status_code=503, headers=_BUSY)
            if door.read(self._door_file) is not Door.OPEN:
                return JSONResponse({"error": "closed"}, status_code=503, headers=_BUSY)
            return await handler(request)

        return guarded

    async def health(self, _: Request) -> JSONResponse:
        state = door.read(self._door_file)
        try:
            proof = await self._books.prove_writable()
        except Away as error:
            _log("not-writable", error)
            return JSONResponse({"door": state.value, "writable": False}, status_code=503, headers=_BUSY)
        is_open = state is Door.OPEN
        headers = {"X-Database": proof.node} | ({} if is_open else _BUSY)
        return JSONResponse(
            {"door": state.value, "writable": True}, status_code=200 if is_open else 503, headers=headers
        )

    async def sign_in(self, request: Request) -> JSONResponse:
        words = await _body(request, "customer", "password")
        customer = words["customer"]
        stored = (await self._books.password_hash(customer)).row
        known = tokens.NOBODY if stored is None else stored[0]
        right = await asyncio.to_thread(tokens.password_matches, words["password"], known)
        if stored is None or not right:
            raise HTTPException(401, "wrong customer or password")
        address = request.headers.get("x-real-ip") or (request.client.host if request.client else "")
        kept = await self._books.record_login(customer, address)
        token = tokens.issue(
            customer, secret=self._settings.token_secret, now=time.time(), lifetime_s=self._settings.token_lifetime_s
        )
        return _answer({"token": token, "login": kept.row[0], "at": kept.row[1]}, kept)

    async def order(self, request: Request) -> JSONResponse:
        customer = self._customer(request)
        words = await _body(request, "id", "item")
        order_id, item = _uuid(words["id"]), words["item"]
        if item not in PRICES:
            raise HTTPException(422, f"no such item; there is {', '.join(sorted(PRICES))}")
        try:
            kept = await self._books.order(order_id, customer, item, PRICES[item])
        except OnHold:
            raise HTTPException(403, "this customer is on hold") from None
        except Taken:
            raise HTTPException(409, "this id is another order's") from None
        _, kept_item, is_new = kept.row
        return _answer({"id": order_id, "item": kept_item}, kept, 201 if is_new else 200)

    async def find_order(self, request: Request) -> JSONResponse:
        customer = self._customer(request)
        kept = await self._books.find_order(_uuid(request.path_params["id"]), customer)
        if kept.row is None:
            return _answer({"error": "no such order"}, kept, 404)
        return _answer(dict(zip(("id", "item", "at"), kept.row, strict=True)), kept)

    async def bills(self, request: Request) -> JSONResponse:
        customer = self._customer(request)
        order_id = request.query_params.get("order")
        kept = await self._books.bills(customer, None if order_id is None else _uuid(order_id), 50)
        return _answer({"bills": kept.row[0]}, kept)

    async def me(self, request: Request) -> JSONResponse:
        customer = self._customer(request)
        kept = await self._books.customer(customer)
        if kept.row is None:
            raise HTTPException(401, "no such customer any more")
        since, logins, holds = kept.row
        return _answer({"customer": customer, "since": since, "logins": logins, "holds": holds}, kept)

    async def correct(self, request: Request) -> JSONResponse:
        self._customer(request)
        return await self.person.correct(request, (await _body(request, "contact"))["contact"])

    async def mark(self, request: Request) -> JSONResponse:
        self._customer(request)
        mark_id = _uuid((await _body(request, "id"))["id"])
        kept = await self._books.mark(mark_id)
        return _answer({"id": mark_id}, kept, 201 if kept.row[0] else 200)

    def _customer(self, request: Request) -> str:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        found = None
        if scheme.lower() == "bearer":
            found = tokens.customer_of(token, secret=self._settings.token_secret, now=time.time())
        if found is None:
            raise HTTPException(401, "sign in first", headers={"WWW-Authenticate": "Bearer"})
        return found


def _answer(words: dict[str, object], kept: Kept, status: int = 200) -> JSONResponse:
    return JSONResponse(words, status_code=status, headers={"X-Database": kept.node})


def _waited_s(request: Request) -> float:
    """Return how long a request stood in line since the web server took it."""
    try:
        return time.time() - float(request.headers.get("x-request-start", ""))
    except ValueError:
        return 0.0


async def _body(request: Request, *wanted: str) -> dict[str, str]:
    raw = bytearray()
    async for part in request.stream():
        raw += part
        if len(raw) > _BODY_LIMIT:
            raise HTTPException(413, "too long")
    try:
        words = json.loads(raw)
    except ValueError:
        raise HTTPException(400, "not JSON") from None
    right = isinstance(words, dict) and set(words) == set(wanted)
    if not right or not all(
        isinstance(word, str) and 0 < len(word) <= 200 and "\0" not in word for word in words.values()
    ):
        raise HTTPException(400, f"wanted exactly: {', '.join(wanted)}, each a text of 1 to 200 characters")
    return words


def _uuid(word: str) -> str:
    try:
        return str(uuid.UUID(word))
    except ValueError:
        raise HTTPException(400, "an id is a UUID") from None


async def _away(_: Request, error: Exception) -> JSONResponse:
    _log("refused", error)
    return JSONResponse({"error": "not now"}, status_code=503, headers=_BUSY)


async def _in_doubt(_: Request, error: Exception) -> JSONResponse:
    _log("in-doubt", error)
    return JSONResponse({"outcome": "unknown"}, status_code=202)


async def _revoked(_: Request, error: Exception) -> JSONResponse:
    _log("revoked", error)
    return JSONResponse({"error": "this customer's access was revoked"}, status_code=403)


async def _refused(_: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    return JSONResponse({"error": error.detail}, status_code=error.status_code, headers=error.headers)


def _log(event: str, error: Exception) -> None:
    _LOG.warning("%s", json.dumps({"event": event, "why": str(error)}))


def from_files() -> Starlette:
    """Build the application from the files on this host; what uvicorn calls."""
    return application(load())
