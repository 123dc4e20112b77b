"""C#, F# and Visual Basic: project files and solutions of .NET; ASP.NET Core, Blazor, workers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from services.analyzer.detect.project import Ecosystem, Names, some, unique, versions
from services.analyzer.detect.releases import Pin, pin, tool
from services.analyzer.detect.view import table, text_of
from shared.events import Analysis, Commands, Dependency, Evidence

if TYPE_CHECKING:
    from collections.abc import Iterable

    from services.analyzer.detect.view import View

LANGUAGES = {"csproj": "csharp", "fsproj": "fsharp", "vbproj": "vb"}
SOURCES = {"cs": "csharp", "fs": "fsharp", "vb": "vb"}
NAMES = frozenset({"global.json", "Directory.Build.props", "Directory.Packages.props", "packages.config"})
ENDINGS = (".csproj", ".fsproj", ".vbproj", ".sln", ".slnx")
READS, ROOTS = Names(NAMES, ENDINGS), Names(endings=ENDINGS)
SOLUTIONS = ("sln", "slnx")
TARGET = re.compile(r"(?:net|netcoreapp|netstandard)(\d+(?:\.\d+)?)")
# Package (or the beginning of its name) or SDK → framework, in the order in which they count.
FRAMEWORKS: tuple[tuple[str, str], ...] = (
    ("Microsoft.NET.Sdk.BlazorWebAssembly", "blazor"),
    ("Microsoft.AspNetCore.Components.WebAssembly", "blazor"),
    ("Umbraco.Cms", "umbraco"),
    ("OrchardCore", "orchard"),
    ("FastEndpoints", "fastendpoints"),
    ("Carter", "carter"),
    ("ServiceStack", "servicestack"),
    ("Giraffe", "giraffe"),
    ("Saturn", "saturn"),
    ("Suave", "suave"),
    ("Falco", "falco"),
    ("Microsoft.NET.Sdk.Web", "aspnet"),
    ("Microsoft.AspNetCore.App", "aspnet"),
    ("Microsoft.AspNet.Mvc", "aspnet"),
    ("Microsoft.AspNet.WebApi", "aspnet"),
    ("Microsoft.NET.Sdk.Worker", "worker"),
    ("Microsoft.Maui", "maui"),
    ("Xamarin.Forms", "xamarin"),
    ("Avalonia", "avalonia"),
    ("Microsoft.Azure.Functions.Worker", "azure-functions"),
    ("Microsoft.NET.Sdk.Functions", "azure-functions"),
)


def detect(view: View) -> Analysis | None:
    """What the folder is as .NET; None where nothing says that it is."""
    projects = view.ending(*LANGUAGES)[:100]
    if not projects and not view.ending(*SOLUTIONS) and not view.ending(*SOURCES):
        return None
    dependencies = unique(_dependencies(view, projects))
    framework, said = _framework(view, projects, dependencies)
    version = versions("dotnet", _pins(view, projects))
    names = {dependency.name.lower() for dependency in dependencies}
    runner = next((name for name in ("xunit", "nunit", "mstest", "expecto") if any(name in one for one in names)), None)
    main = _main(view, projects)
    return Analysis(
        language=_language(view, projects),
        framework=framework,
        **version.fields,
        package_manager="nuget" if projects or view.ending(*SOLUTIONS) else None,
        lockfile=view.first("packages.lock.json"),
        build_tool="dotnet",
        dependencies=dependencies,
        commands=Commands(
            install="dotnet restore",
            build="dotnet build --configuration Release",
            test="dotnet test" if runner else None,
            lint="dotnet format --verify-no-changes",
            start=f"dotnet run --project {main}" if main and "/" in main else "dotnet run" if main else None,
        ),
        entry_point=main,
        has_tests=runner is not None,
        test_runner=runner,
        manifests=tuple(READS.among(view.top) or projects[:20]),
        evidence=some(said, *version.evidence),
    )


def _language(view: View, projects: Iterable[str]) -> str:
    """The language of most projects, else of the most bytes."""
    found = [LANGUAGES[path.rpartition(".")[2].lower()] for path in projects]
    if found:
        return max(sorted(set(found)), key=found.count)
    return (
        max(SOURCES, key=lambda ending: sum(view.sizes[path] for path in view.ending(ending)))
        .replace("cs", "csharp")
        .replace("fs", "fsharp")
    )


def _dependencies(view: View, projects: Iterable[str]) -> Iterable[Dependency]:
    for path in [*projects, *view.named("Directory.Packages.props", "Directory.Build.props")]:
        for element in view.xml(path).iter():
            if element.tag in {"PackageReference", "FrameworkReference", "PackageVersion"}:
                name = element.get("Include") or element.get("Update")
                if name:
                    version = element.get("Version") or text_of(element, "Version")
                    yield Dependency(name=name, constraint=version, dev=element.tag == "PackageVersion")
    for path in view.named("packages.config"):
        for element in view.xml(path).iter("package"):
            yield Dependency(name=element.get("id", ""), constraint=element.get("version", ""))


def _framework(
    view: View, projects: Iterable[str], dependencies: Iterable[Dependency]
) -> tuple[str | None, Evidence | None]:
    """By the SDK of a project, or by its packages."""
    sdks = {path: view.xml(path).get("Sdk", "").partition("/")[0] for path in projects}
    names = {dependency.name for dependency in dependencies if not dependency.dev}
    razor = next(iter(view.named("App.razor", "_Imports.razor")), None)
    if razor and any(sdk == "Microsoft.NET.Sdk.Web" for sdk in sdks.values()):
        return "blazor", Evidence(source=razor, about="framework")
    for mark, framework in FRAMEWORKS:
        path = next((path for path, sdk in sdks.items() if sdk == mark), None)
        if path is None and any(name == mark or name.startswith(f"{mark}.") for name in names):
            path = next((one for one in projects if mark in view.text(one)), None)
        if path:
            return framework, view.evidence(path, mark, "framework")
    return None, None


def _pins(view: View, projects: Iterable[str]) -> Iterable[Pin | None]:
    """What says which .NET: global.json, then the target of the projects."""
    version = table(view.json("global.json"), "sdk").get("version")
    yield pin(view, "global.json", version if isinstance(version, str) else None)
    yield tool(view, "dotnet", "dotnet-core")
    for path in [*projects, "Directory.Build.props"]:
        for element in view.xml(path).iter():
            if element.tag in {"TargetFramework", "TargetFrameworks", "TargetFrameworkVersion"}:
                targets = [TARGET.match(target.strip()) for target in (element.text or "").split(";")]
                found = max((match[1] for match in targets if match), default=None, key=_number)
                if found:
                    yield Pin(found, view.evidence(path, element.tag, "version"))
                    return


def _number(version: str) -> float:
    return float(version)


def _main(view: View, projects: list[str]) -> str | None:
    """The project that is run: one that makes a program and is no test."""
    programs = [path for path in projects if not re.search(r"tests?\b", path, re.IGNORECASE)]
    web = [
        path
        for path in programs
        if ".Web" in view.xml(path).get("Sdk", "") or "Worker" in view.xml(path).get("Sdk", "")
    ]
    output = [path for path in programs if "<OutputType>Exe" in view.text(path)]
    return next(iter(web or output or programs), None)


ecosystem = Ecosystem(tuple(LANGUAGES.values()), READS, ROOTS, detect)
