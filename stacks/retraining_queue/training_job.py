"""The workers: a job that starts when requests wait and ends when they are handled."""

from __future__ import annotations

import pulumi
from artefacts import Artefacts
from config import RetrainingQueueSettings
from pulumi_azure_native import app, authorization, managedidentity, monitor, resources
from requests_queue import RequestsQueue
from stackkit import Names
from stackkit.azure import BuiltInRole, Observability, PrivateNetwork, grant

__all__ = ["TrainingJob"]

CONSUMPTION = "Consumption"


class TrainingJob(pulumi.ComponentResource):
    """A Container Apps job scaled by the queue's length, and the environment that it runs in."""

    environment: app.ManagedEnvironment
    job: app.Job

    def __init__(
        self,
        names: Names,
        settings: RetrainingQueueSettings,
        group: resources.ResourceGroup,
        observability: Observability,
        *,
        identity: managedidentity.UserAssignedIdentity,
        puller: managedidentity.UserAssignedIdentity,
        queue: RequestsQueue,
        artefacts: Artefacts,
        private_network: PrivateNetwork | None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("retraining_queue:training_job:TrainingJob", names("training"), None, opts)
        self._names, self._settings, self._group = names, settings, group
        self._identity, self._puller = identity, puller
        pull_role = grant(names("puller-pulls"), puller, BuiltInRole.ACR_PULL, settings.registry_id, parent=self)
        self.environment = self._environment(private_network)
        # The first execution may start at once, and needs the image and the queue by then.
        self.job = self._job(queue, artefacts, after=[pull_role, queue.receiver_role])
        self._watch(observability)
        self.register_outputs({"job": self.job.name})

    def _environment(self, private_network: PrivateNetwork | None) -> app.ManagedEnvironment:
        network = None
        if private_network is not None:
            subnet = private_network.subnet("workers", delegated_to="Microsoft.App/environments")
            network = app.VnetConfigurationArgs(infrastructure_subnet_id=subnet.id, internal=True)
        return app.ManagedEnvironment(
            self._names("workers"),
            resource_group_name=self._group.name,
            location=self._settings.location,
            workload_profiles=[app.WorkloadProfileArgs(name=CONSUMPTION, workload_profile_type=CONSUMPTION)],
            # Logs go the way of diagnostic settings; the other way needs the workspace's key.
            app_logs_configuration=app.AppLogsConfigurationArgs(destination="azure-monitor"),
            public_network_access=app.PublicNetworkAccess.DISABLED,  # jobs listen to nobody
            vnet_configuration=network,
            zone_redundant=self._settings.zone_redundant,
            tags=self._settings.tags,
            opts=pulumi.ResourceOptions(parent=self),
        )

    def _job(self, queue: RequestsQueue, artefacts: Artefacts, *, after: list[authorization.RoleAssignment]) -> app.Job:
        settings = self._settings
        return app.Job(
            self._names("worker"),
            resource_group_name=self._group.name,
            location=settings.location,
            environment_id=self.environment.id,
            workload_profile_name=CONSUMPTION,
            identity=app.ManagedServiceIdentityArgs(
                type=app.ManagedServiceIdentityType.USER_ASSIGNED,
                user_assigned_identities=[self._identity.id, self._puller.id],
            ),
            configuration=app.JobConfigurationArgs(
                trigger_type=app.TriggerType.EVENT,
                event_trigger_config=self._trigger(queue),
                replica_timeout=settings.replica_timeout_seconds,
                replica_retry_limit=settings.replica_retry_limit,
                registries=[app.RegistryCredentialsArgs(server=settings.registry_server, identity=self._puller.id)],
                # Code in the container has no use for the identity that pulls it.
                identity_settings=[
                    app.IdentitySettingsArgs(identity=self._puller.id, lifecycle=app.IdentitySettingsLifeCycle.NONE),
                    app.IdentitySettingsArgs(identity=self._identity.id, lifecycle=app.IdentitySettingsLifeCycle.MAIN),
                ],
            ),
            template=app.JobTemplateArgs(containers=[self._container(queue, artefacts)]),
            tags=settings.tags,
            opts=pulumi.ResourceOptions(parent=self, depends_on=after),
        )

    def _trigger(self, queue: RequestsQueue) -> app.JobConfigurationEventTriggerConfigArgs:
        settings = self._settings
        per_execution = settings.messages_per_replica * settings.parallelism
        return app.JobConfigurationEventTriggerConfigArgs(
            parallelism=settings.parallelism,
            replica_completion_count=settings.parallelism,
            scale=app.JobScaleArgs(
                min_executions=0,
                max_executions=settings.max_executions,
                polling_interval=settings.polling_seconds,
                rules=[
                    app.JobScaleRuleArgs(
                        name="queue-length",
                        type="azure-servicebus",
                        identity=self._identity.id,
                        # The scaler takes text alone, and the namespace's name without its domain.
                        metadata={
                            "namespace": queue.namespace.name,
                            "queueName": queue.queue.name,
                            "messageCount": str(per_execution),
                        },
                    )
                ],
            ),
        )

    def _container(self, queue: RequestsQueue, artefacts: Artefacts) -> app.ContainerArgs:
        settings = self._settings
        environment: dict[str, pulumi.Input[str]] = {
            "AZURE_CLIENT_ID": self._identity.client_id,
            "SERVICE_BUS_NAMESPACE": queue.address,
            "QUEUE_NAME": queue.queue.name,
            "DATASETS_URL": artefacts.datasets_url,
            "MODELS_URL": artefacts.models_url,
            "LEDGER_URL": artefacts.ledger_url,
            "MAX_MESSAGES": str(settings.messages_per_replica),
            "TRAINING_SECONDS": str(settings.training_seconds),
        }
        cores = settings.worker_millicores / 1000
        return app.ContainerArgs(
            name="worker",
            image=f"{settings.registry_server}/{settings.image}",
            # The service takes two GiB for each core and nothing else.
            resources=app.ContainerResourcesArgs(cpu=cores, memory=f"{2 * cores:g}Gi"),
            env=[app.EnvironmentVarArgs(name=name, value=value) for name, value in environment.items()],
        )

    def _watch(self, observability: Observability) -> None:
        observability.collect(
            "workers",
            self.environment.id,
            logs=["ContainerAppConsoleLogs", "ContainerAppSystemLogs"],
            metrics="AllMetrics",
            parent=self,
        )
        observability.alert(
            "failed-executions",
            "A worker failed, after all its retries.",
            resource_id=self.job.id,
            namespace="Microsoft.App/jobs",
            metric="Executions",
            dimensions={"state": "Failed"},
            above=0,
            aggregation=monitor.AggregationTypeEnum.TOTAL,
            parent=self,
        )
