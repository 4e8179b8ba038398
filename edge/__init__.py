"""The device: the inference component, shipped as this one folder. Python 3.9 and later."""
