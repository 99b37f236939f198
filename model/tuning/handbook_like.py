"""A generator after the Fraud Detection Handbook's simulator, for data of its layout and kind.

Written from the book's description (Le Borgne et al. 2022, chapter 3, "Transaction data simulator"), with
other random numbers: it is not the published data, and figures on it do not compare with the published ones.
Customers and terminals lie in a square of side 100; a customer pays at terminals within a radius. Frauds:
amounts over 220 (scenario 1); two terminals a day compromised for 28 days (scenario 2); three customers a day
whose amounts are five times as large in a third of their payments for 14 days (scenario 3).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from fraudsim.arrays import Doubles, Ints

FIRST_DAY: Final = 17_622
"""2018-04-01, in days since 1970-01-01."""
SIDE: Final = 100.0
DAY_S: Final = 86_400


@dataclass(frozen=True)
class HandbookLike:
    """The size of the data, by default the Handbook's a day."""

    customers: int = 5000
    terminals: int = 10_000
    days: int = 72
    radius: float = 5.0
    seed: int = 0

    def table(self) -> pa.Table:
        """The transactions in order of time, in the Handbook's columns."""
        rng = np.random.default_rng(self.seed)
        where = rng.uniform(0, SIDE, (self.customers, 2))
        mean_amount = rng.uniform(5, 100, self.customers)
        a_day = rng.uniform(0, 4, self.customers)
        terminals = rng.uniform(0, SIDE, (self.terminals, 2))
        customer, seconds, amount = self._payments(rng, mean_amount, a_day)
        terminal = self._terminals(rng, where, terminals, customer)
        kept = terminal >= 0  # a customer with no terminal in reach pays nowhere
        order = np.argsort(seconds[kept], kind="stable")
        customer, terminal, seconds = customer[kept][order], terminal[kept][order], seconds[kept][order]
        amount = amount[kept][order]
        amount, scenario = self._frauds(rng, customer, terminal, seconds // DAY_S, amount)
        return pa.table(
            {
                "TRANSACTION_ID": np.arange(len(customer)),
                "TX_DATETIME": pa.array((FIRST_DAY * DAY_S + seconds).astype("M8[s]")),
                "CUSTOMER_ID": customer,
                "TERMINAL_ID": terminal,
                "TX_AMOUNT": amount,
                "TX_FRAUD": (scenario > 0).astype(np.int64),
                "TX_FRAUD_SCENARIO": scenario,
            }
        )

    def _payments(
        self, rng: np.random.Generator, mean_amount: Doubles, a_day: Doubles
    ) -> tuple[Ints, Ints, Doubles]:
        """Customer, second since the first day, and amount of each payment."""
        counts = rng.poisson(a_day, (self.days, self.customers))
        customer = np.repeat(np.tile(np.arange(self.customers), self.days), counts.ravel())
        day = np.repeat(np.arange(self.days), counts.sum(axis=1))
        time = rng.normal(DAY_S / 2, 20_000, len(customer))
        mean = mean_amount[customer]
        amount = rng.normal(mean, mean / 2)
        amount = np.where(amount < 0, rng.uniform(0, 2 * mean), amount).round(2)
        kept = (time > 0) & (time < DAY_S)
        seconds = (day * DAY_S + time.astype(np.int64)).astype(np.int64)
        return customer[kept], seconds[kept], amount[kept]

    def _terminals(
        self, rng: np.random.Generator, where: Doubles, terminals: Doubles, customer: Ints
    ) -> Ints:
        """A terminal in reach of each payment's customer; -1 without one."""
        chosen = np.full(len(customer), -1, np.int64)
        order = np.argsort(customer, kind="stable")
        starts = np.searchsorted(customer[order], np.arange(self.customers + 1))
        for number in range(self.customers):
            rows = order[starts[number] : starts[number + 1]]
            near = np.flatnonzero(((terminals - where[number]) ** 2).sum(axis=1) < self.radius**2)
            if len(near):
                chosen[rows] = rng.choice(near, len(rows))
        return chosen

    def _frauds(
        self, rng: np.random.Generator, customer: Ints, terminal: Ints, day: Ints, amount: Doubles
    ) -> tuple[Doubles, Ints]:
        """Amounts after fraud, and the scenario of each payment, 0 if honest; a later scenario replaces."""
        scenario = np.where(amount > 220, 1, 0)
        until_terminal = np.full(self.terminals, -1)
        until_customer = np.full(self.customers, -1)
        first = np.searchsorted(day, np.arange(self.days + 1))
        amount = amount.copy()
        for number in range(self.days):
            until_terminal[rng.choice(self.terminals, 2, replace=False)] = number + 28
            until_customer[rng.choice(self.customers, 3, replace=False)] = number + 14
            rows = np.arange(first[number], first[number + 1])
            scenario[rows[until_terminal[terminal[rows]] > number]] = 2
            third = rng.random(len(rows)) < 1 / 3
            stolen = rows[(until_customer[customer[rows]] > number) & third]
            amount[stolen] = (5 * amount[stolen]).round(2)
            scenario[stolen] = 3
        return amount, scenario
