"""One small repository of each kind, and what the analysis says of it."""

from __future__ import annotations

import json


def package(**fields: object) -> str:
    """A package.json."""
    return json.dumps({"name": "shop", **fields})


STACKS: dict[str, tuple[dict[str, str], dict[str, object]]] = {
    "flask with pip": (
        {
            "app.py": "x = 1\n",
            "requirements.txt": "Flask==3.1  # web\ngunicorn\n",
            ".python-version": "3.12.42\n",
            "tests/test_app.py": "",
        },
        {
            "language": "python",
            "framework": "flask",
            "version": "3.12.42",
            "package_manager": "pip",
            "entry_point": "app.py",
            "has_tests": True,
            "install": "pip install -r requirements.txt",
            "test": "pytest",
            "start": "gunicorn --bind 0.0.0.0:8000 app:app",
        },
    ),
    "django with poetry": (
        {
            "manage.py": "",
            "shop/wsgi.py": "",
            "poetry.lock": "",
            "pyproject.toml": '[tool.poetry.dependencies]\npython = "^3.10"\nDjango = "^5"\ngunicorn = "*"\n',
        },
        {
            "framework": "django",
            "package_manager": "poetry",
            "lockfile": "poetry.lock",
            "version": "^3.10",
            "release": "3.14",
            "start": "poetry run gunicorn --bind 0.0.0.0:8000 shop.wsgi",
        },
    ),
    "fastapi with uv": (
        {
            "main.py": "",
            "uv.lock": "",
            "pyproject.toml": '[project]\nrequires-python = ">=3.10,<3.13"\ndependencies = ["fastapi[standard]"]\n',
        },
        {
            "framework": "fastapi",
            "package_manager": "uv",
            "version": ">=3.10,<3.13",
            "release": "3.12",
            "install": "uv sync --locked",
        },
    ),
    "a package whose name only begins like a framework": (
        {"main.py": "", "requirements.txt": "fastapi-ipware\nflask_cors_like\n"},
        {"language": "python", "framework": None},
    ),
    "an application of aiohttp": (
        {"requirements.txt": "aiohttp\n", "app.py": "x"},
        {"framework": "aiohttp", "start": "python app.py"},
    ),
    "a library whose client is aiohttp": (
        {
            "pyproject.toml": '[build-system]\nbuild-backend = "hatchling.build"\n'
            '[project]\ndependencies = ["aiohttp"]\n',
            "lib/main.py": "x",
        },
        {"framework": None, "build_tool": "hatchling"},
    ),
    "npm's package fresh is no framework": (
        {"package.json": package(dependencies={"fresh": "2", "mime": "3"}), "index.js": "x"},
        {"framework": None},
    ),
    "a library with setup.py": (
        {"setup.py": "deps = ['click>=8']\nsetup(install_requires=deps)\n", "lib/__init__.py": "", "test_lib.py": ""},
        {"language": "python", "install": "pip install .", "test": "python -m unittest discover"},
    ),
    "express with npm": (
        {
            "package.json": package(
                dependencies={"express": "^5"}, main="server.js", engines={"node": ">=18 <23"}, scripts={"test": "jest"}
            ),
            "package-lock.json": "{}",
            "server.js": "",
        },
        {
            "language": "javascript",
            "framework": "express",
            "version": ">=18 <23",
            "release": "22",
            "package_manager": "npm",
            "install": "npm ci",
            "test": "npm test",
            "start": "node server.js",
        },
    ),
    "nest with pnpm in TypeScript": (
        {
            "package.json": package(dependencies={"@nestjs/core": "11"}, scripts={"build": "nest", "lint": "eslint"}),
            "pnpm-lock.yaml": "",
            "tsconfig.json": "{}",
            "src/main.ts": "",
            ".nvmrc": "v20.11.1\n",
        },
        {
            "language": "typescript",
            "framework": "nestjs",
            "version": "20.11.1",
            "package_manager": "pnpm",
            "build": "pnpm run build",
            "lint": "pnpm run lint",
        },
    ),
    "the test script that npm init writes": (
        {"package.json": package(scripts={"test": 'echo "Error: no test specified" && exit 1'}), "index.js": ""},
        {"language": "javascript", "test": None, "install": "npm install --no-audit --no-fund"},
    ),
    "next before react": (
        {"package.json": package(dependencies={"react": "19", "next": "15"}, packageManager="yarn@4.5.0")},
        {"framework": "nextjs", "package_manager": "yarn"},
    ),
    "rails": (
        {
            "Gemfile": "ruby '3.3.5'\ngem 'rails', '~> 7.2'\ngroup :test do\n  gem 'rspec'\nend\n",
            "Gemfile.lock": "",
            "config.ru": "",
        },
        {
            "language": "ruby",
            "framework": "rails",
            "version": "3.3.5",
            "package_manager": "bundler",
            "test": "bundle exec rspec",
        },
    ),
    "sinatra": (
        {"Gemfile": "gem 'sinatra'\n", "app.rb": "", ".ruby-version": "ruby-3.2.1\n"},
        {"framework": "sinatra", "version": "3.2.1", "start": "bundle exec ruby app.rb -o 0.0.0.0 -p 3000"},
    ),
    "a Procfile says how it starts": (
        {"Procfile": "release: x\nweb: gunicorn -b :5000 site:app\n", "requirements.txt": "flask\n", "site.py": ""},
        {"start": "gunicorn -b :5000 site:app"},
    ),
    "a Go program beside a script": (
        {"go.mod": "module x\ngo 1.23\n", "main.go": "package main\n" * 9, "tool.py": "x\n"},
        {"language": "go", "version": "1.23", "package_manager": "gomod", "build": "go build .", "test": None},
    ),
    "gin with a command": (
        {
            "go.mod": "module x\n\ngo 1.24.1\n\nrequire (\n\tgithub.com/gin-gonic/gin v1.10.0\n"
            "\tgithub.com/labstack/echo/v4 v4.12.0 // indirect\n)\n",
            "cmd/server/main.go": "package main",
            "cmd/server/main_test.go": "",
        },
        {"framework": "gin", "release": "1.24.1", "build": "go build ./cmd/server", "test": "go test ./..."},
    ),
    "fiber by its major version's path": (
        {"go.mod": "module x\nrequire github.com/gofiber/fiber/v2 v2.52.0\n", "main.go": "package main"},
        {"framework": "fiber"},
    ),
    "spring boot with maven and a wrapper": (
        {
            "pom.xml": "<project xmlns='http://maven.apache.org/POM/4.0.0'><parent><groupId>org.springframework.boot"
            "</groupId><artifactId>spring-boot-starter-parent</artifactId><version>3.3.0</version></parent>"
            "<properties><java.version>21</java.version></properties></project>",
            "mvnw": "",
            "src/main/java/a/App.java": "class App {}",
        },
        {
            "language": "java",
            "framework": "spring-boot",
            "version": "21",
            "package_manager": "maven",
            "test": "./mvnw --batch-mode test",
            "start": "./mvnw --batch-mode spring-boot:run",
        },
    ),
    "java by a property of a property": (
        {
            "pom.xml": "<project><properties><jdk>17</jdk><maven.compiler.release>${jdk}</maven.compiler.release>"
            "</properties></project>",
            "src/main/java/A.java": "class A {}",
        },
        {"language": "java", "framework": None, "version": "17"},
    ),
    "quarkus with gradle in Kotlin": (
        {
            "build.gradle.kts": 'plugins {\n  kotlin("jvm") version "2.0"\n  id("io.quarkus")\n}\n'
            "java { toolchain { languageVersion.set(JavaLanguageVersion.of(21)) } }\n",
            "gradlew": "",
            "src/main/kotlin/A.kt": "fun main() {}",
        },
        {"language": "kotlin", "framework": "quarkus", "version": "21", "package_manager": "gradle"},
    ),
    "ktor by gradle's catalogue": (
        {
            "build.gradle.kts": "plugins { alias(libs.plugins.ktor) }",
            "gradle/libs.versions.toml": '[plugins]\nktor = { id = "io.ktor.plugin", version = "3.0" }\n',
            "src/main/kotlin/A.kt": "fun main() {}",
        },
        {"language": "kotlin", "framework": "ktor"},
    ),
    "a plugin in a comment is none": (
        {"build.gradle": "// id 'io.micronaut.application'\nplugins { id 'java' }\n", "src/main/java/A.java": "x"},
        {"language": "java", "framework": None, "package_manager": "gradle"},
    ),
    "java by sdkman": (
        {"pom.xml": "<project/>", ".sdkmanrc": "java=21.0.2-tem\n", "A.java": "class A {}"},
        {"version": "21.0.2"},
    ),
    "play with sbt": (
        {
            "build.sbt": 'ThisBuild / scalaVersion := "3.3.1"\n',
            "project/plugins.sbt": 'addSbtPlugin("org.playframework" % "sbt-plugin" % "3.0.0")\n',
            "app/Main.scala": "object Main",
        },
        {"language": "scala", "framework": "play", "version": "3.3.1", "package_manager": "sbt", "test": "sbt test"},
    ),
    "clojure with leiningen": (
        {
            "project.clj": '(defproject x "1"\n :dependencies [[org.clojure/clojure "1.11.1"] [ring/ring-core "1.9"]])',
            "src/x/core.clj": "(ns x.core)",
        },
        {"language": "clojure", "framework": "ring", "version": "1.11.1", "package_manager": "leiningen"},
    ),
    "actix": (
        {
            "Cargo.toml": '[package]\nrust-version = "1.75"\nlicense = "MIT"\n[dependencies]\nactix-web = "4"\n',
            "src/main.rs": "fn main() {}",
        },
        {"language": "rust", "framework": "actix", "version": "1.75", "package_manager": "cargo", "licence": "MIT"},
    ),
    "a workspace of crates": (
        {
            "Cargo.toml": '[workspace]\nmembers = ["a"]\n',
            "a/Cargo.toml": '[package]\nname = "a"\n[dependencies]\naxum = { version = "0.7" }\n',
            "a/src/main.rs": "fn main() {}",
            "rust-toolchain.toml": '[toolchain]\nchannel = "nightly-2024-08-12"\n',
        },
        {"language": "rust", "framework": "axum", "version": "nightly-2024-08-12"},
    ),
    "laravel with pages by vite": (
        {
            "composer.json": json.dumps({"require": {"php": "^8.2", "laravel/framework": "^11"}}),
            "artisan": "",
            "package.json": package(devDependencies={"vite": "5", "react": "18"}),
            "resources/js/app.tsx": "x" * 500,
            "app/Models/User.php": "y" * 100,
        },
        {
            "language": "php",
            "framework": "laravel",
            "version": "^8.2",
            "release": "8.4",
            "package_manager": "composer",
        },
    ),
    "symfony": (
        {"composer.json": json.dumps({"require": {"symfony/framework-bundle": "7"}}), "src/Kernel.php": "<?php"},
        {"language": "php", "framework": "symfony"},
    ),
    "aspnet below the root": (
        {
            "shop.sln": "",
            "src/Shop/Shop.csproj": '<Project Sdk="Microsoft.NET.Sdk.Web"><PropertyGroup><TargetFramework>net8.0'
            "</TargetFramework></PropertyGroup></Project>",
            "src/Shop/Program.cs": "var app = 1;",
            "tests/Shop.Tests/Shop.Tests.csproj": '<Project Sdk="Microsoft.NET.Sdk"><ItemGroup>'
            '<PackageReference Include="xunit" Version="2.9"/></ItemGroup></Project>',
        },
        {
            "language": "csharp",
            "framework": "aspnet",
            "version": "8.0",
            "package_manager": "nuget",
            "test": "dotnet test",
            "start": "dotnet run --project src/Shop/Shop.csproj",
        },
    ),
    "a worker in F#": (
        {
            "w.fsproj": '<Project Sdk="Microsoft.NET.Sdk.Worker"><PropertyGroup>'
            "<TargetFramework>net9.0</TargetFramework></PropertyGroup></Project>",
            "Program.fs": "let x = 1",
            "global.json": '{"sdk": {"version": "9.0.100"}} // pinned',
        },
        {"language": "fsharp", "framework": "worker", "version": "9.0.100"},
    ),
    "phoenix": (
        {
            "mix.exs": 'defmodule X do\n  [app: :x,\n   elixir: "~> 1.14",\n]\n  {:phoenix, "~> 1.7"},\nend\n',
            "lib/x.ex": "defmodule X do end",
            "assets/package.json": package(),
        },
        {
            "language": "elixir",
            "framework": "phoenix",
            "version": "~> 1.14",
            "release": "1.19",
            "package_manager": "mix",
        },
    ),
    "erlang": (
        {"rebar.config": '{deps, [{cowboy, "2.9.0"}]}.', "src/x.erl": "-module(x)."},
        {"language": "erlang", "framework": "cowboy", "package_manager": "rebar3"},
    ),
    "gleam": (
        {"gleam.toml": 'name = "x"\ngleam = ">= 1.2.0"\n[dependencies]\nwisp = "~> 1"\n', "src/x.gleam": "pub fn"},
        {"language": "gleam", "framework": "wisp", "version": ">= 1.2.0", "package_manager": "gleam"},
    ),
    "c++ with cmake": (
        {"CMakeLists.txt": "find_package(Qt6 REQUIRED)\nenable_testing()\n", "main.cpp": "int main(){}"},
        {"language": "cpp", "framework": "qt", "package_manager": "cmake", "test_runner": "ctest"},
    ),
    "c with make": ({"Makefile": "all:", "main.c": "int main(){}", "x.h": ""}, {"language": "c", "build": "make"}),
    "flutter": (
        {
            "pubspec.yaml": "environment:\n  sdk: '>=3.2.0 <4.0.0'\ndependencies:\n  flutter:\n    sdk: flutter\n",
            "lib/main.dart": "void main() {}",
        },
        {"language": "dart", "framework": "flutter", "version": ">=3.2.0 <4.0.0", "release": "3.9"},
    ),
    "vapor": (
        {
            "Package.swift": "// swift-tools-version:5.9\n"
            '.package(url: "https://github.com/vapor/vapor.git", from: "4")',
            "Sources/App/main.swift": "",
        },
        {"language": "swift", "framework": "vapor", "version": "5.9", "package_manager": "swiftpm"},
    ),
    "haskell": (
        {"stack.yaml": "resolver: lts-22.1\n", "package.yaml": "dependencies:\n- servant-server\n", "src/L.hs": "x"},
        {"language": "haskell", "framework": "servant", "version": "lts-22.1", "package_manager": "stack"},
    ),
    "crystal": (
        {"shard.yml": "crystal: 1.14.0\ndependencies:\n  kemal:\n    github: kemalcr/kemal\n", "src/a.cr": "x"},
        {"language": "crystal", "framework": "kemal", "version": "1.14.0", "package_manager": "shards"},
    ),
    "zig": ({"build.zig": "", "src/main.zig": "x"}, {"language": "zig", "package_manager": "zig"}),
    "nim": ({"x.nimble": 'requires "nim >= 2.0"\n', "x.nim": "x"}, {"language": "nim", "version": ">= 2.0"}),
    "lua": ({"x-1.rockspec": "", "x.lua": "x"}, {"language": "lua", "package_manager": "luarocks"}),
    "perl": ({"cpanfile": "requires 'Mojolicious';", "app.pl": "x"}, {"language": "perl", "framework": "mojolicious"}),
    "r": (
        {"renv.lock": '{"R": {"Version": "4.3.1"}, "Packages": {"shiny": {}}}', "app.R": "x"},
        {"framework": "shiny"},
    ),
    "julia": (
        {"Project.toml": '[compat]\njulia = "1.10"\n', "src/A.jl": "x"},
        {"language": "julia", "version": "1.10"},
    ),
    "ocaml": (
        {"dune-project": "(lang dune 3.0)", "bin/main.ml": "x"},
        {"language": "ocaml", "package_manager": "dune"},
    ),
    "cobol": ({"src/main.cbl": "x"}, {"language": "cobol", "package_manager": None}),
    "visual basic": ({"a.vbproj": "<Project/>", "a.vb": "x"}, {"language": "vb", "package_manager": "nuget"}),
    "groovy": ({"build.gradle": "", "src/main/groovy/A.groovy": "x"}, {"language": "groovy"}),
    "shell": ({"start.sh": "echo", "README.md": "x"}, {"language": "shell", "start": "sh start.sh"}),
    "plain pages": ({"index.html": "<p>", "js/a.js": "x" * 99}, {"language": "static", "package_manager": None}),
    "hugo": ({"hugo.toml": "baseURL = 'x'", "content/a.md": "x"}, {"language": "static", "framework": "hugo"}),
    "zola": ({"config.toml": "base_url = 'x'", "templates/a.html": "x"}, {"language": "static", "framework": "zola"}),
    "jekyll": ({"Gemfile": "gem 'jekyll'\n", "_config.yml": "", "index.html": "x"}, {"framework": "jekyll"}),
    "vite with react is built by vite": (
        {"package.json": package(dependencies={"react": "19"}, devDependencies={"vite": "6"}), "index.html": "x"},
        {"framework": "vite", "build_tool": "vite"},
    ),
    "vite that only packs a library is no framework": (
        {"package.json": package(devDependencies={"vite": "6"}, peerDependencies={"react": "*"}), "src/i.ts": "x"},
        {"language": "typescript", "framework": None},
    ),
    "express for a mock in the tests is no framework": (
        {"package.json": package(devDependencies={"express": "5"}), "i.js": "x"},
        {"framework": None},
    ),
    "deno with fresh": (
        {"deno.json": '{"imports": {"$fresh/": "https://deno.land/x/fresh/"}}', "main.ts": "x"},
        {"language": "typescript", "framework": "fresh", "package_manager": "deno"},
    ),
    "deno with hono from its own registry": (
        {"deno.jsonc": '{"imports": {"@hono/hono": "jsr:@hono/hono@^4"}} // x', "deno.lock": "{}", "main.ts": "x"},
        {"framework": "hono", "package_manager": "deno", "lockfile": "deno.lock"},
    ),
    "a server of Blazor": (
        {"a.csproj": '<Project Sdk="Microsoft.NET.Sdk.Web"/>', "Components/App.razor": "x", "Program.cs": "x"},
        {"language": "csharp", "framework": "blazor"},
    ),
    "hugo by its older name": (
        {"config.toml": 'baseURL = "x"\n', "content/a.md": "x", "index.html": "x"},
        {"language": "static", "framework": "hugo", "package_manager": "hugo"},
    ),
    "a configuration that is not Hugo's": ({"config.toml": "a = 1", "app.py": "x"}, {"language": "python"}),
    "shiny by its own file": ({"app.R": "library(shiny)"}, {"language": "r", "framework": "shiny"}),
    "bun": (
        {"package.json": package(dependencies={"elysia": "1"}), "bun.lock": "", "i.ts": "x", ".bun-version": "1.2.3"},
        {"framework": "elysia", "package_manager": "bun", "version": "1.2.3"},
    ),
    "node by its long-term name": (
        {"package.json": package(), ".nvmrc": "lts/iron\n", "i.js": "x"},
        {"version": "lts/iron", "release": "20"},
    ),
    "mise": ({"mise.toml": '[tools]\npython = ["3.12", "3.11"]\n', "a.py": "x"}, {"version": "3.12"}),
    "the only project is below the root": (
        {"README.md": "x", "apps/web/package.json": package(dependencies={"koa": "2"}), "apps/web/i.js": "x"},
        {"language": "javascript", "framework": "koa", "root": "apps/web", "package_manager": "npm"},
    ),
    "a script of Python in a project of Node": (
        {"package.json": package(), "i.js": "x" * 900, "requirements.txt": "requests\n", "tool.py": "x"},
        {"language": "javascript", "package_manager": "npm"},
    ),
}
