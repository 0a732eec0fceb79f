"""Which resource types take tags. A type that takes none, such as a queue of a Service Bus namespace, is not asked.

The table holds the types of the services that the pack knows; a test compares it with the installed SDKs. Types of
Cosmos DB's children have a `tags` input that ARM does not list or bill by, so they are left out.
"""

from __future__ import annotations

__all__ = ["TAGGABLE"]

_AZURE = {
    "app": "ContainerApp Job ManagedEnvironment",
    "applicationinsights": "Component WebTest Workbook",
    "cognitiveservices": "Account",
    "containerinstance": "ContainerGroup ContainerGroupProfile NGroup",
    "containerregistry": "Registry",
    "cosmosdb": "CassandraCluster DatabaseAccount MongoCluster",
    "eventgrid": "Domain Namespace SystemTopic Topic",
    "eventhub": "Cluster Namespace",
    "keyvault": "ManagedHsm Vault",
    "machinelearningservices": "BatchDeployment BatchEndpoint Compute OnlineDeployment OnlineEndpoint Registry "
    "Workspace",
    "managedidentity": "UserAssignedIdentity",
    "monitor": "ActionGroup ActivityLogAlert AutoscaleSetting DataCollectionEndpoint DataCollectionRule MetricAlert "
    "ScheduledQueryRule",
    "network": "ApplicationGateway AzureFirewall BastionHost FirewallPolicy LoadBalancer NatGateway NetworkInterface "
    "NetworkSecurityGroup PrivateEndpoint PublicIPAddress PublicIPPrefix RouteTable VirtualNetwork "
    "VirtualNetworkGateway",
    "operationalinsights": "Cluster Workspace",
    "privatedns": "PrivateZone VirtualNetworkLink",
    "redis": "Redis",
    "resources": "ResourceGroup",
    "search": "Service",
    "servicebus": "Namespace",
    "storage": "StorageAccount",
    "web": "AppServiceEnvironment AppServicePlan StaticSite WebApp WebAppSlot",
}
_AWS = {
    "apigatewayv2": "Api Stage VpcLink",
    "cloudwatch": "CompositeAlarm EventBus EventRule LogGroup MetricAlarm",
    "dynamodb": "Table",
    "ecr": "Repository",
    "iam": "InstanceProfile Policy Role User",
    "kms": "Key",
    "lambda": "CodeSigningConfig EventSourceMapping Function",
    "pipes": "Pipe",
    "s3": "Bucket BucketV2",
    "sagemaker": "Domain Endpoint EndpointConfiguration FeatureGroup Image Model ModelPackageGroup MonitoringSchedule "
    "NotebookInstance Pipeline Project UserProfile",
    "secretsmanager": "Secret",
    "sfn": "Activity StateMachine",
    "sns": "Topic",
    "sqs": "Queue",
    "ssm": "Document Parameter",
}


def _aws(module: str, name: str) -> str:
    return f"aws:{module}/{name[0].lower()}{name[1:]}:{name}"


TAGGABLE = frozenset(f"azure-native:{module}:{name}" for module, names in _AZURE.items() for name in names.split()) | {
    _aws(module, name) for module, names in _AWS.items() for name in names.split()
}
"""Type tokens without API version."""
