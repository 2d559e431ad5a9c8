"""Pages that the site's build makes: the changelog from the repository's own, the command from its own help."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parent.parent
COMMANDS = ("", "list", "run", "new", "validate", "show", "plot")
NO_GALLERY = "# Gallery\n\nNot made in this build: `python docs/gallery.py` solves and draws every named problem.\n"


def on_files(files: Files, config: Any) -> Files:
    """Add the made pages to the site's files."""
    made = {"changelog.md": (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), "command.md": command()}
    if not (ROOT / "docs" / "gallery.md").exists():
        made["gallery.md"] = NO_GALLERY
    for name, text in made.items():
        files.append(File.generated(config, name, content=text))
    return files


def command() -> str:
    """What `wgfode --help` and the help of each command say."""
    pages = ["# The command `wgfode`\n"]
    for name in COMMANDS:
        call = [sys.executable, "-m", "wgfode", *name.split(), "--help"]
        # from elsewhere: in the checkout, its own wgfode/ would hide an installed one
        text = subprocess.run(call, cwd=tempfile.gettempdir(), capture_output=True, text=True, check=True).stdout
        pages.append(f"## `{f'wgfode {name}'.strip()}`\n\n```text\n{text.strip()}\n```\n")
    return "\n".join(pages)
