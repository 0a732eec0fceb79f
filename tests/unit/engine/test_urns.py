"""URNs, parents and providers: the graph that a program makes is the one that the real engine would make."""

from __future__ import annotations

from typing import Any

import pulumi
from pulumi import ResourceOptions

from ringfence.deployment import STACK_TYPE, Deployment, Secret
from tests.unit.engine.rehearsal import Cloud, EchoProvider, Group, Other, Thing, named, rehearse, urns

STACK = "urn:pulumi:dev::shop::pulumi:pulumi:Stack::shop-dev"


def provider_of(deployment: Deployment, name: str) -> str:
    """Return the type's last part and the name of the provider that serves a resource."""
    provider = named(deployment, name).provider
    assert provider is not None
    assert provider in deployment.by_urn
    return provider.split("::", 2)[2].removeprefix("pulumi:providers:")


def test_the_stack_comes_first_and_is_every_top_resource_s_parent() -> None:
    def program() -> None:
        Thing("one")
        Group("two")

    deployment = rehearse(program)

    stack = deployment.resources[0]
    assert (stack.urn, stack.type, stack.parent, stack.custom) == (STACK, STACK_TYPE, None, False)
    assert {named(deployment, name).parent for name in ("one", "two")} == {STACK}


def test_parents_lend_their_types() -> None:
    def program() -> None:
        outer = Group("outer")
        inner = Group("inner", ResourceOptions(parent=outer), type_="test:index:Inner")
        Thing("leaf", ResourceOptions(parent=inner))
        custom = Thing("custom")
        Other("below", ResourceOptions(parent=custom))

    deployment = rehearse(program)

    assert [urn for urn in urns(deployment) if not urn.startswith("pulumi:providers")] == [
        "test:index:Group::outer",
        "test:index:Group$test:index:Inner::inner",
        "test:index:Group$test:index:Inner$test:index:Thing::leaf",
        "test:index:Thing::custom",
        "test:index:Thing$other:index:Other::below",
    ]
    assert named(deployment, "leaf").parent == named(deployment, "inner").urn
    assert named(deployment, "inner").parent == named(deployment, "outer").urn


def test_names_may_hold_colons_and_dollars() -> None:
    def program() -> None:
        parent = Thing("a::b$c")
        Thing("x::y", ResourceOptions(parent=parent))

    deployment = rehearse(program)

    assert named(deployment, "a::b$c").urn == "urn:pulumi:dev::shop::test:index:Thing::a::b$c"
    assert named(deployment, "x::y").urn == "urn:pulumi:dev::shop::test:index:Thing$test:index:Thing::x::y"
    assert named(deployment, "x::y").type == "test:index:Thing"


def test_default_providers_are_one_for_each_package_and_version() -> None:
    def program() -> None:
        Thing("plain")
        Thing("also plain")
        Thing("versioned", ResourceOptions(version="1.2.3-beta.1"))
        Thing("elsewhere", ResourceOptions(plugin_download_url="https://plugins.example.com/x"))
        Other("other", ResourceOptions(version="4.0.0"))

    deployment = rehearse(program)

    defaults = [resource for resource in deployment.resources if resource.default_provider]
    assert sorted(urn for urn in urns(deployment) if urn.startswith("pulumi:providers")) == [
        "pulumi:providers:other::default_4_0_0",
        "pulumi:providers:test::default",
        "pulumi:providers:test::default_1_2_3_beta_1",
        "pulumi:providers:test::default_https_plugins_example_com_x",
    ]
    assert len(defaults) == 4
    assert all(resource.source is None and resource.parent is None for resource in defaults)
    assert provider_of(deployment, "plain") == provider_of(deployment, "also plain") == "test::default"
    assert provider_of(deployment, "versioned") == "test::default_1_2_3_beta_1"
    assert named(deployment, "versioned").options.version == "1.2.3-beta.1"
    assert provider_of(deployment, "other") == "other::default_4_0_0"


def test_a_package_s_config_lands_in_its_default_provider() -> None:
    provider = EchoProvider()
    deployment = rehearse(
        lambda: Thing("thing", ResourceOptions(version="1.0.0")),
        provider,
        config={"test:region": "north", "test:key": "hunter2", "shop:region": "south", "other:region": "east"},
        secret_keys=frozenset({"test:key"}),
    )

    expected = {"key": Secret("hunter2"), "region": "north", "version": "1.0.0"}
    assert named(deployment, "default_1_0_0").inputs == expected
    assert [registration.provider_inputs for registration in provider.registrations] == [expected]


def test_explicit_providers_serve_what_names_them_and_the_children_of_components() -> None:
    def program() -> None:
        north = Cloud("north", region="north")
        south = Cloud("south", region="south")
        foreign = Cloud("foreign", package="other")
        Thing("direct", ResourceOptions(provider=north))
        by_list = Group("by list", ResourceOptions(providers=[north, foreign]))
        Thing("list child", ResourceOptions(parent=by_list))
        Other("list other", ResourceOptions(parent=by_list))
        by_name = Group("by name", ResourceOptions(providers={"test": south}))
        nested = Group("nested", ResourceOptions(parent=by_name), type_="test:index:Inner")
        Thing("named grandchild", ResourceOptions(parent=nested))
        Thing("own choice", ResourceOptions(parent=nested, provider=north))
        single = Group("single", ResourceOptions(provider=south))
        Thing("single child", ResourceOptions(parent=single))
        Other("not served", ResourceOptions(parent=single))

    provider = EchoProvider()
    deployment = rehearse(program, provider)

    assert {name: provider_of(deployment, name) for name in ("direct", "list child", "list other")} == {
        "direct": "test::north",
        "list child": "test::north",
        "list other": "other::foreign",
    }
    assert {name: provider_of(deployment, name) for name in ("named grandchild", "own choice", "single child")} == {
        "named grandchild": "test::south",
        "own choice": "test::north",
        "single child": "test::south",
    }
    assert provider_of(deployment, "not served") == "other::default"
    regions = {item.name: item.provider_inputs.get("region") for item in provider.registrations}
    assert regions["direct"] == "north"
    assert regions["named grandchild"] == "south"
    assert named(deployment, "by list").provider is None
    assert named(deployment, "by list").options.providers == {
        "test": named(deployment, "north").urn,
        "other": named(deployment, "foreign").urn,
    }


def test_an_explicit_provider_is_a_resource_with_inputs_version_and_parent() -> None:
    def program() -> None:
        group = Group("group")
        Cloud(
            "cloud", ResourceOptions(parent=group, version="2.1.0"), region="north", token=pulumi.Output.secret("t0p")
        )

    cloud = named(rehearse(program), "cloud")

    assert cloud.urn == "urn:pulumi:dev::shop::test:index:Group$pulumi:providers:test::cloud"
    assert cloud.inputs == {"region": "north", "token": Secret("t0p"), "version": "2.1.0"}
    assert not cloud.default_provider
    assert cloud.provider is None


def test_a_custom_resource_hands_its_provider_to_its_children() -> None:
    def program() -> None:
        north = Cloud("north")
        parent = Thing("parent", ResourceOptions(provider=north))
        Thing("child", ResourceOptions(parent=parent))

    assert provider_of(rehearse(program), "child") == "test::north"


def test_project_stack_and_organization_are_the_program_s() -> None:
    seen: dict[str, Any] = {}

    def program() -> None:
        seen.update(
            project=pulumi.get_project(),
            stack=pulumi.get_stack(),
            organization=pulumi.get_organization(),
            root=pulumi.runtime.get_root_directory(),
            dry=pulumi.runtime.is_dry_run(),
        )

    deployment = rehearse(program, project="web", stack="prod", organization="acme")

    assert deployment.error is None
    assert deployment.resources[0].urn == "urn:pulumi:prod::web::pulumi:pulumi:Stack::web-prod"
    assert seen == {
        "project": "web",
        "stack": "prod",
        "organization": "acme",
        "root": str(deployment.path),
        "dry": True,
    }


def test_resources_come_in_the_program_s_order_whatever_arrives_first() -> None:
    def program() -> None:
        late = Thing("late", wait=pulumi.Output.from_input(_later("x")))
        Thing("early")
        Thing("last", wait=late.id)

    async def _later(value: str) -> str:
        import asyncio

        await asyncio.sleep(0.02)
        return value

    deployment = rehearse(program)

    assert [resource.name for resource in deployment.resources if resource.type == "test:index:Thing"] == [
        "late",
        "early",
        "last",
    ]
