"""Old and new pictures of one data set are told apart, for ever, by their file names."""

from tasks.origins import SOURCE, collected_name, origin_of


def test_a_collected_picture_knows_its_batch() -> None:
    assert origin_of(f"cat/{collected_name('20261125.night', 'a--b.jpg')}") == "20261125.night"


def test_every_other_picture_is_of_the_source() -> None:
    assert origin_of("cat/00012.jpg") == SOURCE
    assert origin_of("cat/collected--without-a-name.jpg") == SOURCE
