"""Makes a failing config smaller: fewer keys that are not the default, then simpler values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ringfence.testing.space import ConfigSpace

__all__ = ["shrink"]

Config = Mapping[str, Any]


def shrink(space: ConfigSpace, config: Config, fails: Callable[[Config], bool], tries: int) -> Iterator[dict[str, Any]]:
    """Yield ever smaller valid configs that still fail. At most so many configs are tried."""
    current = space.simplest(config)
    left = tries
    seen: set[str] = set()
    moved = True
    while moved and left > 0:
        moved = False
        for candidate in _smaller(space, current):
            if left <= 0:
                return
            name = repr(sorted(space.simplest(candidate).items(), key=str))
            if name in seen or _cost(space, candidate) >= _cost(space, current) or space.faults(candidate):
                continue
            seen.add(name)
            left -= 1
            if fails(candidate):
                current, moved = candidate, True
                yield current
                break


def _cost(space: ConfigSpace, config: Config) -> tuple[Any, ...]:
    """Return how large a config is: its keys beyond the required ones, then its values."""
    simple = space.simplest(config)
    optional = [key for key in simple if key not in space.settings or not space.settings[key].required]
    far = sum(_far(space, key, value) for key, value in simple.items())
    return len(optional), far, len(repr(simple)), sorted(map(repr, simple.items()))


def _far(space: ConfigSpace, key: str, value: Any) -> float:
    """Return how far a value is from the plainest one of its field."""
    setting = space.settings.get(key)
    plain = setting.default if setting is not None and not setting.required else space.bases[0].get(key)
    if value == plain:
        return 0
    if isinstance(value, bool) or not isinstance(value, int | float) or not isinstance(plain, int | float):
        return 1 + (len(value) if isinstance(value, str | list | dict) else 0) / 10_000
    return 1 + abs(value - plain) / (1 + abs(value) + abs(plain))


def _smaller(space: ConfigSpace, config: Config) -> Iterator[dict[str, Any]]:
    keys = [key for key in config if key in space.settings]
    optional = [key for key in keys if not space.settings[key].required]
    # Many keys at once, then one by one: most of what a random config changes has nothing to do with its failure.
    size = len(optional)
    while size >= 1:
        for start in range(0, len(optional), size):
            gone = set(optional[start : start + size])
            yield {key: value for key, value in config.items() if key not in gone}
        size //= 2
    for base in space.bases:
        yield space.simplest({**config, **{key: base[key] for key in keys if key in base}})
        for key in keys:
            if key in base and config[key] != base[key]:
                yield {**config, key: base[key]}
    for key in keys:
        for value in _simpler(space, key, config[key]):
            yield {**config, key: value}


def _searched(known: list[int], plain: int, value: int) -> Iterator[int]:
    """Yield values between a plain one and one that fails, by halves: who asks for more found the last one sound."""
    between = sorted({item for item in known if min(plain, value) < item < max(plain, value)}, reverse=value < plain)
    while between:
        middle = len(between) // 2
        yield between[middle]
        between = between[middle + 1 :]


def _simpler(space: ConfigSpace, key: str, value: Any) -> Iterator[Any]:
    setting = space.settings[key]
    if isinstance(value, bool):
        yield False
    elif isinstance(value, int):
        plain = setting.default if isinstance(setting.default, int) else space.bases[0].get(key)
        if isinstance(plain, int) and not isinstance(plain, bool):
            yield from _searched([item for item in setting.values.boundaries if type(item) is int], plain, value)
            yield value - (1 if value > plain else -1)
            distance = value - plain
            # The nearest value that still fails, by halves.
            while abs(distance) > 1:
                distance = int(distance / 2)
                yield plain + distance
                yield value - distance
    elif isinstance(value, str):
        yield from (value[: len(value) // 2], value[:-1], value[1:])
    elif isinstance(value, list):
        yield value[: len(value) // 2]
        yield from (value[:index] + value[index + 1 :] for index in range(len(value)))
        plain = [item for known in setting.values.boundaries if isinstance(known, list) for item in known]
        yield from ([*value[:index], item, *value[index + 1 :]] for index in range(len(value)) for item in plain)
    elif isinstance(value, dict):
        yield from ({name: item for name, item in value.items() if name != gone} for gone in value)
    yield from setting.values.boundaries
