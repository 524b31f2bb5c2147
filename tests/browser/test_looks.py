"""Every page at both widths and in both themes: nothing overflows, everything has a name."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import AsUser
from tests.conftest import ROOT

AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
THEMES = ("light", "dark")
#: No colours on their way to others.
STILL = """
document.addEventListener("DOMContentLoaded", () => {
    const style = document.createElement("style");
    style.textContent = "* { transition: none !important }";
    document.head.append(style);
});
"""
#: The element with the focus, if it looks just as without it. A row or a label may show it, too.
UNSEEN = """() => {
    const one = document.activeElement;
    if (!one || one === document.body) return "";
    const look = () => [one, one.closest(".form-check"), one.closest("[data-row]")]
        .filter(Boolean).map((each) => getComputedStyle(each)).map((style) =>
            [style.outline, style.boxShadow, style.borderColor, style.backgroundColor,
             style.color, style.textDecoration].join()).join();
    const focused = look();
    one.blur();
    const blurred = look();
    one.focus({ focusVisible: true });
    return focused === blurred ? one.outerHTML.slice(0, 150) : "";
}"""
#: What is looked at, by who sees it. What begins with “#” or “[” is clicked on the page before it.
SCREENS: dict[str, list[str]] = {
    "": ["/login/"],
    "mia": [
        "/customers/",
        "[href='/customers/new/']",
        "/customers/1/",
        "#email-list [data-open]",
        "/calendar/",
        "[href^='/calendar/to-dos/new/']",
        "/calendar/?view=week",
        "a.entry-to-do, .entry-to-do .entry-link",
        "/calendar/?kind=none",
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
        "/calendar/types/",
        "[id^=type-]",
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
@pytest.mark.parametrize("width", [1280, 390])
def test_every_screen_fits_and_is_accessible(as_user: AsUser, width: int) -> None:
    assert AXE.is_file(), "axe-core is missing: run scripts/assets.py"
    found = []
    for user in SCREENS:
        page = as_user(user, width=width, theme="dark", bypass_csp=True)
        page.add_init_script(AXE.read_text() + STILL)
        for screen in screens(page, user):
            assert page.evaluate("document.documentElement.dataset.bsTheme") == "dark"
            found += [f"{screen}: {one}" for one in too_wide(page)]
            for theme in THEMES:
                page.evaluate(
                    "(name) => { document.documentElement.dataset.bsTheme = name }", theme
                )
                found += [f"{screen} {theme}: {one}" for one in violations(page)]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.usefixtures("connected")
@pytest.mark.parametrize("theme", THEMES)
def test_whoever_tabs_sees_where_the_focus_is(as_user: AsUser, theme: str) -> None:
    """Each stop looks another way than without the focus: outline, shadow, border or colours."""
    page = as_user("mia", theme=theme)
    unseen = []
    for url in ("/customers/1/", "/profile/email-integration/"):
        page.goto(url)
        expect(page.locator(".skeleton:visible")).to_have_count(0)
        for _ in range(25):
            page.keyboard.press("Tab")
            unseen.append(page.evaluate(UNSEEN))
    unseen = list(filter(None, unseen))
    assert not unseen, "\n" + "\n".join(unseen)
