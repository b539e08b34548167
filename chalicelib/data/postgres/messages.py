"""Messages of PostgreSQL's protocol: postgresql.org/docs/18/protocol-message-formats.html"""

from collections.abc import Sequence

from pg8000.core import (
    BIND,
    CLOSE,
    DESCRIBE,
    EXECUTE_MSG,
    PARSE,
    PORTAL,
    QUERY,
    STATEMENT,
    SYNC_MSG,
    H_pack,
    _create_message,
    i_pack,
)

NULL_BYTE = b"\x00"
UNNAMED = b""
EXECUTE: bytes = EXECUTE_MSG
SYNC: bytes = SYNC_MSG


def simple(sql: str, encoding: str) -> bytes:
    """Statements without parameters, with a Sync of their own."""
    return bytes(_create_message(QUERY, sql.encode(encoding) + NULL_BYTE))


def parse(name: bytes, statement: str, encoding: str, oids: Sequence[int] = ()) -> bytes:
    body = bytearray(name + NULL_BYTE + statement.encode(encoding) + NULL_BYTE + H_pack(len(oids)))
    for oid in oids:
        body.extend(i_pack(0 if oid == -1 else oid))
    return bytes(_create_message(PARSE, bytes(body)))


def bind(name: bytes, params: Sequence[str | None], encoding: str) -> bytes:
    """Makes the unnamed portal of a statement that was parsed under this name."""
    body = bytearray(NULL_BYTE + name + NULL_BYTE + H_pack(0) + H_pack(len(params)))
    for param in params:
        if param is None:
            body.extend(i_pack(-1))
        else:
            value = param.encode(encoding)
            body.extend(i_pack(len(value)) + value)
    body.extend(H_pack(0))
    return bytes(_create_message(BIND, bytes(body)))


def describe() -> bytes:
    """Asks which columns the unnamed portal answers."""
    return bytes(_create_message(DESCRIBE, PORTAL + NULL_BYTE))


def close(name: bytes) -> bytes:
    """Frees a named statement; that there is none by the name is no error."""
    return bytes(_create_message(CLOSE, STATEMENT + name + NULL_BYTE))
