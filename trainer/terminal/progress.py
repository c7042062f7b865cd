"""The progress line of the commands."""

from cdisc_tfds.progress_line import ProgressLine as ProgressLine
from cdisc_tfds.progress_line import duration as duration
