"""Carry a program's standard input and output over one TLS connection, from one thread."""

from __future__ import annotations

import os
import select
import ssl

_MOST = 1 << 20
_CHUNK = 1 << 16


def carry(tls: ssl.SSLSocket, *, source: int, sink: int, ends_with_source: bool) -> None:
    """Copy source -> connection and connection -> sink until the connection ends, or the source does if so wished.

    Closes the sink when nothing more can come for it.
    """
    tls.setblocking(False)
    os.set_blocking(source, False)
    os.set_blocking(sink, False)
    out, back = bytearray(), bytearray()
    source_open = tls_open = sink_open = True
    while True:
        if not source_open and not out and ends_with_source:
            return
        if not tls_open and not back:
            if sink_open:
                os.close(sink)
                sink_open = False
            if not ends_with_source:
                return
        readers = [source] if source_open and len(out) < _MOST else []
        readers += [tls] if tls_open and len(back) < _MOST else []
        writers = ([tls] if out and tls_open else []) + ([sink] if back and sink_open else [])
        if out and not tls_open:
            return
        ready, able, _ = select.select(readers, writers, [], 60)
        if not ready and not able:
            raise TimeoutError("nothing moved for a minute")
        if source in ready:
            piece = os.read(source, _CHUNK)
            out += piece
            source_open = bool(piece)
        if tls in ready:
            tls_open = _receive(tls, back)
        if tls in able:
            _send(tls, out)
        if sink in able:
            try:
                del back[: os.write(sink, back)]
            except BrokenPipeError:
                sink_open = False
                back.clear()


def _receive(tls: ssl.SSLSocket, into: bytearray) -> bool:
    """Take all there is; say whether the connection is still open."""
    while True:
        try:
            piece = tls.recv(_CHUNK)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return True
        except (ssl.SSLError, OSError):
            return False
        if not piece:
            return False
        into += piece


def _send(tls: ssl.SSLSocket, out: bytearray) -> None:
    try:
        sent = tls.send(out)
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        return
    del out[:sent]
