"""Reference data of the world: merchant categories, cities, countries and the currency."""

from dataclasses import dataclass
from typing import Final, Literal

CategoryKind = Literal["shop", "atm", "online", "recurring"]


@dataclass(frozen=True)
class Category:
    """A merchant category: its amounts, and how often cards visit it."""

    name: str
    mcc: int
    kind: CategoryKind
    merchants: float
    """Relative number of merchants."""
    slots: int
    """Merchants of this category that a card returns to (its repertoire)."""
    weight: float
    """Relative number of everyday visits."""
    median_cents: int
    sigma: float
    """Standard deviation of the log amount."""


CATEGORIES: Final = (
    Category("grocery", 5411, "shop", 10, 3, 20, 2600, 0.75),
    Category("fuel", 5541, "shop", 4, 2, 5, 5000, 0.40),
    Category("restaurant", 5812, "shop", 12, 3, 8, 2600, 0.65),
    Category("fast_food", 5814, "shop", 8, 2, 9, 1050, 0.50),
    Category("transit", 4111, "shop", 2, 1, 5, 330, 0.50),
    Category("vending", 5499, "shop", 3, 1, 2, 230, 0.35),
    Category("pharmacy", 5912, "shop", 4, 1, 3, 1600, 0.70),
    Category("clothing", 5651, "shop", 7, 2, 3, 5200, 0.75),
    Category("electronics", 5732, "shop", 3, 1, 1, 9500, 1.00),
    Category("department", 5311, "shop", 4, 1, 3, 4200, 0.85),
    Category("home", 5200, "shop", 4, 1, 2, 4300, 0.90),
    Category("hotel", 7011, "shop", 3, 1, 0.4, 12500, 0.65),
    Category("taxi", 4121, "shop", 3, 1, 2, 1500, 0.50),
    Category("cash", 6011, "atm", 4, 1, 3, 8000, 0.60),
    Category("marketplace", 5399, "online", 4, 2, 8, 3400, 0.95),
    Category("digital_goods", 5816, "online", 3, 1, 2.5, 800, 0.90),
    Category("games", 7994, "online", 2, 1, 1.5, 500, 0.80),
    Category("fashion", 5691, "online", 5, 1, 2.5, 6200, 0.75),
    Category("food_delivery", 5815, "online", 4, 2, 4, 2500, 0.45),
    Category("web_electronics", 5734, "online", 4, 1, 1.2, 11500, 1.00),
    Category("travel", 4722, "online", 3, 1, 1, 21000, 0.85),
    Category("gift_cards", 5947, "online", 2, 1, 0.6, 4200, 0.75),
    Category("charity", 8398, "online", 2, 1, 0.4, 1500, 0.85),
    Category("streaming", 5968, "recurring", 2, 0, 0, 1150, 0.40),
    Category("telecom", 4814, "recurring", 2, 0, 0, 2900, 0.40),
    Category("utilities", 4900, "recurring", 2, 0, 0, 7200, 0.50),
)
CATEGORY_INDEX: Final = {category.name: index for index, category in enumerate(CATEGORIES)}

# Small worlds use the first cities only, so these alternate around the globe, as a global issuer's would.
CITIES: Final = (
    ("London", "GB", 51.51, -0.13, 2.4),
    ("New York", "US", 40.71, -74.01, 2.6),
    ("Mumbai", "IN", 19.08, 72.88, 2.6),
    ("Tokyo", "JP", 35.68, 139.69, 2.6),
    ("São Paulo", "BR", -23.55, -46.63, 2.2),
    ("Los Angeles", "US", 34.05, -118.24, 2.4),
    ("Dubai", "AE", 25.20, 55.27, 1.2),
    ("Singapore", "SG", 1.35, 103.82, 1.6),
    ("Berlin", "DE", 52.52, 13.40, 1.8),
    ("Sydney", "AU", -33.87, 151.21, 1.8),
    ("Chicago", "US", 41.88, -87.63, 1.4),
    ("Shanghai", "CN", 31.23, 121.47, 2.2),
    ("Paris", "FR", 48.86, 2.35, 1.8),
    ("Honolulu", "US", 21.31, -157.86, 0.8),
    ("Istanbul", "TR", 41.01, 28.98, 1.2),
    ("Auckland", "NZ", -36.85, 174.76, 1.2),
    ("Bangkok", "TH", 13.76, 100.50, 0.6),
    ("Rome", "IT", 41.90, 12.50, 0.8),
    ("Lisbon", "PT", 38.72, -9.14, 0.5),
    ("Athens", "GR", 37.98, 23.73, 0.5),
)
"""Name, country, latitude, longitude (degrees), relative size."""
HOME_CITIES: Final = 16
"""Cards live in the first of `CITIES`, at most so many."""
COUNTRIES: Final = tuple(sorted({city[1] for city in CITIES}))
CURRENCY: Final = "EUR"
"""The issuer's billing currency: of all amounts, in any country."""
