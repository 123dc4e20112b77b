"""Elixir, Erlang and Gleam: Mix, Rebar, Gleam; Phoenix and the others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from services.analyzer.detect.project import Ecosystem, Names, framework_of, some, unique, versions
from services.analyzer.detect.releases import first_line, pin, tool
from services.analyzer.detect.view import table
from shared.events import Analysis, Commands, Dependency

if TYPE_CHECKING:
    from services.analyzer.detect.view import View

PROJECT = frozenset({"mix.exs", "rebar.config", "gleam.toml"})
NAMES = PROJECT | {".elixir-version"}
ELIXIR: dict[str, str] = {
    "phoenix": "phoenix",
    "ash_phoenix": "phoenix",
    "nerves": "nerves",
    "absinthe": "absinthe",
    "raxx": "raxx",
    "sugar": "sugar",
    "plug_cowboy": "plug",
    "bandit": "plug",
    "plug": "plug",
}
ERLANG: dict[str, str] = {"nova": "nova", "cowboy": "cowboy", "mochiweb": "mochiweb", "chicagoboss": "chicagoboss"}
GLEAM: dict[str, str] = {"lustre": "lustre", "wisp": "wisp", "mist": "mist"}
DEPENDENCY = re.compile(r"""\{\s*:(\w+)\s*,\s*(?:"([^"]*)")?([^}\n]*)""")
REBAR = re.compile(r"""\{\s*(\w+)\s*,\s*(?:"([^"]*)"|\{)""")
ELIXIR_LINE = re.compile(r"""^\s*elixir:\s*"([^"]+)\"""", re.MULTILINE)
COMMENT = re.compile(r"^\s*#[^\n]*$", re.MULTILINE)


def detect(view: View) -> Analysis | None:
    """What the folder is as Elixir, Gleam or Erlang; None where nothing says that it is."""
    if view.has("gleam.toml"):
        return _gleam(view)
    if view.has("mix.exs") or view.ending("ex", "exs"):
        return _elixir(view)
    if view.has("rebar.config", "rebar.config.script") or view.ending("erl"):
        return _erlang(view)
    return None


def _elixir(view: View) -> Analysis:
    text = COMMENT.sub("", view.script("mix.exs"))
    apps = list(view.matching(r"apps/[^/]+/mix\.exs"))[:20]
    found = [DEPENDENCY.findall(source) for source in (text, *(COMMENT.sub("", view.script(path)) for path in apps))]
    dependencies = unique(
        Dependency(name=name, constraint=said, dev="only:" in rest and ":prod" not in rest)
        for rows in found
        for name, said, rest in rows
    )
    runtime = {dependency.name for dependency in dependencies if not dependency.dev}
    framework, said = framework_of(view, ELIXIR, runtime, ["mix.exs", *apps])
    line = ELIXIR_LINE.search(text)
    version = versions(
        "elixir",
        (tool(view, "elixir"), first_line(view, ".elixir-version"), pin(view, "mix.exs", line[1] if line else None)),
    )
    managed = view.has("mix.exs")
    tests = bool(view.matching(r"(?:.*/)?test/.*_test\.exs"))
    return Analysis(
        language="elixir",
        framework=None if framework == "plug" else framework,
        **version.fields,
        package_manager="mix" if managed else None,
        lockfile=view.first("mix.lock"),
        build_tool="mix" if managed else None,
        dependencies=dependencies,
        commands=Commands(
            install="mix deps.get",
            build="mix compile --warnings-as-errors",
            test="mix test" if tests else None,
            lint="mix credo"
            if "credo" in {dependency.name for dependency in dependencies}
            else "mix format --check-formatted",
            start="mix phx.server" if framework == "phoenix" else None,
        )
        if managed
        else Commands(),
        has_tests=tests,
        test_runner="exunit" if tests else None,
        manifests=tuple(path for path in sorted(NAMES) if view.has(path)),
        evidence=some(said, *version.evidence),
    )


def _gleam(view: View) -> Analysis:
    document = view.toml("gleam.toml")
    dependencies = unique(
        Dependency(name=name, constraint=str(said), dev=key != "dependencies")
        for key in ("dependencies", "dev-dependencies", "dev_dependencies")
        for name, said in table(document, key).items()
    )
    framework, said = framework_of(view, GLEAM, {d.name for d in dependencies if not d.dev}, ["gleam.toml"])
    declared = document.get("gleam")
    version = versions(
        "gleam", (tool(view, "gleam"), pin(view, "gleam.toml", declared if isinstance(declared, str) else None))
    )
    return Analysis(
        language="gleam",
        framework=framework,
        **version.fields,
        package_manager="gleam",
        lockfile=view.first("manifest.toml"),
        build_tool="gleam",
        dependencies=dependencies,
        commands=Commands(
            install="gleam deps download",
            build="gleam build",
            test="gleam test",
            lint="gleam format --check",
            start="gleam run",
        ),
        has_tests=bool(view.matching(r"test/.*\.gleam")),
        test_runner="gleeunit",
        licence=next(iter(document.get("licences", [])), None) if isinstance(document.get("licences"), list) else None,
        manifests=("gleam.toml",),
        evidence=some(said, *version.evidence),
    )


def _erlang(view: View) -> Analysis:
    text = view.script("rebar.config")
    deps = text.partition("{deps,")[2].partition("]}")[0]
    dependencies = unique(Dependency(name=name, constraint=said) for name, said in REBAR.findall(deps))
    framework, said = framework_of(view, ERLANG, {d.name for d in dependencies}, ["rebar.config"])
    version = versions("erlang", (tool(view, "erlang"),))
    managed = view.has("rebar.config")
    return Analysis(
        language="erlang",
        framework=framework,
        **version.fields,
        package_manager="rebar3" if managed else None,
        lockfile=view.first("rebar.lock"),
        build_tool="rebar3" if managed else None,
        dependencies=dependencies,
        commands=Commands(install="rebar3 get-deps", build="rebar3 compile", test="rebar3 eunit")
        if managed
        else Commands(),
        has_tests=bool(view.matching(r"test/.*\.erl")),
        manifests=("rebar.config",) if managed else (),
        evidence=some(said, *version.evidence),
    )


ecosystem = Ecosystem(("elixir", "erlang", "gleam"), Names(NAMES), Names(PROJECT), detect)
