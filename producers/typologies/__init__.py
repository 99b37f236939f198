"""Fraud typologies: one file each, one interface (`base.Typology`), one contract suite.

Imports `producers.population` and `producers.calendar`; pure. `testing/contracts/typology.py` is the suite.
"""

from producers.typologies.account_takeover import AccountTakeover
from producers.typologies.base import BaseTypology, Campaign, Typology
from producers.typologies.bin_attack import BinAttack
from producers.typologies.card_testing import CardTesting
from producers.typologies.compromised_merchant import CompromisedMerchant
from producers.typologies.device_ring import DeviceRing
from producers.typologies.friendly_fraud import FriendlyFraud
from producers.typologies.impossible_travel import ImpossibleTravel
from producers.typologies.leaked_card import LeakedCard
from producers.typologies.lost_card import LostCard
from producers.typologies.merchant_collusion import MerchantCollusion
from producers.typologies.pace import PacedTypology
from producers.typologies.push_scam import PushScam
from producers.typologies.refund_abuse import RefundAbuse
from producers.typologies.slow_drip import SlowDrip

__all__ = ["TYPOLOGY_CLASSES", "Campaign", "Typology", "default_typologies"]

TYPOLOGY_CLASSES: tuple[type[BaseTypology], ...] = (
    CardTesting,
    LeakedCard,
    CompromisedMerchant,
    BinAttack,
    LostCard,
    AccountTakeover,
    ImpossibleTravel,
    DeviceRing,
    MerchantCollusion,
    PushScam,
    FriendlyFraud,
    SlowDrip,
    RefundAbuse,
)
"""In the order of `World.typologies`; new ones are appended."""


def default_typologies(
    fraud_scale: float = 1.0, camouflage: float = 0.5, tempo: float = 1.0
) -> tuple[Typology, ...]:
    """Every typology, at its share of the default mix times `fraud_scale`, `tempo` times as fast."""
    typologies = [kind(kind.share * fraud_scale, camouflage) for kind in TYPOLOGY_CLASSES]
    return tuple(
        PacedTypology(typology, tempo) if tempo != 1 and typology.follows_tempo else typology
        for typology in typologies
    )
