"""JavaScript and TypeScript on Node, Bun and Deno: npm, yarn, pnpm, bun; Next, Nest, Express and the others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from services.analyzer.detect import javascript_frameworks as frameworks
from services.analyzer.detect.languages import CONFIGURATION, language_of
from services.analyzer.detect.project import Ecosystem, Names, some, unique, versions
from services.analyzer.detect.releases import Pin, first_line, pin, tool
from services.analyzer.detect.view import table
from shared.events import Analysis, Commands, Dependency

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from services.analyzer.detect.view import View

PROJECT = frozenset({"package.json", "package.json5", "deno.json", "deno.jsonc"})
NAMES = PROJECT | {".nvmrc", ".node-version", ".bun-version", ".deno-version", ".npmrc", "tsconfig.json", "lerna.json"}
NAMES |= {"pnpm-workspace.yaml", ".yarnrc.yml", "bunfig.toml", "import_map.json"}
READS = Names(NAMES)
MANAGERS: tuple[tuple[str, str], ...] = (
    ("bun.lock", "bun"),
    ("bun.lockb", "bun"),
    ("pnpm-lock.yaml", "pnpm"),
    ("yarn.lock", "yarn"),
    ("package-lock.json", "npm"),
    ("npm-shrinkwrap.json", "npm"),
    ("pnpm-workspace.yaml", "pnpm"),
    (".yarnrc.yml", "yarn"),
    ("bunfig.toml", "bun"),
    ("deno.lock", "deno"),
)
LOCKFILES = frozenset({"bun.lock", "bun.lockb", "pnpm-lock.yaml", "yarn.lock", "package-lock.json", "deno.lock"})
LOCKED_INSTALL = {
    "npm": "npm ci",
    "yarn": "yarn install --frozen-lockfile",
    "pnpm": "pnpm install --frozen-lockfile",
    "bun": "bun install --frozen-lockfile",
    "deno": "deno install --frozen",
}
FREE_INSTALL = {
    "npm": "npm install --no-audit --no-fund",
    "yarn": "yarn install",
    "pnpm": "pnpm install",
    "bun": "bun install",
    "deno": "deno install",
}
ENTRY_POINTS = (
    *("server.js", "index.js", "app.js", "main.js", "src/index.js", "src/server.js", "src/main.js", "bin/www"),
    *("src/index.ts", "src/main.ts", "index.ts", "server.ts", "main.ts", "src/server.ts", "app.ts"),
)
RUNNERS = ("vitest", "jest", "mocha", "ava", "jasmine", "karma", "tap", "qunit", "playwright", "cypress")
SPECIFIER = re.compile(r"(?:npm|jsr):/?((?:@[\w.-]+/)?[\w.-]+)")
PLACEHOLDER_TEST = "no test specified"


def detect(view: View) -> Analysis | None:
    """What the folder is as a project of Node, Bun or Deno; None where nothing says that it is."""
    manifest = view.first("package.json", "package.json5")
    deno = view.first("deno.json", "deno.jsonc")
    if not manifest and not deno and not view.ending("js", "mjs", "cjs", "ts", "mts", "jsx", "tsx"):
        return None
    package = view.json(manifest or "package.json")
    imports = {**table(view.json("import_map.json"), "imports"), **table(view.json(deno or ""), "imports")}
    dependencies = unique([*_dependencies(package), *_imported(imports)])
    manager, lockfile = _manager(view, package, deno=bool(deno))
    framework, said = frameworks.framework(view, package, dependencies)
    typed = _typed(view, dependencies, manager)
    version = versions("node", _pins(view, package, manager))
    entry_point = _entry_point(view, package)
    runner = _runner(package, dependencies)
    return Analysis(
        language="typescript" if typed else "javascript",
        framework=framework,
        **(version.fields | {"doubts": (*version.fields["doubts"], *_lock_doubts(view))}),
        package_manager=manager,
        lockfile=lockfile,
        build_tool=frameworks.build_tool(dependencies),
        dependencies=dependencies,
        commands=_commands(package, manager, lockfile, framework, entry_point),
        entry_point=entry_point,
        has_tests=runner is not None or bool(_test_files(view)),
        test_runner=runner,
        licence=_text(package.get("license")),
        manifests=tuple(READS.among(view.top)),
        evidence=some(said, *version.evidence),
    )


def _dependencies(package: Mapping[str, object]) -> Iterable[Dependency]:
    for key in ("dependencies", "peerDependencies", "optionalDependencies", "devDependencies"):
        for name, constraint in table(package, key).items():
            yield Dependency(name=name, constraint=str(constraint), dev=key != "dependencies")


def _imported(imports: Mapping[str, object]) -> Iterable[Dependency]:
    """What Deno imports, by the name in its registry, or by the name that the map gives to an address."""
    for name, target in imports.items():
        found = SPECIFIER.match(str(target))
        yield Dependency(name=found[1] if found else name.rstrip("/"), constraint=str(target))


def _manager(view: View, package: Mapping[str, object], *, deno: bool) -> tuple[str | None, str | None]:
    """The package manager (packageManager field, then lockfiles, then engines) and its lockfile."""
    found = next(((path, manager) for path, manager in MANAGERS if view.has(path)), None)
    lockfile = found[0] if found and found[0] in LOCKFILES else None
    named = re.match(r"(npm|yarn|pnpm|bun)@", str(package.get("packageManager", "")))
    named = named or re.match(r"(pnpm|yarn|bun)$", str(table(package, "devEngines", "packageManager").get("name", "")))
    if named:
        return named[1], lockfile if found and found[1] == named[1] else None
    if deno and not view.has("package.json"):
        return "deno", view.first("deno.lock")
    if found:
        return found[1], lockfile
    engines = next((name for name in ("pnpm", "yarn", "bun") if name in table(package, "engines")), None)
    if engines:
        return engines, None
    return _undeclared(view, package), None


def _undeclared(view: View, package: Mapping[str, object]) -> str | None:
    """The package manager where no field and no file names it: what the scripts call, else what Node brings along."""
    scripts = " ".join(str(script) for script in table(package, "scripts").values())
    if re.search(r"\bbun (?:run|--|x|\S+\.[jt]s)", scripts) or "bun-types" in _all_names(package):
        return "bun"
    if view.has("package.json"):
        return "npm"
    return "deno" if view.ending("ts") and not view.has("tsconfig.json") else None


def _all_names(package: Mapping[str, object]) -> set[str]:
    return {
        name.replace("@types/bun", "bun-types")
        for key in ("dependencies", "devDependencies")
        for name in table(package, key)
    }


def _typed(view: View, dependencies: Iterable[Dependency], manager: str | None) -> bool:
    """Whether it is TypeScript: by the bytes of its own sources, else by what its tools are told."""
    own = {ending: _bytes(view, *ending.split()) for ending in ("ts tsx mts cts", "js jsx mjs cjs")}
    typed, plain = own.values()
    if typed or plain:
        return typed > plain or (typed == plain and view.has("tsconfig.json"))
    names = {dependency.name for dependency in dependencies}
    return manager == "deno" or "typescript" in names or (view.has("tsconfig.json") and not view.has("jsconfig.json"))


def _bytes(view: View, *endings: str) -> int:
    """Bytes of the program's own files with these endings; configuration and declarations are not the program."""
    own = (path for path in view.ending(*endings) if language_of(path) and not CONFIGURATION.search(path))
    return sum(view.sizes[path] + 1 for path in own)


def _pins(view: View, package: Mapping[str, object], manager: str | None) -> Iterable[Pin | None]:
    """What says which Node (or Bun, or Deno where that runs it), in the order in which it counts."""
    if manager == "deno":
        yield first_line(view, ".deno-version", "v")
        yield tool(view, "deno")
        return
    manifest = view.first("package.json", "package.json5") or ""
    for source in ("engines", "volta"):
        yield pin(view, manifest, _text(table(package, source).get("node")))
    runtime = table(package, "devEngines", "runtime")
    yield pin(view, manifest, _text(runtime.get("version")) if runtime.get("name") == "node" else None)
    for path in (".nvmrc", ".node-version"):
        found = first_line(view, path, "v")
        yield found if found and re.match(r"\d|lts/[a-z*]|node$|stable$", found.text) else None
    yield tool(view, "node", "nodejs")
    npmrc = re.search(r"^\s*use-node-version\s*=\s*(\S+)", view.script(".npmrc"), re.MULTILINE)
    yield pin(view, ".npmrc", npmrc[1] if npmrc else None)
    yield pin(view, "pnpm-workspace.yaml", _text(view.yaml("pnpm-workspace.yaml").get("nodeVersion")))
    if manager == "bun":
        yield first_line(view, ".bun-version", "v")
        yield tool(view, "bun")


def _entry_point(view: View, package: Mapping[str, object]) -> str | None:
    main = _text(package.get("main")) or _text(package.get("module"))
    if main:
        named = main.removeprefix("./")
        found = view.first(named, f"{named}.js", f"{named}/index.js")
        if found:
            return found
    return view.first(*ENTRY_POINTS)


def _runner(package: Mapping[str, object], dependencies: Iterable[Dependency]) -> str | None:
    """What runs the tests, as the script says it or as it is installed."""
    script = str(table(package, "scripts").get("test", ""))
    said = next((name for name in RUNNERS if re.search(rf"\b{name}\b", script)), None)
    if said or "node --test" in script or "bun test" in script:
        return said or ("node" if "node --test" in script else "bun")
    names = {dependency.name.removeprefix("@").partition("/")[0] for dependency in dependencies}
    return next((name for name in RUNNERS if name in names), None)


def _test_files(view: View) -> bool:
    pattern = re.compile(r"(?:^|/)(?:tests?|__tests__|spec|e2e)/|\.(?:test|spec)\.[cm]?[jt]sx?$")
    return any(pattern.search(path) for path in view.ending("js", "ts", "jsx", "tsx", "mjs", "cjs"))


def _commands(
    package: Mapping[str, object],
    manager: str | None,
    lockfile: str | None,
    framework: str | None,
    entry_point: str | None,
) -> Commands:
    """The project's own scripts, run by its package manager."""
    if manager is None:
        return Commands()
    scripts = table(package, "scripts")
    run = {name: f"{manager} run {name}" for name in ("build", "lint") if name in scripts}
    tests = str(scripts.get("test", ""))
    start = f"{manager} start" if "start" in scripts else None
    if start is None and framework in frameworks.SERVERS and entry_point and entry_point.endswith("js"):
        start = f"node {entry_point}"
    return Commands(
        install=(LOCKED_INSTALL if lockfile else FREE_INSTALL)[manager],
        build=run.get("build"),
        test=f"{manager} test" if tests and PLACEHOLDER_TEST not in tests else None,
        lint=run.get("lint"),
        start=start,
    )


def _lock_doubts(view: View) -> tuple[str, ...]:
    """Lockfiles of several package managers beside each other."""
    managers = {manager: path for path, manager in MANAGERS if path in LOCKFILES and view.has(path)}
    return (f"there are lockfiles of {', '.join(sorted(managers))}",) if len(managers) > 1 else ()


def _text(value: object) -> str | None:
    return value.strip() or None if isinstance(value, str) else None


ecosystem = Ecosystem(("javascript", "typescript"), READS, Names(PROJECT), detect)
