"""The prompts: jinja2 templates in the folder `prompts` beside this module, and their identities.

A value is inserted as text and never read as a template; a value that a prompt needs and does not get is an error
(`jinja2.UndefinedError`). Who calls `render` takes the markup out of text from outside first, with
`models.markup.neutralise`.
"""

import json
from functools import cached_property, lru_cache
from importlib import resources
from typing import TYPE_CHECKING

from models.digests import digest

if TYPE_CHECKING:
    import jinja2


class Prompt:
    """One prompt by the name of its file without `.j2`."""

    def __init__(self, name: str) -> None:
        self.source = resources.files("models").joinpath("prompts", f"{name}.j2").read_text(encoding="utf-8")

    @property
    def digest(self) -> str:
        """Identity of the prompt's text; every result made with it carries it."""
        return digest(self.source)

    def render(self, **values: str) -> str:
        """The text of a message, without a line break at its end."""
        return self._template.render(**values)

    @cached_property
    def _template(self) -> "jinja2.Template":
        return _environment().from_string(self.source)


@lru_cache(maxsize=1)
def _environment() -> "jinja2.Environment":
    import jinja2

    environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
    environment.filters["json"] = lambda value: json.dumps(value, indent=2)
    return environment
