"""How many examples a property draws, by what one costs and by the profile that runs."""

from __future__ import annotations

from hypothesis import HealthCheck, settings


def few(count: int) -> settings:
    """Return settings for `count` examples, times what the profile asks for over Hypothesis's hundred."""
    return settings(
        max_examples=max(1, count * settings.default.max_examples // 100),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
