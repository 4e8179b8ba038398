"""A requirement that is read wrongly deploys the wrong model."""

import pytest

from backends.local.nucleus.versions import (
    VersionError,
    newest,
    parse_requirement,
    parse_version,
)


@pytest.mark.parametrize(
    ("requirement", "inside", "outside"),
    [
        ("1.2.3", ["1.2.3"], ["1.2.4", "1.2.2"]),
        ("=1.2.3", ["1.2.3"], ["1.2.4"]),
        (">=1.0.0 <2.0.0", ["1.0.0", "1.99.0"], ["0.9.9", "2.0.0"]),
        (">= 1.0.0 < 2.0.0", ["1.5.0"], ["2.0.0"]),
        (">1.0.0 <=1.1.0", ["1.0.1", "1.1.0"], ["1.0.0", "1.1.1"]),
        ("^1.1.0", ["1.1.0", "1.9.0"], ["1.0.9", "2.0.0"]),
        ("^0.2.3", ["0.2.3", "0.2.9"], ["0.3.0"]),
        ("^0.0.3", ["0.0.3"], ["0.0.4"]),
        ("~1.6.0", ["1.6.0", "1.6.9"], ["1.7.0"]),
        ("~1", ["1.0.0", "1.9.0"], ["2.0.0"]),
        ("1.x", ["1.0.0", "1.9.9"], ["2.0.0"]),
        ("1.2", ["1.2.0", "1.2.9"], ["1.3.0"]),
        (">=1.6.x <1.7.0", ["1.6.0", "1.6.12"], ["1.5.9", "1.7.0"]),
        (">1.2", ["1.3.0"], ["1.2.9"]),
        ("<=1.2", ["1.2.9"], ["1.3.0"]),
        ("*", ["0.0.0", "99.0.0"], []),
        ("", ["1.0.0"], []),
        ("1.0.0 - 2.0.0", ["1.0.0", "2.0.0"], ["2.0.1"]),
        ("<1.0.0 || >=2.0.0", ["0.5.0", "2.1.0"], ["1.5.0"]),
        (">=1.0.0", [], ["1.1.0-rc.1"]),
        (">*", [], ["0.0.0", "0.0.0-0", "1.0.0"]),
        ("<x", [], ["0.0.0", "0.0.0-0", "1.0.0"]),
        (">=*", ["1.0.0"], []),
        (">=1.0.0\n<2.0.0\r\n", ["1.5.0"], ["2.0.0"]),
        ("1.0.0", ["1.0.0+build.1"], []),
        ("1.0.0+build.1", ["1.0.0", "1.0.0+build.2"], ["1.0.1"]),
        (">=1.1.0-rc.1", ["1.1.0-rc.2", "1.1.0"], ["1.2.0-rc.1", "1.1.0-alpha"]),
    ],
)
def test_npm_requirements(requirement: str, inside: list[str], outside: list[str]) -> None:
    wanted = parse_requirement(requirement)

    assert [v for v in inside if not wanted.admits(parse_version(v))] == []
    assert [v for v in outside if wanted.admits(parse_version(v))] == []


@pytest.mark.parametrize(
    "text",
    [
        *("1", "1.2", "1.2.3.4", "v1.2.3", "01.2.3", "a.b.c", "1.2.3-", "", "1.0.0\n"),
        *("1.0.0-01", "1.0.0-a..b", "1.0.0+", "1.0.0+.", "1.0.0+a.", "\uff11.0.0"),
        "9" * 5000 + ".0.0",
    ],
    ids=lambda text: text[:12] or "empty",
)
def test_text_that_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(VersionError):
        parse_version(text)


@pytest.mark.parametrize(
    "text",
    [
        *("latest", ">=", "1.2.3.4", "=>1.0.0", "1.0.0 and up", "\uff11.0.0", ">=1.0.0-01"),
        "9" * 5000,
    ],
    ids=lambda text: text[:12],
)
def test_text_that_is_no_requirement_is_refused(text: str) -> None:
    with pytest.raises(VersionError):
        parse_requirement(text)


@pytest.mark.parametrize("text", ["1.0.0-0a", "1.0.0--", "1.0.0-a.0", "1.0.0+01.b", "1.0.0-rc.1+-"])
def test_a_version_is_written_as_it_was_read(text: str) -> None:
    """It is the name of the recipe's file."""
    assert str(parse_version(text)) == text


def test_versions_are_ordered_by_semver() -> None:
    texts = [
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-2",
        "1.0.0",
        "1.10.0",
        "1.9.0",
    ]

    ordered = [str(v) for v in sorted(map(parse_version, texts))]

    assert ordered == [
        "1.0.0-2", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0", "1.9.0", "1.10.0"
    ]  # fmt: skip


def test_the_newest_version_that_all_admit_is_chosen() -> None:
    versions = [parse_version(v) for v in ("1.0.0", "1.9.0", "1.10.0", "2.0.0")]
    wanted = [parse_requirement(">=1.0.0"), parse_requirement("<2.0.0")]

    assert str(newest(versions, wanted)) == "1.10.0"
    assert newest(versions, [parse_requirement("^3.0.0")]) is None
