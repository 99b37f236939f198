"""The Fraud Detection Handbook's simulator, reimplemented from its description, as a rival of the world.

Le Borgne, Siblini, Lebichot and Bontempi, "Reproducible Machine Learning for Credit Card Fraud Detection",
2022, chapter 3, "Transaction data simulator". The structure is the published one: a profile per customer
and terminal, terminals within a radius, a loop over customers, days and transactions with scalar draws,
then three fraud scenarios over the whole table. The published code keeps its tables in pandas and calls the
loop by `groupby.apply`; this one keeps lists and numpy arrays, which is less work.
"""

import random
from dataclasses import dataclass
from typing import Final

import numpy as np

from fraudsim.arrays import Doubles, Ints

DAY_S: Final = 86_400
SIDE: Final = 100.0
"""Customers and terminals lie in a square of this side."""
RADIUS: Final = 5.0
"""A customer pays only at terminals nearer than this."""
LARGE_AMOUNT: Final = 220.0
TERMINAL_DAYS: Final = 28
CUSTOMER_DAYS: Final = 14
TERMINALS_PER_CUSTOMER: Final = 2
"""As published: 10,000 terminals for 5,000 customers."""


@dataclass(frozen=True)
class Customer:
    """A row of the table of customer profiles."""

    customer_id: int
    x: float
    y: float
    mean_amount: float
    std_amount: float
    mean_nb_tx_per_day: float


@dataclass(frozen=True, eq=False)
class SimulatedTable:
    """Columns of one row per transaction, in order of time."""

    time_s: Ints
    """Seconds since the start of day 0."""
    customer: Ints
    terminal: Ints
    amount: Doubles
    scenario: Ints
    """1 to 3 for fraud, 0 for honest transactions."""

    def __len__(self) -> int:
        return len(self.time_s)


def simulate(customers: int, days: int, seed: int = 0) -> SimulatedTable:
    """Transactions of `customers` over `days`, with fraud."""
    profiles = customer_profiles(customers, seed)
    terminals = terminal_profiles(customers * TERMINALS_PER_CUSTOMER, seed + 1)
    rows: list[tuple[int, int, int, float]] = []
    for customer in profiles:
        rows += transactions_of(customer, terminals_within_radius(customer, terminals), days)
    rows.sort()
    table = SimulatedTable(
        time_s=np.array([row[0] for row in rows], np.int64),
        customer=np.array([row[1] for row in rows], np.int64),
        terminal=np.array([row[2] for row in rows], np.int64),
        amount=np.array([row[3] for row in rows], np.float64),
        scenario=np.zeros(len(rows), np.int64),
    )
    add_frauds(table, customers, len(terminals))
    return table


def customer_profiles(count: int, seed: int) -> list[Customer]:
    """Each customer's location, amounts and rate."""
    rng = np.random.RandomState(seed)
    profiles = []
    for customer_id in range(count):
        x, y = rng.uniform(0, SIDE), rng.uniform(0, SIDE)
        mean = rng.uniform(5, 100)
        profiles.append(Customer(customer_id, x, y, mean, mean / 2, rng.uniform(0, 4)))
    return profiles


def terminal_profiles(count: int, seed: int) -> Doubles:
    """Locations, shape (terminals, 2)."""
    return np.random.RandomState(seed).uniform(0, SIDE, size=(count, 2))


def terminals_within_radius(customer: Customer, terminals: Doubles) -> list[int]:
    """Indices of the terminals where a customer pays."""
    squared = np.square(terminals - np.array([customer.x, customer.y]))
    near: list[int] = np.flatnonzero(np.sqrt(squared.sum(axis=1)) < RADIUS).tolist()
    return near


def transactions_of(customer: Customer, available: list[int], days: int) -> list[tuple[int, int, int, float]]:
    """(time in seconds, customer, terminal, amount) of all days of a customer, by day."""
    rng = np.random.RandomState(customer.customer_id)
    chooser = random.Random(customer.customer_id)
    rows = []
    for day in range(days):
        for _ in range(rng.poisson(customer.mean_nb_tx_per_day)):
            second = int(rng.normal(DAY_S / 2, 20_000))
            if not 0 < second < DAY_S:
                continue
            amount = rng.normal(customer.mean_amount, customer.std_amount)
            if amount < 0:
                amount = rng.uniform(0, customer.mean_amount * 2)
            if available:
                terminal = chooser.choice(available)
                rows.append((day * DAY_S + second, customer.customer_id, terminal, round(amount, 2)))
    return rows


def add_frauds(table: SimulatedTable, customers: int, terminals: int) -> None:
    """Mark the three scenarios in place; a later scenario overrides an earlier one."""
    table.scenario[table.amount > LARGE_AMOUNT] = 1
    day_of = table.time_s // DAY_S
    last = int(day_of[-1]) if len(table) else 0
    for day in range(last):
        drawn = np.random.RandomState(day).choice(terminals, size=min(2, terminals), replace=False)
        during = (day_of >= day) & (day_of < day + TERMINAL_DAYS)
        table.scenario[during & np.isin(table.terminal, drawn)] = 2
    for day in range(last):
        rng = np.random.RandomState(day)
        drawn = rng.choice(customers, size=min(3, customers), replace=False)
        during = (day_of >= day) & (day_of < day + CUSTOMER_DAYS)
        rows = np.flatnonzero(during & np.isin(table.customer, drawn))
        stolen = rng.choice(rows, size=len(rows) // 3, replace=False) if len(rows) else rows
        table.amount[stolen] *= 5
        table.scenario[stolen] = 3
