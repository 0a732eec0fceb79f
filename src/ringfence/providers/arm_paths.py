"""Paths of resources in Azure Resource Manager, by the tokens of pulumi-azure-native.

Source: the Azure REST API reference. A test compares the parameters with the inputs of the installed SDK.
"""

from __future__ import annotations

__all__ = ["PATHS"]

_ACCOUNT = "Microsoft.Storage/storageAccounts/{accountName}"
_COSMOS = "Microsoft.DocumentDB/databaseAccounts/{accountName}"
_WORKSPACE = "Microsoft.MachineLearningServices/workspaces/{workspaceName}"
_CLUSTER = "Microsoft.ContainerService/managedClusters/{resourceName}"
_BUS = "Microsoft.ServiceBus/namespaces/{namespaceName}"
_ZONE = "Microsoft.Network/privateDnsZones/{privateZoneName}"
_SCOPED = "{scope}/providers/Microsoft.Authorization"
_CONTAINERS = "Microsoft.ContainerInstance"
_IDENTITY = "Microsoft.ManagedIdentity/userAssignedIdentities/{resourceName}"

PATHS = {
    "apimanagement:ApiManagementService": "Microsoft.ApiManagement/service/{serviceName}",
    "app:ContainerApp": "Microsoft.App/containerApps/{containerAppName}",
    "app:Job": "Microsoft.App/jobs/{jobName}",
    "app:ManagedEnvironment": "Microsoft.App/managedEnvironments/{environmentName}",
    "app:ManagedEnvironmentsStorage": "Microsoft.App/managedEnvironments/{environmentName}/storages/{storageName}",
    "appconfiguration:ConfigurationStore": "Microsoft.AppConfiguration/configurationStores/{configStoreName}",
    "applicationinsights:Component": "Microsoft.Insights/components/{resourceName}",
    "authorization:PolicyAssignment": _SCOPED + "/policyAssignments/{policyAssignmentName}",
    "authorization:RoleAssignment": _SCOPED + "/roleAssignments/{roleAssignmentName}",
    "authorization:RoleDefinition": _SCOPED + "/roleDefinitions/{roleDefinitionId}",
    "cognitiveservices:Account": "Microsoft.CognitiveServices/accounts/{accountName}",
    "cognitiveservices:Deployment": "Microsoft.CognitiveServices/accounts/{accountName}/deployments/{deploymentName}",
    "compute:Disk": "Microsoft.Compute/disks/{diskName}",
    "compute:VirtualMachine": "Microsoft.Compute/virtualMachines/{vmName}",
    "compute:VirtualMachineScaleSet": "Microsoft.Compute/virtualMachineScaleSets/{vmScaleSetName}",
    "containerinstance:CGProfile": _CONTAINERS + "/containerGroupProfiles/{containerGroupProfileName}",
    "containerinstance:ContainerGroup": _CONTAINERS + "/containerGroups/{containerGroupName}",
    "containerinstance:ContainerGroupProfile": _CONTAINERS + "/containerGroupProfiles/{containerGroupProfileName}",
    "containerinstance:NGroup": _CONTAINERS + "/ngroups/{ngroupsName}",
    "containerregistry:Registry": "Microsoft.ContainerRegistry/registries/{registryName}",
    "containerservice:AgentPool": _CLUSTER + "/agentPools/{agentPoolName}",
    "containerservice:ManagedCluster": _CLUSTER,
    "cosmosdb:DatabaseAccount": _COSMOS,
    "cosmosdb:SqlResourceSqlContainer": _COSMOS + "/sqlDatabases/{databaseName}/containers/{containerName}",
    "cosmosdb:SqlResourceSqlDatabase": _COSMOS + "/sqlDatabases/{databaseName}",
    "cosmosdb:SqlResourceSqlRoleAssignment": _COSMOS + "/sqlRoleAssignments/{roleAssignmentId}",
    "cosmosdb:SqlResourceSqlRoleDefinition": _COSMOS + "/sqlRoleDefinitions/{roleDefinitionId}",
    "dbforpostgresql:Server": "Microsoft.DBforPostgreSQL/flexibleServers/{serverName}",
    "eventgrid:EventSubscription": "{scope}/providers/Microsoft.EventGrid/eventSubscriptions/{eventSubscriptionName}",
    "eventgrid:SystemTopic": "Microsoft.EventGrid/systemTopics/{systemTopicName}",
    "eventgrid:Topic": "Microsoft.EventGrid/topics/{topicName}",
    "eventhub:EventHub": "Microsoft.EventHub/namespaces/{namespaceName}/eventhubs/{eventHubName}",
    "eventhub:Namespace": "Microsoft.EventHub/namespaces/{namespaceName}",
    "keyvault:Key": "Microsoft.KeyVault/vaults/{vaultName}/keys/{keyName}",
    "keyvault:Secret": "Microsoft.KeyVault/vaults/{vaultName}/secrets/{secretName}",
    "keyvault:Vault": "Microsoft.KeyVault/vaults/{vaultName}",
    "machinelearningservices:Compute": _WORKSPACE + "/computes/{computeName}",
    "machinelearningservices:EnvironmentVersion": _WORKSPACE + "/environments/{name}/versions/{version}",
    "machinelearningservices:ModelVersion": _WORKSPACE + "/models/{name}/versions/{version}",
    "machinelearningservices:OnlineDeployment": _WORKSPACE
    + "/onlineEndpoints/{endpointName}/deployments/{deploymentName}",
    "machinelearningservices:OnlineEndpoint": _WORKSPACE + "/onlineEndpoints/{endpointName}",
    "machinelearningservices:Workspace": _WORKSPACE,
    "managedidentity:FederatedIdentityCredential": _IDENTITY
    + "/federatedIdentityCredentials/{federatedIdentityCredentialResourceName}",
    "managedidentity:UserAssignedIdentity": _IDENTITY,
    "monitor:ActionGroup": "Microsoft.Insights/actionGroups/{actionGroupName}",
    "monitor:AutoscaleSetting": "Microsoft.Insights/autoscaleSettings/{autoscaleSettingName}",
    "monitor:DiagnosticSetting": "{resourceUri}/providers/Microsoft.Insights/diagnosticSettings/{name}",
    "monitor:MetricAlert": "Microsoft.Insights/metricAlerts/{ruleName}",
    "monitor:ScheduledQueryRule": "Microsoft.Insights/scheduledQueryRules/{ruleName}",
    "network:LoadBalancer": "Microsoft.Network/loadBalancers/{loadBalancerName}",
    "network:NatGateway": "Microsoft.Network/natGateways/{natGatewayName}",
    "network:NetworkInterface": "Microsoft.Network/networkInterfaces/{networkInterfaceName}",
    "network:NetworkSecurityGroup": "Microsoft.Network/networkSecurityGroups/{networkSecurityGroupName}",
    "network:PrivateEndpoint": "Microsoft.Network/privateEndpoints/{privateEndpointName}",
    "network:PublicIPAddress": "Microsoft.Network/publicIPAddresses/{publicIpAddressName}",
    "network:Subnet": "Microsoft.Network/virtualNetworks/{virtualNetworkName}/subnets/{subnetName}",
    "network:VirtualNetwork": "Microsoft.Network/virtualNetworks/{virtualNetworkName}",
    "operationalinsights:Workspace": "Microsoft.OperationalInsights/workspaces/{workspaceName}",
    "privatedns:PrivateZone": _ZONE,
    "privatedns:VirtualNetworkLink": _ZONE + "/virtualNetworkLinks/{virtualNetworkLinkName}",
    "redis:Redis": "Microsoft.Cache/redis/{name}",
    "resources:Deployment": "Microsoft.Resources/deployments/{deploymentName}",
    "resources:ResourceGroup": "/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}",
    "search:Service": "Microsoft.Search/searchServices/{searchServiceName}",
    "servicebus:Namespace": _BUS,
    "servicebus:NamespaceAuthorizationRule": _BUS + "/authorizationRules/{authorizationRuleName}",
    "servicebus:Queue": _BUS + "/queues/{queueName}",
    "servicebus:QueueAuthorizationRule": _BUS + "/queues/{queueName}/authorizationRules/{authorizationRuleName}",
    "servicebus:Subscription": _BUS + "/topics/{topicName}/subscriptions/{subscriptionName}",
    "servicebus:Topic": _BUS + "/topics/{topicName}",
    "sql:Database": "Microsoft.Sql/servers/{serverName}/databases/{databaseName}",
    "sql:FirewallRule": "Microsoft.Sql/servers/{serverName}/firewallRules/{firewallRuleName}",
    "sql:Server": "Microsoft.Sql/servers/{serverName}",
    "storage:Blob": _ACCOUNT + "/blobServices/default/containers/{containerName}/blobs/{blobName}",
    "storage:BlobContainer": _ACCOUNT + "/blobServices/default/containers/{containerName}",
    "storage:BlobServiceProperties": _ACCOUNT + "/blobServices/{blobServicesName}",
    "storage:FileShare": _ACCOUNT + "/fileServices/default/shares/{shareName}",
    "storage:ManagementPolicy": _ACCOUNT + "/managementPolicies/{managementPolicyName}",
    "storage:Queue": _ACCOUNT + "/queueServices/default/queues/{queueName}",
    "storage:StorageAccount": _ACCOUNT,
    "storage:Table": _ACCOUNT + "/tableServices/default/tables/{tableName}",
    "web:AppServicePlan": "Microsoft.Web/serverfarms/{name}",
    "web:StaticSite": "Microsoft.Web/staticSites/{name}",
    "web:WebApp": "Microsoft.Web/sites/{name}",
    "web:WebAppSlot": "Microsoft.Web/sites/{name}/slots/{slot}",
}
"""Path by token without the package: from the provider namespace on, or whole where it begins with `/` or `{`.
The names in braces are wire names of inputs."""
