"""The API server: OpenAI's and text-generation-webui's routes over the same runtime the page uses."""

from webui.api.app import build_api
from webui.api.guard import OriginGuard, own_addresses

__all__ = ["OriginGuard", "build_api", "own_addresses"]
