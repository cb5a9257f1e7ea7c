"""Links of the pages: written for the repository, they work in the site too.

Files beside docs/ that are pages of the site are added here. A link to another file outside leads
into the repository if mkdocs.yml has its `repo_url`, and else is told as a path. A link to nothing
stays as it is, and `mkdocs build --strict` refuses it.
"""

from __future__ import annotations

import re
from pathlib import Path
from posixpath import relpath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[2]
PAGES = {
    "README.md": "readme.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "examples/README.md": "examples.md",
}
"""Pages of the site by the file of the repository that they are."""

LINK = re.compile(r"\[([^\]]*)\]\(([^)\s:#]+)(#[^)\s]*)?\)")
"""A link's text, file and anchor; an address has a colon."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that lie beside docs/."""
    from mkdocs.structure.files import File

    for source, page in PAGES.items():
        files.append(File.generated(config, page, abs_src_path=str(ROOT / source)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Rewrite the page's links."""
    uri = page.file.src_uri
    source = {page: source for source, page in PAGES.items()}.get(uri, f"docs/{uri}")
    return LINK.sub(lambda link: rewritten(link, source, uri, config.repo_url), markdown)


def rewritten(link: re.Match[str], source: str, uri: str, repository: str | None) -> str:
    """Return a link as the site has it.

    Args:
        link: a match of `LINK`.
        source: the file that has it, from the repository's root.
        uri: its page, from docs/.
        repository: web address, if there is one.
    """
    text, file, anchor = link[1], link[2], link[3] or ""
    target = (ROOT / source).parent.joinpath(file).resolve()
    if not target.exists() or not target.is_relative_to(ROOT):
        return link[0]
    path = target.relative_to(ROOT).as_posix()
    if path in PAGES or path.startswith("docs/"):
        to = PAGES.get(path, path.removeprefix("docs/"))
        return f"[{text}]({relpath(to, Path(uri).parent.as_posix())}{anchor})"
    if repository:
        return f"[{text}]({repository.rstrip('/')}/blob/HEAD/{path}{anchor})"
    return f"`{path}`" if text.strip("`/") in path else f"{text} (`{path}`)"
