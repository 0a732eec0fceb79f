"""The query language of Cosmos DB for NoSQL."""

from ringfence.emulators.cosmos.sql.run import PreparedQuery, holds, prepare

__all__ = ["PreparedQuery", "holds", "prepare"]
