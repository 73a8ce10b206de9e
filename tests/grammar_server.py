"""An OpenAI-compatible endpoint whose model is a die: it answers with a random string of the request's grammar.

The die is seeded by the request, so the same question always has the same answer, whoever asks it and when. That makes
runs comparable byte by byte, which no real model on changing batches promises. It speaks the real protocol over a real
socket and decodes with the real grammar engine; only the weights are missing.

    python -m tests.grammar_server PORT [SECONDS_PER_ANSWER]
"""

import hashlib
import json
import random
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
from llguidance import LLMatcher, LLTokenizer

LETTERS = frozenset(b"abcdefghijklmnopqrstuvwxyz ")
PRINTABLE = frozenset(range(32, 127))
BYTES = LLTokenizer("byte")


def sample(grammar: str, seed: str, most: int = 8000) -> str:
    """A random string of the grammar: mostly letters where it leaves the choice, never `null`."""
    die = random.Random(seed)
    matcher = LLMatcher(BYTES, LLMatcher.grammar_from_lark(grammar))
    text = bytearray()
    while len(text) < most and not matcher.is_stopped():
        allowed = np.unpackbits(np.frombuffer(matcher.compute_bitmask(), np.uint8), bitorder="little").nonzero()[0]
        if not text and ord("{") in allowed:
            allowed = np.array([ord("{")])
        end = BYTES.eos_token in allowed
        choices = [token for token in allowed.tolist() if token != BYTES.eos_token]
        if not choices or (end and die.random() < 0.5):
            break
        pool = LETTERS if die.random() < 0.9 else PRINTABLE - LETTERS
        token = die.choice([token for token in choices if token in pool] or choices)
        matcher.consume_token(token)
        text.append(token)
    return text.decode()


class Handler(BaseHTTPRequestHandler):
    """Chat completions, the list of models, and how many completions were asked for so far."""

    protocol_version = "HTTP/1.1"
    seconds = 0.0
    asked = 0
    counting = threading.Lock()

    def do_GET(self) -> None:
        if self.path == "/v1/asked":
            return self._send({"asked": Handler.asked})
        return self._send({"object": "list", "data": [{"id": "die", "object": "model"}]})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.counting:
            Handler.asked += 1
        time.sleep(self.seconds)
        grammar = body.get("structured_outputs", {}).get("grammar", "start: /[a-z]{3,8}/")
        seed = hashlib.sha256(json.dumps([body["messages"], grammar]).encode()).hexdigest()
        text = sample(grammar, seed)
        self._send(
            {
                "id": "x",
                "object": "chat.completion",
                "model": "die",
                "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 10, "completion_tokens": len(text), "total_tokens": 10 + len(text)},
            }
        )

    def _send(self, body: dict[str, object]) -> None:
        data = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


if __name__ == "__main__":
    Handler.seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 0.0
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
