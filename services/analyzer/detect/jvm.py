"""Java, Kotlin, Scala and Groovy: Maven, Gradle, sbt, Mill; Spring Boot, Quarkus, Micronaut and the others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from services.analyzer.detect import jvm_manifests as manifests
from services.analyzer.detect.project import Ecosystem, some, unique, versions
from services.analyzer.detect.releases import Pin, first_line, pin, tool
from shared.events import Analysis, Commands, Evidence

if TYPE_CHECKING:
    from collections.abc import Iterable

    from services.analyzer.detect.view import View
    from shared.events import Dependency

LANGUAGES = ("java", "kotlin", "scala", "groovy")
# `group:artifact`, or a group alone → framework; asked for in this order.
FRAMEWORKS: dict[str, str] = {
    "io.quarkus": "quarkus",
    "io.micronaut": "micronaut",
    "io.helidon": "helidon",
    "io.openliberty.tools": "open-liberty",
    "net.wasdev.wlp.maven.plugins": "open-liberty",
    "org.jboss.eap.plugins": "jboss-eap",
    "org.jboss.bom": "jboss-eap",
    "com.ibm.websphere": "websphere",
    "org.wildfly": "wildfly",
    "io.thorntail": "thorntail",
    "org.grails": "grails",
    "org.springframework.boot": "spring-boot",
    "io.dropwizard": "dropwizard",
    "io.ktor": "ktor",
    "io.vertx": "vertx",
    "io.javalin": "javalin",
    "org.http4k": "http4k",
    "com.sparkjava": "spark",
    "com.typesafe.play": "play",
    "org.playframework": "play",
    "org.http4s": "http4s",
    "dev.zio:zio-http": "zio-http",
    "dev.zio": "zio",
    "com.typesafe.akka:akka-http": "akka-http",
    "org.apache.pekko:pekko-http": "pekko-http",
    "org.scalatra": "scalatra",
    "com.lihaoyi:cask": "cask",
    "com.softwaremill.sttp.tapir": "tapir",
    "com.vaadin": "vaadin",
    "org.apache.struts": "struts",
    "com.android.application": "android",
    "com.android.library": "android",
    "org.apache.camel": "camel",
    "org.springframework": "spring",
    "jakarta.platform": "jakarta-ee",
    "javax:javaee-api": "jakarta-ee",
}
VENDORS = re.compile(r"^(?:[a-z_]+-)*(?=\d)")
PORT_KEYS = re.compile(r"(?:server|quarkus\.http|micronaut\.server)\.port\s*[=:]\s*(\d{2,5})\s*$", re.MULTILINE)


def detect(view: View) -> Analysis | None:
    """What the folder is as a project of the JVM; None where nothing says that it is."""
    found = manifests.READS.among(view.top)
    manager = _manager(view)
    if manager is None and not view.ending("java", "kt", "scala", "groovy"):
        return None
    dependencies = unique(manifests.dependencies(view))
    language = _language(view, manager)
    framework, said = _framework(view, dependencies)
    version = versions("java", _scala_pins(view) if language == "scala" else _pins(view))
    run = _wrapper(view, manager)
    return Analysis(
        language=language,
        framework=framework,
        **version.fields,
        package_manager=manager,
        lockfile=view.first("gradle.lockfile"),
        build_tool=manager,
        dependencies=dependencies,
        commands=_commands(manager, run, framework),
        has_tests=bool(view.matching(r"(?:.*/)?src/test/.*\.(?:java|kt|scala|groovy)")),
        test_runner=_runner(dependencies),
        ports=tuple(sorted({int(port) for path in _properties(view) for port in PORT_KEYS.findall(view.script(path))})),
        manifests=tuple(found),
        evidence=some(said, *version.evidence),
    )


def _manager(view: View) -> str | None:
    """The build tool, which on the JVM is the package manager as well."""
    for manager, names in (
        ("maven", ("pom.xml", "pom.atom", "pom.yml")),
        ("gradle", ("build.gradle", "build.gradle.kts", "settings.gradle", "settings.gradle.kts")),
        ("sbt", ("build.sbt",)),
        ("mill", ("build.sc", "build.mill")),
        ("ant", ("build.xml",)),
    ):
        if view.has(*names):
            return manager
    return "sbt" if view.has("project/build.properties") else None


def _language(view: View, manager: str | None) -> str:
    """The language with the most bytes; build scripts are not the program."""
    sizes = {
        language: sum(view.sizes[path] + 1 for path in view.ending(*endings) if not path.endswith(manifests.SCRIPTS))
        for language, endings in (("java", ("java",)), ("kotlin", ("kt", "kts")), ("scala", ("scala", "sc")))
    }
    sizes["groovy"] = sum(view.sizes[path] + 1 for path in view.ending("groovy"))
    best = max(sizes, key=lambda language: sizes[language])
    return best if sizes[best] else "scala" if manager in {"sbt", "mill"} else "java"


def _framework(view: View, dependencies: Iterable[Dependency]) -> tuple[str | None, Evidence | None]:
    names = {dependency.name for dependency in dependencies}
    present = names | {name.partition(":")[0] for name in names}
    for name, framework in FRAMEWORKS.items():
        group = name.partition(":")[0]
        if name in present or any(":" not in name and one.startswith(f"{group}.") for one in present):
            source = next((path for path in manifests.files(view) if group in view.script(path)), "")
            return framework, view.evidence(source, group, "framework")
    return None, None


def _pins(view: View) -> Iterable[Pin | None]:
    """What says which Java, in the order in which it counts."""
    runtime = re.search(r"^\s*java\.runtime\.version\s*=\s*(\S+)", view.script("system.properties"), re.MULTILINE)
    yield pin(view, "system.properties", runtime[1] if runtime else None)
    for path in (".java-version", ".jdk-version"):
        yield first_line(view, path)
    sdkman = re.search(r"^\s*java\s*=\s*(\S+)", view.script(".sdkmanrc"), re.MULTILINE)
    yield pin(view, ".sdkmanrc", sdkman[1].partition("-")[0] if sdkman else None)
    found = tool(view, "java")
    yield Pin(VENDORS.sub("", found.text), found.evidence) if found else None
    yield from manifests.maven_java(view)
    yield from manifests.gradle_java(view)


def _scala_pins(view: View) -> Iterable[Pin | None]:
    """What says which Scala."""
    for path in ("build.sbt", "project/Dependencies.scala", "build.sc", "build.mill"):
        found = re.search(r"""scalaVersion\s*(?::=|=)\s*["']([\d.]+)["']""", view.script(path))
        found = found or re.search(r"""(?i)\bscala\w*(?:version)?\s*=\s*["'](\d+\.[\d.]+)["']""", view.script(path))
        yield pin(view, path, found[1] if found else None)
    yield tool(view, "scala")
    yield pin(view, "pom.xml", manifests.maven_property(view, "scala.version"))


def _wrapper(view: View, manager: str | None) -> str:
    """How the build tool is called: by the wrapper of the repository where it has one."""
    if manager == "maven":
        return "./mvnw" if view.has("mvnw") else "mvn"
    if manager == "gradle":
        return "./gradlew" if view.has("gradlew") else "gradle"
    return manager or ""


def _commands(manager: str | None, run: str, framework: str | None) -> Commands:
    if manager == "maven":
        batch = f"{run} --batch-mode"
        start = f"{batch} spring-boot:run" if framework == "spring-boot" else None
        return Commands(
            install=f"{batch} dependency:go-offline",
            build=f"{batch} package -DskipTests",
            test=f"{batch} test",
            start=start,
        )
    if manager == "gradle":
        start = f"{run} bootRun" if framework == "spring-boot" else None
        return Commands(install=f"{run} dependencies", build=f"{run} assemble", test=f"{run} test", start=start)
    if manager == "sbt":
        return Commands(install="sbt update", build="sbt compile", test="sbt test", start="sbt run")
    if manager == "mill":
        return Commands(build="mill __.compile", test="mill __.test")
    return Commands(build="ant") if manager == "ant" else Commands()


def _runner(dependencies: Iterable[Dependency]) -> str | None:
    names = " ".join(dependency.name for dependency in dependencies)
    known: tuple[tuple[str, str], ...] = (
        ("junit", "junit"),
        ("testng", "testng"),
        ("scalatest", "scalatest"),
        ("munit", "munit"),
    )
    known += (("specs2", "specs2"), ("spock", "spock"), ("kotest", "kotest"), ("spring-boot-starter-test", "junit"))
    return next((runner for mark, runner in known if mark in names), None)


def _properties(view: View) -> list[str]:
    return [path for path in view.named("application.properties") if "src/main/resources/" in path]


ecosystem = Ecosystem(LANGUAGES, manifests.READS, manifests.ROOTS, detect)
