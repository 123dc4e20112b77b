"""Rust: Cargo; Actix, Axum, Rocket and the others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from services.analyzer.detect.project import Ecosystem, Names, framework_of, some, unique, versions
from services.analyzer.detect.releases import Pin, first_line, pin, tool
from services.analyzer.detect.view import table
from shared.events import Analysis, Commands, Dependency

if TYPE_CHECKING:
    from collections.abc import Iterable

    from services.analyzer.detect.view import View

PROJECT = frozenset({"Cargo.toml"})
NAMES = PROJECT | {"rust-toolchain", "rust-toolchain.toml", ".rust-version"}
FRAMEWORKS: dict[str, str] = {
    "loco-rs": "loco",
    "leptos": "leptos",
    "dioxus": "dioxus",
    "yew": "yew",
    "sycamore": "sycamore",
    "tauri": "tauri",
    "actix-web": "actix",
    "rocket": "rocket",
    "axum": "axum",
    "poem": "poem",
    "salvo": "salvo",
    "warp": "warp",
    "tide": "tide",
    "gotham": "gotham",
    "ntex": "ntex",
    "viz": "viz",
    "tonic": "tonic",
    "bevy": "bevy",
    "trillium": "trillium",
    "vercel_runtime": "vercel",
}


def detect(view: View) -> Analysis | None:
    """What the folder is as Rust; None where nothing says that it is."""
    if not view.has("Cargo.toml") and not view.ending("rs"):
        return None
    cargo = view.toml("Cargo.toml")
    dependencies = unique(_dependencies(view))
    runtime = {dependency.name for dependency in dependencies if not dependency.dev}
    framework, said = framework_of(view, FRAMEWORKS, runtime, view.named("Cargo.toml"))
    version = versions("rust", _pins(view))
    has_manifest = view.has("Cargo.toml")
    licence = table(cargo, "package").get("license")
    return Analysis(
        language="rust",
        framework=framework,
        **version.fields,
        package_manager="cargo" if has_manifest else None,
        lockfile=view.first("Cargo.lock"),
        build_tool="cargo",
        dependencies=dependencies,
        commands=Commands(
            install="cargo fetch", build="cargo build --release", test="cargo test", lint="cargo clippy -- -D warnings"
        )
        if has_manifest
        else Commands(),
        entry_point=view.first("src/main.rs", "src/lib.rs"),
        has_tests=bool(view.matching(r"(?:.*/)?tests/.*\.rs")),
        test_runner="cargo" if has_manifest else None,
        licence=licence if isinstance(licence, str) else None,
        manifests=tuple(path for path in sorted(NAMES) if view.has(path)),
        evidence=some(said, *version.evidence),
    )


def _dependencies(view: View) -> Iterable[Dependency]:
    """Of the crate, or of all members where the root is only a workspace."""
    root = view.toml("Cargo.toml")
    paths = ["Cargo.toml"] if "package" in root else view.named("Cargo.toml")[:50]
    for path in paths:
        document = view.toml(path)
        tables = [document, table(document, "workspace"), *table(document, "target").values()]
        for holder in tables:
            for key, dev in (("dependencies", False), ("dev-dependencies", True), ("build-dependencies", True)):
                for name, entry in table(holder, key).items():
                    said = entry if isinstance(entry, str) else str(table(entry).get("version", ""))
                    yield Dependency(name=str(table(entry).get("package", name)), constraint=said, dev=dev)


def _pins(view: View) -> Iterable[Pin | None]:
    """What says which Rust, in the order in which it counts."""
    channel = table(view.toml("rust-toolchain.toml"), "toolchain").get("channel")
    yield pin(view, "rust-toolchain.toml", channel if isinstance(channel, str) else None)
    written = table(view.toml("rust-toolchain"), "toolchain").get("channel")
    if isinstance(written, str):
        yield pin(view, "rust-toolchain", written)
    elif re.fullmatch(r"[\w.-]+", view.script("rust-toolchain").strip()):
        yield first_line(view, "rust-toolchain")
    yield first_line(view, ".rust-version")
    yield tool(view, "rust")
    cargo = view.toml("Cargo.toml")
    for holder in (table(cargo, "package"), table(cargo, "workspace", "package")):
        version = holder.get("rust-version")
        yield pin(view, "Cargo.toml", version if isinstance(version, str) else None)


ecosystem = Ecosystem(("rust",), Names(NAMES), Names(PROJECT), detect)
