"""Serves a run, or several together: a page for people, and TensorFlow Serving's REST interface.

    python -m trainer.serve --run_dir=runs/cnn-adam --port=8501
    curl -F picture=@photo.jpg http://127.0.0.1:8501/classify
    python -m trainer.serve --run_dir=runs/cnn-adam --similar=train.parquet

Open http://127.0.0.1:8501/ in a browser, and drop the photos of a product there. Programs post to
/classify or to /v1/models/NAME:predict; docs/serving.md describes both. With --similar, answers and
page show the most similar products of a file that `trainer.embed` wrote. SIGTERM or Ctrl-C end the
service when the requests in work are answered.
"""

from __future__ import annotations

import dataclasses

from trainer.prediction.options import NetworkOptions
from trainer.prediction.run_selection import RunSelection
from trainer.service.options import ServiceOptions, name_of
from trainer.service.similar_options import SimilarOptions
from trainer.terminal import command
from trainer.terminal.option import OptionError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(NetworkOptions, SimilarOptions, ServiceOptions, RunSelection):
    """The flags of the command."""


def main(options: Options) -> int:
    """Loads the networks, and answers until a signal comes."""
    options.require_consistent()
    options.require_file()
    require_packages()
    import asyncio
    import pathlib
    import sys

    # These import TensorFlow, which takes seconds; `--help` and flag errors should not wait for it.
    from trainer.prediction.loaded_runs import load_runs
    from trainer.runs.embedding_origin import EmbeddingFile, FeatureRun
    from trainer.service.application import Model, Service
    from trainer.service.engine import Engine
    from trainer.service.metrics import Metrics
    from trainer.service.page import page
    from trainer.service.server import Server, bound_socket, serve, url_of
    from trainer.service.similar import load_similar

    sock = bound_socket(options.host, options.port)
    file = None if options.similar is None else EmbeddingFile.open(options.similar)
    runs = load_runs(options, options, options.mean)
    named = [FeatureRun(one, options.checkpoint, options.data_dir) for one in options.folders]
    similar = None if file is None else load_similar(file, options, runs, named)
    folders = [pathlib.Path(folder).absolute().name for folder in options.folders]
    weights = runs.members[0].weights
    epoch = weights.epoch if len(folders) == 1 and weights is not None else None
    name = options.name or (name_of(folders[0]) if len(folders) == 1 else "mixture")
    model = Model(name, str(1 if epoch is None else epoch + 1))
    classes = f"{runs.label_map.num_classes:,} classes"

    async def run() -> bool:
        metrics = Metrics()
        engine = Engine(runs, options, metrics, similar)
        engine.warm_up()
        about = page(
            f"Categories by {' + '.join(folders)}",
            f"A network that tells {classes} apart looks at the photos of a product.",
            None if similar is None else similar.description,
        )
        service = Service(engine, model, options, metrics, about)

        def ready() -> None:
            print(f"Serving {' + '.join(folders)}, {classes}. Ctrl-C or SIGTERM ends it.")
            print_addresses(url_of(sock), name)
            if similar is not None:
                print(f"Similar products: {similar.description}")
            sys.stdout.flush()

        return await serve(Server(sock, engine, service, options, metrics), ready)

    if asyncio.run(run()):
        print("Stopped. All requests in work were answered.")
        return 0
    print(f"Stopped. Requests that took longer than --grace={options.grace:g} s were cut off.")
    return 1


def require_packages() -> None:
    """Raises OptionError if a package of the extra `serve` is missing."""
    try:
        import aiohttp  # noqa: F401
        import prometheus_client  # noqa: F401
    except ModuleNotFoundError as error:
        raise OptionError(
            f"The service needs the package {error.name}. Install what belongs to it: "
            "pip install 'cdiscount-image-classification[serve]'."
        ) from None


def print_addresses(url: str, name: str) -> None:
    """Prints where the service answers.

    Args:
      url: of its root.
      name: of the model.
    """
    print(
        f"  page      {url}\n"
        f"  products  {url}classify\n"
        f"  pictures  {url}v1/models/{name}:predict\n"
        f"  metrics   {url}metrics"
    )


if __name__ == "__main__":
    command.run(main, Options)
