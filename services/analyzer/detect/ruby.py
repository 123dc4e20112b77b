"""Ruby: Bundler; Rails, Sinatra, Jekyll and the others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from services.analyzer.detect.project import Ecosystem, Names, framework_of, some, unique, versions
from services.analyzer.detect.releases import Pin, first_line, pin, tool
from shared.events import Analysis, Commands, Dependency

if TYPE_CHECKING:
    from collections.abc import Iterable

    from services.analyzer.detect.view import View

PROJECT = frozenset({"Gemfile", "gems.rb"})
NAMES = PROJECT | {"Gemfile.lock", ".ruby-version", "config.ru", "Rakefile"}
READS = Names(NAMES, (".gemspec",))
FRAMEWORKS: dict[str, str] = {
    "rails": "rails",
    "hanami": "hanami",
    "padrino": "padrino",
    "sinatra": "sinatra",
    "roda": "roda",
    "grape": "grape",
    "cuba": "cuba",
    "ramaze": "ramaze",
    "camping": "camping",
    "jekyll": "jekyll",
    "github-pages": "jekyll",
    "middleman": "middleman",
    "bridgetown": "bridgetown",
    "nanoc": "nanoc",
    "rack": "rack",
}
GEM = re.compile(r"""^\s*gem\s*\(?\s*['"]([\w.-]+)['"]\s*(?:,\s*['"]([^'"]+)['"])?""")
GEMSPEC = re.compile(
    r"""\.add_(runtime_|development_)?dependency\s*\(?\s*['"]([\w.-]+)['"]\s*(?:,\s*['"]([^'"]+)['"])?"""
)
GROUP = re.compile(r"^\s*group\s*\(?\s*(.+?)\)?\s+do\b")
RUBY_LINE = re.compile(r"""^\s*ruby\s*\(?\s*['"]\s*([^'"]+?)\s*['"]""", re.MULTILINE)
LOCKED_RUBY = re.compile(r"RUBY VERSION\s+ruby (\d+\.\d+\.\d+)")
REQUIRED_RUBY = re.compile(r"""required_ruby_version\s*=?\s*(?:Gem::Requirement\.new\()?\s*['"]([^'"]+)['"]""")


def detect(view: View) -> Analysis | None:
    """What the folder is as Ruby; None where nothing says that it is."""
    manifests = READS.among(view.top)
    if not manifests and not view.ending("rb"):
        return None
    dependencies = unique(_dependencies(view))
    names = {dependency.name for dependency in dependencies}
    bundled = view.has("Gemfile", "gems.rb")
    version = versions("ruby", _pins(view))
    runtime = {dependency.name for dependency in dependencies if not dependency.dev}
    framework, said = framework_of(view, FRAMEWORKS, runtime, ["Gemfile", "gems.rb"])
    runner = _runner(view, framework, names)
    return Analysis(
        language="ruby",
        framework=framework,
        **version.fields,
        package_manager="bundler" if bundled or view.ending("gemspec") else None,
        lockfile=view.first("Gemfile.lock"),
        build_tool="rake" if view.has("Rakefile") else None,
        dependencies=dependencies,
        commands=Commands(
            install="bundle install" if bundled else None,
            test=_TEST.get(runner or ""),
            lint="bundle exec rubocop" if "rubocop" in names else None,
            start=view.web_command() or _start(view, framework),
        ),
        entry_point=view.first("config.ru", "app.rb", "main.rb", "server.rb"),
        has_tests=runner is not None,
        test_runner=runner,
        manifests=tuple(manifests),
        evidence=some(said, *version.evidence),
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
    for path in view.ending("gemspec"):
        for kind, name, constraint in GEMSPEC.findall(view.script(path)):
            yield Dependency(name=name, constraint=constraint, dev=kind == "development_")


def _pins(view: View) -> Iterable[Pin | None]:
    """What says which Ruby, in the order in which it counts."""
    yield first_line(view, ".ruby-version", "ruby-")
    for path, pattern in (("Gemfile", RUBY_LINE), ("gems.rb", RUBY_LINE), ("Gemfile.lock", LOCKED_RUBY)):
        found = pattern.search(view.script(path))
        yield pin(view, path, found[1] if found else None)
    yield tool(view, "ruby")
    for path in view.ending("gemspec"):
        found = REQUIRED_RUBY.search(view.script(path))
        yield pin(view, path, found[1] if found else None)


_TEST = {"rspec": "bundle exec rspec", "rails": "bundle exec rails test", "rake": "bundle exec rake test"}


def _runner(view: View, framework: str | None, names: set[str]) -> str | None:
    """What runs the tests; None where there are none."""
    files = [path for path in view.ending("rb") if re.match(r"(?:spec|test)/", path)]
    if any(name.startswith("rspec") for name in names) or any(path.endswith("_spec.rb") for path in files):
        return "rspec"
    if framework == "rails" and files:
        return "rails"
    return "rake" if files and view.has("Rakefile") else None


def _start(view: View, framework: str | None) -> str | None:
    if framework == "rails":
        return "bundle exec rails server --binding 0.0.0.0 --port 3000"
    if framework == "jekyll":
        return None
    if view.has("config.ru"):
        return "bundle exec rackup --host 0.0.0.0 --port 3000"
    entry = view.first("app.rb", "main.rb")
    return f"bundle exec ruby {entry} -o 0.0.0.0 -p 3000" if framework == "sinatra" and entry else None


ecosystem = Ecosystem(("ruby",), READS, Names(PROJECT), detect)
