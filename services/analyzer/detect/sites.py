"""What has no program of its own: static sites and their generators, and shell scripts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.analyzer.detect.project import Ecosystem, Names, some, versions
from services.analyzer.detect.releases import pin, tool
from services.analyzer.detect.view import table
from shared.events import Analysis, Commands, Evidence

if TYPE_CHECKING:
    from services.analyzer.detect.view import View

CONFIGURATIONS = ("hugo.toml", "hugo.yaml", "hugo.json", "config.toml", "config.yaml", "config/_default/hugo.toml")
NAMES = frozenset({"hugo.toml", "hugo.yaml", "hugo.json", "config.toml", "config.yaml", "netlify.toml", "Staticfile"})
NAMES |= {"book.toml", "antora.yml"}
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
    for path in CONFIGURATIONS:
        document = (
            view.yaml(path) if path.endswith("yaml") else view.json(path) if path.endswith("json") else view.toml(path)
        )
        if path.startswith(("hugo", "config/")) and view.has(path):
            return _site(view, "hugo", path, "hugo --minify")
        if any(key.lower() == "baseurl" for key in document) or (
            document and view.matching(r"(?:archetypes|layouts)/.*")
        ):
            return _site(view, "hugo", path, "hugo --minify")
        if "base_url" in document and path == "config.toml":
            return _site(view, "zola", path, "zola build")
    if "book" in table(view.toml("book.toml")):
        return _site(view, "mdbook", "book.toml", "mdbook build")
    return None


def _site(view: View, generator: str, path: str, build: str) -> Analysis:
    declared = table(view.toml("netlify.toml"), "build", "environment").get(f"{generator.upper()}_VERSION")
    version = versions(
        generator, (tool(view, generator), pin(view, "netlify.toml", declared if isinstance(declared, str) else None))
    )
    return Analysis(
        language="static",
        framework=generator,
        version=version["version"],
        release=version["release"],
        package_manager=generator,
        build_tool=generator,
        commands=Commands(build=build),
        manifests=(path,),
        evidence=some(Evidence(source=path, about="framework"), *version["evidence"]),
    )


def detect_shell(view: View) -> Analysis | None:
    """Shell scripts; None where there are none."""
    scripts = view.ending("sh", "bash")
    if not scripts:
        return None
    entry = view.first(*SCRIPTS) or scripts[0]
    return Analysis(language="shell", entry_point=entry, commands=Commands(start=f"sh {entry}"))


static = Ecosystem(("static",), Names(NAMES), Names(), detect)
shell = Ecosystem(("shell",), Names(), Names(), detect_shell)
