"""The registered models of an environment: their versions, and which of them is the champion."""

from __future__ import annotations

import datetime
import json
import operator
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ..environments import Environment
from ..errors import ModelError, near
from .tracking import AlreadyThere, Tracking

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel

__all__ = ["CHAMPION", "PREVIOUS", "Registry", "Version", "aliased"]

CHAMPION, PREVIOUS = "champion", "previous"
_NAME = re.compile(r"[a-z][a-z0-9_]{0,62}")
_TAG = "mainstem."
_MOST = 1000  # models that MLflow lists at once


@dataclass(frozen=True)
class Version:
    """A version of a model. `name` is what MLflow calls the model, `mlflow_run` the run there, `tags` are ours."""

    model: str
    name: str
    number: int
    source: str
    mlflow_run: str
    created: datetime.datetime
    aliases: tuple[str, ...]
    tags: Mapping[str, str]

    @property
    def metrics(self) -> dict[str, float]:
        """What was measured as it was registered."""
        found: dict[str, float] = json.loads(self.tags.get("metrics", "{}"))
        return found

    @property
    def title(self) -> str:
        """Model, version and data date."""
        return self.tags.get("title", "")

    @property
    def uri(self) -> str:
        """Its address for MLflow."""
        return f"models:/{self.name}/{self.number}"


class Registry(Tracking):
    """The models of an environment or namespace; one that has no version in a namespace is `dev`'s, to read.

    Raises ModelError when MLflow does not do what it is asked, SettingsError where nobody says where it is.
    """

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        outer = f"{environment.project.name}.{environment.name}."
        self.prefix = f"{outer}{environment.checkout.namespace}." if environment.checkout.namespace else outer
        self.prefixes = tuple(dict.fromkeys((self.prefix, outer)))

    def models(self) -> list[str]:
        """The models that have been registered here or, for a namespace, in `dev`."""
        every = self.search_registered_models(filter_string=f"name LIKE '{self.prefixes[-1]}%'", max_results=_MOST)
        named = [one.name.rpartition(".") for one in every]
        return sorted({model for prefix, _, model in named if f"{prefix}." in self.prefixes})

    def registered(self) -> list[str]:
        """What MLflow calls the models that were registered here."""
        every = self.search_registered_models(filter_string=f"name LIKE '{self.prefix}%'", max_results=_MOST)
        return [one.name for one in every if one.name.startswith(self.prefix)]

    def own(self, model: str) -> list[Version]:
        """The versions that were registered here, newest first."""
        return self._versions(model, self.prefix)

    def visible(self, model: str) -> list[Version]:
        """The versions to read, newest first: those registered here or, where a namespace has none, `dev`'s."""
        return next(filter(None, (self._versions(model, prefix) for prefix in self.prefixes)), [])

    def pick(self, versions: list[Version], model: str, number: int | None) -> Version:
        """The version of that number, or the newest; raises ModelError saying which there are."""
        if not versions:
            known = self.models()
            hint = f"only {self.environment.name} has one" if model in known else near(model, known)
            raise ModelError(
                f"no version of model {model!r} is registered in {self.environment.title} ({hint}): "
                "run the pipeline that trains it first"
            )
        if found := [one for one in versions if number in (None, one.number)]:
            return found[0]
        numbers = ", ".join(str(one.number) for one in versions)
        raise ModelError(f"model {model!r} has no version {number} in {self.environment.title}: it has {numbers}")

    def add(self, model: str, logged: LoggedModel, tags: Mapping[str, str]) -> Version:
        """Register a model that was logged; its version has these tags, and a title, as soon as it is there.

        Of several versions with the same label, of an attempt beside this one or of a request that
        MLflow was sent twice, the first counts.
        """
        name, before = self.prefix + model, self.own(model)
        if not before:
            with suppress(AlreadyThere):
                self.create_registered_model(name)
        number = before[0].number + 1 if before else 1
        written = {f"{_TAG}{tag}": value for tag, value in {**tags, "title": _title(model, number, tags)}.items()}
        ids = {"source": logged.artifact_location, "run_id": logged.source_run_id, "model_id": logged.model_id}
        made = self.create_model_version(name, **ids, tags=written, await_creation_for=0)
        label = operator.itemgetter("run", "key")
        first = [one for one in self.own(model) if "key" in one.tags and label(one.tags) == label(tags)][-1]
        if first.number != int(made.version):
            self.delete_model_version(name, made.version)
        if first.number != number:
            self.tag(first, {"title": _title(model, first.number, tags)})
        return first

    def tag(self, version: Version, tags: Mapping[str, str]) -> None:
        """Set tags of a version."""
        for tag, value in tags.items():
            self.set_model_version_tag(version.name, str(version.number), f"{_TAG}{tag}", value)

    def alias(self, alias: str, version: Version) -> None:
        """Give an alias to a version, and take it from the one that has it."""
        self.set_registered_model_alias(version.name, alias, str(version.number))

    def _versions(self, model: str, prefix: str) -> list[Version]:
        if not _NAME.fullmatch(model):
            raise ModelError(
                f"{model!r} is no name for a model: use a lower-case letter, then lower-case letters, digits and _ "
                "(63 at most)"
            )
        named = f"name = '{prefix}{model}'"
        registered = self.search_registered_models(filter_string=named)
        found = self.search_model_versions(named, order_by=["version_number DESC"]) if registered else []
        return [_version(model, one, registered[0].aliases) for one in found]


def aliased(versions: list[Version], alias: str) -> Version | None:
    """The version that has an alias."""
    return next((one for one in versions if alias in one.aliases), None)


def _title(model: str, number: int, tags: Mapping[str, str]) -> str:
    return f"{model}_{number}_{tags['date']}"


def _version(model: str, found: Any, aliases: Mapping[str, str]) -> Version:
    return Version(
        model=model,
        name=found.name,
        number=int(found.version),
        source=found.source,
        mlflow_run=found.run_id,
        created=datetime.datetime.fromtimestamp(found.creation_timestamp / 1000, datetime.UTC),
        aliases=tuple(sorted(alias for alias, number in aliases.items() if int(number) == int(found.version))),
        tags={tag.removeprefix(_TAG): value for tag, value in found.tags.items() if tag.startswith(_TAG)},
    )
