"""Known pictures for a device that has a camera of its own, as a component of their own.

Nobody can write into a remote device's camera folder. So the pictures are deployed, beside the
other components, and the inference component looks at them in place of its camera until it has
answered; a second deployment then takes them away again. Components find each other by files
(docs/adr/0005): the folder is named from the inference component's work folder.
"""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from backends.archives import write_archive
from backends.recipe_rules import FORMAT_VERSION

KNOWN_PICTURES = "edgeward.KnownPictures"
FOLDER = PurePosixPath("..", KNOWN_PICTURES, "pictures")
"""Where the inference component sees them, from its work folder."""

CAMERA_KEYS = ("ImageDirectory", "ImageName", "UseCamera")
"""The inference component's configuration of what it looks at."""

LOOK_AT_THEM: Mapping[str, object] = {
    "ImageDirectory": str(FOLDER),
    "ImageName": "",
    "UseCamera": "false",
}

_STEM = "known-pictures"
# A link, not a copy: what is in it leaves the device with the component.
_SHOW = """\
known="{{artifacts:decompressedPath}}/{stem}"
if ! test -d "$known"; then
  echo "the archive was not unpacked to $known: deploy it from S3" >&2
  exit 1
fi
rm -f {folder}.new
ln -s "$known" {folder}.new && mv -T {folder}.new {folder}
"""


def known_pictures_recipe() -> dict[str, Any]:
    """The component; without a version, which the store gives it."""
    script = _SHOW.format(stem=_STEM, folder=FOLDER.name)
    return {
        "RecipeFormatVersion": FORMAT_VERSION,
        "ComponentName": KNOWN_PICTURES,
        "ComponentDescription": "Pictures whose answers are known, for a device to prove itself.",
        "ComponentPublisher": "Edgeward",
        "ComponentType": "aws.greengrass.generic",
        "Manifests": [
            {
                "Name": "linux",
                "Platform": {"os": "linux", "runtime": "*"},
                "Lifecycle": {"Install": {"Script": script}},
                "Artifacts": [
                    {
                        "Uri": f"s3://BUCKET_NAME/COMPONENT_NAME/COMPONENT_VERSION/{_STEM}.zip",
                        "Unarchive": "ZIP",
                        "Permission": {"Read": "ALL", "Execute": "NONE"},
                    }
                ],
            }
        ],
    }


def pack_pictures(pictures: Sequence[Path], into: Path) -> Path:
    """Zip pictures, named by their content; the same pictures give the same bytes."""
    named = {
        hashlib.sha256(picture.read_bytes()).hexdigest() + picture.suffix.lower(): picture
        for picture in pictures
    }
    package = into / f"{_STEM}.zip"
    write_archive(package, named.items())
    return package
