"""Serves a model on an online endpoint of Azure Machine Learning, blue/green, scaled by CPU."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from config import ModelServingSettings
from infrastructure import deploy
from stackkit import load_settings

deploy(load_settings(ModelServingSettings))
