"""The Cdiscount products as a TFDS data set; importing this registers it, so that
`tfds.load('cdiscount')` and `tfds build cdiscount --imports=cdisc_tfds` find it."""

import os

# The worker processes of a build only handle bytes; skipping TFDS saves each of them half a second.
if "CDISCOUNT_BUILD_WORKER" not in os.environ:
    from cdisc_tfds.cdiscount.cdiscount_dataset_builder import Builder as Builder
