"""What takes ComfyUI's place where there is no GPU: a stand-in repository, a custom node, and small model files."""

from tests.comfyui.model_files import Model
from tests.comfyui.publication import Published, Repository, publish

__all__ = ["Model", "Published", "Repository", "publish"]
