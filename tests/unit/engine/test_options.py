"""Resource options: what a program says about a resource beside its inputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pulumi
import pytest
from pulumi import Alias, CustomTimeouts, ResourceOptions

from ringfence.deployment import UNKNOWN, Deployment, Options, Resource, Secret
from ringfence.engine import _pulumi_sdk
from tests.unit.engine.rehearsal import EchoProvider, Group, Other, Thing, Typed, line_of, named, rehearse

THING = "urn:pulumi:dev::shop::test:index:Thing::"


def test_property_dependencies_say_which_resource_feeds_which_property() -> None:
    def program() -> None:
        a, b = Thing("a"), Thing("b")
        both = pulumi.Output.all(a.id, b.id).apply(lambda ids: "-".join(ids))
        Thing(
            "fed",
            plain="x",
            one=a.id,
            nested={"list": [1, {"deep": b.computed}]},
            both=both,
            whole=a,
        )

    fed = named(rehearse(program), "fed")

    assert fed.property_dependencies == {
        "both": (f"{THING}a", f"{THING}b"),
        "nested": (f"{THING}b",),
        "one": (f"{THING}a",),
        "whole": (f"{THING}a",),
    }
    assert fed.dependencies == (f"{THING}a", f"{THING}b")


def test_depends_on_takes_resources_lists_outputs_and_components() -> None:
    def program() -> None:
        a, b, c = Thing("a"), Thing("b"), Thing("c")
        group = Group("group")
        inner = Thing("inner", ResourceOptions(parent=group))
        Thing("on one", ResourceOptions(depends_on=a))
        Thing("on list", ResourceOptions(depends_on=[a, b]))
        Thing("on output", ResourceOptions(depends_on=pulumi.Output.from_input([b, c])))
        Thing("on component", ResourceOptions(depends_on=[group]))
        assert inner is not None

    deployment = rehearse(program)

    inner = "urn:pulumi:dev::shop::test:index:Group$test:index:Thing::inner"
    assert {
        name: named(deployment, name).dependencies for name in ("on one", "on list", "on output", "on component")
    } == {
        "on one": (f"{THING}a",),
        "on list": (f"{THING}a", f"{THING}b"),
        "on output": (f"{THING}b", f"{THING}c"),
        # The SDK names a component's custom children in its stead.
        "on component": (inner,),
    }
    assert named(deployment, "on one").property_dependencies == {}


PLAIN_OPTIONS: list[tuple[ResourceOptions | Callable[[], ResourceOptions], Options]] = [
    (ResourceOptions(protect=True), Options(protect=True)),
    (ResourceOptions(protect=False), Options(protect=False)),
    (ResourceOptions(delete_before_replace=True), Options(delete_before_replace=True)),
    (ResourceOptions(retain_on_delete=True), Options(retain_on_delete=True)),
    (
        ResourceOptions(custom_timeouts=CustomTimeouts(create="30m", delete="1h5m")),
        Options(custom_timeouts={"create": "30m", "delete": "1h5m"}),
    ),
    (ResourceOptions(import_="i-123"), Options(import_id="i-123")),
    (
        ResourceOptions(version="1.2.3", plugin_download_url="https://example.com"),
        Options(version="1.2.3", plugin_download_url="https://example.com"),
    ),
    (
        ResourceOptions(ignore_changes=["instance_size", "tag_map.a", "unheard_of"]),
        Options(ignore_changes=("instanceSize", "tag_map.a", "unheard_of")),
    ),
    (ResourceOptions(replace_on_changes=["tag_map", "*"]), Options(replace_on_changes=("tagMap", "*"))),
    (
        ResourceOptions(additional_secret_outputs=["admin_password"]),
        Options(additional_secret_outputs=("adminPassword",)),
    ),
    (ResourceOptions(hide_diffs=["instanceSize"]), Options(hide_diffs=("instanceSize",))),
    (ResourceOptions(replacement_trigger="v2"), Options(replacement_trigger="v2")),
    (lambda: ResourceOptions(deleted_with=Thing("owner")), Options(deleted_with=f"{THING}owner")),
    (
        lambda: ResourceOptions(replace_with=[Thing("owner"), Thing("other")]),
        Options(replace_with=(f"{THING}owner", f"{THING}other")),
    ),
]


@pytest.mark.parametrize(("given", "expected"), PLAIN_OPTIONS)
def test_options_arrive_with_the_names_of_the_wire(
    given: ResourceOptions | Callable[[], ResourceOptions], expected: Options
) -> None:
    deployment = rehearse(lambda: Typed("typed", given() if callable(given) else given, instance_size="small"))

    typed = named(deployment, "typed")
    assert typed.options == expected
    assert typed.inputs == {"instanceSize": "small"}


def test_additional_secret_outputs_are_secret_in_the_outputs_and_to_whoever_uses_them() -> None:
    def program() -> None:
        typed = Typed(
            "typed",
            ResourceOptions(additional_secret_outputs=["admin_password", "instance_size"]),
            instance_size="small",
        )
        pulumi.export("size", typed.instance_size)

    deployment = rehearse(program)

    assert named(deployment, "typed").outputs == {"adminPassword": Secret(UNKNOWN), "instanceSize": Secret("small")}
    assert deployment.outputs == {"size": Secret("small")}


def test_protect_retain_on_delete_and_deleted_with_are_handed_to_children() -> None:
    def program() -> None:
        owner = Thing("owner")
        guarded = Group("guarded", ResourceOptions(protect=True, retain_on_delete=True, deleted_with=owner))
        Thing("child", ResourceOptions(parent=guarded))
        Thing("free child", ResourceOptions(parent=guarded, protect=False, retain_on_delete=False))
        inner = Group("inner", ResourceOptions(parent=guarded))
        Thing("grandchild", ResourceOptions(parent=inner))
        Thing("outsider")

    deployment = rehearse(program)

    def options(name: str) -> tuple[Any, ...]:
        given = named(deployment, name).options
        return given.protect, given.retain_on_delete, given.deleted_with

    owner = f"{THING}owner"
    assert options("guarded") == options("child") == options("grandchild") == (True, True, owner)
    assert options("free child") == (False, False, owner)
    assert options("outsider") == (None, None, None)


def test_imported_resources_have_the_given_id() -> None:
    provider = EchoProvider()
    deployment = rehearse(lambda: Thing("thing", ResourceOptions(import_="real-id"), size=1), provider)

    thing = named(deployment, "thing")
    assert (thing.id, thing.external, thing.inputs) == ("real-id", False, {"size": 1})
    assert provider.registrations[0].import_id == "real-id"


def test_get_reads_an_existing_resource() -> None:
    def program() -> None:
        made = Thing("made")
        read = Thing.get("read", "real-id", ResourceOptions(parent=made, version="1.0.0"))  # line: read
        Thing("after", size=read.size, of=read.id)

    deployment = rehearse(program)

    read = named(deployment, "read")
    assert (read.external, read.custom, read.id) == (True, True, "real-id")
    assert read.urn == "urn:pulumi:dev::shop::test:index:Thing$test:index:Thing::read"
    assert read.parent == f"{THING}made"
    assert read.outputs["size"] == "as read"
    assert read.provider == "urn:pulumi:dev::shop::pulumi:providers:test::default_1_0_0"
    # `get` of the test's own class is user code too: the call of it comes last in the chain.
    assert read.source_chain[-1].line == line_of(__file__, "read")
    after = named(deployment, "after")
    assert after.inputs == {"size": "as read", "of": "real-id"}
    assert after.property_dependencies == {"of": (read.urn,), "size": (read.urn,)}


def test_get_by_an_id_that_is_not_known_yet_stays_unknown() -> None:
    def program() -> None:
        made = Thing("made")
        read = Thing.get("read", made.id)
        pulumi.export("id", read.id)

    deployment = rehearse(program, EchoProvider("unknown"))

    assert named(deployment, "read").id is UNKNOWN
    assert deployment.outputs == {"id": UNKNOWN}


def test_a_resource_can_be_taken_up_by_its_urn() -> None:
    def program() -> None:
        made = Thing("made", size=3)
        pulumi.export("size", made.urn.apply(lambda urn: Thing("again", ResourceOptions(urn=urn)).size))

    deployment = rehearse(program)

    assert deployment.error is None
    assert deployment.outputs == {"size": 3}
    assert [resource.name for resource in deployment.resources if resource.type == "test:index:Thing"] == ["made"]


def test_a_urn_that_does_not_exist_is_an_error() -> None:
    deployment = rehearse(lambda: Thing("again", ResourceOptions(urn=f"{THING}never")))

    assert deployment.error is not None
    assert f"{THING}never" in deployment.error.message


def test_the_user_s_aliases_are_kept() -> None:
    def program() -> None:
        group = Group("group")
        Thing(
            "thing",
            ResourceOptions(
                parent=group,
                aliases=[
                    Alias(name="old"),
                    Alias(type_="test:index:Thingy"),
                    Alias(parent=pulumi.ROOT_STACK_RESOURCE),
                    Alias(stack="old-stack", project="old-project"),
                    "urn:pulumi:dev::shop::test:index:Thing::by-urn",
                ],
            ),
        )

    assert named(rehearse(program), "thing").options.aliases == (
        "urn:pulumi:dev::shop::test:index:Group$test:index:Thing::old",
        "urn:pulumi:dev::shop::test:index:Group$test:index:Thingy::thing",
        "urn:pulumi:dev::shop::test:index:Thing::thing",
        "urn:pulumi:old-stack::old-project::test:index:Group$test:index:Thing::thing",
        "urn:pulumi:dev::shop::test:index:Thing::by-urn",
    )


def sdk_program() -> None:
    import pulumi_azure_native as azure

    group = azure.resources.ResourceGroup("group")
    account = azure.storage.StorageAccount(
        "account",
        azure.storage.StorageAccountArgs(
            resource_group_name=group.name,
            sku=azure.storage.SkuArgs(name="Standard_LRS"),
            kind="StorageV2",
        ),
        ResourceOptions(aliases=[Alias(name="old"), Alias(type_="azure-native:storage:Account")], protect=True),
    )
    azure.storage.BlobContainer(
        "container",
        account_name=account.name,
        resource_group_name=group.name,
        opts=ResourceOptions(parent=account, ignore_changes=["metadata"]),
    )
    pulumi.export("endpoint", account.primary_endpoints.blob)


def without_aliases(resource: Resource) -> Resource:
    return dataclasses.replace(resource, options=dataclasses.replace(resource.options, aliases=()))


def test_dropping_the_aliases_of_an_sdk_changes_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    from ringfence.providers.offline import OfflineProvider

    def run() -> Deployment:
        deployment = rehearse(sdk_program, OfflineProvider())
        assert deployment.error is None
        return deployment

    stripped = run()
    monkeypatch.setattr(_pulumi_sdk, "_is_generated", lambda _: False)
    whole = run()

    own = ("urn:pulumi:dev::shop::azure-native:storage:StorageAccount::old",)
    own += ("urn:pulumi:dev::shop::azure-native:storage:Account::account",)
    assert named(stripped, "account").options.aliases == own
    assert named(stripped, "container").options.aliases == ()
    assert set(own) < set(named(whole, "account").options.aliases)
    assert len(named(whole, "account").options.aliases) > 20
    assert len(named(whole, "container").options.aliases) > 10

    def rest(deployment: Deployment) -> Deployment:
        return dataclasses.replace(deployment, resources=tuple(map(without_aliases, deployment.resources)))

    assert rest(stripped) == rest(whole)


def test_the_options_given_to_a_resource_are_not_changed() -> None:
    aliases = [Alias(name="old")]
    shared = ResourceOptions(aliases=aliases, protect=True)

    def program() -> None:
        Thing("one", shared)
        Other("two", shared)

    deployment = rehearse(program)

    assert deployment.error is None
    assert shared.aliases == [aliases[0]]
    assert (shared.parent, shared.provider, shared.protect) == (None, None, True)


def test_what_the_engine_keeps_of_a_provider_is_no_output() -> None:
    def program() -> None:
        options = pulumi.ResourceOptions(plugin_download_url="https://plugins.example.com", version="7.50.0")
        pulumi.ProviderResource("aws", "west", {"region": "us-west-2"}, options)

    west = named(rehearse(program), "west")

    assert west.inputs["__internal"] == {"pluginDownloadURL": "https://plugins.example.com"}
    assert west.outputs == {"region": "us-west-2", "version": "7.50.0"}
