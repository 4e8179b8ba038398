"""Which topics a device takes: those that MQTT and AWS IoT Core have in common."""

import pytest

from backends.local.topics import fits_iot_core, is_filter, is_topic


@pytest.mark.parametrize(
    "text", ["a\0", "a\x1f", "a\x7f", "a\x9f", "\ud800", "\ufdd0", "\ufdef", "\ufffe", "\U0010ffff"]
)
def test_characters_that_a_broker_may_refuse_are_in_no_topic_and_no_filter(text: str) -> None:
    assert not is_topic(text)
    assert not is_filter(text)


@pytest.mark.parametrize("text", ["a b", "/", "//", "a\xa0", "\ufeffa", "é/猫/🐈", "\ufdcf", "$x"])
def test_any_other_text_is_a_topic(text: str) -> None:
    assert is_topic(text)
    assert is_filter(text)


@pytest.mark.parametrize(
    ("topic", "fits"),
    [
        ("x" * 256, True),
        ("x" * 257, False),
        ("é" * 128, True),
        ("é" * 129, False),
        ("a/b/c/d/e/f/g/h", True),
        ("a/b/c/d/e/f/g/h/i", False),
        ("a/b/c/d/e/f/g/", True),
        ("a/b/c/d/e/f/g//", False),
        ("$aws/rules/name/" + "x" * 256, True),
        ("$aws/rules/name/" + "x" * 257, False),
        ("$aws/rules/name/a/b/c/d/e/f/g/h", True),
        ("$aws/rules/name/a/b/c/d/e/f/g/h/i", False),
        ("$aws/things/name/a/b/c/d/e", True),
        ("$aws/things/name/a/b/c/d/e/f", False),
        ("$share/group/a", False),
        ("$share", False),
        ("$shares/group", True),
    ],
)
def test_iot_core_counts_bytes_and_slashes_but_not_those_of_a_rule(topic: str, fits: bool) -> None:
    assert fits_iot_core(topic) is fits
