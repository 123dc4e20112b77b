"""A template store in memory; it passes the contract test of the real one (tests/templates/test_store.py)."""

from __future__ import annotations

from collections.abc import Sequence

from shared.events import Template
from shared.ports import Wanted


class FakeTemplates:
    """Implements `shared.ports.TemplateStore`."""

    def __init__(self, *templates: Template) -> None:
        """Holds these templates from the start."""
        self.stored = {template.id: template for template in templates}

    async def find(self, wanted: Wanted) -> list[Template]:
        """Those of any of the languages, without the text of their files."""
        return [_sketch(template) for template in self.stored.values() if template.language in wanted.languages]

    async def get(self, template_id: str, collection: str | None = None) -> Template | None:
        """The one with this id, if it is in that collection."""
        found = self.stored.get(template_id)
        return found if found and collection in (None, found.collection) else None

    async def replace(self, collection: str, prefix: str, templates: Sequence[Template]) -> int:
        """Those with the prefix are these now."""
        kept = {template.id for template in templates}
        new = len(kept - self.stored.keys())
        self.stored = {
            name: one
            for name, one in self.stored.items()
            if one.collection != collection or not name.startswith(prefix) or name in kept
        }
        self.stored |= {template.id: self.stored.get(template.id, template) for template in templates}
        return new

    async def remove(self, template_id: str) -> bool:
        """True where it was there."""
        return self.stored.pop(template_id, None) is not None

    async def put(self, template: Template) -> bool:
        """True where the id was new."""
        new = template.id not in self.stored
        self.stored[template.id] = template
        return new


def _sketch(template: Template) -> Template:
    texts = {name: None if getattr(template, name) is None else "" for name in ("pipeline", "dockerfile")}
    return template.model_copy(update=texts)
