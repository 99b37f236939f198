"""Bytes that processes sent and received over TCP, from the kernel's own counters of each connection.

Linux only, by the netlink protocol of `ss` (sock_diag(7), INET_DIAG_INFO): `/proc/PID/io` leaves out what
goes through send(2) and recv(2). A connection that opens and closes between two readings is not seen; those
of the line last.
"""

import contextlib
import os
import re
import socket
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import psutil

SOCK_DIAG_BY_FAMILY: Final = 20
_NETLINK_SOCK_DIAG: Final = 4
_REQUEST_AND_DUMP: Final = 0x301
_INFO: Final = 2
_CONNECTED_STATES: Final = 0x1FF & ~(1 << 0)
_HEAD: Final = struct.Struct("=LHHLL")
_MESSAGE_SIZE: Final = 72
_COOKIE: Final = struct.Struct("=Q")
_COOKIE_AT: Final = 44
_INODE: Final = struct.Struct("=L")
_INODE_AT: Final = 68
_BYTES: Final = struct.Struct("=QQ")
_BYTES_AT: Final = 120
"""Of `tcpi_bytes_acked` and `tcpi_bytes_received` in `struct tcp_info`."""
_SOCKET: Final = re.compile(r"socket:\[(\d+)\]")


class ConnectionBytes(NamedTuple):
    """Bytes of one connection so far; sent ones are those that the other end has acknowledged."""

    sent: int
    received: int


Connections = dict[tuple[int, int], ConnectionBytes]
"""By inode and cookie, which no later connection has again."""


def tcp_connections() -> Connections | None:
    """The machine's TCP connections; None where the system does not say."""
    if not hasattr(socket, "AF_NETLINK"):
        return None
    connections: Connections = {}
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as netlink:
            netlink.settimeout(1.0)
            for family in (socket.AF_INET, socket.AF_INET6):
                _dump(netlink, family, connections)
    except OSError:
        return None
    return connections


def connections_of(tree: Sequence[psutil.Process], connections: Connections) -> Connections:
    """Those of some processes that they still hold open."""
    inodes = {inode for process in tree for inode in _socket_inodes(process.pid)}
    return {key: traffic for key, traffic in connections.items() if key[0] in inodes}


def _socket_inodes(pid: int) -> set[int]:
    inodes = set()
    with contextlib.suppress(OSError):
        for entry in os.scandir(f"/proc/{pid}/fd"):
            with contextlib.suppress(OSError):
                match = _SOCKET.match(str(Path(entry.path).readlink()))
                if match:
                    inodes.add(int(match[1]))
    return inodes


def _dump(netlink: socket.socket, family: int, connections: Connections) -> None:
    request = struct.pack("=BBBBL48x", family, socket.IPPROTO_TCP, 1 << (_INFO - 1), 0, _CONNECTED_STATES)
    size = _HEAD.size + len(request)
    netlink.send(_HEAD.pack(size, SOCK_DIAG_BY_FAMILY, _REQUEST_AND_DUMP, family, 0) + request)
    while True:
        content = memoryview(netlink.recv(1 << 18))
        while len(content) >= _HEAD.size:
            length, kind, *_ = _HEAD.unpack_from(content)
            if kind != SOCK_DIAG_BY_FAMILY:  # the end of the dump, or an error
                return
            _read(content[_HEAD.size : length], connections)
            content = content[(length + 3) & ~3 :]


def _read(message: memoryview, connections: Connections) -> None:
    key = _INODE.unpack_from(message, _INODE_AT)[0], _COOKIE.unpack_from(message, _COOKIE_AT)[0]
    attributes: Any = message[_MESSAGE_SIZE:]
    while len(attributes) >= 4:
        length, kind = struct.unpack_from("=HH", attributes)
        if kind == _INFO and length >= 4 + _BYTES_AT + _BYTES.size:
            connections[key] = ConnectionBytes(*_BYTES.unpack_from(attributes, 4 + _BYTES_AT))
        attributes = attributes[max(4, (length + 3) & ~3) :]
