"""A local HTTP server that speaks as OpenAI's does, and misbehaves on demand."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# What to do with a request: (its body, how many have come, the handler to answer with).
Misbehaviour = Callable[[dict[str, Any], int, "Handler"], None]


class Handler(BaseHTTPRequestHandler):
    """Answers one request as its server's behaviour says."""

    server: ChatServer

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.bodies.append(body)
        self.server.behave(body, len(self.server.bodies), self)

    def say(self, content: str, finish: str = "stop") -> None:
        """A chat completion with this text."""
        choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish}
        self.complete({"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]})

    def complete(self, answer: Any, status: int = 200) -> None:
        self.send(json.dumps(answer).encode(), status)

    def send(self, answer: bytes, status: int = 200, length: int | None = None) -> None:
        """`length` may promise more than comes."""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer) if length is None else length))
        self.end_headers()
        self.wfile.write(answer)

    def reset(self) -> None:
        """End the connection as a crashed process does."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:
        """Tests are quiet."""


class ChatServer(ThreadingHTTPServer):
    """Serves until closed; `bodies` are the requests that came."""

    daemon_threads = True

    def __init__(self, behave: Misbehaviour) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.behave = behave
        self.bodies: list[dict[str, Any]] = []
        self.let_go = threading.Event()
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that leaves a slow or flooding answer breaks the pipe, as it should."""

    def close(self) -> None:
        self.let_go.set()
        self.shutdown()
        self.server_close()


def saying(*answers: str) -> Misbehaviour:
    """Well-behaved: these texts in turn, the last one for ever."""
    return lambda body, n, handler: handler.say(answers[min(n, len(answers)) - 1])


Serve = Callable[[Misbehaviour], ChatServer]


@contextmanager
def servers() -> Iterator[Serve]:
    """Starts servers, and closes them all at the end."""
    running: list[ChatServer] = []

    def start(behave: Misbehaviour) -> ChatServer:
        running.append(ChatServer(behave))
        return running[-1]

    try:
        yield start
    finally:
        for server in running:
            server.close()
