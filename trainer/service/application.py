"""The addresses of the service, and what each of them answers."""

from __future__ import annotations

import asyncio
import concurrent.futures
import dataclasses
import json
import re
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, TypeVar

from absl import logging
from aiohttp import web

from cdisc_tfds.built_dataset import DatasetError
from trainer.prediction.predictor import PredictionError
from trainer.service import classify_api, predict_api
from trainer.service.bodies import Body, HeldBytes
from trainer.service.connections import GuardedConnection
from trainer.service.engine import Engine
from trainer.service.metrics import CONTENT_TYPE, Metrics
from trainer.service.options import MEGABYTE, ServiceOptions
from trainer.service.page import Page
from trainer.service.refusals import RefusalError, stopping, wrong_media

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_Result = TypeVar("_Result")
_MODEL = re.compile(r"(?P<name>[^/:]+)(/versions/(?P<version>[^/:]+))?(?P<verb>/metadata|:\w+)?")
_CLIENT_GONE = 499  # nobody reads it; nginx's number, for the metrics
# Another service at the same address may have other products.
_PICTURE_HEADERS = {
    "Cache-Control": "private, max-age=600",
    "X-Content-Type-Options": "nosniff",
}
_INTERNAL = (
    "This service failed to answer, which is not the client's fault. Its log has the details."
)


@dataclasses.dataclass(frozen=True)
class Model:
    """What the service's addresses call the runs.

    Attributes:
      name: in `/v1/models/NAME`.
      version: a number, as text.
    """

    name: str
    version: str


class Service:
    """The application, and what its requests share.

    Args:
      engine: answers pictures.
      model: its name.
      options: limits.
      metrics: what is counted.
      page: the page for people.
    """

    def __init__(
        self, engine: Engine, model: Model, options: ServiceOptions, metrics: Metrics, page: Page
    ):
        self._engine, self._model, self._options = engine, model, options
        self._metrics, self._page = metrics, page
        self._signature = predict_api.Signature(
            engine.runs.label_map,
            engine.runs.takes_products,
            options.top,
            options.all_probabilities,
        )
        self._held = HeldBytes(options.max_memory_mb * MEGABYTE)
        self._json_thread = concurrent.futures.ThreadPoolExecutor(1, "json")
        self._picture_thread = concurrent.futures.ThreadPoolExecutor(1, "pictures")
        self._is_stopping, self._active = False, 0
        self._idle = asyncio.Event()
        self._idle.set()

    def application(self) -> web.Application:
        """The application, for the framework's runner."""
        app = web.Application(middlewares=[self._around])
        app.router.add_get("/", self._show_page)
        app.router.add_post("/classify", self._classify)
        if self._engine.similar is not None:
            pattern = classify_api.picture_path("{product:-?[0-9]{1,19}}")
            app.router.add_get(f"/{pattern}", self._show_similar)
        app.router.add_get("/healthz", self._health)
        app.router.add_get("/metrics", self._show_metrics)
        app.router.add_get("/v1/models/{rest:.+}", self._describe)
        app.router.add_post("/v1/models/{rest:.+}", self._predict)
        return app

    async def stop(self, seconds: float) -> bool:
        """Takes no more requests, and waits for those in work.

        Returns:
          Whether all of them were answered within this time.
        """
        self._is_stopping = True
        try:
            await asyncio.wait_for(self._idle.wait(), seconds)
        except asyncio.TimeoutError:
            return False
        return True

    @web.middleware
    async def _around(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        """Counts, times and answers every request, whatever happens to it."""
        connection = request.transport.get_protocol() if request.transport else None
        if isinstance(connection, GuardedConnection):
            connection.request_began()
        start, endpoint = time.perf_counter(), _endpoint(request)
        self._active += 1
        self._idle.clear()
        try:
            response = await self._answered(request, handler)
            if self._is_stopping:
                response.force_close()
            self._metrics.requests.labels(endpoint, str(response.status)).inc()
            return response
        except asyncio.CancelledError:
            self._metrics.gone.inc()
            raise
        finally:
            self._metrics.seconds.labels(endpoint).observe(time.perf_counter() - start)
            self._active -= 1
            if not self._active:
                self._idle.set()
            if isinstance(connection, GuardedConnection):
                connection.request_ended()

    async def _answered(self, request: web.Request, handler: _Handler) -> web.StreamResponse:
        try:
            if self._is_stopping and request.method == "POST":
                raise stopping()
            return await handler(request)
        except RefusalError as refusal:
            self._metrics.refusals.labels(refusal.reason).inc()
            response = _error(refusal.status, refusal.text)
            if refusal.retry_after is not None:
                response.headers["Retry-After"] = str(refusal.retry_after)
            return response
        except web.HTTPMethodNotAllowed as error:
            allowed = ", ".join(sorted(error.allowed_methods))
            response = _error(
                HTTPStatus.METHOD_NOT_ALLOWED,
                f"{request.path} takes {allowed}. Received: {request.method}.",
            )
            response.headers["Allow"] = allowed
            return response
        except web.HTTPNotFound:
            return _error(
                HTTPStatus.NOT_FOUND,
                "This service has /, /classify, /healthz, /metrics and /v1/models/"
                f"{self._model.name}. Received: {request.path}.",
            )
        except web.HTTPException as error:
            return _error(HTTPStatus(error.status), error.reason)
        except ConnectionError:  # the client left before its body was here
            self._metrics.gone.inc()
            return web.Response(status=_CLIENT_GONE)
        except PredictionError as error:
            logging.error("%s", error)
            return _error(HTTPStatus.INTERNAL_SERVER_ERROR, str(error))
        except DatasetError as error:  # names folders of this machine
            logging.error("%s", error)
            return _error(HTTPStatus.INTERNAL_SERVER_ERROR, _INTERNAL)
        except Exception:
            logging.exception("A request to %s failed.", request.path)
            return _error(HTTPStatus.INTERNAL_SERVER_ERROR, _INTERNAL)

    async def _show_page(self, request: web.Request) -> web.Response:
        return web.Response(
            body=self._page.html,
            content_type="text/html",
            charset="utf-8",
            headers=self._page.headers,
        )

    async def _show_similar(self, request: web.Request) -> web.Response:
        """The picture of a product that others may be similar to."""
        similar, product_id = self._engine.similar, int(request.match_info["product"])
        assert similar is not None
        # One at a time: whoever asks for many waits, and predictions do not.
        picture = await asyncio.get_running_loop().run_in_executor(
            self._picture_thread, similar.thumbnails.of, product_id
        )
        if picture is None:
            raise RefusalError(
                HTTPStatus.NOT_FOUND,
                f"{similar.spec} has no product {product_id} with a picture that can be read.",
                reason="picture",
            )
        return web.Response(body=picture, content_type="image/jpeg", headers=_PICTURE_HEADERS)

    async def _health(self, request: web.Request) -> web.Response:
        if self._is_stopping:
            raise stopping()
        return _json({"status": "ok"})

    async def _show_metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=self._metrics.text(), headers={"Content-Type": CONTENT_TYPE})

    async def _describe(self, request: web.Request) -> web.Response:
        verb = self._verb(request)
        if verb == "/metadata":
            return _json(self._signature.metadata(self._model.name, self._model.version))
        if verb is not None:
            raise web.HTTPMethodNotAllowed(request.method, ["POST"])
        state = "UNLOADING" if self._is_stopping else "AVAILABLE"
        return _json(predict_api.status(self._model.version, state))

    async def _predict(self, request: web.Request) -> web.Response:
        verb = self._verb(request)
        if verb in (None, "/metadata"):
            raise web.HTTPMethodNotAllowed(request.method, ["GET"])
        if verb != ":predict":
            raise RefusalError(
                HTTPStatus.NOT_FOUND,
                f"The model has the method :predict alone. Received: {verb}.",
            )
        signature = self._signature
        with Body(request, self._options, self._held) as body:
            parsed = await self._in_thread(
                predict_api.parse_predict, await body.read(), signature.takes_products
            )
            answers = await self._engine.answers(parsed.products)
            return _json_bytes(await self._in_thread(signature.answer, parsed, answers))

    async def _classify(self, request: web.Request) -> web.Response:
        with Body(request, self._options, self._held) as body:
            if request.content_type == "multipart/form-data":
                files = await body.pictures()
                products = [classify_api.ShownProduct(None, tuple(files))]
            elif request.content_type == "application/json":
                products = await self._in_thread(classify_api.parse_products, await body.read())
            else:
                raise wrong_media(
                    "/classify takes application/json or multipart/form-data. Received: "
                    f"{request.content_type}."
                )
            pictures = [product.pictures for product in products]
            answers = await self._engine.answers(pictures, any_format=True, asks_similar=True)
            runs = self._engine.runs
            return _json_bytes(
                await self._in_thread(
                    classify_api.classified, products, answers, runs.label_map, self._options.top
                )
            )

    async def _in_thread(self, function: Callable[..., _Result], *arguments: object) -> _Result:
        """Reads or writes JSON beside the event loop, one request at a time.

        JSON may take twenty times the memory of its text, and more threads would not be faster:
        Python's parser holds its lock.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._json_thread, function, *arguments)

    def _verb(self, request: web.Request) -> str | None:
        """What the address asks of the model; raises RefusalError if it names another model."""
        match = _MODEL.fullmatch(request.match_info["rest"])
        if match is None or match["name"] != self._model.name:
            raise RefusalError(
                HTTPStatus.NOT_FOUND,
                f"This service has the model {self._model.name!r} alone, at /v1/models/"
                f"{self._model.name}. Received: {request.path}.",
            )
        if match["version"] not in (None, self._model.version):
            raise RefusalError(
                HTTPStatus.NOT_FOUND,
                f"The model has the version {self._model.version} alone. Received: "
                f"{match['version']}.",
            )
        return match["verb"]


def _endpoint(request: web.Request) -> str:
    """The name of an address in the metrics: a few words, whatever clients ask for."""
    if request.path.startswith("/similar/"):
        return "similar"
    if not request.path.startswith("/v1/models/"):
        known = {"/": "page", "/classify": "classify", "/healthz": "health", "/metrics": "metrics"}
        return known.get(request.path, "other")
    if request.path.endswith(":predict"):
        return "predict"
    return "metadata" if request.path.endswith("/metadata") else "status"


def _json(content: Any) -> web.Response:
    return _json_bytes(json.dumps(content).encode())


def _json_bytes(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="application/json")


def _error(status: HTTPStatus, text: str) -> web.Response:
    """An error as TensorFlow Serving words it."""
    return web.Response(
        status=status, body=json.dumps({"error": text}).encode(), content_type="application/json"
    )
