"""Scores requests in containers that scale out and in with their load."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from config import ContainerScalingSettings
from infrastructure import deploy
from stackkit import load_settings

deploy(load_settings(ContainerScalingSettings))
