"""Where a picture of a data set comes from; the sources name them so, and tasks ask here."""

from backends.sources.origins import SOURCE as SOURCE  # noqa: PLC0414 - tasks find them here
from backends.sources.origins import collected_name as collected_name  # noqa: PLC0414
from backends.sources.origins import origin_of as origin_of  # noqa: PLC0414
