"""Writes a small generated competition with the same files; no Kaggle account needed.

    python -m cdisc_tfds.sample --output_dir=DIR [--products=3000] [--categories=48] [--seed=0]

    train.bson, test.bson    products as in the real dump: ascending int32 ids with gaps, test ids
                             between train ids, position correlated with category, 1 to 4 pictures
    category_names.csv       three levels
    sample_submission.csv    one row per test product, always the same category
    solution.csv             the same rows with the true categories; the real competition keeps
                             them secret

The same arguments give the same files. Class sizes are skewed (Zipf). One product in twenty is
another seller's offer of a product of the same category and shows the same pictures; the colour of
one in ten differs from the one that its category names. The pictures are learnable: the study's
network reaches 0.83 by product in five short epochs (`make demo`).
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import functools
import io
import multiprocessing
import os
import pathlib
import random
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

import bson

from cdisc_tfds.sample.appearance import Appearance
from cdisc_tfds.sample.colours import TONES
from cdisc_tfds.sample.patterns import PATTERNS
from cdisc_tfds.sample.pictures import draw_jpeg
from cdisc_tfds.whole_files import whole_file

FILES = (
    "train.bson",
    "test.bson",
    "category_names.csv",
    "sample_submission.csv",
    "solution.csv",
)

# The numbers of train products in the real competition with 1, 2, 3 and 4 pictures.
PICTURES_PER_PRODUCT = (4_369_441, 1_128_588, 542_792, 1_029_075)

MIN_TRAIN_PRODUCTS = 2  # per category
SAME_PICTURES = 0.05  # chance that a product shows the pictures of another one
ZIPF_EXPONENT = 0.8
POOL_FROM_PRODUCTS = 500  # One process draws fewer before a second one has started.

# Level 1, level 2, the start of the level-3 names, and the shape to draw. As in the real file, one
# level-2 name appears under two level-1 names.
_ITEMS = (
    ("ART DE LA TABLE - ARTICLES CULINAIRES", "SERVICE DE TABLE", "TASSE - MUG", "mug"),
    ("ART DE LA TABLE - ARTICLES CULINAIRES", "ASSIETTE", "ASSIETTE", "plate"),
    ("ART DE LA TABLE - ARTICLES CULINAIRES", "CUISSON", "POELE - SAUTEUSE", "pan"),
    ("BAGAGERIE", "SAC A MAIN", "SAC A MAIN", "handbag"),
    ("BAGAGERIE", "VALISE", "VALISE - BAGAGE", "suitcase"),
    ("BAGAGERIE", "SAC A DOS", "SAC A DOS", "backpack"),
    ("BIJOUX -  LUNETTES - MONTRES", "MONTRES", "MONTRE BRACELET", "watch"),
    ("BIJOUX -  LUNETTES - MONTRES", "LUNETTES", "LUNETTES DE SOLEIL", "glasses"),
    ("BIJOUX -  LUNETTES - MONTRES", "BIJOUX", "BAGUE - ANNEAU", "ring"),
    ("CHAUSSURES - ACCESSOIRES", "BASKET", "BASKET - TENNIS", "sneaker"),
    ("CHAUSSURES - ACCESSOIRES", "BOTTE", "BOTTE - BOTTINE", "boot"),
    ("CHAUSSURES - ACCESSOIRES", "ACCESSOIRES", "CASQUETTE", "cap"),
    ("DECO - LINGE - LUMINAIRE", "LUMINAIRE", "LAMPE A POSER", "lamp"),
    ("DECO - LINGE - LUMINAIRE", "LINGE DE MAISON", "COUSSIN", "cushion"),
    ("DECO - LINGE - LUMINAIRE", "DECORATION MURALE", "HORLOGE - PENDULE", "clock"),
    ("JEUX - JOUETS", "JEUX D'EXTERIEUR", "BALLE - BALLON", "ball"),
    ("JEUX - JOUETS", "VEHICULE MINIATURE", "VOITURE", "car"),
    ("JEUX - JOUETS", "FIGURINE", "ROBOT MINIATURE", "robot"),
    ("LIBRAIRIE", "LITTERATURE", "LIVRE", "book"),
    ("LIBRAIRIE", "PAPETERIE", "CAHIER - CARNET", "notebook"),
    ("TELEPHONIE - GPS", "ACCESSOIRES", "COQUE - BUMPER", "phone case"),
    ("TELEPHONIE - GPS", "TELEPHONE PORTABLE", "SMARTPHONE", "phone"),
    ("TV - VIDEO - SON", "CASQUE", "CASQUE - MICROPHONE", "headphones"),
    ("TV - VIDEO - SON", "ENCEINTE", "ENCEINTE NOMADE", "loudspeaker"),
    ("TENUE PROFESSIONNELLE", "HAUT", "TEE-SHIRT", "t-shirt"),
    ("TENUE PROFESSIONNELLE", "BAS", "PANTALON", "trousers"),
    ("MEUBLE", "SIEGE", "CHAISE", "chair"),
    ("MEUBLE", "TABLE", "TABLE BASSE", "table"),
    ("JARDIN - PISCINE", "OMBRAGE", "PARASOL", "parasol"),
    ("JARDIN - PISCINE", "ARROSAGE", "ARROSOIR", "watering can"),
    ("VIN - ALCOOL - LIQUIDES", "BOISSON", "BOUTEILLE, CARAFE", "bottle"),
)
_PATTERN_NAMES = dict(
    zip(
        PATTERNS,
        ("UNI", "A RAYURES", "A POIS", "A CARREAUX", "A CHEVRONS", "FLEURI", "BICOLORE", "ETOILE"),
    )
)
_TONE_NAMES = dict(zip(TONES, ("ROUGE", "DORE", "VERT", "BLEU", "ROSE", "GRIS")))

MAX_CATEGORIES = len(_ITEMS) * len(PATTERNS) * len(TONES)


@dataclasses.dataclass(frozen=True)
class SampleSize:
    """The size of a sample that `write_sample` wrote."""

    products: int
    pictures: int
    test_products: int
    test_pictures: int
    categories: int


@dataclasses.dataclass(frozen=True)
class _Category:
    category_id: int
    names: tuple[str, str, str]
    shape: str
    pattern: str
    tone: str


@dataclasses.dataclass(frozen=True)
class _Product:
    product_id: int
    category: _Category
    in_test: bool
    num_pictures: int
    look: int  # Products with the same number show the same pictures.


def write_sample(
    output_dir: str | os.PathLike[str],
    *,
    products: int = 3000,
    test_products: int = 750,
    categories: int = 48,
    seed: int = 0,
    image_size: int = 180,
    processes: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> SampleSize:
    """Writes the five `FILES` to `output_dir`, each one atomically.

    Args:
        products: train products, at least two for each category.
        test_products: test products, at least one.
        categories: from 1 to MAX_CATEGORIES.
        seed: the same seed and sizes give the same files.
        image_size: side of the pictures in pixels.
        processes: number of processes that draw; default: one per core, or only this one for a
            small sample. The files do not depend on it.
        progress: called with the number of finished products and the total.

    Raises:
        ValueError: a size is out of range.
        FileExistsError: one of the files exists; it may be the real dump.
    """
    _check_sizes(products, test_products, categories)
    folder = pathlib.Path(output_dir)
    existing = [name for name in FILES if (folder / name).exists()]
    if existing:
        raise FileExistsError(
            f"The sample is never written over other files. {folder} already has "
            f"{', '.join(existing)}. Choose another --output_dir, or remove them first."
        )
    rng = random.Random(f"{seed}/plan")
    table = _make_categories(categories, rng)
    plan = _make_products(table, products, test_products, rng)
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        files = {name: stack.enter_context(whole_file(folder / name)) for name in FILES}
        documents = stack.enter_context(_encode_all(plan, seed, image_size, processes))
        for done, (product, document) in enumerate(zip(plan, documents), 1):
            files["test.bson" if product.in_test else "train.bson"].write(document)
            progress(done, len(plan))
        header = ("category_id", "category_level1", "category_level2", "category_level3")
        _write_csv(files["category_names.csv"], header, [(c.category_id, *c.names) for c in table])
        test = [p for p in plan if p.in_test]
        constant = max(c.category_id for c in table)
        guesses = [(p.product_id, constant) for p in test]
        _write_csv(files["sample_submission.csv"], ("_id", "category_id"), guesses)
        truth = [(p.product_id, p.category.category_id) for p in test]
        _write_csv(files["solution.csv"], ("_id", "category_id"), truth)
    return SampleSize(
        products=products,
        pictures=sum(p.num_pictures for p in plan if not p.in_test),
        test_products=test_products,
        test_pictures=sum(p.num_pictures for p in test),
        categories=categories,
    )


def _check_sizes(products: int, test_products: int, categories: int) -> None:
    if not 1 <= categories <= MAX_CATEGORIES:
        raise ValueError(f"categories must be from 1 to {MAX_CATEGORIES}. Received: {categories}.")
    least = MIN_TRAIN_PRODUCTS * categories
    if products < least:
        raise ValueError(
            f"products must be at least {MIN_TRAIN_PRODUCTS} for each category, that is {least} "
            f"for {categories} categories. Received: {products}. Ask for more products or for "
            "fewer categories."
        )
    if test_products < 1:
        raise ValueError(f"test_products must be at least 1. Received: {test_products}.")


def _make_categories(count: int, rng: random.Random) -> list[_Category]:
    """The hierarchy's leaves, sorted by name as in the real file, with ids in no order."""
    num_items = min(len(_ITEMS), (count + 1) // 2)
    ids = rng.sample(range(1_000_000_000, 1_000_023_000), count)
    table = []
    for number in range(count):
        variant, item = divmod(number, num_items)
        level1, level2, noun, shape = _ITEMS[item]
        # Neighbours differ in both pattern and tone; 48 variants use each pair once.
        pattern = PATTERNS[(variant + item) % len(PATTERNS)]
        tone = list(TONES)[(variant + variant // 24 + 5 * item) % len(TONES)]
        level3 = f"{noun} {_PATTERN_NAMES[pattern]} - {_TONE_NAMES[tone]}"
        table.append(_Category(ids[number], (level1, level2, level3), shape, pattern, tone))
    return sorted(table, key=lambda category: category.names)


def _make_products(
    table: Sequence[_Category], products: int, test_products: int, rng: random.Random
) -> list[_Product]:
    """All products by ascending id, train and test mixed."""
    weights = [rank**-ZIPF_EXPONENT for rank in range(1, len(table) + 1)]
    rng.shuffle(weights)
    train = list(table) * MIN_TRAIN_PRODUCTS
    train += rng.choices(table, weights, k=products - len(train))
    drawn = [(category, False) for category in train]
    drawn += [(category, True) for category in rng.choices(table, weights, k=test_products)]
    # Sellers list their goods in batches, so each category clusters around a place in the file.
    place = {category.category_id: rng.random() for category in table}
    drawn = sorted(drawn, key=lambda product: place[product[0].category_id] + rng.gauss(0, 0.1))

    plan: list[_Product] = []
    latest: dict[int, _Product] = {}  # by category id
    product_id = -1
    for look, (category, in_test) in enumerate(drawn):
        product_id += 1 + int(rng.expovariate(1.0))  # Leaves about 4 in 10 ids unused.
        other = latest.get(category.category_id)
        shown = other.look if other and rng.random() < SAME_PICTURES else look
        product = _Product(
            product_id=product_id,
            category=category,
            in_test=in_test,
            num_pictures=rng.choices((1, 2, 3, 4), PICTURES_PER_PRODUCT)[0],
            look=shown,
        )
        plan.append(product)
        latest[category.category_id] = product
    return plan


@contextlib.contextmanager
def _encode_all(
    plan: Sequence[_Product], seed: int, image_size: int, processes: int | None
) -> Iterator[Iterator[bytes]]:
    """The products' documents in the given order, drawn by `processes` processes."""
    encode = functools.partial(_encode, seed=seed, image_size=image_size)
    if processes is None:
        processes = (os.cpu_count() or 1) if len(plan) >= POOL_FROM_PRODUCTS else 1
    if processes == 1:
        yield map(encode, plan)
        return
    # Spawn, do not fork: the caller may have started TensorFlow's threads.
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        yield pool.imap(encode, plan, chunksize=16)


def _encode(product: _Product, seed: int, image_size: int) -> bytes:
    """The product's BSON document, with the keys in the order of the real files."""
    category = product.category
    look = f"{seed}/{product.look}"
    appearance = Appearance.of_product(
        category.shape, category.pattern, category.tone, random.Random(look)
    )
    pictures = [
        draw_jpeg(appearance, number, random.Random(f"{look}/{number}"), image_size)
        for number in range(product.num_pictures)
    ]
    document: dict[str, Any] = {
        "_id": product.product_id,
        "imgs": [{"picture": picture} for picture in pictures],
    }
    if not product.in_test:
        document["category_id"] = category.category_id
    return bson.encode(document)


def _write_csv(file: IO[bytes], header: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Writes UTF-8 with minimal quoting and the line ends of the real files."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    file.write(text.getvalue().encode())
