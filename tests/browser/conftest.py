"""The product as `make demo` starts it, and people who use it in a real browser."""

import json
import re
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.chain.test_demo import running_demo

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page, Request

PASSWORD = "crm-demo"
MIA = "mia.berg@northsound.example"
#: Passes of the worker are waited for: on a busy machine they take their time.
PASS_MS = 60_000


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The walk comes first: it begins with a mailbox that nobody has authorised."""
    items.sort(key=lambda item: item.path.name != "test_walk.py")


@dataclass(frozen=True)
class Product:
    url: str
    sandbox_url: str

    def switch(self, name: str, body: dict[str, Any] | None = None, *, method: str = "POST") -> Any:
        """One of the sandbox's switches (docs/sandbox.md)."""
        request = urllib.request.Request(
            f"{self.sandbox_url}/sandbox/{name}",
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            return json.load(response)


@pytest.fixture(scope="session")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with running_demo(tmp_path_factory.mktemp("walk") / "var") as demo:
        demo.wait_for(r"Stop: +Ctrl-C", seconds=120)
        crm = re.search(r"The CRM is ready: +(\S+)", demo.screen)
        sandbox = re.search(r"Sandbox switches: +(\S+)/", demo.screen)
        assert crm
        assert sandbox
        yield Product(crm[1], sandbox[1])


@dataclass
class Watch:
    """What a story must not meet: errors, refused styles or scripts, requests to strangers."""

    product: Product
    troubles: list[str] = field(default_factory=list)

    def follow(self, page: "Page") -> None:
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.troubles.append(f"error: {error}"))
        page.on("request", self._on_request)

    def _on_console(self, message: "ConsoleMessage") -> None:
        # The consent page is the sandbox's, which has no icon; a 404 may be part of the story.
        is_ours = message.location["url"].startswith(self.product.url)
        # A page was left while a piece of it was on its way (a failure would be htmx:sendError).
        if message.text.startswith(("htmx:afterRequest", "htmx:sendAbort")):
            return
        # An email's text runs no script: not even what a test puts into every frame.
        if message.location["url"].endswith("/body/") and "Blocked script" in message.text:
            return
        if message.type in {"error", "warning"} and is_ours:
            self.troubles.append(f"{message.type}: {message.text} ({message.location['url']})")

    def _on_request(self, request: "Request") -> None:
        address = urlsplit(request.url)
        origin = f"{address.scheme}://{address.netloc}"
        is_consent = origin == self.product.sandbox_url and (
            address.path.startswith(("/v3/connect/", "/google/auth"))
            or address.path == "/favicon.ico"
        )
        if address.scheme != "data" and origin != self.product.url and not is_consent:
            self.troubles.append(f"a request to {request.url}")


#: Signs the person in and gives a page of their own: `as_user("mia", width=390)`.
AsUser = Callable[..., "Page"]


@pytest.fixture(scope="session")
def sessions() -> dict[str, Any]:
    """Cookies of those who have signed in, by name."""
    return {}


@pytest.fixture
def as_user(browser: "Browser", product: Product, sessions: dict[str, Any]) -> Iterator[AsUser]:
    watch = Watch(product)
    contexts = []

    def page_of(
        name: str, *, width: int = 1280, theme: str = "light", bypass_csp: bool = False
    ) -> "Page":
        context = browser.new_context(
            base_url=product.url,
            viewport={"width": width, "height": 844 if width < 500 else 900},
            storage_state=sessions.get(name),
            bypass_csp=bypass_csp,
        )
        contexts.append(context)
        context.add_init_script(f"if (window === top) localStorage.setItem('theme', '{theme}')")
        page = context.new_page()
        watch.follow(page)
        if name and name not in sessions:
            sign_in(page, name)
            sessions[name] = context.storage_state()
        return page

    yield page_of
    for context in contexts:
        context.close()
    assert not watch.troubles


def sign_in(page: "Page", name: str) -> None:
    page.goto("/login/")
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Your menu").first.wait_for(state="attached")


def authorise(page: "Page") -> None:
    """From the profile through the provider's page and back."""
    page.goto("/profile/email-integration/authorise/")
    page.get_by_role("button", name="Continue with Google").click()
    page.get_by_role("button", name="Allow").click()
    page.wait_for_url("**/profile/email-integration/")


@pytest.fixture
def connected(as_user: AsUser, product: Product) -> None:
    """Mia's mailbox is authorised and was read once, whichever tests ran before."""
    from playwright.sync_api import expect

    page = as_user("mia")
    page.goto("/profile/email-integration/")
    if page.locator("#connection").get_by_text("running").count() == 0:
        authorise(page)
    state = page.locator("#connection .state").first
    expect(state).to_have_text("running", timeout=PASS_MS)
