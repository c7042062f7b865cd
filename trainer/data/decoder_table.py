"""The JPEG decoders by name; importable without TensorFlow."""

# The module of each decoder, which holds its `decode_batches`.
MODULES = {"tf": "trainer.data.tf_decoding", "dali": "trainer.data.dali_decoding"}
RESOLVED = tuple(MODULES)
DECODERS = ("auto", *RESOLVED)
