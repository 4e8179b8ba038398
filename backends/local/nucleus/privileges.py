"""What a component asks for and this device cannot give: steps that run as root."""

import os

from backends.local.nucleus.recipe import Recipe, RecipeError


def check_privileges(recipe: Recipe) -> None:
    """Before a deployment changes anything. Raises RecipeError.

    A step that may be skipped is not judged: only at its start is it known whether it runs.
    """
    if os.geteuid() == 0:
        return
    for name, step in recipe.steps.items():
        if step.privileged and not step.skip_if:
            raise RecipeError(
                f"{recipe.name} {recipe.version}",
                f"Lifecycle.{name.capitalize()}.RequiresPrivilege",
                "this device does not run as root and cannot grant it: "
                "start the device as root, or take RequiresPrivilege out of the recipe",
            )
