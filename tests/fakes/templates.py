"""A template store in memory; it passes the contract test of the real one (tests/templates/test_store.py)."""

from __future__ import annotations

from shared.events import Template
from shared.ports import Wanted


class FakeTemplates:
    """Implements `shared.ports.TemplateStore`."""

    def __init__(self, *templates: Template) -> None:
        """Holds these templates from the start."""
        self.stored = {template.id: template for template in templates}

    async def find(self, wanted: Wanted) -> list[Template]:
        """Those of any of the languages."""
        return [template for template in self.stored.values() if template.language in wanted.languages]

    async def get(self, template_id: str) -> Template | None:
        """The one with this id."""
        return self.stored.get(template_id)

    async def remove(self, template_id: str) -> bool:
        """True where it was there."""
        return self.stored.pop(template_id, None) is not None

    async def put(self, template: Template) -> bool:
        """True where the id was new."""
        if template.id in self.stored:
            return False
        self.stored[template.id] = template
        return True
