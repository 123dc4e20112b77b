"""What is alike: languages that the same tools build, frameworks that are built, served and tested alike. Data."""

from __future__ import annotations

from functools import lru_cache

# Names that mean the same.
ALIASES: dict[str, str] = {
    "aspnetcore": "aspnet",
    "actix-web": "actix",
    "dancer2": "dancer",
    "next": "nextjs",
    "spm": "swiftpm",
    "html": "static",
    "none": "",
    "-": "",
}
# Language → how much of another's template holds for it, between 0 and 1.
RELATED: dict[frozenset[str], float] = {
    frozenset({"javascript", "typescript"}): 0.85,
    frozenset({"java", "kotlin"}): 0.7,
    frozenset({"java", "groovy"}): 0.7,
    frozenset({"kotlin", "groovy"}): 0.5,
    frozenset({"java", "scala"}): 0.4,
    frozenset({"csharp", "fsharp"}): 0.8,
    frozenset({"csharp", "vb"}): 0.8,
    frozenset({"fsharp", "vb"}): 0.7,
    frozenset({"c", "cpp"}): 0.7,
    frozenset({"elixir", "erlang"}): 0.4,
}
# Frameworks that one template serves nearly unchanged.
FAMILIES: tuple[frozenset[str], ...] = tuple(
    frozenset(names.split())
    for names in (
        "flask bottle falcon pyramid cherrypy",
        "fastapi starlette litestar sanic quart blacksheep robyn aiohttp fasthtml",
        "streamlit gradio dash panel nicegui solara chainlit shiny",
        "airflow dagster prefect",
        "pytorch tensorflow jax keras",
        "express koa fastify hapi hono restify polka h3 nitro micro elysia",
        "nestjs adonis feathers loopback midway",
        "react vue svelte angular solid preact lit vite ember",
        "nextjs nuxt remix react-router sveltekit tanstack-start solid-start qwik gatsby blitz hydrogen redwood",
        "astro gatsby docusaurus vuepress vitepress eleventy hexo gridsome",
        "spring-boot quarkus micronaut helidon open-liberty jakarta-ee wildfly dropwizard grails spring jboss-eap",
        "ktor http4k javalin vertx spark",
        "play akka-http pekko-http http4s scalatra cask zio-http tapir",
        "rails hanami padrino",
        "sinatra roda grape cuba rack",
        "jekyll middleman bridgetown nanoc",
        "gin echo fiber chi gorilla httprouter iris beego hertz fasthttp",
        "actix axum rocket warp poem salvo tide ntex",
        "leptos yew dioxus sycamore",
        "laravel lumen symfony codeigniter yii cakephp laminas",
        "slim flight leaf fatfree",
        "wordpress drupal craft statamic",
        "aspnet giraffe saturn suave falco carter fastendpoints worker",
        "maui xamarin avalonia",
        "phoenix plug",
        "vapor hummingbird kitura",
        "mojolicious dancer catalyst",
        "hugo zola static mdbook",
        "ring compojure luminus pedestal kit reitit",
    )
)
# What a framework is for: one of another family may still show how such a thing is built.
KINDS: dict[str, frozenset[str]] = {
    kind: frozenset(names.split())
    for kind, names in {
        "server": "flask bottle falcon pyramid cherrypy fastapi starlette litestar sanic quart blacksheep robyn "
        "aiohttp fasthtml tornado django express koa fastify hapi hono restify polka h3 nitro nestjs "
        "adonis feathers spring-boot quarkus micronaut helidon open-liberty jakarta-ee wildfly "
        "dropwizard grails ktor http4k javalin vertx play akka-http http4s zio-http rails hanami padrino "
        "sinatra roda grape gin echo fiber chi gorilla beego iris grpc actix axum rocket warp poem "
        "laravel lumen symfony codeigniter yii cakephp slim aspnet giraffe saturn phoenix vapor "
        "hummingbird mojolicious dancer catalyst ring luminus pedestal worker spring",
        "pages": "react vue svelte angular solid preact lit vite ember blazor nextjs nuxt remix react-router sveltekit "
        "tanstack-start gatsby astro docusaurus vuepress vitepress eleventy hexo hugo zola static jekyll middleman",
        "window": "tauri electron qt maui xamarin avalonia wxwidgets android flutter react-native expo",
        "data": "airflow dagster prefect pytorch tensorflow jax streamlit gradio dash shiny celery",
    }.items()
}
# A framework that is not a web server: closer to a plain library than to one.
PLAIN = frozenset({"", "zio", "maui", "qt", "tauri", "celery", "scrapy"})
MANAGERS: tuple[frozenset[str], ...] = tuple(
    frozenset(names.split())
    for names in ("npm yarn pnpm bun", "pip poetry uv pdm pipenv conda", "cmake make meson conan", "lein clojure-cli")
)


def name_of(text: str | None) -> str:
    """The name by which everything knows it; empty for none."""
    lower = (text or "").lower()
    return ALIASES.get(lower, lower)


@lru_cache(maxsize=4096)
def language_likeness(ours: str, theirs: str) -> float:
    """1 for the same language, less for one of the same tools, 0 for a stranger."""
    one, other = name_of(ours), name_of(theirs)
    return 1.0 if one == other else RELATED.get(frozenset({one, other}), 0.0)


@lru_cache(maxsize=4096)
def framework_likeness(ours: str | None, theirs: str | None) -> float:
    """1 for the same or none on both sides, then family, then kind, then a plain program beside one that is nearly."""
    one, other = name_of(ours), name_of(theirs)
    if one == other:
        return 1.0
    if any({one, other} <= family for family in FAMILIES):
        return 0.7
    if any({one, other} <= kind for kind in KINDS.values()):
        return 0.45
    return 0.4 if {one, other} <= PLAIN else 0.0


@lru_cache(maxsize=4096)
def manager_likeness(ours: str | None, theirs: str | None) -> float:
    """1 for the same, 0.3 for one that reads the same registry, 0 for another."""
    one, other = name_of(ours), name_of(theirs)
    return 1.0 if one == other else 0.3 * any({one, other} <= family for family in MANAGERS)


@lru_cache(maxsize=4096)
def languages_like(language: str) -> tuple[tuple[str, float], ...]:
    """The languages by which a template may be stored, each with its likeness."""
    return tuple((name, language_likeness(name, language)) for name in relatives(language))


@lru_cache(maxsize=4096)
def frameworks_like(framework: str | None) -> tuple[tuple[str, float], ...]:
    """The frameworks by which a template may be stored, each with its likeness; the empty name is a plain program."""
    own = name_of(framework)
    groups = [group for group in (*FAMILIES, *KINDS.values(), PLAIN) if own in group]
    near = {own, *(name for group in groups for name in group)}
    near |= {alias for alias, name in ALIASES.items() if name in near}
    return tuple((name, framework_likeness(name, own)) for name in sorted(near))


def relatives(language: str) -> list[str]:
    """The language itself and those whose templates help it, the nearest first; aliases included."""
    own = name_of(language)
    near = sorted(((likeness, pair) for pair, likeness in RELATED.items() if own in pair), key=lambda row: -row[0])
    names = [own, *(next(iter(pair - {own})) for _, pair in near)]
    return names + [alias for alias, name in ALIASES.items() if name in names and name]
