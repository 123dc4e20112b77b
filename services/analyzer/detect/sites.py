"""What has no program of its own: static sites and their generators, and shell scripts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from services.analyzer.detect.project import Ecosystem, Names, some, versions
from services.analyzer.detect.releases import pin, tool
from services.analyzer.detect.view import table
from shared.events import Analysis, Commands, Evidence

if TYPE_CHECKING:
    from services.analyzer.detect.view import View

CONFIGURATIONS = (
    *("hugo.toml", "hugo.yaml", "hugo.json", "config.toml", "config.yaml", "config.json"),
    *("config/_default/hugo.toml", "config/_default/config.toml"),
)
HUGO_KEYS = frozenset({"baseurl", "languagecode", "theme", "enablerobotstxt", "disablekinds"})
NAMES = frozenset(
    {"hugo.toml", "hugo.yaml", "hugo.json", "config.toml", "config.yaml", "config.json", "netlify.toml", "Staticfile"}
)
NAMES |= {"book.toml", "antora.yml"}
# Tests that a script of their own runs; what stands beside them (`tests/common.sh`) is none.
TESTS = re.compile(r"tests?/(?:test[_-][\w-]+|[\w-]+[_-]test|run|all|run[_-]?tests?)\.(?:sh|bash)")
SCRIPTS = ("start.sh", "run.sh", "main.sh", "build.sh", "install.sh", "entrypoint.sh")


def detect(view: View) -> Analysis | None:
    """A site of Hugo, Zola or mdBook, or one of plain pages; None where there is no page."""
    generated = _generated(view)
    if generated:
        return generated
    pages = [path for path in view.ending("html", "htm") if path.count("/") <= 1]
    if not pages and not view.has("Staticfile"):
        return None
    entry = view.first("index.html", "public/index.html", "site/index.html", "src/index.html") or next(
        iter(pages), None
    )
    manifests = ("Staticfile",) if view.has("Staticfile") else ()
    return Analysis(language="static", entry_point=entry, manifests=manifests)


def _generated(view: View) -> Analysis | None:
    """A site whose generator has its configuration here. Hugo and Zola share a file name, and differ in their keys."""
    for path in CONFIGURATIONS:
        if not view.has(path):
            continue
        keys = {str(key).lower() for key in _document(view, path)}
        if path == "config.toml" and "base_url" in keys:
            return _site(view, "zola", path, "zola build")
        folders = any(one.partition("/")[0] in {"archetypes", "layouts", "content", "themes"} for one in view.paths)
        if "hugo" in path or "baseurl" in keys or path.startswith("config/") or (folders and HUGO_KEYS & keys):
            return _site(view, "hugo", path, "hugo --minify")
    if "book" in view.toml("book.toml"):
        return _site(view, "mdbook", "book.toml", "mdbook build")
    return None


def _document(view: View, path: str) -> dict[str, Any]:
    readers = {"yaml": view.yaml, "json": view.json, "toml": view.toml}
    return readers[path.rpartition(".")[2]](path)


def _site(view: View, generator: str, path: str, build: str) -> Analysis:
    declared = table(view.toml("netlify.toml"), "build", "environment").get(f"{generator.upper()}_VERSION")
    version = versions(
        generator, (tool(view, generator), pin(view, "netlify.toml", declared if isinstance(declared, str) else None))
    )
    return Analysis(
        language="static",
        framework=generator,
        **version.fields,
        package_manager=generator,
        build_tool=generator,
        commands=Commands(build=build),
        manifests=(path,),
        evidence=some(Evidence(source=path, about="framework"), *version.evidence),
    )


def detect_shell(view: View) -> Analysis | None:
    """Shell scripts; None where there are none."""
    scripts = view.ending("sh", "bash")
    if not scripts:
        return None
    entry = view.first(*SCRIPTS) or scripts[0]
    tests = [path for path in view.paths if TESTS.fullmatch(path)]
    return Analysis(
        language="shell",
        entry_point=entry,
        commands=Commands(start=f"sh {entry}", test=" && ".join(f"bash {path}" for path in sorted(tests)) or None),
        has_tests=bool(tests),
    )


static = Ecosystem(("static",), Names(NAMES), Names(), detect)
shell = Ecosystem(("shell",), Names(), Names(), detect_shell)
