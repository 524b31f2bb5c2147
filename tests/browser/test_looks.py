"""Every page at both widths and in both themes: nothing overflows, everything has a name."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import AsUser
from tests.conftest import ROOT

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
LOOKS = [(width, theme) for width in (1280, 390) for theme in ("light", "dark")]
#: What is looked at, by who sees it. What begins with “#” or “[” is clicked on the page before it.
SCREENS: dict[str, list[str]] = {
    "": ["/login/"],
    "mia": [
        "/customers/",
        "[href='/customers/new/']",
        "/customers/1/",
        "#email-list [data-open]",
        "/customers/?q=nobody+at+all",
        "/contacts/1/",
        "/profile/",
        "/profile/email-integration/",
        "#connection-disconnect",
        "/profile/email-integration/authorise/",
        "/emails/exclusions/mine/",
        "/search/?q=har",
        "/search/?q=nobody+at+all",
    ],
    "ada": [
        "/integration/mailboxes/",
        "[id^=history-]",
        "#tab-unmatched",
        "/integration/settings/",
        "/emails/exclusions/",
        "/users/1/email-integration/",
        "/profile/email-integration/",
    ],
}


def screens(page: Page, user: str) -> Iterator[str]:
    for step in SCREENS[user]:
        if step.startswith("/"):
            page.goto(step)
        else:
            page.locator(step).first.click()
            expect(page.get_by_role("dialog").get_by_role("heading").first).to_be_visible()
        expect(page.locator(".skeleton:visible")).to_have_count(0)
        yield f"{user} {page.url}"


def too_wide(page: Page) -> list[str]:
    """What sticks out, of the page or of the dialog on it."""
    found: list[str] = page.evaluate(
        """() => [document.documentElement, document.getElementById("dialog")]
            .filter((one) => one && one.scrollWidth > Math.min(one.clientWidth, innerWidth) + 1)
            .map((one) => `${one.tagName} ${one.scrollWidth} > ${one.clientWidth}`)"""
    )
    return found


def violations(page: Page) -> list[str]:
    """Serious ones and worse, as axe sees them."""
    options = {"resultTypes": ["violations"], "iframes": False}
    result: dict[str, Any] = page.evaluate("(options) => axe.run(document, options)", options)
    return [
        f"{found['id']}: {node['html'][:160]} {node['failureSummary'].splitlines()[-1].strip()}"
        for found in result["violations"]
        if found["impact"] in {"serious", "critical"}
        for node in found["nodes"][:3]
    ]


@pytest.mark.usefixtures("connected")
@pytest.mark.parametrize(("width", "theme"), LOOKS)
def test_every_screen_fits_and_is_accessible(as_user: AsUser, width: int, theme: str) -> None:
    assert AXE.is_file(), "axe-core is missing: run scripts/assets.py"
    source = Path(AXE).read_text()
    found = []
    for user in SCREENS:
        page = as_user(user, width=width, theme=theme, bypass_csp=True)
        page.add_init_script(source)
        for screen in screens(page, user):
            assert page.evaluate("document.documentElement.dataset.bsTheme") == theme
            found += [f"{screen}: {one}" for one in [*too_wide(page), *violations(page)]]
    assert not found, "\n".join(found)


@pytest.mark.usefixtures("connected")
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_whoever_tabs_sees_where_the_focus_is(as_user: AsUser, theme: str) -> None:
    """Each stop differs from itself without the focus: an outline, a shadow, a border, a colour."""
    page = as_user("mia", theme=theme)
    look = """() => {
        const style = getComputedStyle(document.activeElement);
        return [style.outlineStyle, style.outlineWidth, style.boxShadow, style.borderColor,
                style.backgroundColor, style.textDecorationLine].join();
    }"""
    blurred = look.replace("() => {", "() => { const one = document.activeElement; one.blur();")
    blurred = blurred.replace("document.activeElement)", "one)").replace(
        "return ", "setTimeout(() => one.focus({focusVisible: true})); return "
    )
    unseen = []
    for url in ("/customers/1/", "/profile/email-integration/"):
        page.goto(url)
        page.add_style_tag  # noqa: B018
        for _ in range(25):
            page.keyboard.press("Tab")
            name = page.evaluate("document.activeElement.outerHTML.slice(0, 120)")
            if page.evaluate(look) == page.evaluate(blurred):
                unseen.append(f"{url}: {name}")
    assert not unseen, "\n".join(unseen)
