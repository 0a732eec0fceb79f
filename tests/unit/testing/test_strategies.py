"""Config types and strategies: what they draw is valid, what they break is refused, what they cannot make they say."""

from __future__ import annotations

import datetime
import enum
import ipaddress
import re
import subprocess
import sys
from datetime import timedelta
from typing import Annotated, Any, Literal, Self

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field, SecretStr, TypeAdapter, ValidationError, field_validator, model_validator

from ringfence.testing import ConfigSpace, GenerationError, broken, configs, register_strategy, types
from ringfence.testing.strategies import breakable
from ringfence.testing.text import PatternError, compile_pattern, matching
from ringfence.testing.types import Arn, Cidr, Cpu, Duration, Memory, duration_of, iso_duration
from ringfence.testing.values import values_of
from tests.property.stack_configs import target
from tests.unit.stacks.loading import stack_names

# Filtering must not be what makes the draws valid: the health check on it stays on.
THOROUGH = settings(max_examples=200, deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])
FEW = settings(max_examples=20, deadline=None, database=None)

ALIASES = {
    name: item
    for name in types.__all__
    for item in [getattr(types, name)]
    if (not isinstance(item, type) and not callable(item)) or hasattr(item, "__metadata__")
}
PARAMETRISED = {
    "cidr": Annotated[str, Cidr(16, 24)],
    "public cidr": Annotated[str, Cidr(0, 32, private=False)],
    "narrow cidr": Annotated[str, Cidr(12, 12)],
    "duration": Annotated[str, Duration(timedelta(seconds=30), timedelta(days=14))],
    "long duration": Annotated[str, Duration()],
    "memory": Annotated[int, Memory(500, 4100, step=512)],
    "cpu": Annotated[float, Cpu(0.25, 4)],
    "arn": Annotated[str, Arn("sqs", r"[A-Za-z0-9_-]{1,80}")],
    "global arn": Annotated[str, Arn("iam", r"role/[A-Za-z0-9_+=,.@-]{1,64}", regional=False)],
}


def test_the_vocabulary_is_whole() -> None:
    assert len(ALIASES) >= 20


@pytest.mark.parametrize("hint", [*ALIASES.values(), *PARAMETRISED.values()], ids=[*ALIASES, *PARAMETRISED])
def test_every_type_draws_two_hundred_values_that_it_accepts(hint: Any) -> None:
    adapter = TypeAdapter(hint)
    drawn = []

    # Once as Hypothesis itself reads the annotation, once as our own strategies do.
    for strategy in (st.from_type(hint), values_of(hint).strategy):

        @THOROUGH
        @given(strategy)
        def check(value: Any) -> None:
            adapter.validate_python(value)
            drawn.append(value)

        check()

    assert len(set(drawn)) > 1 or hint is PARAMETRISED["narrow cidr"]


@pytest.mark.parametrize("stack", stack_names())
@pytest.mark.parametrize("with_examples", [True, False])
def test_every_stack_draws_configs_that_it_accepts(stack: str, with_examples: bool) -> None:
    space = target(stack).space
    model = space.model
    seen: list[Any] = []
    count = 200 if with_examples else 50

    @settings(THOROUGH, max_examples=count)
    @given(configs(model, space.bases if with_examples else ()))
    def check(config: Any) -> None:
        assert type(config) is model
        model.model_validate(config.model_dump(by_alias=True))
        seen.append(config)

    check()
    assert len(seen) >= count


TIED = {"container_scaling": ["registryId"], "decoupled_lambda": ["modelImage"]}
"""Fields that another one has a part of in itself: no value that is made for them alone fits."""


@pytest.mark.parametrize("stack", stack_names())
def test_every_field_of_a_stack_can_be_moved(stack: str) -> None:
    """Which fields the draws of one run move, chance decides; what can be drawn at all does not depend on it."""
    space = target(stack).space
    environment = next(key for key in space.settings if key.endswith("environment"))

    def moves(key: str) -> bool:
        found = [
            (base.get(key), space.changed(base, key, value))
            for base in space.bases
            for value in space.settings[key].values.boundaries
        ]
        return any(changed is not None and changed[key] != before for before, changed in found)

    assert {base[environment] for base in space.bases} == {"dev", "prod"}
    assert [key for key in space.settings if not moves(key)] == TIED.get(stack, [])


@pytest.mark.parametrize("stack", stack_names())
def test_every_broken_config_of_a_stack_is_refused_for_that_field(stack: str) -> None:
    space = target(stack).space
    options = breakable(space)
    assert len(options) > len(space.settings) / 2

    @THOROUGH
    @given(broken(space.model, space.bases))
    def check(case: Any) -> None:
        assert {fault.key for fault in space.faults(case.config)} == {case.key}
        assert case.fault in {fault for fault, _ in options[case.key]}

    check()


@pytest.mark.parametrize(
    ("hint", "wrong"),
    [
        (types.StorageAccountName, ["ab", "a" * 25, "Upper", "with-hyphen", "line\n"]),
        (types.DnsLabel, ["", "-a", "a-", "a.b", "a" * 64]),
        (types.KeyVaultName, ["1ab", "a--b", "ab-", "a" * 25]),
        (types.Port, [0, 65_536]),
        (types.Percentage, [-1, 101]),
        (types.Network, ["10.0.0.1/16", "10.0.0.0/7", "8.8.0.0/16", "10.0.0.0", "10.0.0.0/30", "300.0.0.0/8"]),
        (types.AwsRegion, ["europe", "eu-west", "EU-WEST-1"]),
        (PARAMETRISED["duration"], ["PT29S", "P15D", "P", "PT", "P1Y", "1D", "PT1.5S", "P99999999999999999999D"]),
        (PARAMETRISED["memory"], [0, 500, 513, 4608]),
        (PARAMETRISED["cpu"], [0.0, 0.3, 4.25]),
        (PARAMETRISED["arn"], ["arn:aws:sns:eu-west-1:123456789012:a", "arn:aws:sqs:eu-west-1:12:a", "a"]),
    ],
)
def test_what_a_service_refuses_is_refused(hint: Any, wrong: list[Any]) -> None:
    for value in wrong:
        with pytest.raises(ValidationError):
            TypeAdapter(hint).validate_python(value)


@given(st.integers(0, 10**9))
@FEW
def test_durations_are_written_and_read(seconds: int) -> None:
    assert duration_of(iso_duration(timedelta(seconds=seconds))) == timedelta(seconds=seconds)


def test_production_does_not_import_hypothesis() -> None:
    code = (
        "import sys\nfrom pydantic import BaseModel\nfrom ringfence.testing.types import StorageAccountName, Network\n"
        "class Config(BaseModel):\n    name: StorageAccountName\n    network: Network\n"
        "Config(name='abc', network='10.0.0.0/16')\n"
        "print('hypothesis' in sys.modules, Config.model_json_schema()['properties']['name']['maxLength'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["False", "24"]


# --- models of all kinds ---------------------------------------------------------------------------------------------


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Inner(BaseModel):
    size: Annotated[int, Field(gt=0, lt=10, multiple_of=3)]
    label: types.DnsLabel | None = None


class Everything(BaseModel):
    name: Annotated[str, Field(pattern="^[a-z]{2}$|^x-[0-9]+$")]
    searched: Annotated[str, Field(pattern="[0-9]{3}")]
    flag: bool
    ratio: Annotated[float, Field(gt=0, le=1)]
    colour: Colour
    size: Literal["s", "m", 3]
    inner: Inner
    inners: Annotated[list[Inner], Field(min_length=1, max_length=3)]
    pair: tuple[int, str]
    words: frozenset[str]
    table: dict[types.DnsLabel, types.Port]
    day: datetime.date
    moment: datetime.datetime
    wait: datetime.timedelta
    address: ipaddress.IPv4Address
    network: ipaddress.IPv4Network
    password: SecretStr
    maybe: Annotated[int, Field(ge=5)] | Literal["none"] | None = None
    even: int = 2

    @field_validator("even")
    @classmethod
    def check_even(cls, value: int) -> int:
        if value % 2:
            raise ValueError("must be even")
        return value


def test_a_model_of_everything() -> None:
    @settings(THOROUGH, max_examples=25)
    @given(configs(Everything))
    def check(config: Everything) -> None:
        assert config.even % 2 == 0
        assert re.search("[0-9]{3}", config.searched)

    check()


class Ordered(BaseModel):
    low: Annotated[int, Field(ge=0, le=1000)] = 0
    high: Annotated[int, Field(ge=0, le=1000)] = 10
    total: Annotated[int, Field(ge=0, le=5000)] = 100

    @property
    def needed(self) -> int:
        return self.low + self.high

    @model_validator(mode="after")
    def check_order(self) -> Self:
        if self.low > self.high:
            raise ValueError(f"low is {self.low} and must be at most high, {self.high}")
        return self

    @model_validator(mode="after")
    def check_total(self) -> Self:
        if self.total < self.needed:
            raise ValueError(f"total is {self.total} and must be at least {self.needed}")
        return self


def test_a_change_is_kept_and_what_contradicts_it_moves() -> None:
    space = ConfigSpace(Ordered)

    assert space.changed({}, "low", 900) == {"low": 900, "high": 900, "total": 1800}
    assert space.changed({}, "high", 3) == {"high": 3}
    assert space.changed({"low": 5}, "total", 6) is None or not space.faults(
        space.changed({"low": 5}, "total", 6) or {}
    )


def test_bounds_are_drawn_often() -> None:
    drawn = []

    @settings(FEW, max_examples=500)
    @given(configs(Ordered))
    def collect(config: Ordered) -> None:
        drawn.append(config)

    collect()
    # By chance alone there is about one; leaning to the bounds gives about thirty.
    assert sum(1000 in (config.low, config.high) for config in drawn) >= 5
    assert {0, 1000} <= {config.low for config in drawn} | {config.high for config in drawn}


class Weird:
    """No pydantic type."""


def test_a_field_that_cannot_be_made_is_named_with_what_to_do() -> None:
    class Model(BaseModel, arbitrary_types_allowed=True):
        thing: Weird

    with pytest.raises(
        GenerationError, match=r"Model\.thing: values of type Weird cannot be generated.*register_strategy"
    ):
        configs(Model)


def test_a_registered_strategy_is_used() -> None:
    class Token(str):
        @classmethod
        def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
            from pydantic_core import core_schema

            return core_schema.no_info_plain_validator_function(cls.check)

        @classmethod
        def check(cls, value: str) -> str:
            if not value.startswith("tok-"):
                raise ValueError("no token")
            return value

    class Model(BaseModel):
        token: Token

    register_strategy(Token, st.sampled_from(["tok-a", "tok-b"]))

    @FEW
    @given(configs(Model))
    def check(config: Model) -> None:
        assert config.token in ("tok-a", "tok-b")

    check()


def test_a_strategy_in_the_annotation_is_used() -> None:
    class Model(BaseModel):
        name: Annotated[str, st.sampled_from(["only", "these"])]

    @FEW
    @given(configs(Model))
    def check(config: Model) -> None:
        assert config.name in ("only", "these")

    check()


def test_rules_that_nothing_meets_are_reported() -> None:
    class Never(BaseModel):
        number: Annotated[int, Field(ge=0, le=3)]

        @model_validator(mode="after")
        def refuse(self) -> Self:
            raise ValueError("this is never right")

    with pytest.raises(
        GenerationError, match=r"Never: no config was found .*this is never right.*register_strategy\(Never"
    ):
        configs(Never)


def test_an_example_that_the_model_refuses_is_reported() -> None:
    with pytest.raises(GenerationError, match="Ordered refuses the example config: low is 5"):
        configs(Ordered, [{"low": 5, "high": 1}])


# --- patterns --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "shortest", "longest"),
    [
        (r"[a-z]+(-[a-z]+)*", 3, 20),
        (r"(a|bb|ccc)+", 0, 11),
        (r"[^a-z]{3}\d\w?", 0, None),
        (r"a{2,}b{,3}(?:c|d)?", 6, 9),
        (r"x*", 0, 0),
        (r"(ab){4}", 8, 8),
        (r".{5}", 0, None),
        (r"(?=look)look[a-z]*", 4, 9),
    ],
)
def test_text_matches_and_has_the_length(pattern: str, shortest: int, longest: int | None) -> None:
    compiled = re.compile(pattern)

    @settings(THOROUGH, max_examples=100)
    @given(matching(pattern, shortest, longest))
    def check(text: str) -> None:
        assert compiled.fullmatch(text)
        assert shortest <= len(text) <= (longest if longest is not None else len(text))

    check()


@pytest.mark.parametrize(("pattern", "longest"), [("a{5}", 4), ("(", None), ("(?<=a)b", None)])
def test_patterns_that_no_text_can_be_made_for(pattern: str, longest: int | None) -> None:
    with pytest.raises(PatternError):
        compile_pattern(pattern, 0, longest)
