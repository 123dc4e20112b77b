"""Ruby: Bundler; Rails, Sinatra and the others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from shared.events import Analysis, Commands, Dependency, Evidence

if TYPE_CHECKING:
    from collections.abc import Iterable

    from services.analyzer.detect.view import View

LANGUAGES = ("ruby",)
KNOWN_VERSIONS = ("3.4", "3.3", "3.2", "3.1", "3.0", "2.7")
MANIFESTS = frozenset({"Gemfile", "Gemfile.lock", "gems.rb", ".ruby-version", "config.ru", "Rakefile"})
FRAMEWORKS: dict[str, str] = {
    "rails": "rails",
    "hanami": "hanami",
    "sinatra": "sinatra",
    "roda": "roda",
    "grape": "grape",
    "padrino": "padrino",
    "jekyll": "jekyll",
}
GEM = re.compile(r"""^\s*gem\s*\(?\s*['"]([\w.-]+)['"]\s*(?:,\s*['"]([^'"]+)['"])?""")
GEMSPEC = re.compile(
    r"""\.add_(runtime_|development_)?dependency\s*\(?\s*['"]([\w.-]+)['"]\s*(?:,\s*['"]([^'"]+)['"])?"""
)
GROUP = re.compile(r"^\s*group\s*\(?\s*(.+?)\)?\s+do\b")
RUBY_LINE = re.compile(r"""^\s*ruby\s*\(?\s*['"]\s*(?:~>|>=)?\s*([\d.]+)['"]""", re.MULTILINE)
LOCKED_RUBY = re.compile(r"RUBY VERSION\s+ruby (\d+\.\d+\.\d+)")


def is_manifest(name: str) -> bool:
    """Whether a file of this name is read."""
    return name in MANIFESTS or name.endswith(".gemspec")


def detect(view: View) -> Analysis | None:
    """What the repository is as Ruby; None where nothing says that it is."""
    manifests = [path for path in sorted(view.paths) if "/" not in path and is_manifest(path)]
    if not manifests and not view.matching(r"[^/]+\.rb"):
        return None
    dependencies = tuple(_dependencies(view))
    names = {dependency.name for dependency in dependencies}
    framework = next((framework for name, framework in FRAMEWORKS.items() if name in names), None)
    version, pinned = _version(view)
    source = view.first("Gemfile", "gems.rb") or ""
    said = view.evidence(source, framework) if framework and source else None
    return Analysis(
        language="ruby",
        framework=framework,
        version=version,
        package_manager="bundler",
        lockfile=view.first("Gemfile.lock"),
        build_tool="rake" if view.has("Rakefile") else None,
        dependencies=dependencies,
        commands=Commands(
            install="bundle install" if view.has("Gemfile", "gems.rb") else None,
            test=_test(view, framework, names),
            lint="bundle exec rubocop" if "rubocop" in names else None,
            start=view.web_command() or _start(view, framework),
        ),
        entry_point=view.first("config.ru", "app.rb", "main.rb"),
        has_tests=bool(view.matching(r"(?:spec|test)/.*\.rb")),
        manifests=tuple(manifests),
        evidence=tuple(filter(None, (said, pinned))),
    )


def _dependencies(view: View) -> Iterable[Dependency]:
    """Gems of the Gemfile with the group they stand in, and of the gemspec."""
    dev = False
    for line in view.lines("Gemfile") or view.lines("gems.rb"):
        if group := GROUP.match(line):
            dev = ":production" not in group[1] and bool(re.search(r":(?:development|test)", group[1]))
        elif line == "end":
            dev = False
        elif gem := GEM.match(line):
            inline = re.search(r"group:?\s*(?:=>)?\s*\[?:(?:development|test)", line)
            yield Dependency(name=gem[1], constraint=gem[2] or "", dev=dev or inline is not None)
    for path in view.matching(r"[^/]+\.gemspec"):
        for kind, name, constraint in GEMSPEC.findall(view.text(path)):
            yield Dependency(name=name, constraint=constraint, dev=kind == "development_")


def _version(view: View) -> tuple[str | None, Evidence | None]:
    """The version with where it is pinned: .ruby-version, the Gemfile, its lock, .tool-versions."""
    first = view.lines(".ruby-version")[:1]
    gemfile, locked = RUBY_LINE.search(view.text("Gemfile")), LOCKED_RUBY.search(view.text("Gemfile.lock"))
    pins = (
        (".ruby-version", first[0].removeprefix("ruby-") if first else None),
        ("Gemfile", gemfile[1] if gemfile else None),
        ("Gemfile.lock", locked[1] if locked else None),
        (".tool-versions", view.tool_version("ruby")),
    )
    for source, pin in pins:
        if pin and re.match(r"\d", pin):
            return pin, view.evidence(source, pin)
    return None, None


def _test(view: View, framework: str | None, names: set[str]) -> str | None:
    if any(name.startswith("rspec") for name in names) or view.matching(r"spec/.*_spec\.rb"):
        return "bundle exec rspec"
    if framework == "rails" and view.matching(r"test/.*\.rb"):
        return "bundle exec rails test"
    return "bundle exec rake test" if view.has("Rakefile") and view.matching(r"test/.*\.rb") else None


def _start(view: View, framework: str | None) -> str | None:
    if framework == "rails":
        return "bundle exec rails server --binding 0.0.0.0 --port 3000"
    if view.has("config.ru"):
        return "bundle exec rackup --host 0.0.0.0 --port 3000"
    entry = view.first("app.rb", "main.rb")
    return f"bundle exec ruby {entry} -o 0.0.0.0 -p 3000" if framework == "sinatra" and entry else None
