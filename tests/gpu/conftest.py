"""These tests share the GPU with the commands that they start."""

import os

# Before TensorFlow uses the GPU: it would reserve all of its memory, also in the commands.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
