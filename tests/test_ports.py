"""Ports are taken at the start, and a busy one is named."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from webui.errors import BadValue
from webui.ports import bind


def test_a_bound_port_answers_connections_before_anything_is_served(free_port: int) -> None:
    with bind("127.0.0.1", free_port, "--port"), socket.create_connection(("127.0.0.1", free_port), timeout=5):
        pass


def test_a_busy_port_names_flag_port_who_has_it_and_a_free_one(free_port: int) -> None:
    with bind("127.0.0.1", free_port, "--port"), pytest.raises(BadValue) as caught:
        bind("127.0.0.1", free_port, "--api-port")
    message = caught.value.message
    assert message.startswith(f"--api-port {free_port}: the port is in use")
    assert str(os.getpid()) in message
    assert "is free" in message


def test_a_port_is_free_again_at_once(free_port: int) -> None:
    for _ in range(2):
        with bind("127.0.0.1", free_port, "--port"):
            socket.create_connection(("127.0.0.1", free_port), timeout=5).close()


async def test_small_answers_are_sent_at_once(free_port: int) -> None:
    """Nagle's algorithm would hold back the second packet of an answer for 40 ms."""
    waits: list[int] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        waits.append(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    with bind("127.0.0.1", free_port, "--port") as listening:
        server = await asyncio.start_server(answer, sock=listening)
        reader, writer = await asyncio.open_connection("127.0.0.1", free_port)
        await reader.read()
        writer.close()
        server.close()
    assert waits and waits[0], "the connection has no TCP_NODELAY"
