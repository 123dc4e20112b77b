"""Clojure: Leiningen, the Clojure command, Boot, shadow-cljs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from services.analyzer.detect.project import Ecosystem, Names, framework_of, some, unique, versions
from services.analyzer.detect.releases import pin
from shared.events import Analysis, Commands, Dependency

if TYPE_CHECKING:
    from collections.abc import Iterable

    from services.analyzer.detect.view import View

# Manifest → package manager, commands to test and to build.
MANAGERS: dict[str, tuple[str, Commands]] = {
    "project.clj": (
        "leiningen",
        Commands(install="lein deps", build="lein uberjar", test="lein test", start="lein run"),
    ),
    "deps.edn": ("clojure-cli", Commands(install="clojure -P", test="clojure -X:test")),
    "build.boot": ("boot", Commands(test="boot test")),
    "shadow-cljs.edn": ("shadow-cljs", Commands(build="shadow-cljs release app")),
}
FRAMEWORKS: dict[str, str] = {
    "luminus-transit": "luminus",
    "luminus-undertow": "luminus",
    "luminus-migrations": "luminus",
    "luminus-http-kit": "luminus",
    "io.github.kit-clj/kit-core": "kit",
    "io.pedestal/pedestal.service": "pedestal",
    "duct/core": "duct",
    "coast-framework/coast.theta": "coast",
    "fulcrologic/fulcro": "fulcro",
    "com.fulcrologic/fulcro": "fulcro",
    "reagent": "reagent",
    "reagent/reagent": "reagent",
    "re-frame": "re-frame",
    "compojure": "compojure",
    "metosin/reitit": "reitit",
    "ring/ring-core": "ring",
    "ring": "ring",
    "ring/ring-jetty-adapter": "ring",
    "http-kit": "http-kit",
}
LEIN = re.compile(r"""\[\s*([\w.\-/]+)\s+"([^"]+)\"""")
EDN = re.compile(r"""(?<![\w.\-])([\w.\-]+/[\w.\-]+)\s*\{\s*:(?:mvn/version|git/tag)\s+"([^"]+)\"""")
COMMENT = re.compile(r";[^\n]*")


def detect(view: View) -> Analysis | None:
    """What the folder is as Clojure; None where nothing says that it is."""
    manifest = view.first(*MANAGERS)
    if not manifest and not view.ending("clj", "cljs", "cljc"):
        return None
    manager, commands = MANAGERS.get(manifest or "", (None, Commands()))
    dependencies = unique(_dependencies(view))
    framework, said = framework_of(view, FRAMEWORKS, [d.name for d in dependencies], list(MANAGERS))
    core = next((d.constraint for d in dependencies if d.name == "org.clojure/clojure"), None)
    version = versions("clojure", [pin(view, manifest or "", core)])
    tests = bool(view.matching(r"test/.*\.clj[cs]?"))
    return Analysis(
        language="clojure",
        framework=framework,
        **version.fields,
        package_manager=manager,
        build_tool=manager,
        dependencies=dependencies,
        commands=commands,
        has_tests=tests,
        test_runner="clojure.test" if tests else None,
        manifests=tuple(path for path in MANAGERS if view.has(path)),
        evidence=some(said, *version.evidence),
    )


def _dependencies(view: View) -> Iterable[Dependency]:
    for path in ("project.clj", "build.boot"):
        for name, version in LEIN.findall(COMMENT.sub("", view.script(path))):
            yield Dependency(name=name, constraint=version)
    for path in ("deps.edn", "shadow-cljs.edn"):
        for name, version in EDN.findall(COMMENT.sub("", view.script(path))):
            yield Dependency(name=name, constraint=version)


ecosystem = Ecosystem(("clojure",), Names(frozenset(MANAGERS)), Names(frozenset(MANAGERS)), detect)
