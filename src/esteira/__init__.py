"""Esteira: the conveyor belt that keeps models alive."""

# First of all: it sets what vendors read when they are imported (telemetry off, OpenMP threads that wait quietly).
from esteira import settings as _settings  # noqa: F401
