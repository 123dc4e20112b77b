"""Go: modules and workspaces; Gin, Echo, Fiber and the others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from services.analyzer.detect.project import Ecosystem, Names, framework_of, some, unique, versions
from services.analyzer.detect.releases import Pin, first_line, pin, tool
from shared.events import Analysis, Commands, Dependency

if TYPE_CHECKING:
    from collections.abc import Iterable

    from services.analyzer.detect.view import View

PROJECT = frozenset({"go.mod"})
NAMES = PROJECT | {"go.work", ".go-version", "Gopkg.toml"}
# Module path without a version suffix → framework.
FRAMEWORKS: dict[str, str] = {
    "github.com/gin-gonic/gin": "gin",
    "github.com/labstack/echo": "echo",
    "github.com/gofiber/fiber": "fiber",
    "github.com/go-chi/chi": "chi",
    "github.com/beego/beego": "beego",
    "github.com/astaxie/beego": "beego",
    "github.com/gobuffalo/buffalo": "buffalo",
    "github.com/revel/revel": "revel",
    "github.com/kataras/iris": "iris",
    "github.com/cloudwego/hertz": "hertz",
    "github.com/go-kratos/kratos": "kratos",
    "github.com/zeromicro/go-zero": "go-zero",
    "github.com/go-kit/kit": "go-kit",
    "github.com/encore-run/encore": "encore",
    "encore.dev": "encore",
    "goa.design/goa": "goa",
    "github.com/danielgtaylor/huma": "huma",
    "github.com/go-fuego/fuego": "fuego",
    "github.com/pocketbase/pocketbase": "pocketbase",
    "github.com/go-martini/martini": "martini",
    "github.com/gorilla/mux": "gorilla",
    "github.com/julienschmidt/httprouter": "httprouter",
    "github.com/valyala/fasthttp": "fasthttp",
}
REQUIRE = re.compile(r"^\s*(?:require\s+)?([\w\-/~]+(?:\.[\w\-/~]+)+)\s+(v[\w.+-]+)(\s*//\s*indirect)?", re.MULTILINE)
GO_LINE = re.compile(r"^go\s+([\d.]+\w*)", re.MULTILINE)
MAJOR = re.compile(r"/v\d+$")


def detect(view: View) -> Analysis | None:
    """What the folder is as Go; None where nothing says that it is."""
    module = view.has("go.mod", "go.work")
    if not module and not view.ending("go"):
        return None
    dependencies = unique(_dependencies(view))
    present = {MAJOR.sub("", dependency.name) for dependency in dependencies if not dependency.dev}
    framework, said = framework_of(view, FRAMEWORKS, present, ["go.mod"])
    version = versions("go", _pins(view))
    tests = any(path.endswith("_test.go") for path in view.ending("go"))
    main = _main(view)
    return Analysis(
        language="go",
        framework=framework,
        **version.fields,
        package_manager="gomod" if module else "dep" if view.has("Gopkg.toml") else None,
        lockfile=view.first("go.sum"),
        build_tool="go",
        dependencies=dependencies,
        commands=Commands(
            install="go mod download" if module else None,
            build=f"go build {main}" if main else "go build ./...",
            test="go test ./..." if tests else None,
            lint="golangci-lint run" if view.matching(r"\.golangci\.(?:ya?ml|toml|json)") else None,
        ),
        entry_point=main,
        has_tests=tests,
        test_runner="go" if tests else None,
        manifests=tuple(path for path in sorted(NAMES) if view.has(path)),
        evidence=some(said, *version.evidence),
    )


def _dependencies(view: View) -> Iterable[Dependency]:
    """What go.mod requires; what is only there for another module counts as for development."""
    for path in ["go.mod"] if view.has("go.mod") else view.named("go.mod")[:20]:
        for name, version, indirect in REQUIRE.findall(view.script(path)):
            yield Dependency(name=name, constraint=version, dev=bool(indirect))


def _pins(view: View) -> Iterable[Pin | None]:
    """What says which Go, in the order in which it counts."""
    yield tool(view, "go", "golang")
    yield first_line(view, ".go-version", "go")
    heroku = re.search(r"^//\s*\+heroku\s+goVersion\s+(?:go)?([\d.]+)", view.script("go.mod"), re.MULTILINE)
    yield pin(view, "go.mod", heroku[1] if heroku else None)
    for path in ("go.mod", "go.work"):
        found = GO_LINE.search(view.script(path))
        yield pin(view, path, found[1] if found else None)


def _main(view: View) -> str | None:
    """The package to build: the root where main.go is there, else the first command of `cmd/`."""
    if view.has("main.go"):
        return "."
    commands = [path for path in view.named("main.go") if path.startswith("cmd/")]
    return f"./{commands[0].rpartition('/')[0]}" if commands else None


ecosystem = Ecosystem(("go",), Names(NAMES), Names(PROJECT), detect)
