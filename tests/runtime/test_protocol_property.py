"""Whatever is run, fails, is resumed, edited or rolled back: every view is what the code computes from scratch."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from mainstem import databases, environments, errors, records, runner
from mainstem.databases import files
from mainstem.databases.objects import Bucket
from mainstem.environments import Checkout, Environment, Project
from mainstem.plan import Plan, freeze
from mainstem.settings import Settings

from tests.runtime.graphs import Form, Kind, Node, Outside, Package, number

PLACES = ("dev", "x")
NAMESPACE = "branches/x-12345678/"
Values = dict[str, int]
_folders = itertools.count()


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[Node], list[Node]]:
    """Two pipelines; the second reads datasets of the first."""
    known = ["raw"]
    first: list[Node] = []
    for index in range(draw(st.integers(1, 5))):
        kind: Kind = draw(st.sampled_from(("plain", "plain", "plain", "volatile")))
        inputs = draw(st.lists(st.sampled_from(known), max_size=2, unique=True))
        form: Form = draw(st.sampled_from(("json", "frame", "lazy")))
        if kind == "volatile":
            inputs, form = [], draw(st.sampled_from(("json", "frame")))
        first.append(Node(f"s{index}", kind, inputs, draw(st.integers(1, 2)), form))
        known += first[-1].datasets
    if draw(st.booleans()):
        first.append(Node("effect", "effect", [draw(st.sampled_from(known))], 1, "json"))
    foreign = [f"first.{name}" for node in first for name in node.datasets]
    reads = draw(st.lists(st.sampled_from(foreign), min_size=1, max_size=2, unique=True))
    second = [Node("t0", "plain", reads, 1, "frame"), Node("t1", "plain", ["t0_0"], 1, "lazy")]
    return first, second


@dataclass
class Shown:
    """What a view must hold: its datasets, and the code of the volatile steps behind them."""

    values: Values
    volatile: dict[str, tuple[object, list[int]]]


@dataclass
class Pending:
    """A run that failed: where, what it pinned, and what it had found out about the world by then."""

    place: str
    pipeline: str
    run: str
    pinned: Values
    base: Shown | None
    found: dict[str, list[int]]
    plan: str
    kwargs: dict[str, int]
    done: set[str] = field(default_factory=set)
    outdated: bool = False
    effect_overtaken: bool = False


class Protocol(RuleBasedStateMachine):
    """Operations in any order, on `dev` and on a namespace, beside a model that knows no reuse."""

    @initialize(graph=graphs(), on_disk=st.booleans())
    def begin(self, graph: tuple[list[Node], list[Node]], on_disk: bool) -> None:
        """A new package, a new bucket."""
        self.folder = Path(tempfile.mkdtemp(prefix=f"graph{next(_folders)}_"))
        first, second = graph
        self.pipelines = {"first": first, "second": second}
        self.package = Package(self.folder, [*first, *second])
        dev = Bucket.local(self.folder / "bucket") if on_disk else Bucket.memory()
        self.buckets = {"dev": dev, "x": dev.inside(NAMESPACE)}
        self.outside = Outside()
        self.outside.__enter__()
        self.views: dict[tuple[str, str], list[Shown]] = {}
        self.withdrawn: dict[tuple[str, str], set[str]] = {}
        self.sources: dict[str, int] = {}
        self.pending: Pending | None = None
        self.bring(1, "dev")

    def teardown(self) -> None:
        """Nothing is left behind."""
        if hasattr(self, "package"):
            self.outside.__exit__()
            self.package.close()
            shutil.rmtree(self.folder)

    # ------------------------------------------------------------ what people change

    @rule(index=st.integers(0, 9), by=st.integers(1, 2))
    def edit_a_step(self, index: int, by: int) -> None:
        """A new version of a step's code, which may or may not change what it gives."""
        self.node(index).version += by
        self.package.write()

    @rule(index=st.integers(0, 9))
    def swap_the_inputs(self, index: int) -> None:
        """The same datasets, handed over in another order."""
        self.node(index).inputs.reverse()

    @rule()
    def edit_the_helper(self) -> None:
        """A change that every step reaches."""
        self.package.helper += 1
        self.package.write()

    @rule()
    def edit_comments(self) -> None:
        """A change that does not count."""
        before = {name: self.freeze("dev", name).digest for name in self.pipelines}
        self.package.comments += 1
        self.package.write()
        assert before == {name: self.freeze("dev", name).digest for name in self.pipelines}

    @rule(index=st.integers(0, 9))
    def change_a_kwarg(self, index: int) -> None:
        """Another value in the declaration."""
        self.node(index).k += 1

    @rule(value=st.integers(1, 5), place=st.sampled_from(PLACES))
    def bring(self, value: int, place: str) -> None:
        """A new version of the source, maybe with the same content."""
        self.sources[place] = value
        with environments.using(self.environment(place)):
            databases.store("raw", pl.DataFrame({"value": [value, -value]}))

    @rule(weather=st.integers(0, 3))
    def the_world_changes(self, weather: int) -> None:
        """What volatile steps see from now on."""
        self.outside.weather = weather

    # ------------------------------------------------------------ what people run

    @rule(
        place=st.sampled_from(PLACES),
        name=st.sampled_from(("first", "second")),
        how=st.sampled_from(("", "", "", "force", "frozen", "since")),
        index=st.integers(0, 9),
    )
    def run(self, place: str, name: str, how: str, index: int) -> None:
        """A full run publishes what the code computes from scratch, and once more, computes nothing."""
        if not self.can_run(place, name):
            return
        self.succeed(place, name, self.options(name, how, index))
        if not how:
            again = self.succeed(place, name, {})
            reads_world = {node.name for node in self.pipelines[name] if node.kind != "plain"}
            assert set(again.computed) <= reads_world, "a step ran although nothing changed"

    @rule(place=st.sampled_from(PLACES), index=st.integers(0, 9), frozen=st.booleans())
    def fail(self, place: str, index: int, frozen: bool) -> None:
        """A step fails: the view stays, and the run can be resumed."""
        node = self.pipelines["first"][index % len(self.pipelines["first"])]
        self.outside.failing = {node.name}
        pinned, base = self.pinned(place, "first"), self.base(place, "first")
        plan = self.freeze(place, "first")
        self.outside.calls.clear()
        weather = self.outside.weather
        try:
            self.start(place, "first", {"frozen": frozen})
        except errors.StepFailed as failure:
            called = set(self.outside.calls) - self.outside.failing
            volatile = [one for one in self.pipelines["first"] if one.kind == "volatile"]
            found = {one.name: one.values([], self.package.helper, weather) for one in volatile}
            found = {one: values for one, values in found.items() if one in called}
            self.pending = Pending(
                place, "first", str(failure.run), pinned, base, found, plan.digest, self.kwargs(), called
            )
        else:
            self.outside.failing = set()
            self.published(place, "first", pinned, base, {}, frozen=frozen)
        finally:
            self.outside.failing = set()

    @precondition(lambda self: self.pending)
    @rule()
    def resume(self) -> None:
        """The printed command finishes the same run, or says why it must not."""
        pending = self.pending
        assert pending
        self.pending = None
        self.outside.calls.clear()
        declared, kwargs = self.declared(), self.kwargs()
        self.set_kwargs(pending.kwargs)  # a run is resumed with those that it was started with
        changed = self.freeze(pending.place, "first").digest != pending.plan
        try:
            with self.at(pending.place) as environment:
                runner.resume("first", declared, environment, pending.run, lambda _: None)
        except errors.Declined:
            assert changed or pending.outdated or pending.effect_overtaken
            self.set_kwargs(kwargs)
            return
        assert not changed
        assert not pending.outdated
        assert not pending.done & set(self.outside.calls), "a step with a record ran again"
        self.published(pending.place, "first", pending.pinned, pending.base, pending.found)
        self.set_kwargs(kwargs)

    @rule(
        place=st.sampled_from(PLACES),
        index=st.integers(0, 9),
        meanwhile=st.sampled_from(("nothing", "roll back", "run", "edit", "kwarg", "weather", "source")),
    )
    def fail_and_resume(self, place: str, index: int, meanwhile: str) -> None:
        """A run is resumed after other things have happened."""
        self.fail(place, index, frozen=False)
        if not self.pending:
            return
        if meanwhile == "roll back":
            self.roll_back(place, "first")
        elif meanwhile == "run":
            self.run(place, "first", "", 0)
        elif meanwhile == "kwarg":
            self.change_a_kwarg(0)
        elif meanwhile == "edit":
            self.edit_a_step(0, 1)
        elif meanwhile == "weather":
            self.the_world_changes(self.outside.weather + 1)
        elif meanwhile == "source":
            self.bring(7, place)
        self.resume()

    @rule(
        place=st.sampled_from(PLACES),
        index=st.integers(0, 9),
        what=st.sampled_from(("only", "to")),
        force=st.booleans(),
    )
    def run_a_part(self, place: str, index: int, what: str, force: bool) -> None:
        """A partial run computes its steps by the code as it is, and publishes nothing."""
        node = self.pipelines["first"][index % len(self.pipelines["first"])]
        try:
            outcome = self.start(place, "first", {what: node.name, "force": force})
        except errors.Declined:
            assert what == "only"
            assert self.base(place, "first") is None
            return
        assert outcome.view is None
        run = outcome.run
        step = run.plan.step(node.name)
        record = run.record(node.name)
        assert record
        inputs = [number(files.read(run.bucket, one)) for one in run.inputs(step).values()]
        made = [number(files.read(run.bucket, one)) for one in record.outputs.values()]
        assert made == node.values(inputs, self.package.helper, self.outside.weather)
        if node.kind == "effect" and self.pending and self.pending.place == place:
            self.pending.effect_overtaken = True

    @rule(place=st.sampled_from(PLACES), name=st.sampled_from(("first", "second")))
    def roll_back(self, place: str, name: str) -> None:
        """An earlier view is shown again, whole."""
        history = self.views.get((place, name), [])
        with self.at(place) as environment:
            try:
                view, _ = records.rollback(environment.bucket, name)
            except errors.Declined:
                return
            state = records.State(environment.bucket, name)
            passed = [state.view(number) for number in range(view.restores or 0, view.number)]
        assert view.number == len(history) + 1
        assert view.restores
        history.append(history[view.restores - 1])
        kept = made_by_runs(view)
        gone = {path for one in passed for path in made_by_runs(one)}
        self.withdrawn[place, name] = (self.withdrawn.get((place, name), set()) | gone) - kept
        if self.pending and (self.pending.place, self.pending.pipeline) == (place, name):
            self.pending.outdated = True

    @rule(index=st.integers(0, 9))
    def roll_back_what_a_branch_reused(self, index: int) -> None:
        """A branch has taken over what `dev` then withdraws."""
        self.run("dev", "first", "", 0)
        self.edit_a_step(index % len(self.pipelines["first"]), 2)
        for place in ("dev", "x"):
            self.run(place, "first", "", 0)
        self.roll_back("dev", "first")
        self.run("x", "first", "", 0)

    # ------------------------------------------------------------ what always holds

    @invariant()
    def readers_see_the_model(self) -> None:
        """Each place shows exactly the datasets that the model has for it."""
        for place in PLACES if hasattr(self, "package") else ():
            expected: Values = {}
            for name in self.pipelines:
                shown = self.base(place, name)
                for dataset, value in (shown.values if shown else {}).items():
                    expected[f"{name}.{dataset}"] = value
            with self.at(place):
                seen = {name: number(databases.load(name)) for name in databases.datasets()}
            assert seen == expected

    # ------------------------------------------------------------ how

    def node(self, index: int) -> Node:
        """One of all nodes."""
        everything = [*self.pipelines["first"], *self.pipelines["second"]]
        return everything[index % len(everything)]

    def kwargs(self) -> dict[str, int]:
        """The kwarg of each step as declared."""
        return {node.name: node.k for node in self.pipelines["first"]}

    def set_kwargs(self, kwargs: dict[str, int]) -> None:
        """Declare other kwargs."""
        for node in self.pipelines["first"]:
            node.k = kwargs[node.name]

    def environment(self, place: str) -> Environment:
        """`dev`, or a feature branch's namespace."""
        names = {"dev": Checkout("dev", "dev", "c"), "x": Checkout("dev", "x", "c", "x-12345678")}
        project = Project(self.package.folder, self.folder)
        bucket = self.buckets[place]
        return Environment(names[place], Settings("local", "b", {}), project, bucket)

    @contextmanager
    def at(self, place: str) -> Iterator[Environment]:
        """Work in a place, as a new process would."""
        databases.refresh()
        self.outside.place = place
        with environments.using(self.environment(place)):
            yield self.environment(place)

    def declared(self) -> Mapping[str, Any]:
        """The pipelines, with the code that is on disk."""
        return {name: self.package.pipeline(nodes) for name, nodes in self.pipelines.items()}

    def freeze(self, place: str, name: str) -> Plan:
        """The plan as of now."""
        return freeze(name, self.declared(), self.environment(place))

    def options(self, name: str, how: str, index: int) -> dict[str, Any]:
        """The flags of a run."""
        nodes = self.pipelines[name]
        return {"since": nodes[index % len(nodes)].name} if how == "since" else {how: True} if how else {}

    def start(self, place: str, name: str, options: dict[str, Any]) -> runner.Outcome:
        """Run as the command would."""
        plan = self.freeze(place, name)
        with self.at(place) as environment:
            return runner.start(plan, environment, runner.request(plan, **options), lambda _: None)

    def succeed(self, place: str, name: str, options: dict[str, Any]) -> runner.Outcome:
        """A full run that must publish."""
        self.outside.calls.clear()
        pinned, base = self.pinned(place, name), self.base(place, name)
        outcome = self.start(place, name, options)
        self.published(place, name, pinned, base, {}, frozen="frozen" in options)
        assert outcome.view
        for where in (place, "dev"):
            assert not made_by_runs(outcome.view) & self.withdrawn.get((where, name), set())
        if "force" in options:
            assert set(outcome.computed) >= {node.name for node in self.pipelines[name]}
        shown = self.views[place, name][-1].values
        if "effect_0" in shown:
            assert number(self.outside.written[f"{place}.effect"].value) == shown["effect_0"]
        return outcome

    def base(self, place: str, name: str) -> Shown | None:
        """The view that a run builds on, and that readers see."""
        history = self.views.get((place, name)) or self.views.get(("dev", name))
        return history[-1] if history else None

    def pinned(self, place: str, name: str) -> Values:
        """What a run that begins now reads from elsewhere."""
        if name == "first":
            return {"raw": self.sources.get(place, self.sources["dev"])}
        shown = self.base(place, "first")
        return {f"first.{one}": value for one, value in (shown.values if shown else {}).items()}

    def can_run(self, place: str, name: str) -> bool:
        """Whether the datasets that it reads from the other pipeline are there."""
        pinned = self.pinned(place, name)
        inputs = [one for node in self.pipelines[name] for one in node.inputs]
        return all(one in pinned for one in inputs if "." in one)

    def published(
        self,
        place: str,
        name: str,
        pinned: Values,
        base: Shown | None,
        found: dict[str, list[int]],
        *,
        frozen: bool = True,
    ) -> None:
        """Add to the model what a run that began with `pinned` and `base` must have published."""
        values: Values = dict(pinned)
        volatile: dict[str, tuple[object, list[int]]] = {}
        for node in self.pipelines[name]:
            inputs = [values[one] for one in node.inputs]
            made = node.values(inputs, self.package.helper, self.outside.weather)
            if node.kind == "volatile":
                code = (node.version, self.package.helper, node.k)
                known = base.volatile.get(node.name) if base else None
                if node.name in found:
                    made = found[node.name]
                elif not self.outside.calls[node.name]:
                    assert frozen, f"{node.name} reads the world and did not run"
                    assert known
                    assert known[0] == code
                    made = known[1]
                volatile[node.name] = (code, made)
            values |= dict(zip(node.datasets, made, strict=True))
        own = {one: value for one, value in values.items() if "." not in one}
        if not any("raw" in node.inputs for node in self.pipelines[name]):
            own.pop("raw", None)
        self.views.setdefault((place, name), []).append(Shown(own, volatile))
        if self.pending and (self.pending.place, self.pending.pipeline) == (place, name):
            self.pending.outdated = True


def made_by_runs(view: records.View) -> set[str]:
    """The objects of a view that runs have made: sources are nobody's to withdraw."""
    paths = {output.path for output in view.outputs.values()}
    return {path for path in paths if "data/" in path}


TestProtocol = Protocol.TestCase
TestProtocol.settings = settings(
    max_examples=60,
    stateful_step_count=25,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
    print_blob=True,
)
