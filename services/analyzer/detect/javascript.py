"""JavaScript and TypeScript: npm, yarn, pnpm, bun; Next, Nest, Express and the others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from services.analyzer.detect.view import table
from shared.events import Analysis, Commands, Dependency, Evidence

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from services.analyzer.detect.view import View

LANGUAGES = ("javascript", "typescript")
KNOWN_VERSIONS = (24, 22, 20, 18, 16, 14, 12, 10)
NEWEST_PATCH = 999
MANIFESTS = frozenset({"package.json", ".nvmrc", ".node-version", "tsconfig.json", "deno.json"})
# Package → framework, meta-frameworks before what they are built on; the first direct dependency counts.
FRAMEWORKS: dict[str, str] = {
    "next": "next",
    "nuxt": "nuxt",
    "@remix-run/react": "remix",
    "@react-router/node": "react-router",
    "@sveltejs/kit": "sveltekit",
    "astro": "astro",
    "gatsby": "gatsby",
    "@docusaurus/core": "docusaurus",
    "@11ty/eleventy": "eleventy",
    "@angular/core": "angular",
    "@nestjs/core": "nestjs",
    "fastify": "fastify",
    "koa": "koa",
    "hono": "hono",
    "@hapi/hapi": "hapi",
    "express": "express",
    "vue": "vue",
    "react": "react",
    "svelte": "svelte",
    "vite": "vite",
}
MANAGERS: tuple[tuple[str, str], ...] = (
    ("bun.lock", "bun"),
    ("bun.lockb", "bun"),
    ("pnpm-lock.yaml", "pnpm"),
    ("yarn.lock", "yarn"),
    ("package-lock.json", "npm"),
    ("npm-shrinkwrap.json", "npm"),
)
LOCKED_INSTALL = {
    "npm": "npm ci",
    "yarn": "yarn install --frozen-lockfile",
    "pnpm": "pnpm install --frozen-lockfile",
    "bun": "bun install --frozen-lockfile",
}
FREE_INSTALL = {
    "npm": "npm install --no-audit --no-fund",
    "yarn": "yarn install",
    "pnpm": "pnpm install",
    "bun": "bun install",
}
ENTRY_POINTS = (
    *("server.js", "index.js", "app.js", "main.js", "src/index.js", "src/server.js"),
    *("src/index.ts", "src/main.ts", "index.ts", "server.ts"),
)
COMPARATOR = re.compile(r"(\^|~|>=|<=|>|<|=)?\s*v?(\d+|[xX*])(?:\.(\d+|[xX*]))?(?:\.(\d+|[xX*])\S*)?")
PLACEHOLDER_TEST = "no test specified"


def is_manifest(name: str) -> bool:
    """Whether a file of this name is read."""
    return name in MANIFESTS


def detect(view: View) -> Analysis | None:
    """What the repository is as a Node project; None where nothing says that it is."""
    package = view.json("package.json")
    if not view.has("package.json") and not view.matching(r"[^/]+\.(?:m?js|ts)"):
        return None
    dependencies = tuple(_dependencies(package))
    names = {dependency.name for dependency in dependencies}
    framework = next((framework for name, framework in FRAMEWORKS.items() if name in names), None)
    key = next((name for name, one in FRAMEWORKS.items() if one == framework and name in names), "")
    manager, lockfile = _manager(view, package)
    version, pinned = _version(view, package)
    typed = bool(view.matching(r"(?!.*\.d\.ts$).*\.tsx?")) and (view.has("tsconfig.json") or "typescript" in names)
    entry_point = _entry_point(view, package)
    return Analysis(
        language="typescript" if typed else "javascript",
        framework=framework,
        version=version,
        package_manager=manager,
        lockfile=lockfile,
        build_tool="vite" if "vite" in names else None,
        dependencies=dependencies,
        commands=_commands(package, manager, lockfile, framework, entry_point),
        entry_point=entry_point,
        has_tests=bool(view.matching(r"(?:.*/)?(?:tests?|__tests__|spec)/.*|.*\.(?:test|spec)\.[jt]sx?")),
        manifests=tuple(path for path in sorted(view.paths) if "/" not in path and is_manifest(path)),
        evidence=tuple(
            filter(None, (view.evidence("package.json", f'"{key}"') if framework else None, pinned)),
        ),
    )


def _dependencies(package: Mapping[str, object]) -> Iterable[Dependency]:
    for key, dev in (("dependencies", False), ("peerDependencies", False), ("devDependencies", True)):
        for name, constraint in table(package, key).items():
            yield Dependency(name=name, constraint=str(constraint), dev=dev)


def _manager(view: View, package: Mapping[str, object]) -> tuple[str, str | None]:
    """The package manager (packageManager field, then lockfiles) and its lockfile; None where there is none."""
    named = re.match(r"(npm|yarn|pnpm|bun)@", str(package.get("packageManager", "")))
    found = next(((path, manager) for path, manager in MANAGERS if view.has(path)), None)
    if named:
        return named[1], found[0] if found and found[1] == named[1] else None
    return (found[1], found[0]) if found else ("npm", None)


def _version(view: View, package: Mapping[str, object]) -> tuple[str | None, Evidence | None]:
    """The version as pinned; of a range the newest known major that it allows; with where it stands."""
    engines = table(package, "engines").get("node")
    if isinstance(engines, str) and (allowed := _newest(engines)):
        return allowed, view.evidence("package.json", engines)
    for source in (".nvmrc", ".node-version"):
        for line in view.lines(source)[:1]:
            pinned = re.fullmatch(r"v?(\d+(?:\.\d+){0,2})", line)
            if pinned:
                return pinned[1], view.evidence(source, line)
    pin = view.tool_version("nodejs", "node")
    return (pin, view.evidence(".tool-versions", pin)) if pin else (None, None)


def _newest(constraint: str) -> str | None:
    """An exact version as it is; of a range (node-semver's grammar) the newest known major that it allows."""
    constraint = constraint.strip()
    if re.fullmatch(r"v?\d+(\.\d+){0,2}", constraint):
        return constraint.removeprefix("v")
    for major in KNOWN_VERSIONS:
        if any(_allows(part, major) for part in constraint.split("||")):
            return str(major)
    return None


def _allows(part: str, major: int) -> bool:
    """Whether some release of this major satisfies all comparators of one alternative."""
    part = re.sub(r"(\S+)\s+-\s+(\S+)", r">=\1 <=\2", part.strip())
    found = COMPARATOR.findall(part)
    return bool(found) and all(_within(operator, numbers, major) for operator, *numbers in found)


def _within(operator: str, numbers: list[str], major: int) -> bool:
    if not numbers[0].isdigit():
        return True
    wanted, rest = int(numbers[0]), any(number.strip("0xX*") for number in numbers[1:])
    tests = {
        ">=": major >= wanted,
        ">": major > wanted or (major == wanted and bool(numbers[1])),
        "<=": major <= wanted,
        "<": major < wanted or (major == wanted and rest),
    }
    return tests.get(operator, major == wanted)


def _entry_point(view: View, package: Mapping[str, object]) -> str | None:
    main = package.get("main")
    if isinstance(main, str):
        named = main.removeprefix("./")
        found = view.first(named, f"{named}.js", f"{named}/index.js")
        if found:
            return found
    return view.first(*ENTRY_POINTS)


def _commands(
    package: Mapping[str, object], manager: str, lockfile: str | None, framework: str | None, entry_point: str | None
) -> Commands:
    """The project's own scripts, run by its package manager."""
    scripts = table(package, "scripts")
    run = {name: f"{manager} run {name}" for name in ("build", "lint") if name in scripts}
    tests = str(scripts.get("test", ""))
    start = f"{manager} start" if "start" in scripts else None
    if start is None and framework in {"express", "koa", "fastify", "hono", "hapi"} and entry_point:
        start = f"node {entry_point}" if entry_point.endswith("js") else None
    return Commands(
        install=(LOCKED_INSTALL if lockfile else FREE_INSTALL)[manager],
        build=run.get("build"),
        test=f"{manager} test" if tests and PLACEHOLDER_TEST not in tests else None,
        lint=run.get("lint"),
        start=start,
    )
