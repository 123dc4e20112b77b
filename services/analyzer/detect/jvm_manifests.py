"""The manifests of the JVM: pom.xml as XML; Gradle and sbt, which are programs, by the shapes that everybody writes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from services.analyzer.detect.project import Names
from services.analyzer.detect.releases import Pin, pin
from services.analyzer.detect.view import table, text_of
from shared.events import Dependency

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from services.analyzer.detect.view import View

SCRIPTS = (".gradle.kts", "build.sc")
PROJECT = frozenset({"pom.xml", "build.gradle", "build.gradle.kts", "build.sbt", "build.sc", "build.mill", "build.xml"})
NAMES = PROJECT | {"settings.gradle", "settings.gradle.kts", "gradle.properties", "libs.versions.toml", "plugins.sbt"}
NAMES |= {"system.properties", ".java-version", ".jdk-version", ".sdkmanrc", "build.properties", "Dependencies.scala"}
NAMES |= {"application.properties"}
READS, ROOTS = Names(NAMES), Names(PROJECT)
COMMENTS = re.compile(r"/\*(?:.*?\*/|.*)|(?<![:\"'])//[^\n]*", re.DOTALL)
COORDINATES = re.compile(r"""["']([\w.-]+):([\w.-]+)(?::([\w.$\{}-]+))?["']""")
NAMED = re.compile(r"""group\s*[:=]\s*["']([\w.-]+)["']\s*,\s*name\s*[:=]\s*["']([\w.-]+)["']""")
PLUGIN = re.compile(r"""\bid\s*\(?\s*["']([\w.-]+)["']\)?(?:\s*version\s*\(?\s*["']([\w.-]+)["'])?""")
APPLIED = re.compile(r"""apply\s*\(?\s*plugin\s*[:=]\s*["']([\w.-]+)["']""")
SBT = re.compile(r"""["']([\w.-]+)["']\s*%%?%?\s*["']([\w.-]+)["']\s*%\s*(?:["']([\w.-]+)["'])?""")
TOOLCHAIN = (
    re.compile(r"JavaLanguageVersion\.of\(\s*[\"']?(\d+)"),
    re.compile(r"jvmToolchain\(\s*(\d+)"),
    re.compile(r"jvmToolchain\s*\{[^}]{0,300}?of\(\s*[\"']?(\d+)"),
    re.compile(r"options\.release(?:\.set\(|\s*=)\s*(\d+)"),
    re.compile(r"sourceCompatibility\s*=?\s*(?:JavaVersion\.VERSION_)?[\"']?(\d[\d._]*)"),
    re.compile(r"targetCompatibility\s*=?\s*(?:JavaVersion\.VERSION_)?[\"']?(\d[\d._]*)"),
    re.compile(r"jvmTarget\s*(?:=|\.set\()\s*(?:JvmTarget\.JVM_)?[\"']?(\d[\d._]*)"),
)
MAVEN_KEYS = ("maven.compiler.release", "java.version", "maven.compiler.source", "maven.compiler.target", "jdk.version")
PROPERTY = re.compile(r"\$\{([\w.-]+)\}")


def files(view: View) -> list[str]:
    """All manifests, those of the modules included, the shallowest first."""
    return view.named(*sorted(PROJECT | {"libs.versions.toml", "plugins.sbt", "Dependencies.scala"}))[:200]


def dependencies(view: View) -> Iterator[Dependency]:
    """`group:artifact` of all modules, plugins and parents included; of a plugin of Gradle its id."""
    for path in files(view):
        if path.endswith("pom.xml"):
            yield from _maven(view, path)
        elif path.endswith("libs.versions.toml"):
            yield from _catalogue(view, path)
        else:
            yield from _script(COMMENTS.sub("", view.script(path)))


def _maven(view: View, path: str) -> Iterator[Dependency]:
    project = view.xml(path)
    for element in project.iter():
        if element.tag not in {"parent", "dependency", "plugin"}:
            continue
        group, artifact = text_of(element, "groupId"), text_of(element, "artifactId")
        if group and artifact and group != "${project.groupId}":
            test = text_of(element, "scope") == "test"
            yield Dependency(name=f"{group}:{artifact}", constraint=text_of(element, "version"), dev=test)


def _catalogue(view: View, path: str) -> Iterator[Dependency]:
    """Gradle's version catalogue."""
    document = view.toml(path)
    for entry in table(document, "libraries").values():
        module = entry if isinstance(entry, str) else str(table(entry).get("module", ""))
        group, artifact = table(entry).get("group"), table(entry).get("name")
        name = f"{group}:{artifact}" if group and artifact else ":".join(module.split(":")[:2])
        if name:
            yield Dependency(name=name)
    for entry in table(document, "plugins").values():
        name = entry.partition(":")[0] if isinstance(entry, str) else str(table(entry).get("id", ""))
        if name:
            yield Dependency(name=name)


def _script(text: str) -> Iterator[Dependency]:
    for group, artifact, version in COORDINATES.findall(text):
        yield Dependency(name=f"{group}:{artifact}", constraint=version)
    for group, artifact in NAMED.findall(text):
        yield Dependency(name=f"{group}:{artifact}")
    for group, artifact, version in SBT.findall(text):
        yield Dependency(name=f"{group}:{artifact}", constraint=version)
    for name, version in PLUGIN.findall(text):
        yield Dependency(name=name, constraint=version)
    yield from (Dependency(name=name) for name in APPLIED.findall(text))


def maven_property(view: View, key: str, path: str = "pom.xml") -> str | None:
    """A property of the pom, one step of `${…}` resolved."""
    project = view.xml(path)
    properties = project.find("properties")
    if properties is None:
        return None
    value = next(((child.text or "").strip() for child in properties if child.tag == key), "")
    named = PROPERTY.fullmatch(value)
    return maven_property(view, named[1], path) if named and named[1] != key else value or None


def maven_java(view: View) -> Iterator[Pin | None]:
    """Java as the pom says it, at the root or in the first modules."""
    for path in view.named("pom.xml")[:20]:
        for key in MAVEN_KEYS:
            yield pin(view, path, maven_property(view, key, path))
        for plugin in view.xml(path).iter("plugin"):
            if text_of(plugin, "artifactId") == "maven-compiler-plugin":
                told = [text_of(plugin, "configuration", key) for key in ("release", "source", "target")]
                yield pin(view, path, next((text for text in told if text and not text.startswith("$")), None))


def gradle_java(view: View) -> Iterable[Pin | None]:
    """Java as Gradle's scripts say it: toolchain, release, compatibility."""
    for path in view.named("build.gradle", "build.gradle.kts")[:20]:
        text = COMMENTS.sub("", view.script(path))
        for pattern in TOOLCHAIN:
            found = pattern.search(text)
            if found:
                yield Pin(found[1].replace("_", "."), view.evidence(path, found[0].splitlines()[0].strip(), "version"))
                break
