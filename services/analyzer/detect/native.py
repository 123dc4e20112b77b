"""C and C++: CMake, Meson, Make, Autotools, Bazel; Conan and vcpkg."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from services.analyzer.detect.project import Ecosystem, Names, some, unique
from services.analyzer.detect.releases import pin
from shared.events import Analysis, Commands, Dependency, Evidence

if TYPE_CHECKING:
    from collections.abc import Iterable

    from services.analyzer.detect.view import View

# Manifest → build tool, and how it builds and tests.
TOOLS: dict[str, tuple[str, Commands]] = {
    "CMakeLists.txt": (
        "cmake",
        Commands(
            install="cmake -S . -B build -DCMAKE_BUILD_TYPE=Release",
            build="cmake --build build --parallel",
            test="ctest --test-dir build --output-on-failure",
        ),
    ),
    "meson.build": (
        "meson",
        Commands(install="meson setup build", build="meson compile -C build", test="meson test -C build"),
    ),
    "xmake.lua": ("xmake", Commands(build="xmake", test="xmake test")),
    "premake5.lua": ("premake", Commands(install="premake5 gmake2", build="make")),
    "configure.ac": (
        "autotools",
        Commands(install="autoreconf --install && ./configure", build="make", test="make check"),
    ),
    "SConstruct": ("scons", Commands(build="scons")),
    "MODULE.bazel": ("bazel", Commands(build="bazel build //...", test="bazel test //...")),
    "WORKSPACE": ("bazel", Commands(build="bazel build //...", test="bazel test //...")),
    "Makefile": ("make", Commands(build="make")),
    "makefile": ("make", Commands(build="make")),
    "GNUmakefile": ("make", Commands(build="make")),
}
# These belong to C and C++ alone; a Makefile and Bazel's files are everybody's.
OWN = frozenset({"CMakeLists.txt", "meson.build", "xmake.lua", "premake5.lua", "configure.ac"})
NAMES = frozenset({*OWN, "conanfile.txt", "vcpkg.json", "Makefile", "makefile", "GNUmakefile"})
FRAMEWORKS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"find_package\s*\(\s*Qt[56]?\b", re.IGNORECASE), "qt"),
    (re.compile(r"find_package\s*\(\s*Drogon\b", re.IGNORECASE), "drogon"),
    (re.compile(r"find_package\s*\(\s*Crow\b", re.IGNORECASE), "crow"),
    (re.compile(r"find_package\s*\(\s*oatpp\b", re.IGNORECASE), "oatpp"),
    (re.compile(r"find_package\s*\(\s*Pistache\b", re.IGNORECASE), "pistache"),
    (re.compile(r"find_package\s*\(\s*wxWidgets\b", re.IGNORECASE), "wxwidgets"),
)
MAKEFILES = ("GNUmakefile", "makefile", "Makefile")  # the order in which make looks for them
# A target, not a variable that is set (`test := …`).
TESTS = re.compile(r"^(test|check|tests)\s*::?(?![=:])", re.MULTILINE)
STANDARD = re.compile(r"CMAKE_CXX_STANDARD\s+(\d+)")


def detect(view: View) -> Analysis | None:
    """What the folder is as C or C++; None where nothing says that it is."""
    plus, plain = (_bytes(view, *endings) for endings in (("cc", "cpp", "cxx", "hpp", "hh"), ("c", "h")))
    if not plus and not plain:
        return None
    manifest = view.first(*TOOLS)
    manager, commands = TOOLS.get(manifest or "", (None, Commands()))
    if manager == "make" and (target := TESTS.search(view.script(view.first(*MAKEFILES) or ""))):
        commands = commands.model_copy(update={"test": f"make {target[1]}"})
    text = view.script("CMakeLists.txt")
    language = "cpp" if plus and (plus >= plain or not view.ending("c")) else "c"
    framework, said = _framework(view, text)
    standard = STANDARD.search(text)
    found = pin(view, "CMakeLists.txt", standard[1]) if standard else None
    tests = bool(re.search(r"enable_testing|add_test\s*\(", text) or view.matching(r"tests?/.*\.(?:c|cc|cpp)"))
    tests |= manager == "make" and commands.test is not None
    return Analysis(
        language=language,
        framework=framework,
        package_manager=manager,
        build_tool=manager,
        dependencies=unique(_dependencies(view, text)),
        commands=commands,
        entry_point=view.first("main.cpp", "main.cc", "main.c", "src/main.cpp", "src/main.cc", "src/main.c"),
        has_tests=tests,
        test_runner="ctest" if tests and manager == "cmake" else None,
        manifests=tuple(path for path in TOOLS if view.has(path)),
        evidence=some(said, found.evidence.model_copy(update={"about": "standard"}) if found else None),
    )


def _framework(view: View, text: str) -> tuple[str | None, Evidence | None]:
    for pattern, framework in FRAMEWORKS:
        found = pattern.search(text)
        if found:
            return framework, view.evidence("CMakeLists.txt", found[0].splitlines()[0], "framework")
    return None, None


def _dependencies(view: View, text: str) -> Iterable[Dependency]:
    for name in re.findall(r"find_package\s*\(\s*(\w+)", text, re.IGNORECASE):
        yield Dependency(name=name)
    requires = view.script("conanfile.txt").partition("[requires]")[2].partition("[")[0]
    for name, version in re.findall(r"^\s*([\w.+-]+)/([\w.+-]+)", requires, re.MULTILINE):
        yield Dependency(name=name, constraint=version)
    entries = view.json("vcpkg.json").get("dependencies")
    for entry in entries if isinstance(entries, list) else ():
        name = entry if isinstance(entry, str) else entry.get("name") if isinstance(entry, dict) else None
        if isinstance(name, str):
            yield Dependency(name=name)


def _bytes(view: View, *endings: str) -> int:
    return sum(view.sizes[path] + 1 for path in view.ending(*endings))


ecosystem = Ecosystem(("c", "cpp"), Names(NAMES), Names(OWN), detect)
