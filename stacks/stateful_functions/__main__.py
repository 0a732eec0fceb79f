"""Keeps the state of AI sessions behind an HTTP API that scales to zero."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from config import StatefulFunctionsSettings
from infrastructure import deploy
from stackkit import load_settings

deploy(load_settings(StatefulFunctionsSettings))
