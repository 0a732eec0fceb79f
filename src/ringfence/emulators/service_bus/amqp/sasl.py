"""SASL before AMQP: Service Bus clients come in anonymously and prove later, by a token, what they may do.

Source: OASIS AMQP 1.0, part 5.3 (security); the Service Bus AMQP protocol guide on claims-based security.
"""

from __future__ import annotations

from ringfence.emulators.service_bus.amqp.frames import SASL_FRAME, encode_frame
from ringfence.emulators.service_bus.amqp.performatives import (
    SaslInit,
    SaslMechanisms,
    SaslOutcome,
    decode_performative,
    encode_performative,
)
from ringfence.emulators.service_bus.amqp.types import AmqpDecodeError, Symbol, array_of

__all__ = ["answer", "offer"]

MECHANISMS = ("ANONYMOUS",)


def offer() -> bytes:
    """Return the frame that says how a peer can authenticate."""
    mechanisms = array_of([Symbol(name) for name in MECHANISMS])
    return encode_frame(encode_performative(SaslMechanisms(mechanisms)), kind=SASL_FRAME)


def answer(body: bytes) -> tuple[bool, bytes]:
    """Return whether the peer may go on, and the frame that tells it.

    Raises:
        AmqpDecodeError: the peer did not choose a mechanism.
    """
    choice, _ = decode_performative(body)
    if not isinstance(choice, SaslInit):
        raise AmqpDecodeError(f"expected a choice of SASL mechanism, not {type(choice).__name__}")
    accepted = choice.mechanism in MECHANISMS
    return accepted, encode_frame(encode_performative(SaslOutcome(0 if accepted else 1)), kind=SASL_FRAME)
