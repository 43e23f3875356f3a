"""The programs in the documents, which tests run as they are there, but for ports."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
README = "bindings/python/README.md"
ASYNC = "docs/python-async.md"
WSGI = "docs/python-wsgi.md"


def block(page: str, part: str, language: str = "python") -> str:
    """The one block of a page that has a part."""
    text = (ROOT / page).read_text(encoding="utf-8")
    blocks = re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    (found,) = (each for each in blocks if part in each)
    return str(found)


async def run_block(code: str, names: dict[str, Any]) -> None:
    """Runs a block that may await; ``listener`` is what it listens with, at any port."""
    code = code.replace('hub.listen("127.0.0.1:8080"', 'listener = hub.listen("127.0.0.1:0"')
    running = eval(compile(code, "block", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), names)
    if inspect.iscoroutine(running):
        await running
