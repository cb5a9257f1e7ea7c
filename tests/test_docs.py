"""The documentation's site: its pages are in reach, its commands exist, its messages are ours."""

import html
import re
import runpy
import shlex
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
TEXTS = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "examples/README.md")),
    *sorted(DOCS.glob("*.md")),
]
TOOLS = {
    *(".", "aws", "cp", "done", "for", "git", "jupyter", "mkdocs", "paste", "pip", "pre-commit"),
    "trtexec",
    "wandb",
}
"""What a command may begin with that is no part of this project."""

links, messages, api = (
    runpy.run_path(str(DOCS / "hooks" / f"{name}.py")) for name in ("links", "messages", "api")
)


class Loader(yaml.SafeLoader):
    """Reads mkdocs.yml without what it names of other packages."""


Loader.add_multi_constructor("tag:yaml.org,2002:python/name:", lambda _, name, __: name)


def pages(nav):
    for entry in nav:
        for value in entry.values():
            yield from [value] if isinstance(value, str) else pages(value)


def test_every_page_is_in_the_navigation_once():
    nav = yaml.load((ROOT / "mkdocs.yml").read_text(), Loader)["nav"]
    written = [path.name for path in DOCS.glob("*.md")]
    made = [*links["PAGES"].values(), *(f"api/{name}.md" for name in api["pages"]())]
    assert sorted(pages(nav)) == sorted(written + made)


def test_the_readme_is_short():
    """What is longer has a page."""
    assert len((ROOT / "README.md").read_text().splitlines()) < 200


def commands(text):
    """The words of each command of the Bash blocks."""
    for block in re.findall(r"^```bash\n(.*?)^```$", text, flags=re.M | re.S):
        for line in block.replace("\\\n", " ").splitlines():
            words = shlex.shlex(line, posix=True, punctuation_chars="&|;")
            words.whitespace_split = True
            parts = [[]]
            for word in words:
                if word in ("&&", "|", ";"):
                    parts.append([])
                elif word != "do":
                    parts[-1].append(word)
            yield from filter(None, parts)


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_begins_with_something_that_exists(path):
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    for command in commands(path.read_text()):
        words = [word for word in command if not re.fullmatch(r"[A-Z_]+=\S*", word)]
        match words:
            case ["python" | "python3", "-m", module, *_]:
                assert find_spec(module), command
            case ["python" | "python3", file, *_]:
                assert (ROOT / file).is_file(), command
            case [name, *_]:
                assert name in TOOLS or name in scripts or (ROOT / name).is_file(), command


def test_every_sentence_of_an_error_is_told():
    """As found by the first words in the source, whatever the sentence fills in after them."""
    told = html.unescape(messages["tables"]())
    beginning = re.compile(r"UserError\(\s*f?\"((?:[A-Za-z=._]+ )+[A-Za-z=._]+)")
    begun = {
        words
        for path in (ROOT / "yolov9_lit").rglob("*.py")
        for words in beginning.findall(path.read_text())
    }
    assert len(begun) > 60
    assert not {words for words in begun if words not in told}
    assert "<td>There is no checkpoint PATH</td><td>give the path of a .ckpt file.</td>" in told


def link(target, text="x"):
    return links["LINK"].fullmatch(f"[{text}]({target})")


@pytest.mark.parametrize(
    ("source", "page", "target", "expected"),
    [
        ("docs/data.md", "data.md", "memory.md#crowds", "[x](memory.md#crowds)"),
        ("docs/data.md", "data.md", "../CONTRIBUTING.md#a-task", "[x](contributing.md#a-task)"),
        ("README.md", "readme.md", "docs/data.md#speed", "[x](data.md#speed)"),
        ("docs/data.md", "data.md", "nowhere.md", "[x](nowhere.md)"),
        ("docs/data.md", "data.md", "../nowhere.md", "[x](../nowhere.md)"),
        ("docs/data.md", "data.md", "../LICENSE", "x (`LICENSE`)"),
    ],
)
def test_links_lead_to_pages_of_the_site_or_are_told(source, page, target, expected):
    assert links["rewritten"](link(target), source, page, None) == expected


def test_links_out_of_the_site_lead_into_the_repository_where_it_has_an_address():
    given = (link("../LICENSE"), "docs/data.md", "data.md", "https://example.org/a/")
    assert links["rewritten"](*given) == "[x](https://example.org/a/blob/HEAD/LICENSE)"
