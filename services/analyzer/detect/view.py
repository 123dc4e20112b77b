"""A repository, or one folder of it, as the detectors see it: names, and manifests read by their format's parser."""

from __future__ import annotations

import json
import re
import tomllib
from bisect import bisect_left
from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING, Any
from xml.etree.ElementTree import Element, ParseError

import yaml
from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from services.analyzer.detect.languages import by_bytes, is_vendored
from shared.events import Evidence

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from shared.ports import Snapshot

# Comments and trailing commas of JSON with comments; texts are matched first so that nothing within them is.
JSON_NOISE = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|/\*(?:.*?\*/|.*)|,(?=\s*[}\]])', re.DOTALL)
WIDE = re.compile(r"\s{21,}")
NAMESPACE = re.compile(r"^\{[^}]*\}")
YAML_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
# What no manifest has, and what libyaml needs quadratic time or its C stack for.
MAX_YAML_ALIASES = 100
MAX_YAML_DEPTH = 50
TOML_LONG_KEY = re.compile(r"""(?<![\w.'"-])(?:[\w'"-]+[ \t]*\.[ \t]*){30}""")
YAML_NESTED_LINE = re.compile(rf"^[ ]*(?:[-?:][ \t]+){{{MAX_YAML_DEPTH}}}|^[ ]{{{10 * MAX_YAML_DEPTH}}}", re.MULTILINE)


class View:
    """Reads never raise: what is missing, too deep or not of its format is empty. Vendored files are not seen."""

    def __init__(self, sizes: Mapping[str, int], contents: Mapping[str, bytes], root: str = "") -> None:
        """Of these files: path → bytes, and the content of those that were read; `root` is where they stand."""
        self.root = root
        self.sizes = sizes
        self.paths = sizes.keys()
        self._contents = contents
        self._parsed: dict[tuple[str, str], Any] = {}

    @classmethod
    def of(cls, snapshot: Snapshot) -> View:
        """Of a whole repository."""
        sizes = {entry.path: entry.size for entry in snapshot.tree if not is_vendored(entry.path)}
        return cls(sizes, snapshot.contents)

    def below(self, folder: str) -> View:
        """Of one folder, its paths relative to it."""
        prefix = f"{folder}/"
        start = bisect_left(self._sorted, prefix)
        end = bisect_left(self._sorted, f"{folder}0")  # "0" is the character after "/"
        inside = self._sorted[start:end]
        sizes = {path.removeprefix(prefix): self.sizes[path] for path in inside}
        contents = {path.removeprefix(prefix): self._contents[path] for path in inside if path in self._contents}
        return View(sizes, contents, f"{self.root}/{folder}".strip("/"))

    @cached_property
    def _sorted(self) -> list[str]:
        return sorted(self.sizes)

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        found: defaultdict[str, list[str]] = defaultdict(list)
        for path in self._sorted:
            found[path.rpartition("/")[2]].append(path)
        return found

    @cached_property
    def _by_ending(self) -> dict[str, list[str]]:
        found: defaultdict[str, list[str]] = defaultdict(list)
        for path in self._sorted:
            name = path.rpartition("/")[2]
            if "." in name:
                found[name.rpartition(".")[2].lower()].append(path)
        return found

    @cached_property
    def top(self) -> list[str]:
        """The names of the files that stand in the folder itself, sorted."""
        return sorted(path for path in self.sizes if "/" not in path)

    @cached_property
    def languages(self) -> dict[str, int]:
        """Language → bytes, the largest first."""
        return by_bytes(self.sizes)

    def has(self, *paths: str) -> bool:
        """Whether any of the paths exists."""
        return any(path in self.paths for path in paths)

    def first(self, *paths: str) -> str | None:
        """The first of the paths that exists."""
        return next((path for path in paths if path in self.paths), None)

    def named(self, *names: str) -> list[str]:
        """All paths with one of these base names, the shallowest first."""
        found = [path for name in names for path in self._by_name.get(name, ())]
        return sorted(found, key=lambda path: (path.count("/"), path))

    def ending(self, *endings: str) -> list[str]:
        """All paths with one of these endings (without the dot), the shallowest first."""
        found = [path for ending in endings for path in self._by_ending.get(ending, ())]
        return sorted(found, key=lambda path: (path.count("/"), path))

    def matching(self, pattern: str) -> list[str]:
        """The paths that match a regular expression from their beginning to their end, sorted."""
        compiled = re.compile(pattern)
        return [path for path in self._sorted if compiled.fullmatch(path)]

    def text(self, path: str) -> str:
        """The content; empty where it was not read."""
        return self._contents.get(path, b"").decode("utf-8-sig", errors="replace")

    def script(self, path: str) -> str:
        """The content for patterns: very long runs of white space are short, so that no pattern is slow on them."""
        return WIDE.sub(lambda run: "\n" if "\n" in run[0] else " ", self.text(path))

    def lines(self, path: str, comment: str = "#") -> list[str]:
        """The lines without comments and blank ones, as `script` has them."""
        bare = (line.split(f" {comment}", 1)[0].strip() for line in self.script(path).splitlines())
        return [line for line in bare if line and not line.startswith(comment)]

    def json(self, path: str) -> dict[str, Any]:
        """The object in a JSON file; comments and trailing commas are allowed, as editors and compilers allow them."""
        return _table(self._read(path, "json"))

    def toml(self, path: str) -> dict[str, Any]:
        """The table in a TOML file."""
        return _table(self._read(path, "toml"))

    def yaml(self, path: str) -> dict[str, Any]:
        """The mapping in a YAML file; of several documents the first."""
        return _table(self._read(path, "yaml"))

    def xml(self, path: str) -> Element:
        """The root element of an XML file, without namespaces; an empty element where there is none."""
        found = self._read(path, "xml")
        return found if isinstance(found, Element) else Element("none")

    def _read(self, path: str, kind: str) -> Any:
        """The parsed file, once; None where it is missing or not of its format."""
        key = (path, kind)
        if key not in self._parsed:
            try:
                self._parsed[key] = _PARSERS[kind](self.text(path))
            except (ValueError, RecursionError, MemoryError, yaml.YAMLError, ParseError, DefusedXmlException):
                self._parsed[key] = None
        return self._parsed[key]

    def evidence(self, path: str, text: str, about: str = "") -> Evidence:
        """Where a statement stands: the first line of the file that has the text."""
        source = f"{self.root}/{path}".strip("/")
        for number, line in enumerate(self.text(path).splitlines(), 1):
            if text in line:
                return Evidence(source=source, line=number, text=line.strip()[:200], about=about)
        return Evidence(source=source, text=text[:200], about=about)

    def web_command(self) -> str | None:
        """The `web` process of a Procfile."""
        for line in self.lines("Procfile"):
            name, colon, command = line.partition(":")
            if colon and name == "web":
                return command.strip() or None
        return None


def table(document: Any, *keys: str) -> dict[str, Any]:
    """The table below some keys; empty where a key is missing or something else stands there."""
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return _table(document)


def texts(value: Any) -> list[str]:
    """The texts of a list; empty for anything else."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def text_of(element: Element, *path: str) -> str:
    """The text of the first element on this path of tags; empty where there is none."""
    found = element.find("/".join(path))
    return (found.text or "").strip() if found is not None else ""


def _table(document: Any) -> dict[str, Any]:
    return document if isinstance(document, dict) else {}


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return json.loads(JSON_NOISE.sub(_kept, WIDE.sub(" ", text)))


def _kept(match: re.Match[str]) -> str:
    """A text stays; a comment or a comma too many goes."""
    return match[0] if match[0].startswith('"') else ""


def _toml(text: str) -> Any:
    """The document; a key of very many parts is refused, because the parser needs quadratic time for it."""
    return None if TOML_LONG_KEY.search(text) else tomllib.loads(text)


def _yaml(text: str) -> Any:
    """The first document; one that is nested very deeply or has very many aliases is refused."""
    if YAML_NESTED_LINE.search(text) or _too_deep(text) or len(re.findall(r"[\s\[,]\*\w", text)) > MAX_YAML_ALIASES:
        return None
    return next(iter(yaml.load_all(text, Loader=YAML_LOADER)), None)


def _too_deep(text: str) -> bool:
    """Whether brackets and braces nest deeper than any manifest's."""
    depth = 0
    for bracket in re.finditer(r"[\[\]{}]", text):
        depth = max(0, depth + (1 if bracket[0] in "[{" else -1))
        if depth > MAX_YAML_DEPTH:
            return True
    return False


def _xml(text: str) -> Element:
    root: Element = fromstring(text, forbid_dtd=False)
    for element in root.iter():
        if isinstance(element.tag, str):
            element.tag = NAMESPACE.sub("", element.tag)
    return root


_PARSERS: dict[str, Callable[[str], Any]] = {"json": _json, "toml": _toml, "yaml": _yaml, "xml": _xml}
