"""AMQP 1.0 on the wire: types, frames, performatives, SASL and message sections. No input or output happens here."""
