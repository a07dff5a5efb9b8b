"""Actions in a setting, by their labels. Pure."""

from pintally.schemas.actions import Action
from pintally.streams.settings.addresses import Unusable


def labels_of(text: str) -> str:
    """Labels of actions as `save,click`, each once, in the order of the actions. Raises Unusable."""
    labels = [action.label for action in Action]
    given = {label for part in text.split(",") if (label := part.strip())}
    if unknown := sorted(given.difference(labels)):
        raise Unusable(
            text,
            f"{unknown[0]!r} is no action",
            f"Set PINTALLY_FRAMED_TOPICS to actions, separated by commas ({','.join(labels)}), or unset it.",
        )
    return ",".join(label for label in labels if label in given)
