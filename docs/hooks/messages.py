"""Troubleshooting's tables: every message of a user's mistake, drawn from the sources.

What a sentence fills in stands there in capitals: `{path}` is PATH.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
PAGE = "troubleshooting.md"
ERRORS = ("UserError", "ValueError")
"""A library's ValueError becomes part of a command's sentence."""

CURE = re.compile(r"(.*): (?![^{(]*[})])(.*)", re.DOTALL)
"""What is wrong, and after the last colon that no bracket holds, what to do."""


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Append the tables to their page."""
    return markdown + tables() if page.file.src_uri == PAGE else markdown


def tables() -> str:
    """Return a heading and a table for each room, in HTML, where no sign means anything else."""
    rooms: dict[str, set[str]] = defaultdict(set)
    for package in ("yolov9_lit", "hydra_plugins"):
        for path in (ROOT / package).rglob("*.py"):
            parts = path.relative_to(ROOT).parts
            room = parts[1] if len(parts) > 2 and package == "yolov9_lit" else "commands"
            rooms[room] |= set(messages(path.read_text()))
    return "".join(_table(room, rooms[room]) for room in sorted(rooms) if rooms[room])


def messages(source: str) -> Iterator[str]:
    """Yield the first line of each error that a module makes and that has words of its own."""
    nodes = [*ast.walk(ast.parse(source))]
    given, returned = defaultdict(list), {}
    for node in nodes:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                given[name].append(value)
            case ast.FunctionDef(name=name):
                returned[name] = [
                    part.value for part in ast.walk(node) if isinstance(part, ast.Return)
                ]
    once = {name: values[0] for name, values in given.items() if len(values) == 1}
    texts = {name: v for name, v in once.items() if isinstance(v, ast.JoinedStr | ast.Constant)}
    for node in nodes:
        match node:
            case ast.Call(func=ast.Name(id=error), args=[first, *_]) if error in ERRORS:
                match first:
                    case ast.Call(func=ast.Name(id=name)) if name in returned:
                        sentences = returned[name]
                    case _:
                        sentences = [first]
                found = (template(sentence, texts) for sentence in sentences if sentence)
                yield from (text for text in found if re.search("[a-z]{2}", text))


def template(node: ast.expr, texts: dict[str, ast.expr]) -> str:
    """Return a sentence with capitals for what is filled in.

    Args:
        node: the expression that gives it.
        texts: what a name stands for, of names that are given once, as text or a constant.
    """
    match node:
        case ast.Constant(value=value):
            return str(value)
        case ast.JoinedStr(values=parts):
            return "".join(template(part, texts) for part in parts)
        case ast.FormattedValue(value=value):
            return template(value, texts)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return template(left, texts) + template(right, texts)
        case ast.IfExp(body=body, orelse=other):
            return "|".join(filter(None, (template(body, texts), template(other, texts))))
        case ast.Name(id=name) if name in texts:
            return template(texts[name], {})
        case ast.Call(func=ast.Name(id="counted" | "told"), args=[_, words]):
            return f"N {template(words, texts)}"
        case ast.Call(func=ast.Name(id="len")):
            return "N"
    return _name(node).upper()


def _name(node: ast.expr) -> str:
    """Return the name of what an expression is about: of "', '.join(map(str, names))", names."""
    called = {id(call.func) for call in ast.walk(node) if isinstance(call, ast.Call)}
    for part in ast.walk(node):
        name = getattr(part, "id", None) or getattr(part, "attr", None)
        passed_over = name in (None, "self", "str") or id(part) in called
        if not passed_over and not name.startswith("__"):
            return name.strip("_")
    return "name"


def _table(room: str, texts: set[str]) -> str:
    rows = []
    for text in sorted(texts, key=str.casefold):
        split = CURE.fullmatch(text)
        cells = split.groups() if split else (text, "")
        rows.append("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>")
    head = "<thead><tr><th>it says</th><th>what to do</th></tr></thead>"
    body = "\n".join(rows)
    return f"\n## {room}\n\n<table>{head}<tbody>\n{body}\n</tbody></table>\n"
