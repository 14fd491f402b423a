"""Models, data, lazy batched gradients, optimisers and device profiles."""

from __future__ import annotations

from simdfl.learning.data import Dataset
from simdfl.learning.datasets import DATASETS, load_dataset
from simdfl.learning.devices import DEVICES, DeviceProfile
from simdfl.learning.gradients import GradientEngine, TrainingDivergedError
from simdfl.learning.handles import EngineStats, Evaluation, GradientHandle
from simdfl.learning.model import Model
from simdfl.learning.models import MODELS
from simdfl.learning.optimisers import OPTIMISERS, Optimiser, make_optimiser
from simdfl.learning.sampling import batch_indices

__all__ = [
    "DATASETS",
    "DEVICES",
    "MODELS",
    "OPTIMISERS",
    "Dataset",
    "DeviceProfile",
    "EngineStats",
    "Evaluation",
    "GradientEngine",
    "GradientHandle",
    "Model",
    "Optimiser",
    "TrainingDivergedError",
    "batch_indices",
    "load_dataset",
    "make_optimiser",
]
