"""Languages with one build tool each, as a table: Crystal, Dart, Haskell, Julia, Nim, OCaml, Perl, R, Swift, Zig."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from services.analyzer.detect.project import Ecosystem, Names, some, unique, versions
from services.analyzer.detect.releases import Pin, first_line, pin, tool
from services.analyzer.detect.view import table
from shared.events import Analysis, Commands, Dependency, Evidence

if TYPE_CHECKING:
    from collections.abc import Iterable

    from services.analyzer.detect.view import View


NONE = Commands()


@dataclass(frozen=True)
class Row:
    """What is known of one language.

    `manifests`: name or `*.ending` → package manager, the first that exists counts. `pins`: file and pattern of a
    declared version, in the order in which they count. `frameworks`: pattern in a manifest → framework.
    """

    language: str
    endings: tuple[str, ...]
    manifests: dict[str, str | None] = field(default_factory=dict)
    lockfile: str = ""
    tools: tuple[str, ...] = ()
    pins: tuple[tuple[str, str], ...] = ()
    frameworks: dict[str, str] = field(default_factory=dict)
    commands: Commands = NONE
    tests: str = r"(?!)"
    dependency: str = r"(?!)"


ROWS: tuple[Row, ...] = (
    Row(
        "crystal",
        ("cr",),
        {"shard.yml": "shards"},
        "shard.lock",
        ("crystal",),
        (("shard.yml", r"^crystal:\s*['\"]?([^'\"\n#]+)"),),
        {"lucky": "lucky", "kemal": "kemal", "amber": "amber", "athena": "athena", "marten": "marten"},
        Commands(
            install="shards install",
            build="shards build --release",
            test="crystal spec",
            lint="crystal tool format --check",
        ),
        r"spec/.*_spec\.cr",
        r"^  ([\w-]+):\s*$",
    ),
    Row(
        "dart",
        ("dart",),
        {"pubspec.yaml": "pub"},
        "pubspec.lock",
        ("dart", "flutter"),
        (("pubspec.yaml", r"^\s+sdk:\s*['\"]?([^'\"\n#]*\d[^'\"\n#]*)"),),
        {
            "flutter": "flutter",
            "serverpod": "serverpod",
            "dart_frog": "dart-frog",
            "shelf": "shelf",
            "angel3_framework": "angel",
            "jaspr": "jaspr",
        },
        Commands(install="dart pub get", test="dart test", lint="dart analyze"),
        r"test/.*_test\.dart",
        r"^  ([\w-]+):",
    ),
    Row(
        "swift",
        ("swift",),
        {"Package.swift": "swiftpm", "Podfile": "cocoapods", "Cartfile": "carthage"},
        "Package.resolved",
        ("swift",),
        ((".swift-version", r"^\s*([\d.]+)"), ("Package.swift", r"swift-tools-version:\s*([\d.]+)")),
        {
            "vapor": "vapor",
            "hummingbird": "hummingbird",
            "Kitura": "kitura",
            "perfect": "perfect",
            "Publish": "publish",
        },
        Commands(install="swift package resolve", build="swift build -c release", test="swift test"),
        r"Tests/.*\.swift",
        r"""\.package\([^)"]{0,200}url:\s*"[^"\s]{0,200}/([\w.-]{1,100}?)(?:\.git)?\"""",
    ),
    Row(
        "haskell",
        ("hs",),
        {"stack.yaml": "stack", "cabal.project": "cabal", "*.cabal": "cabal", "package.yaml": "stack"},
        "stack.yaml.lock",
        ("haskell", "ghc"),
        (("stack.yaml", r"^(?:resolver|snapshot):[ \t]*([\w.-]+)[ \t]*$"), ("stack.yaml", r"/(lts/\d+/\d+)\.yaml")),
        {
            "yesod": "yesod",
            "servant-server": "servant",
            "scotty": "scotty",
            "snap-core": "snap",
            "spock": "spock",
            "IHP": "ihp",
            "hakyll": "hakyll",
        },
        Commands(install="stack setup", build="stack build", test="stack test"),
        r"tests?/.*\.hs",
        r"^\s*[-,]\s*([\w-]+)\s*(?:[<>=&^]|$)",
    ),
    Row(
        "zig",
        ("zig",),
        {"build.zig": "zig", "build.zig.zon": "zig"},
        "",
        ("zig",),
        (("build.zig.zon", r"minimum_zig_version\s*=\s*\"([^\"]+)\""), (".zigversion", r"^\s*([\d.]+)")),
        {"zap": "zap", "jetzig": "jetzig", "httpz": "httpz"},
        Commands(build="zig build", test="zig build test", lint="zig fmt --check ."),
        dependency=r"^\s*\.([\w-]+)\s*=\s*\.\{\s*\.url",
    ),
    Row(
        "nim",
        ("nim",),
        {"*.nimble": "nimble"},
        "nimble.lock",
        ("nim",),
        (("*.nimble", r"requires\s*\(?\s*\"nim\s*([^\"]+)\""),),
        {"jester": "jester", "prologue": "prologue", "happyx": "happyx", "mummy": "mummy"},
        Commands(install="nimble install --depsOnly", build="nimble build", test="nimble test"),
        r"tests/.*\.nim",
        r"requires\s*\(?\s*\"(\w+)",
    ),
    Row(
        "lua",
        ("lua",),
        {"*.rockspec": "luarocks"},
        "luarocks.lock",
        ("lua",),
        (("*.rockspec", r"\"lua\s*([<>=~\d][^\"]*)\""),),
        {"lapis": "lapis", "openresty": "openresty", "sailor": "sailor"},
        Commands(install="luarocks install --only-deps *.rockspec", test="busted"),
        r"spec/.*\.lua",
        r"\"([\w-]+)\s*[<>=~]",
    ),
    Row(
        "perl",
        ("pl", "pm"),
        {"cpanfile": "cpan", "Makefile.PL": "cpan", "Build.PL": "cpan", "dist.ini": "dzil"},
        "cpanfile.snapshot",
        ("perl",),
        (("cpanfile", r"requires\s+['\"]perl['\"]\s*,\s*['\"]?v?([\d.]+)"), (".perl-version", r"^\s*([\d.]+)")),
        {"Mojolicious": "mojolicious", "Dancer2": "dancer", "Dancer": "dancer", "Catalyst": "catalyst"},
        Commands(install="cpanm --installdeps .", test="prove -lr t"),
        r"t/.*\.t",
        r"requires\s+['\"]([\w:]+)['\"]",
    ),
    Row(
        "r",
        ("r", "rmd"),
        {"renv.lock": "renv", "DESCRIPTION": "cran"},
        "renv.lock",
        ("r",),
        (("renv.lock", r"\"R\":\s*\{\s*\"Version\":\s*\"([^\"]+)\""), ("DESCRIPTION", r"R\s*\(>=\s*([\d.]+)\)")),
        {"golem": "shiny", "shiny": "shiny", "plumber": "plumber", "app.R": "shiny", "ui.R": "shiny"},
        Commands(test="Rscript -e 'testthat::test_dir(\"tests\")'"),
        r"tests/.*\.[rR]",
        r"^\s{2,4}([\w.]+)(?:\s*\([^)]*\))?,?\s*$",
    ),
    Row(
        "julia",
        ("jl",),
        {"Project.toml": "pkg"},
        "Manifest.toml",
        ("julia",),
        (("Project.toml", r"^julia\s*=\s*\"([^\"]+)\""),),
        {"Genie": "genie", "Oxygen": "oxygen"},
        Commands(
            install="julia --project -e 'using Pkg; Pkg.instantiate()'",
            test="julia --project -e 'using Pkg; Pkg.test()'",
        ),
        r"test/.*\.jl",
        r"^(\w+)\s*=\s*\"[0-9a-f-]{36}\"",
    ),
    Row(
        "ocaml",
        ("ml", "mli"),
        {"dune-project": "dune", "*.opam": "opam"},
        "",
        ("ocaml",),
        (("dune-project", r"\(ocaml\s*\(>=\s*([\d.]+)\)\)"), ("*.opam", r"\"ocaml\"\s*\{>=\s*\"([^\"]+)\"")),
        {"dream": "dream", "opium": "opium", "eliom": "ocsigen"},
        Commands(install="opam install . --deps-only", build="dune build", test="dune test"),
        r"test/.*\.ml",
        r"^\s*\(?\"?([\w-]+)\"?\s*[({]",
    ),
    Row("cobol", ("cbl", "cob")),
    Row("scheme", ("scm",), frameworks={"haunt.scm": "haunt"}),
)
YAML_MANIFESTS = frozenset({"pubspec.yaml", "shard.yml"})


def _ecosystem(row: Row) -> Ecosystem:
    exact = frozenset(name for name in row.manifests if not name.startswith("*"))
    endings = tuple(name.removeprefix("*") for name in row.manifests if name.startswith("*"))
    pinned = frozenset(path for path, _ in row.pins if not path.startswith("*"))
    reads = Names(exact | pinned | {f".{row.language}-version"}, endings)
    return Ecosystem((row.language,), reads, Names(exact, endings), lambda view: _detect(row, view))


def _detect(row: Row, view: View) -> Analysis | None:
    """What the folder is by one row; None where nothing says that it is."""
    manifest = next((path for name in row.manifests if (path := _existing(view, name))), None)
    if manifest is None and not view.ending(*row.endings):
        return None
    if manifest == "DESCRIPTION" and not view.ending(*row.endings):
        return None
    found = [path for name in row.manifests if (path := _existing(view, name))]
    manager = next((manager for name, manager in row.manifests.items() if _existing(view, name)), None)
    dependencies = unique(_dependencies(row, view, found))
    framework, said = _framework(row, view, found, {dependency.name for dependency in dependencies})
    version = versions(row.language, _pins(row, view))
    tests = bool(view.matching(row.tests))
    commands = row.commands if manager else NONE
    return Analysis(
        language=row.language,
        framework=framework,
        **version.fields,
        package_manager=manager,
        lockfile=view.first(row.lockfile),
        build_tool=manager,
        dependencies=dependencies,
        commands=commands if tests else commands.model_copy(update={"test": None}),
        has_tests=tests,
        manifests=tuple(found),
        evidence=some(said, *version.evidence),
    )


def _existing(view: View, name: str) -> str | None:
    """The manifest at the root of the folder."""
    if not name.startswith("*."):
        return view.first(name)
    return next((path for path in view.ending(name[2:]) if "/" not in path), None)


def _dependencies(row: Row, view: View, manifests: Iterable[str]) -> Iterable[Dependency]:
    pattern = re.compile(row.dependency, re.MULTILINE)
    for path in manifests:
        if path in YAML_MANIFESTS:
            document = view.yaml(path)
            for key in ("dependencies", "dev_dependencies", "development_dependencies"):
                for name, said in table(document, key).items():
                    constraint = said if isinstance(said, str) else str(table(said).get("version", ""))
                    yield Dependency(name=str(name), constraint=constraint, dev=key != "dependencies")
        elif path == "renv.lock":
            yield from (Dependency(name=name) for name in table(view.json(path), "Packages"))
        else:
            yield from (Dependency(name=name) for name in pattern.findall(view.script(path)))


def _framework(row: Row, view: View, manifests: Iterable[str], names: set[str]) -> tuple[str | None, Evidence | None]:
    for name, framework in row.frameworks.items():
        if view.has(name):
            return framework, Evidence(source=name, about="framework")
        if name in names:
            source = next((path for path in manifests if name in view.script(path)), "")
            return framework, view.evidence(source, name, "framework")
    return None, None


def _pins(row: Row, view: View) -> Iterable[Pin | None]:
    for name, pattern in row.pins:
        path = _existing(view, name)
        found = re.search(pattern, view.script(path), re.MULTILINE) if path else None
        yield pin(view, path or "", _readable(found[1]) if found else None)
    yield tool(view, *row.tools)
    yield first_line(view, f".{row.language}-version")


def _readable(version: str) -> str:
    """`lts/19/6`, as a snapshot's address has it, is `lts-19.6` to everybody."""
    return re.sub(r"^lts/(\d+)/(\d+)$", r"lts-\1.\2", version.strip())


ECOSYSTEMS = tuple(_ecosystem(row) for row in ROWS)
