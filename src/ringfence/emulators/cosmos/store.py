"""An account: its databases, their containers, and what throughput they have. State and rules only, no I/O."""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import RLock
from typing import Any

from ringfence.emulators.cosmos.container import Container, new_etag
from ringfence.emulators.cosmos.errors import (
    ServiceError,
    bad_request,
    conflict,
    not_found,
    owner_not_found,
)
from ringfence.emulators.cosmos.ids import container_rid, database_rid, offer_rid
from ringfence.emulators.cosmos.settings import (
    AccountSettings,
    AutoscaleSettings,
    ContainerSettings,
    CreateUpdateOptions,
    DatabaseSettings,
    check_container,
    check_id,
    check_options,
)

__all__ = ["Account", "Database", "Offer"]

DEFAULT_THROUGHPUT = 400
"""Of a container that asks for none in a database that has none (the REST API's default)."""


class Database:
    """A database and its containers."""

    def __init__(self, settings: DatabaseSettings, rid: str, now: float) -> None:
        self.settings = settings
        self.rid = rid
        self.link = f"dbs/{rid}/"
        self.etag = new_etag()
        self.modified = now
        self.containers: dict[str, Container] = {}
        self.containers_made = 0

    def body(self) -> dict[str, Any]:
        """Return what the REST API says of the database."""
        own = {"_rid": self.rid, "_self": self.link, "_etag": self.etag, "_ts": int(self.modified)}
        return {"id": self.settings.id, **own, "_colls": "colls/", "_users": "users/"}

    def container(self, name: str) -> Container:
        """Return a container.

        Raises:
            ServiceError: there is none.
        """
        if name not in self.containers:
            raise not_found()
        return self.containers[name]


class Offer:
    """The throughput of a database or a container."""

    def __init__(self, number: int, owner: Database | Container, options: CreateUpdateOptions) -> None:
        self.rid = offer_rid(number)
        self.owner = owner
        self.options = options
        self.etag = new_etag()

    @property
    def limit(self) -> int:
        """The most request units a second."""
        automatic = self.options.autoscale_settings
        return automatic.max_throughput if automatic is not None else self.options.throughput or DEFAULT_THROUGHPUT

    def body(self) -> dict[str, Any]:
        """Return what the REST API says of the offer. With autoscale, a tenth of the limit is what it starts from."""
        automatic = self.options.autoscale_settings
        content: dict[str, Any] = {"offerThroughput": self.limit if automatic is None else self.limit // 10}
        if automatic is not None:
            content["offerAutopilotSettings"] = {"maxThroughput": automatic.max_throughput}
        return {
            "id": self.rid,
            "_rid": self.rid,
            "_self": f"offers/{self.rid}/",
            "_etag": self.etag,
            "_ts": int(self.owner.modified),
            "offerVersion": "V2",
            "offerType": "Invalid",
            "resource": self.owner.link,
            "offerResourceId": self.owner.rid,
            "content": content,
        }


class Account:
    """An account. Every method takes its lock; hold `lock` to do more than one thing at once."""

    def __init__(self, settings: AccountSettings | None = None, clock: Callable[[], float] = time.time) -> None:
        """Take the settings, and the clock: seconds since 1970."""
        self.settings = settings or AccountSettings()
        self.clock = clock
        self.lock = RLock()
        self._databases: dict[str, Database] = {}
        self._databases_made = 0
        self._offers: list[Offer] = []
        self._offers_made = 0

    def reset(self) -> None:
        """Forget all databases."""
        with self.lock:
            self._databases.clear()
            self._offers.clear()

    # Databases

    @property
    def databases(self) -> list[Database]:
        """All databases."""
        with self.lock:
            return list(self._databases.values())

    def database(self, name: str) -> Database:
        """Return a database.

        Raises:
            ServiceError: there is none.
        """
        with self.lock:
            if name not in self._databases:
                raise not_found()
            return self._databases[name]

    def create_database(self, settings: DatabaseSettings) -> Database:
        """Make a database.

        Raises:
            SettingsError: a setting is wrong.
            ServiceError: there is one of this id.
        """
        with self.lock:
            check_id("database", settings.id)
            check_options(settings.id, settings.options)
            if settings.id in self._databases:
                raise conflict()
            self._check_limit(_limit_of(settings.options))
            self._databases_made += 1
            database = Database(settings, database_rid(self._databases_made), self.clock())
            self._databases[settings.id] = database
            if settings.options != CreateUpdateOptions():
                self._add_offer(database, settings.options)
            return database

    def delete_database(self, name: str) -> None:
        """Delete a database with all that is in it.

        Raises:
            ServiceError: there is none.
        """
        with self.lock:
            database = self.database(name)
            owners = (database, *database.containers.values())
            self._offers = [offer for offer in self._offers if offer.owner not in owners]
            del self._databases[name]

    # Containers

    def container(self, database: str, name: str) -> Container:
        """Return a container.

        Raises:
            ServiceError: there is none.
        """
        with self.lock:
            return self.database(database).container(name)

    def owner_container(self, database: str, name: str) -> Container:
        """Return the container of an item that is asked for.

        Raises:
            ServiceError: there is none; it says that the owner is not there, which is another sub-status.
        """
        try:
            return self.container(database, name)
        except ServiceError as error:
            raise owner_not_found() from error

    def create_container(self, database: str, settings: ContainerSettings) -> Container:
        """Make a container.

        Raises:
            SettingsError: a setting is wrong or not supported.
            ServiceError: there is one of this id, or no such database.
        """
        with self.lock:
            owner = self.database(database)
            settings = check_container(settings)
            if settings.id in owner.containers:
                raise conflict()
            options = settings.options
            if options == CreateUpdateOptions() and self._offer_of(owner) is None:
                options = CreateUpdateOptions(throughput=DEFAULT_THROUGHPUT)
            self._check_limit(_limit_of(options))
            owner.containers_made += 1
            rid = container_rid(owner.rid, owner.containers_made)
            container = Container(settings, rid, owner.rid, self.clock)
            owner.containers[settings.id] = container
            if options != CreateUpdateOptions():
                self._add_offer(container, options)
            return container

    def replace_container(self, database: str, settings: ContainerSettings) -> Container:
        """Change a container's settings; throughput is left as it is.

        Raises:
            SettingsError: a setting is wrong or not supported.
            ServiceError: there is no such container, or the service does not change this.
        """
        with self.lock:
            container = self.container(database, settings.id)
            container.replace_settings(check_container(settings))
            return container

    def delete_container(self, database: str, name: str) -> None:
        """Delete a container with all its items.

        Raises:
            ServiceError: there is none.
        """
        with self.lock:
            container = self.container(database, name)
            self._offers = [offer for offer in self._offers if offer.owner is not container]
            del self.database(database).containers[name]

    # Throughput

    @property
    def offers(self) -> list[Offer]:
        """The throughput of all databases and containers that have one of their own."""
        with self.lock:
            return list(self._offers)

    def throughput(self, database: str, container: str | None = None) -> CreateUpdateOptions | None:
        """Return the throughput of a database, or of one of its containers; None if it has none of its own.

        Raises:
            ServiceError: there is no such database or container.
        """
        with self.lock:
            owner = self.database(database) if container is None else self.container(database, container)
            offer = self._offer_of(owner)
            return None if offer is None else offer.options

    def replace_offer(self, rid: str, body: Any) -> Offer:
        """Change throughput as a request says.

        Raises:
            ServiceError: there is no such offer, or it cannot be changed so.
            SettingsError: the throughput is out of range.
        """
        with self.lock:
            offer = next((offer for offer in self._offers if offer.rid == rid), None)
            if offer is None:
                raise not_found()
            options = _options_of(body)
            if (options.autoscale_settings is None) is not (offer.options.autoscale_settings is None):
                raise bad_request(
                    "Migration between manual and autoscale throughput is not done by replacing an offer."
                )
            check_options(rid, options)
            self._check_limit(_limit_of(options) - offer.limit)
            offer.options = options
            offer.etag = new_etag()
            return offer

    def _offer_of(self, owner: Database | Container) -> Offer | None:
        return next((offer for offer in self._offers if offer.owner is owner), None)

    def _add_offer(self, owner: Database | Container, options: CreateUpdateOptions) -> None:
        self._offers_made += 1
        self._offers.append(Offer(self._offers_made, owner, options))

    def _check_limit(self, more: int) -> None:
        limit = self.settings.total_throughput_limit
        used = sum(offer.limit for offer in self._offers)
        if limit >= 0 and more > 0 and used + more > limit:
            raise ServiceError(
                403,
                f"Your account is currently configured with a total throughput limit of {limit} RU/s. This operation "
                f"failed because it would have increased the total throughput to {used + more} RU/s.",
                1028,
            )


def _limit_of(options: CreateUpdateOptions) -> int:
    automatic = options.autoscale_settings
    return automatic.max_throughput if automatic is not None else options.throughput or 0


def _options_of(body: Any) -> CreateUpdateOptions:
    content = body.get("content") if isinstance(body, dict) else None
    if not isinstance(content, dict):
        raise bad_request("The offer has no content.")
    automatic = content.get("offerAutopilotSettings")
    if isinstance(automatic, dict) and isinstance(automatic.get("maxThroughput"), int):
        return CreateUpdateOptions(autoscale_settings=AutoscaleSettings(max_throughput=automatic["maxThroughput"]))
    if not isinstance(content.get("offerThroughput"), int):
        raise bad_request("The offer has no throughput.")
    return CreateUpdateOptions(throughput=content["offerThroughput"])
