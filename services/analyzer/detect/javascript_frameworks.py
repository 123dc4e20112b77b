"""Frameworks of JavaScript and TypeScript: the tables, and which of several counts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from services.analyzer.detect.project import framework_of
from services.analyzer.detect.view import table
from shared.events import Evidence

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from services.analyzer.detect.view import View
    from shared.events import Dependency

# Each table: package → framework, the more specific first; the first direct dependency counts. The tables are asked
# in the order META, SERVERS, BUILDERS, LIBRARIES: a Nest application with a Vite client is a Nest application.
# META and BUILDERS may be development dependencies: they make what is served.
META: dict[str, str] = {
    "blitz": "blitz",
    "@redwoodjs/core": "redwood",
    "@shopify/hydrogen": "hydrogen",
    "@tanstack/react-start": "tanstack-start",
    "@tanstack/solid-start": "tanstack-start",
    "@tanstack/start": "tanstack-start",
    "@docusaurus/core": "docusaurus",
    "docusaurus": "docusaurus",
    "nextra": "nextjs",
    "next": "nextjs",
    "nuxt": "nuxt",
    "nuxt3": "nuxt",
    "nuxt-edge": "nuxt",
    "@solidjs/start": "solid-start",
    "solid-start": "solid-start",
    "@remix-run/react": "remix",
    "@remix-run/node": "remix",
    "@remix-run/dev": "remix",
    "@react-router/dev": "react-router",
    "@react-router/node": "react-router",
    "@sveltejs/kit": "sveltekit",
    "@builder.io/qwik-city": "qwik",
    "@qwik.dev/router": "qwik",
    "@analogjs/platform": "analog",
    "@scullyio/init": "scully",
    "@angular/core": "angular",
    "astro": "astro",
    "gatsby": "gatsby",
    "vitepress": "vitepress",
    "vuepress": "vuepress",
    "@11ty/eleventy": "eleventy",
    "hexo": "hexo",
    "sapper": "sapper",
    "gridsome": "gridsome",
    "umi": "umi",
    "@umijs/max": "umi",
    "expo": "expo",
    "react-native": "react-native",
    "electron": "electron",
    "@stencil/core": "stencil",
    "saber": "saber",
    "@sanity/base": "sanity",
    "sanity": "sanity",
    "@strapi/strapi": "strapi",
    "strapi": "strapi",
    "payload": "payload",
    "@keystone-6/core": "keystone",
    "@medusajs/medusa": "medusa",
    "@mastra/core": "mastra",
    "xmcp": "xmcp",
    "ember-source": "ember",
    "ember-cli": "ember",
    "meteor-node-stubs": "meteor",
    "waku": "waku",
    "vike": "vike",
    "@dojo/framework": "dojo",
    "@dojo/cli": "dojo",
    "@fresh/core": "fresh",
    "$fresh": "fresh",
    "lume": "lume",
}
SERVER_PACKAGES: dict[str, str] = {
    "@nestjs/core": "nestjs",
    "@adonisjs/core": "adonis",
    "@feathersjs/feathers": "feathers",
    "@loopback/core": "loopback",
    "sails": "sails",
    "moleculer": "moleculer",
    "egg": "egg",
    "@midwayjs/core": "midway",
    "fastify": "fastify",
    "koa": "koa",
    "@hapi/hapi": "hapi",
    "hapi": "hapi",
    "restify": "restify",
    "hono": "hono",
    "elysia": "elysia",
    "polka": "polka",
    "express": "express",
    "@apollo/server": "apollo",
    "apollo-server": "apollo",
    "nitropack": "nitro",
    "nitro": "nitro",
    "h3": "h3",
    "@oak/oak": "oak",
    "oak": "oak",
    "@hono/hono": "hono",
    "probot": "probot",
    "micro": "micro",
}
BUILDERS: dict[str, str] = {
    "react-scripts": "react",
    "preact-cli": "preact",
    "@vue/cli-service": "vue",
    "@ionic/react-scripts": "react",
    "polymer-cli": "polymer",
    "vite": "vite",
    "parcel": "parcel",
    "parcel-bundler": "parcel",
    "brunch": "brunch",
}
LIBRARIES: dict[str, str] = {
    "svelte": "svelte",
    "solid-js": "solid",
    "@builder.io/qwik": "qwik",
    "preact": "preact",
    "lit": "lit",
    "@polymer/polymer": "polymer",
    "vue": "vue",
    "react": "react",
}
SERVERS = frozenset(SERVER_PACKAGES.values())
# Vite that only tests or packs a library is no framework: an application has a page to begin with.
NEEDS_A_PAGE = frozenset({"vite", "parcel"})
CONFIGURATIONS: dict[str, str] = {
    "redwood.toml": "redwood",
    "angular.json": "angular",
    "astro.config.mjs": "astro",
    "nuxt.config.ts": "nuxt",
    "nuxt.config.js": "nuxt",
    "next.config.js": "nextjs",
    "next.config.mjs": "nextjs",
    "next.config.ts": "nextjs",
    "gatsby-config.js": "gatsby",
    "nest-cli.json": "nestjs",
    "docusaurus.config.js": "docusaurus",
    "docusaurus.config.ts": "docusaurus",
    ".umirc.ts": "umi",
    ".meteor/release": "meteor",
    "fresh.gen.ts": "fresh",
    "fresh.config.ts": "fresh",
}
BUNDLERS = ("vite", "webpack", "rollup", "esbuild", "parcel", "tsup", "@rspack/core", "turbo", "nx", "gulp", "grunt")


def framework(
    view: View, package: Mapping[str, object], dependencies: Iterable[Dependency]
) -> tuple[str | None, Evidence | None]:
    """The framework and where it is declared; None where a library or a plain program is all that there is."""
    direct, sources = (
        list(dependencies),
        ["package.json", "package.json5", "deno.json", "deno.jsonc", "import_map.json"],
    )
    runtime = {dependency.name for dependency in direct if not dependency.dev}
    declared = runtime | set(table(package, "devDependencies"))
    for known, present in ((META, declared), (SERVER_PACKAGES, runtime), (_builders(view), declared)):
        found = framework_of(view, known, present, sources)
        if found[0]:
            return found
    configured = next((name for name in CONFIGURATIONS if view.has(name)), None)
    if configured:
        return CONFIGURATIONS[configured], Evidence(source=configured, about="framework")
    libraries = runtime if not _is_library(package) else set()
    return framework_of(view, LIBRARIES, libraries | (declared if _has_page(view) else set()), sources)


def build_tool(dependencies: Iterable[Dependency]) -> str | None:
    """The bundler or task runner, as far as it is declared."""
    names = {dependency.name for dependency in dependencies}
    return next((name for name in BUNDLERS if name in names), None)


def _builders(view: View) -> dict[str, str]:
    """The builders that count here; a Svelte application is said to be one, though Vite builds it."""
    page = _has_page(view)
    return {name: said for name, said in BUILDERS.items() if page or said not in NEEDS_A_PAGE}


def _has_page(view: View) -> bool:
    return any(path.count("/") <= 2 for path in view.named("index.html"))  # noqa: PLR2004 - as deep as tools look


def _is_library(package: Mapping[str, object]) -> bool:
    """Whether it is made to be used by others: what it takes from its user it names as a peer."""
    return bool(table(package, "peerDependencies")) and package.get("private") is not True


__all__ = ["SERVERS", "build_tool", "framework"]
