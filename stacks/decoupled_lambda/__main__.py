"""Scores requests from a queue with a model on SageMaker and keeps the results in DynamoDB."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from config import DecoupledLambdaSettings
from infrastructure import deploy
from stackkit import load_settings

deploy(load_settings(DecoupledLambdaSettings))
