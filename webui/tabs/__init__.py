"""The page: one file a tab. The only place that knows Gradio."""

from webui.tabs.app import build_page_app

__all__ = ["build_page_app"]
