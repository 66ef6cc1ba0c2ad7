"""The look of Gradio's own controls: colours, type and spacing as theme variables. The page's css does the rest.

The colours themselves stand in static/look.css as css variables, light and dark; here they are only named.
"""

from __future__ import annotations

import gradio as gr
from gradio.themes.utils import fonts

_BOTH = {
    "body_background_fill": "var(--paper)",
    "body_text_color": "var(--ink)",
    "body_text_color_subdued": "var(--ink-2)",
    "background_fill_primary": "var(--paper)",
    "background_fill_secondary": "var(--panel)",
    "border_color_primary": "var(--line)",
    "border_color_accent": "var(--accent)",
    "border_color_accent_subdued": "var(--line)",
    "color_accent": "var(--accent)",
    "color_accent_soft": "var(--accent-soft)",
    "link_text_color": "var(--accent)",
    "link_text_color_hover": "var(--accent)",
    "link_text_color_visited": "var(--accent)",
    "link_text_color_active": "var(--accent)",
    "block_background_fill": "transparent",
    "block_border_color": "var(--line)",
    "block_label_background_fill": "transparent",
    "block_label_text_color": "var(--ink-2)",
    "block_title_text_color": "var(--ink)",
    "block_info_text_color": "var(--ink-2)",
    "panel_background_fill": "var(--panel)",
    "panel_border_color": "var(--line)",
    "input_background_fill": "var(--field)",
    "input_background_fill_focus": "var(--field)",
    "input_border_color": "var(--line-2)",
    "input_border_color_focus": "var(--accent)",
    "input_placeholder_color": "var(--ink-3)",
    "slider_color": "var(--accent)",
    "checkbox_background_color": "var(--field)",
    "checkbox_background_color_selected": "var(--accent)",
    "checkbox_border_color": "var(--line-2)",
    "checkbox_border_color_selected": "var(--accent)",
    "checkbox_border_color_focus": "var(--accent)",
    "checkbox_label_background_fill": "transparent",
    "checkbox_label_background_fill_hover": "var(--panel)",
    "checkbox_label_background_fill_selected": "var(--accent-soft)",
    "checkbox_label_border_color": "var(--line-2)",
    "checkbox_label_text_color": "var(--ink)",
    "button_primary_background_fill": "var(--accent-strong)",
    "button_primary_background_fill_hover": "var(--accent-deep)",
    "button_primary_text_color": "var(--on-accent)",
    "button_primary_border_color": "var(--accent-strong)",
    "button_secondary_background_fill": "var(--button)",
    "button_secondary_background_fill_hover": "var(--button-hover)",
    "button_secondary_text_color": "var(--ink)",
    "button_secondary_border_color": "var(--line-2)",
    "table_border_color": "var(--line)",
    "table_even_background_fill": "var(--paper)",
    "table_odd_background_fill": "var(--panel)",
    "table_text_color": "var(--ink)",
    "code_background_fill": "var(--code)",
    "error_background_fill": "var(--bad-soft)",
    "error_border_color": "var(--bad)",
    "error_text_color": "var(--bad)",
    "stat_background_fill": "var(--accent)",
    "loader_color": "var(--accent)",
    "accordion_text_color": "var(--ink)",
}

_ONCE = {
    "block_border_width": "0px",
    "block_shadow": "none",
    "block_padding": "6px 0",
    "block_label_text_size": "13px",
    "block_title_text_size": "13px",
    "block_title_text_weight": "400",
    "block_info_text_size": "12px",
    "input_shadow": "none",
    "input_shadow_focus": "none",
    "input_padding": "7px 9px",
    "input_text_size": "14px",
    "button_border_width": "1px",
    "button_large_padding": "7px 14px",
    "button_large_text_size": "14px",
    "button_large_text_weight": "400",
    "button_medium_padding": "6px 12px",
    "button_medium_text_size": "13px",
    "button_medium_text_weight": "400",
    "button_small_padding": "3px 9px",
    "button_small_text_size": "13px",
    "button_small_text_weight": "400",
    "button_large_radius": "6px",
    "button_medium_radius": "6px",
    "button_small_radius": "5px",
    "button_transition": "background-color .12s",
    "layout_gap": "14px",
    "form_gap_width": "0px",
    "section_header_text_size": "15px",
}


def build_theme() -> gr.themes.Base:
    """IBM Plex as bundled with Gradio: regular and bold are whole, the weights between are fragments."""
    theme = gr.themes.Base(
        font=(fonts.LocalFont("IBM Plex Sans", weights=(400, 700)), "system-ui", "sans-serif"),
        font_mono=(fonts.LocalFont("IBM Plex Mono", weights=(400, 700)), "ui-monospace", "monospace"),
        text_size=gr.themes.sizes.text_sm,
        spacing_size=gr.themes.sizes.spacing_sm,
        radius_size=gr.themes.sizes.radius_sm,
    )
    known = vars(theme)
    values = dict(_ONCE)
    for name, value in _BOTH.items():
        values[name] = value
        if f"{name}_dark" in known:
            values[f"{name}_dark"] = value
    theme.set(**values)
    return theme
