"""Every decoder against libjpeg-turbo, as Pillow runs it."""

import io
import random

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from cdisc_tfds.sample.competition import write_sample
from cdisc_tfds.bson_file import read_documents
from tests.helpers.accelerator import gpus
from trainer.data.decoding import DecoderError, decode_batches, resolve_decoder

pytestmark = pytest.mark.gpu

SIZE = 96
