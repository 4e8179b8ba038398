"""What must be true of data: one module per data asset.

Importing this package loads Great Expectations, which takes seconds: import it inside the function
that needs it. Its telemetry is switched off before it is imported, for then it is too late.
"""

import os
import warnings

os.environ["GX_ANALYTICS_ENABLED"] = "false"

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it imports modules that Python 3.12 deprecates
    import great_expectations
    import great_expectations.expectations
    import great_expectations.expectations.conditions

__all__ = ["great_expectations"]
