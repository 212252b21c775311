"""A small service to try the examples with: ``python upstream.py NAME PORT``.

It responds to everything with its name, a number that grows with each request, and what it received as JSON. A line on
standard output names each request.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def handler(name: str, status: int, max_age: int, delay: float) -> type[BaseHTTPRequestHandler]:
    numbers = itertools.count(1)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def respond(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            is_check = self.path == "/health"
            if not is_check:
                time.sleep(delay)
                print(name, self.command, self.path, flush=True)
            received = {"name": name, "number": 0 if is_check else next(numbers), "path": self.path}
            fields = {field.lower(): value for field, value in self.headers.items()}
            body = json.dumps({**received, "headers": fields}).encode()
            self.send_response(200 if is_check else status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            if max_age:
                self.send_header("Cache-Control", f"public, max-age={max_age}")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = respond  # noqa: N815 - as http.server looks for them

        def log_message(self, *_: object) -> None:
            """Print nothing else."""

    return Handler


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name")
    parser.add_argument("port", type=int)
    parser.add_argument("--status", type=int, default=200, help="of every response but that to /health")
    parser.add_argument("--max-age", type=int, default=0, help="seconds that responses may be cached")
    parser.add_argument("--delay", type=float, default=0, help="seconds before each response")
    options = parser.parse_args()
    made = handler(options.name, options.status, options.max_age, options.delay)
    ThreadingHTTPServer(("127.0.0.1", options.port), made).serve_forever()


if __name__ == "__main__":
    main()
