"""Many clients: some talk at once, some vanish."""

from __future__ import annotations

import json
import random
import socket
import struct
from concurrent.futures import ThreadPoolExecutor

import psutil

from tests.faults.case import Case, must
from tests.faults.house import House, memory_of

VANISHING = 200
MAY_GROW = 32 << 20
"""Bytes. Two hundred replies that were kept would be more: each holds a slot's worth of text, tokens and tasks."""


def chats_at_once(house: House) -> tuple[str, ...]:
    """Four chats on two slots, and questions about tokens meanwhile, give what each gives alone."""
    prompts = [f"{animal} said to the king:" for animal in ("The lion", "The mouse", "An owl", "Two wolves")]
    alone = [house.complete(prompt, max_tokens=24, ignore_eos=True) for prompt in prompts]
    with ThreadPoolExecutor(8) as pool:
        replies = [pool.submit(house.complete, prompt, max_tokens=24, ignore_eos=True) for prompt in prompts]
        asked = [
            pool.submit(house.http.post, f"/v1/internal/{route}", json=body)
            for route, body in (
                ("encode", {"text": "How many tokens?"}),
                ("logits", {"prompt": "The sky is"}),
                ("score", {"text": "The sky is blue."}),
            )
            for _ in range(3)
        ]
        must([reply.result() for reply in replies] == alone, "beside others a chat says something else")
        must(all(answer.result().status_code == 200 for answer in asked), "a question was not answered")
    return ()


def vanish(house: House, number: int) -> None:
    """A client that goes without a word, each at another moment: before the answer begins, while the prompt is read,
    after some tokens; every other one breaks the connection off, the others close it."""
    chance = random.Random(number)
    prompt = f"Client {number}. " + "The sea was wide. " * chance.choice((1, 20, 250))
    fields = {"prompt": prompt, "max_tokens": 1000, "ignore_eos": True, "stream": number % 3 > 0}
    body = json.dumps(fields).encode()
    head = f"POST /v1/completions HTTP/1.1\r\nHost: 127.0.0.1:{house.port}\r\nContent-Type: application/json\r\n"
    with socket.create_connection(("127.0.0.1", house.port), 30) as connection:
        connection.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        connection.settimeout(chance.choice((0.001, 0.05, 0.5)))
        try:
            for _ in range(chance.randrange(4)):
                connection.recv(500)
        except TimeoutError:
            pass  # it does not wait any longer
        if number % 2:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def vanishing_clients(house: House) -> tuple[str, ...]:
    house.load(cache_mb=0)  # or idle conversations would be kept, which is memory well used
    everybody = [psutil.Process(house.pid), house.worker()]
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda number: vanish(house, number), range(VANISHING)))
        must(house.until(lambda: house.info()["active"] == 0), f"{house.info()['active']} requests still run")
        before = memory_of(*everybody)
        files = everybody[0].num_fds()
        list(pool.map(lambda number: vanish(house, number), range(VANISHING, 2 * VANISHING)))
        must(house.until(lambda: house.info()["active"] == 0), f"{house.info()['active']} requests still run")
    grown = memory_of(*everybody) - before
    must(house.workers() == everybody[1:], "the engine is another one")
    must(grown < MAY_GROW, f"it holds {grown >> 20} MiB more than before")
    must(house.until(lambda: everybody[0].num_fds() <= files + 5), "connections are left open")
    house.load()
    return ()


CASES = (
    Case("chats-at-once", "four chats and nine questions at once", "each gets what it gets alone", chats_at_once, True),
    Case("vanishing-clients", f"{2 * VANISHING} clients vanish", "slots, memory and connections are free again",
         vanishing_clients),
)  # fmt: skip
