"""IAM roles and policies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ringfence.providers.emulated.aws.calls import COMMON, Maker, Making, same_json, some, tag_list, tag_map
from ringfence.providers.emulated.interface import Made, gaps

__all__ = ["MAKERS"]


def _role(making: Making) -> Made:
    iam, values = making.client("iam"), making.values
    iam.create_role(
        **some(
            RoleName=making.name,
            AssumeRolePolicyDocument=values["assumeRolePolicy"],
            Path=values.get("path"),
            Description=values.get("description"),
            MaxSessionDuration=values.get("maxSessionDuration"),
            PermissionsBoundary=values.get("permissionsBoundary"),
            Tags=tag_list(values.get("tags")),
        )
    )
    for policy in values.get("inlinePolicies", []):
        iam.put_role_policy(RoleName=making.name, PolicyName=policy["name"], PolicyDocument=policy["policy"])
    for arn in values.get("managedPolicyArns", []):
        iam.attach_role_policy(RoleName=making.name, PolicyArn=arn)
    kept = iam.get_role(RoleName=making.name)["Role"]
    attached = {item["PolicyArn"] for item in iam.list_attached_role_policies(RoleName=making.name)["AttachedPolicies"]}
    found: dict[str, Any] = {
        "assumeRolePolicy": same_json(values["assumeRolePolicy"], kept["AssumeRolePolicyDocument"]),
        "path": kept["Path"],
        "description": kept.get("Description", ""),
        "maxSessionDuration": kept.get("MaxSessionDuration"),
        "permissionsBoundary": kept.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn"),
        "tags": tag_map(iam.list_role_tags(RoleName=making.name)["Tags"]),
        "managedPolicyArns": [arn for arn in values.get("managedPolicyArns", []) if arn in attached],
        "inlinePolicies": [
            {"name": policy["name"], "policy": _inline(iam, making.name, policy["name"], policy["policy"])}
            for policy in values.get("inlinePolicies", [])
        ],
    }
    outputs = {"arn": kept["Arn"], "uniqueId": kept["RoleId"]}
    return Made(outputs, making.name, gaps(making.inputs, names=(*COMMON, "forceDetachPolicies"), found=found))


def _inline(iam: Any, role: str, name: str, declared: str) -> Any:
    return same_json(declared, iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"])


def _role_policy(making: Making) -> Made:
    iam, values = making.client("iam"), making.values
    iam.put_role_policy(RoleName=values["role"], PolicyName=making.name, PolicyDocument=values["policy"])
    found = {"policy": _inline(iam, values["role"], making.name, values["policy"])}
    identity = f"{values['role']}:{making.name}"
    return Made(id=identity, gaps=gaps(making.inputs, names=(*COMMON, "role"), found=found))


def _role_policy_attachment(making: Making) -> Made:
    iam, values = making.client("iam"), making.values
    iam.attach_role_policy(RoleName=values["role"], PolicyArn=values["policyArn"])
    attached = iam.list_attached_role_policies(RoleName=values["role"])["AttachedPolicies"]
    arns = [item["PolicyArn"] for item in attached]
    found = {"policyArn": values["policyArn"] if values["policyArn"] in arns else None}
    identity = f"{values['role']}/{values['policyArn']}"
    return Made(id=identity, gaps=gaps(making.inputs, names=(*COMMON, "role"), found=found))


def _policy(making: Making) -> Made:
    iam, values = making.client("iam"), making.values
    kept = iam.create_policy(
        **some(
            PolicyName=making.name,
            PolicyDocument=values["policy"],
            Path=values.get("path"),
            Description=values.get("description"),
            Tags=tag_list(values.get("tags")),
        )
    )["Policy"]
    version = iam.get_policy_version(PolicyArn=kept["Arn"], VersionId=kept["DefaultVersionId"])["PolicyVersion"]
    found = {
        "policy": same_json(values["policy"], version["Document"]),
        "path": kept.get("Path"),
        "description": iam.get_policy(PolicyArn=kept["Arn"])["Policy"].get("Description"),
        "tags": tag_map(iam.list_policy_tags(PolicyArn=kept["Arn"]).get("Tags", [])),
    }
    outputs = {"arn": kept["Arn"], "policyId": kept["PolicyId"]}
    return Made(outputs, kept["Arn"], gaps(making.inputs, names=COMMON, found=found))


MAKERS: Mapping[str, Maker] = {
    "iam/policy:Policy": _policy,
    "iam/role:Role": _role,
    "iam/rolePolicy:RolePolicy": _role_policy,
    "iam/rolePolicyAttachment:RolePolicyAttachment": _role_policy_attachment,
}
