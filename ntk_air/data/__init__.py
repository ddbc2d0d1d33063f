"""Data sets with clean and noisy labels: loaders, label noise, a catalogue of names."""

from ntk_air.data.catalogue import dataset_names, dataset_options, load_dataset
from ntk_air.data.class_labels import ClassLabels
from ntk_air.data.dataset import Dataset
from ntk_air.data.inputs import DataWarning
from ntk_air.data.instance_noise import InstanceDependentNoise
from ntk_air.data.labels import decode_targets, encode_labels
from ntk_air.data.noise import (
    HumanNoise,
    LabelNoise,
    PairFlipNoise,
    SymmetricNoise,
    TransitionNoise,
)
from ntk_air.data.readers.files import ChecksumError, DataFileError, DatasetNotFoundError

__all__ = [
    "ChecksumError",
    "ClassLabels",
    "DataFileError",
    "DataWarning",
    "Dataset",
    "DatasetNotFoundError",
    "HumanNoise",
    "InstanceDependentNoise",
    "LabelNoise",
    "PairFlipNoise",
    "SymmetricNoise",
    "TransitionNoise",
    "dataset_names",
    "dataset_options",
    "decode_targets",
    "encode_labels",
    "load_dataset",
]
