"""Fraud typologies: one file each, one small interface (`base.Typology`), one contract suite."""

from producers.typologies.base import Campaign, Typology
from producers.typologies.card_testing import CardTesting
from producers.typologies.compromised_merchant import CompromisedMerchant
from producers.typologies.leaked_card import LeakedCard

__all__ = ["Campaign", "Typology", "default_typologies"]


def default_typologies(fraud_scale: float = 1.0, camouflage: float = 0.5) -> tuple[Typology, ...]:
    """Every typology at its usual share, times `fraud_scale`; their order is part of the world."""
    kinds = (CardTesting, LeakedCard, CompromisedMerchant)
    return tuple(kind(fraud_share=kind.fraud_share * fraud_scale, camouflage=camouflage) for kind in kinds)
