"""Pages from the files in `templates/`: plain HTML, no script."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from string import Template
from typing import Any

from starlette.responses import HTMLResponse, Response

_FOLDER = Path(__file__).parent / "templates"


@cache
def _file(name: str) -> str:
    return (_FOLDER / name).read_text(encoding="utf-8")


def fragment(name: str, **parts: Any) -> str:
    return Template(_file(name)).substitute(parts)


def page(name: str, *, status: int = 200, **parts: Any) -> Response:
    text = fragment(name, style=_file("style.css"), **parts)
    return HTMLResponse(text, status, headers={"Cache-Control": "no-store"})
