"""A real browser before the dashboard of a real gateway, with all that it complains about."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any, Final, Literal

from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from tests.commands import start as commands
from tests.end_to_end.kit import PATIENCE
from tests.programs import program

FLAGS: Final = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

_WATCH: Final = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) => {
  violations.push(`${event.violatedDirective} ${event.blockedURI}`);
});
"""
_AXE: Final = (files("axe_playwright_python") / "axe.min.js").read_text()
_RUN_AXE: Final = """async () => {
  const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
  const found = await axe.run(document, {runOnly: tags});
  const nodes = (each) => each.nodes.map((node) => node.html).join(" | ").slice(0, 600);
  return found.violations.map((each) => `${each.id}: ${each.help}: ${nodes(each)}`);
}"""


class Dashboard:
    """A tab with the dashboard."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = f"{url}/dashboard/"
        self.errors: list[str] = []
        """What scripts logged or raised; responses with an error status are not among it, as tests ask for them."""
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _note(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"} and not text.startswith("Failed to load resource"):
            self.errors.append(text)

    async def goes(self, place: str) -> None:
        """Show a screen, as a link to it does."""
        await self.page.goto(f"{self.url}#{place}")

    async def shows(self, *texts: str) -> None:
        """Wait until the page has some texts."""
        for text in texts:
            await self.page.get_by_text(text).first.wait_for()

    async def clicks(self, role: Literal["button", "link"], name: str) -> None:
        """Press a button, or follow a link."""
        await self.page.get_by_role(role, name=name, exact=True).click()

    async def text(self) -> str:
        """Return what the page shows."""
        return await self.page.inner_text("body")

    async def logs_in(self, token: str) -> None:
        """Give a token to the form."""
        await self.page.get_by_label("Token").fill(token)
        await self.clicks("button", "Log in")

    async def axe(self) -> list[str]:
        """Return what axe finds against WCAG 2.2 AA on the page, as it is shown now."""
        if not await self.page.evaluate("() => 'axe' in window"):
            await self.page.evaluate(_AXE)
        found: list[str] = await self.page.evaluate(_RUN_AXE)
        return found

    async def complaints(self) -> list[str]:
        """Return what the browser refused, and what went wrong in a script."""
        violations: list[str] = await self.page.evaluate("() => window.violations")
        return [*violations, *self.errors]


@asynccontextmanager
async def browser(*more: str) -> AsyncIterator[Browser]:
    """Start a browser.

    :param more: flags beside the usual ones.
    """
    path = await asyncio.to_thread(program, "chromium", "chromium")
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(executable_path=path, args=[*FLAGS, *more])
        try:
            yield running
        finally:
            await running.close()


async def open_dashboard(running: Browser, url: str, **options: Any) -> Dashboard:
    """Open the dashboard in a tab and a session of its own.

    :param options: of the context: ``color_scheme``, ``viewport``, ``reduced_motion``.
    """
    context: BrowserContext = await running.new_context(**options)
    context.set_default_timeout(PATIENCE * 1000)
    await context.add_init_script(_WATCH)
    dashboard = Dashboard(await context.new_page(), url)
    await dashboard.page.goto(dashboard.url)
    return dashboard


async def make_token(name: str, *options: str) -> str:
    """Make a token for the gateway of the test's state directory."""
    return await admin_command("token", "new", name, *options)


async def admin_command(*arguments: str) -> str:
    """Run ``gateway admin``, and return what it prints."""
    done = await asyncio.to_thread(commands.run, "admin", *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
