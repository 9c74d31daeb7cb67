"""The built-in node classes, by the names that workflows use."""

from .node import Node
from .nodes_conditioning import CONDITIONING
from .nodes_custom_sampling import CUSTOM_SAMPLING
from .nodes_faults import FAULTS
from .nodes_images import IMAGES
from .nodes_latents import LATENTS
from .nodes_loaders import LOADERS
from .nodes_sampling import SAMPLING
from .nodes_shown import SHOWN

BUILT_IN: dict[str, type[Node]] = {
    node.__name__: node
    for node in (*LOADERS, *CONDITIONING, *LATENTS, *SAMPLING, *CUSTOM_SAMPLING, *IMAGES, *SHOWN, *FAULTS)
}

__all__ = ["BUILT_IN", "Node"]
