"""AWS on its emulator, by SDK calls for each type: CloudFormation would drop properties without a word."""

from ringfence.providers.emulated.aws.service import AwsService

__all__ = ["AwsService"]
