"""DynamoDB tables, S3 buckets and KMS keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ringfence.providers.emulated.aws.calls import COMMON, Maker, Making, pascal, same_json, some, tag_list, tag_map
from ringfence.providers.emulated.interface import Made, gaps

__all__ = ["MAKERS"]


def _key_schema(values: Mapping[str, Any]) -> list[dict[str, str]]:
    keys = [(values.get("hashKey"), "HASH"), (values.get("rangeKey"), "RANGE")]
    return [{"AttributeName": name, "KeyType": kind} for name, kind in keys if name]


def _keys_of(kept: Mapping[str, Any]) -> dict[str, Any]:
    kinds = {key["KeyType"]: key["AttributeName"] for key in kept.get("KeySchema", [])}
    return {"hashKey": kinds.get("HASH"), "rangeKey": kinds.get("RANGE")}


def _capacity(values: Mapping[str, Any]) -> dict[str, int] | None:
    if values.get("readCapacity") is None:
        return None
    return {"ReadCapacityUnits": values["readCapacity"], "WriteCapacityUnits": values["writeCapacity"]}


def _index(values: Mapping[str, Any]) -> dict[str, Any]:
    projection = some(ProjectionType=values.get("projectionType"), NonKeyAttributes=values.get("nonKeyAttributes"))
    return some(
        IndexName=values["name"],
        KeySchema=_key_schema(values),
        Projection=projection,
        ProvisionedThroughput=_capacity(values),
        OnDemandThroughput=pascal(values.get("onDemandThroughput")),
    )


def _index_of(kept: Mapping[str, Any]) -> dict[str, Any]:
    """Return an index that was read back as it is declared."""
    throughput = kept.get("ProvisionedThroughput", {})
    return {
        "name": kept["IndexName"],
        **_keys_of(kept),
        "projectionType": kept.get("Projection", {}).get("ProjectionType"),
        "nonKeyAttributes": kept.get("Projection", {}).get("NonKeyAttributes"),
        "readCapacity": throughput.get("ReadCapacityUnits"),
        "writeCapacity": throughput.get("WriteCapacityUnits"),
    }


def _table(making: Making) -> Made:
    dynamodb, values = making.client("dynamodb"), making.values
    attributes = [{"AttributeName": item["name"], "AttributeType": item["type"]} for item in values["attributes"]]
    stream = some(StreamEnabled=values.get("streamEnabled"), StreamViewType=values.get("streamViewType"))
    encryption = values.get("serverSideEncryption") or {}
    dynamodb.create_table(
        **some(
            TableName=making.name,
            AttributeDefinitions=attributes,
            KeySchema=[
                {"AttributeName": values["hashKey"], "KeyType": "HASH"},
                *([{"AttributeName": values["rangeKey"], "KeyType": "RANGE"}] if values.get("rangeKey") else []),
            ],
            BillingMode=values.get("billingMode", "PROVISIONED"),
            ProvisionedThroughput=_capacity(values),
            OnDemandThroughput=pascal(values.get("onDemandThroughput")),
            GlobalSecondaryIndexes=[_index(item) for item in values.get("globalSecondaryIndexes", [])] or None,
            LocalSecondaryIndexes=[_index(item) for item in values.get("localSecondaryIndexes", [])] or None,
            DeletionProtectionEnabled=values.get("deletionProtectionEnabled"),
            StreamSpecification=stream if stream.get("StreamEnabled") else None,
            SSESpecification={"Enabled": True, **some(KMSMasterKeyId=encryption.get("kmsKeyArn"))}
            if encryption.get("enabled")
            else None,
            TableClass=values.get("tableClass"),
            Tags=tag_list(values.get("tags")),
        )
    )
    dynamodb.get_waiter("table_exists").wait(TableName=making.name, WaiterConfig={"Delay": 1, "MaxAttempts": 30})
    if (ttl := values.get("ttl")) and ttl.get("enabled"):
        dynamodb.update_time_to_live(
            TableName=making.name,
            TimeToLiveSpecification={"AttributeName": ttl["attributeName"], "Enabled": True},
        )
    if recovery := values.get("pointInTimeRecovery"):
        dynamodb.update_continuous_backups(
            TableName=making.name,
            PointInTimeRecoverySpecification=some(
                PointInTimeRecoveryEnabled=recovery["enabled"],
                RecoveryPeriodInDays=recovery.get("recoveryPeriodInDays"),
            ),
        )
    return _table_made(making, dynamodb, values)


def _table_made(making: Making, dynamodb: Any, values: Mapping[str, Any]) -> Made:
    kept = dynamodb.describe_table(TableName=making.name)["Table"]
    ttl = dynamodb.describe_time_to_live(TableName=making.name)["TimeToLiveDescription"]
    backups = dynamodb.describe_continuous_backups(TableName=making.name)["ContinuousBackupsDescription"]
    recovery = backups.get("PointInTimeRecoveryDescription", {})
    tags = dynamodb.list_tags_of_resource(ResourceArn=kept["TableArn"]).get("Tags", [])
    throughput, encryption = kept.get("ProvisionedThroughput", {}), kept.get("SSEDescription", {})
    on_demand = kept.get("OnDemandThroughput", {})
    types = {item["AttributeName"]: item["AttributeType"] for item in kept["AttributeDefinitions"]}
    indexes = {item["IndexName"]: _index_of(item) for item in kept.get("GlobalSecondaryIndexes", [])}
    local = {item["IndexName"]: _index_of(item) for item in kept.get("LocalSecondaryIndexes", [])}
    found: dict[str, Any] = {
        **_keys_of(kept),
        "attributes": [{"name": item["name"], "type": types.get(item["name"])} for item in values["attributes"]],
        "billingMode": kept.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED"),
        "readCapacity": throughput.get("ReadCapacityUnits"),
        "writeCapacity": throughput.get("WriteCapacityUnits"),
        "onDemandThroughput.maxReadRequestUnits": on_demand.get("MaxReadRequestUnits"),
        "onDemandThroughput.maxWriteRequestUnits": on_demand.get("MaxWriteRequestUnits"),
        "globalSecondaryIndexes": [indexes.get(item["name"]) for item in values.get("globalSecondaryIndexes", [])],
        "localSecondaryIndexes": [local.get(item["name"]) for item in values.get("localSecondaryIndexes", [])],
        "deletionProtectionEnabled": kept.get("DeletionProtectionEnabled", False),
        "streamEnabled": kept.get("StreamSpecification", {}).get("StreamEnabled", False),
        "streamViewType": kept.get("StreamSpecification", {}).get("StreamViewType"),
        "serverSideEncryption.enabled": encryption.get("Status") in ("ENABLED", "ENABLING"),
        "serverSideEncryption.kmsKeyArn": encryption.get("KMSMasterKeyArn"),
        "tableClass": kept.get("TableClassSummary", {}).get("TableClass", "STANDARD"),
        "ttl.enabled": ttl.get("TimeToLiveStatus") in ("ENABLED", "ENABLING"),
        "ttl.attributeName": ttl.get("AttributeName"),
        "pointInTimeRecovery.enabled": recovery.get("PointInTimeRecoveryStatus") == "ENABLED",
        "pointInTimeRecovery.recoveryPeriodInDays": recovery.get("RecoveryPeriodInDays"),
        "tags": tag_map(tags),
    }
    outputs = some(
        arn=kept["TableArn"], streamArn=kept.get("LatestStreamArn"), streamLabel=kept.get("LatestStreamLabel")
    )
    return Made(outputs, making.name, gaps(making.inputs, names=COMMON, found=found))


def _bucket(making: Making) -> Made:
    s3 = making.client("s3")
    name = str(making.offline.outputs.get("bucket") or making.name)
    region = s3.meta.region_name
    place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    s3.create_bucket(Bucket=name, **place)
    found: dict[str, Any] = {}
    if tags := making.values.get("tags"):
        s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": tag_list(tags)})
        found["tags"] = tag_map(s3.get_bucket_tagging(Bucket=name)["TagSet"])
    names = (*COMMON, "bucket", "bucketPrefix", "forceDestroy")
    lacking = gaps(
        making.inputs,
        names=names,
        found=found,
        otherwise="it is set by no call here: declare it as a resource of its own",
    )
    return Made({"arn": f"arn:aws:s3:::{name}", "bucket": name}, name, lacking)


def _bucket_versioning(making: Making) -> Made:
    s3, values = making.client("s3"), making.values
    configuration = values["versioningConfiguration"]
    s3.put_bucket_versioning(
        Bucket=values["bucket"], VersioningConfiguration=pascal(configuration, mfaDelete="MFADelete")
    )
    kept = s3.get_bucket_versioning(Bucket=values["bucket"])
    found = {
        "versioningConfiguration.status": kept.get("Status"),
        "versioningConfiguration.mfaDelete": kept.get("MFADelete"),
    }
    return Made(id=values["bucket"], gaps=gaps(making.inputs, names=(*COMMON, "bucket"), found=found))


def _bucket_policy(making: Making) -> Made:
    s3, values = making.client("s3"), making.values
    s3.put_bucket_policy(Bucket=values["bucket"], Policy=values["policy"])
    found = {"policy": same_json(values["policy"], s3.get_bucket_policy(Bucket=values["bucket"])["Policy"])}
    return Made(id=values["bucket"], gaps=gaps(making.inputs, names=(*COMMON, "bucket"), found=found))


def _key(making: Making) -> Made:
    kms, values = making.client("kms"), making.values
    tags = [{"TagKey": key, "TagValue": value} for key, value in values.get("tags", {}).items()]
    kept = kms.create_key(
        **some(
            Description=values.get("description"),
            KeyUsage=values.get("keyUsage"),
            KeySpec=values.get("customerMasterKeySpec"),
            Policy=values.get("policy"),
            MultiRegion=values.get("multiRegion"),
            Tags=tags or None,
        )
    )["KeyMetadata"]
    identity = kept["KeyId"]
    if values.get("enableKeyRotation"):
        kms.enable_key_rotation(KeyId=identity, **some(RotationPeriodInDays=values.get("rotationPeriodInDays")))
    rotation = kms.get_key_rotation_status(KeyId=identity)
    found: dict[str, Any] = {
        "description": kept.get("Description"),
        "keyUsage": kept.get("KeyUsage"),
        "customerMasterKeySpec": kept.get("KeySpec"),
        "multiRegion": kept.get("MultiRegion", False),
        "enableKeyRotation": rotation.get("KeyRotationEnabled", False),
        "rotationPeriodInDays": rotation.get("RotationPeriodInDays"),
        "tags": {tag["TagKey"]: tag["TagValue"] for tag in kms.list_resource_tags(KeyId=identity).get("Tags", [])},
    }
    if "policy" in values:
        kept_policy = kms.get_key_policy(KeyId=identity, PolicyName="default")["Policy"]
        found["policy"] = same_json(values["policy"], kept_policy)
    outputs = {"arn": kept["Arn"], "keyId": identity}
    return Made(outputs, identity, gaps(making.inputs, names=(*COMMON, "deletionWindowInDays"), found=found))


def _alias(making: Making) -> Made:
    kms, values = making.client("kms"), making.values
    kms.create_alias(AliasName=making.name, TargetKeyId=values["targetKeyId"])
    (kept,) = [alias for alias in kms.list_aliases()["Aliases"] if alias["AliasName"] == making.name]
    target = kept.get("TargetKeyId", "")
    found = {"targetKeyId": values["targetKeyId"] if values["targetKeyId"].endswith(target) else target}
    return Made({"arn": kept["AliasArn"]}, making.name, gaps(making.inputs, names=COMMON, found=found))


MAKERS: Mapping[str, Maker] = {
    "dynamodb/table:Table": _table,
    "kms/alias:Alias": _alias,
    "kms/key:Key": _key,
    "s3/bucket:Bucket": _bucket,
    "s3/bucketPolicy:BucketPolicy": _bucket_policy,
    "s3/bucketV2:BucketV2": _bucket,
    "s3/bucketVersioning:BucketVersioning": _bucket_versioning,
}
