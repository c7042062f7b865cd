import re

from trainer.prediction.serving_batches import write_batching
from trainer.service.options import ServiceOptions


def test_the_configuration_is_that_of_our_own_service(tmp_path):
    path = write_batching(tmp_path / "1")
    assert path == tmp_path / "1.batching.config"
    lines = [line for line in path.read_text().splitlines() if not line.startswith("#")]
    fields = dict(re.fullmatch(r"(\w+) \{ value: (\d+) \}", line).groups() for line in lines)
    options = ServiceOptions()
    assert fields == {
        "max_batch_size": str(options.max_batch),
        "batch_timeout_micros": str(int(options.max_wait_ms * 1000)),
        "max_enqueued_batches": "16",
    }
