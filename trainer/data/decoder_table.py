"""Who can decode JPEGs, by name; importable without TensorFlow."""

# The modules with the decoders' `decode_batches`.
MODULES = {"tf": "trainer.data.tf_decoding", "dali": "trainer.data.dali_decoding"}
RESOLVED = tuple(MODULES)
DECODERS = ("auto", *RESOLVED)
