"""Retrains models on request, with a queue that loses no request and workers that scale to zero."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from config import RetrainingQueueSettings
from infrastructure import deploy
from stackkit import load_settings

deploy(load_settings(RetrainingQueueSettings))
