"""As much of curl as our pages use: URLs, ``-s``, ``-o FILE``, ``-w '%{http_code}'``, ``-H 'Name: value'``."""

from __future__ import annotations

import argparse
import sys
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit


def main() -> None:
    parser = argparse.ArgumentParser("curl")
    parser.add_argument("urls", nargs="+")
    parser.add_argument("-s", action="store_true")
    parser.add_argument("-o", dest="output")
    parser.add_argument("-w", dest="template", default="")
    parser.add_argument("-H", dest="headers", action="append", default=[])
    options = parser.parse_args()
    headers = dict(line.split(": ", 1) for line in options.headers)
    for url in options.urls:
        parts = urlsplit(url)
        assert parts.hostname is not None
        connection = HTTPConnection(parts.hostname, parts.port, timeout=20)
        connection.request("GET", parts.path + (f"?{parts.query}" if parts.query else ""), headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        if options.output:
            Path(options.output).write_bytes(body)
        else:
            sys.stdout.buffer.write(body)
        sys.stdout.buffer.write(
            options.template.replace("%{http_code}", str(answer.status)).replace("\\n", "\n").encode()
        )


if __name__ == "__main__":
    main()
