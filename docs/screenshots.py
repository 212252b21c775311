"""Write docs/images/dashboard-*.png: the dashboard of a gateway with traffic, as a browser shows it.

python docs/screenshots.py

Needs the requirements of the tests, and Chromium.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Final

from tests.end_to_end.dashboard.browser import browser, open_dashboard
from tests.end_to_end.kit import Gateway, Upstream, get
from tests.ports import free_port

IMAGES: Final = Path(__file__).parent / "images"

CONFIG: Final = """
listen: "127.0.0.1:{port}"
admin: {{listen: "127.0.0.1:{admin}"}}
workers: 2
server_timing: true
plugins:
  - {{name: headers, id: security, config: {{response: {{set: {{x-frame-options: DENY}}}}}}}}
upstreams:
  - name: users
    endpoints: [{{url: "{one}"}}, {{url: "{two}"}}, {{url: "http://127.0.0.1:9"}}]
    health_check: {{path: /health, interval: 1s}}
  - {{name: orders, endpoints: [{{url: "{two}"}}]}}
routes:
  - id: users
    path_prefix: /users
    target: users
    plugins: [{{name: ratelimit, config: {{quota: 1000, window: 1m}}}}]
  - {{id: orders, path_prefix: /orders, target: orders}}
  - {{id: billing, path_prefix: /billing, target: "http://127.0.0.1:9"}}
"""
SCREENS: Final = {"overview": "/overview", "route": "/routes/users", "upstream": "/upstreams/users"}
SECONDS: Final = 40
"""Of traffic before the pictures."""


async def main() -> None:
    """Start a gateway, send requests, and take the pictures."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        os.environ.update(XDG_RUNTIME_DIR=folder, XDG_STATE_HOME=folder)
        async with Upstream("one") as one, Upstream("two") as two, browser() as chromium:
            port, admin = free_port(), free_port()
            config = Path(folder) / "gateway.yaml"
            config.write_text(CONFIG.format(port=port, admin=admin, one=one.url, two=two.url))
            gateway = Gateway(config)
            try:
                address = await gateway.ready()
                size = {"width": 1200, "height": 820}
                dashboard = await open_dashboard(chromium, f"http://127.0.0.1:{admin}", viewport=size)
                await send(address, SECONDS)
                for name, place in SCREENS.items():
                    await dashboard.goes(place)
                    await send(address, 2)
                    await dashboard.page.screenshot(path=IMAGES / f"dashboard-{name}.png")
            finally:
                gateway.kill()


async def send(address: str, seconds: int) -> None:
    """Send requests, more of them every few seconds, and some that fail."""
    end = asyncio.get_running_loop().time() + seconds
    number = 0
    while asyncio.get_running_loop().time() < end:
        number += 1
        paths = [f"/users/{number}", f"/orders/{number}", f"/users/{number + 1}"][: 1 + number // 20 % 3]
        paths += ["/billing/1"] if number % 12 == 0 else []
        await asyncio.gather(*(get(address, path) for path in paths))
        await asyncio.sleep(0.05)


if __name__ == "__main__":
    asyncio.run(main())
