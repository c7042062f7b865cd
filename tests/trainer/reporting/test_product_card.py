"""Cards of products: pictures embedded, names escaped, right and wrong told apart."""

import base64

from tests.helpers.html_checks import assert_well_formed
from trainer.reporting.product_card import product_card


def test_card_of_a_wrong_product():
    card = product_card(1234, [b"one", b"two"], "A > B > <leaf>", "C > D > other", 0.98765)
    assert_well_formed(card)
    assert 'class="card wrong"' in card
    assert card.count("data:image/jpeg;base64,") == 2
    assert base64.b64encode(b"two").decode() in card
    assert 'A &gt; B &gt; <span class="leaf">&lt;leaf&gt;</span>' in card
    assert 'C &gt; D &gt; <span class="leaf">other</span>' in card
    assert "98.8%" in card
    assert "1234" in card


def test_card_of_a_right_product_names_it_once():
    card = product_card(1, [], "BOOKS", "BOOKS", 0.5)
    assert 'class="card right"' in card
    assert card.count("BOOKS") == 1
