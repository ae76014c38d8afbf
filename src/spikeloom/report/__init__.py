"""Self-contained HTML reports: one file per run, readable offline, with charts that can be zoomed.

Importing this package is cheap; bokeh is imported when a report is written.
"""

from .neuron import NeuronReport, write_neuron_report
from .training import LayerActivity, TrainingReport, write_training_report

__all__ = ["LayerActivity", "NeuronReport", "TrainingReport", "write_neuron_report", "write_training_report"]
