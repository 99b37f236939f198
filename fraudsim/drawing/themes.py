"""Colours of plots and pages, in a light and a dark theme.

A plot names the colours of the light theme. `DARK_STYLE` replaces each of them where the reader prefers a
dark theme, so one text serves both, and a viewer without style sheets shows the light theme.
"""

from typing import Final

PAPER: Final = "#ffffff"
INK: Final = "#22272e"
QUIET: Final = "#5b6470"
GRID: Final = "#e3e6ea"
HONEST: Final = "#3b6ea8"
FRAUD: Final = "#c2512f"
# Okabe and Ito's colours, distinct in every kind of colour vision, without the yellow, invisible on white.
PALETTE: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#444444")
RAMP: Final = (
    "#eef4fa", "#d8e6f3", "#bdd5ea", "#9cc0df", "#77a8d1", "#548fc1", "#3774ab", "#21588d", "#103d6b",
)  # fmt: skip
"""Tones of a heat map, from little to much: the further from the paper, the more."""
DARK: Final = {
    PAPER: "#14181d",
    INK: "#e4e8ec",
    QUIET: "#9aa5b1",
    GRID: "#2c333b",
    HONEST: "#6ea5e0",
    FRAUD: "#ee8059",
    "#0072b2": "#4aa8e8",
    "#d55e00": "#ff8a3d",
    "#009e73": "#2cc79a",
    "#cc79a7": "#e29ac2",
    "#56b4e9": "#8fd0f5",
    "#e69f00": "#f5b93a",
    "#444444": "#b4bac1",
    "#eef4fa": "#1b242e",
    "#d8e6f3": "#1f3246",
    "#bdd5ea": "#24425f",
    "#9cc0df": "#2b557b",
    "#77a8d1": "#356a98",
    "#548fc1": "#4682b5",
    "#3774ab": "#639ccb",
    "#21588d": "#8dbbdf",
    "#103d6b": "#c3dff3",
}
"""The colour of the dark theme for each colour above."""


def _dark_rules() -> str:
    return "".join(
        f'[{mark}="{light}"]{{{mark}:{dark}}}' for light, dark in DARK.items() for mark in ("fill", "stroke")
    )


DARK_STYLE: Final = f"@media (prefers-color-scheme:dark){{{_dark_rules()}}}"
"""The style sheet of the dark theme: once in a page, or in each plot that stands alone."""
