"""The tables of a taxi company that the queries read: small enough to work results out by hand."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import polars as pl

__all__ = ["TABLES"]


def _at(text: str) -> datetime.datetime:
    return datetime.datetime.fromisoformat(f"{text}+00:00")


_DAYS = [datetime.date(2026, *day) for day in ((1, 3), (1, 3), (1, 4), (1, 5), (2, 1), (2, 1))]
_STARTED = ["01-03 22:50", "01-03 23:40", "01-04 09:00", "01-05 12:00", "02-01 00:10", "02-01 05:00"]
_ENDED = ["01-03 23:20", "01-04 00:05", "01-04 09:45:30", "01-05 12:00:59", "02-01 01:10", None]
_EVENT: Any = {"user": pl.String, "name": pl.String, "at": pl.Datetime("us", "UTC")}

TABLES = {
    "taxi.trips": pl.DataFrame(
        {
            "id": [1, 2, 3, 4, 5, 6],
            "driver_id": [10, 11, 10, 12, 11, 10],
            "zone_id": [1, 2, 1, None, 3, 2],
            "started": [_at(f"2026-{text}") for text in _STARTED],
            "ended": [_at(f"2026-{text}") if text else None for text in _ENDED],
            "day": _DAYS,
            "fare": [12.5, 8.0, 30.25, 4.0, 21.0, 0.0],
            "tip": [2.0, None, 5.0, None, 3.0, None],
            "payment": ["card", "cash", "card", "cash", "card", "card"],
        }
    ),
    "taxi.zones": pl.DataFrame(
        {
            "id": [1, 2, 3, 4],
            "name": ["Centre", "Harbour", "Airport", " park "],
            "borough": ["Inner", "Inner", "Outer", "Outer"],
        }
    ),
    "taxi.drivers": pl.DataFrame(
        {
            "id": [10, 11, 12],
            "name": ["Ann", "Béla", "Cem"],
            "contact": [
                {"email": "ann@taxi.example", "city": "Utrecht"},
                {"email": "bela@cab.example", "city": "Győr"},
                None,
            ],
            "languages": [["nl", "en"], [], ["tr"]],
        }
    ),
    "taxi.orders": pl.DataFrame(
        {
            "id": [1, 2, 3],
            "customer": ["zoe", "yan", "zoe"],
            "items": [
                [{"sku": "seat", "price": 5.0, "quantity": 1}, {"sku": "water", "price": 1.5, "quantity": 2}],
                [],
                [{"sku": "water", "price": 1.5, "quantity": 4}],
            ],
            "note": ['{"gift": true, "address": {"city": "Delft", "floor": 3}}', '{"gift": false}', None],
            "amount": [Decimal("8.05"), Decimal(0), Decimal(6)],
        },
        schema_overrides={"amount": pl.Decimal(38, 9)},
    ),
    "taxi.events_20260101": pl.DataFrame(
        [("u1", "open", _at("2026-01-01 10:00")), ("u2", "open", _at("2026-01-01 10:05"))], _EVENT, orient="row"
    ),
    "taxi.events_20260102": pl.DataFrame([("u1", "buy", _at("2026-01-02 11:00"))], _EVENT, orient="row"),
    "taxi.events_20260201": pl.DataFrame([("u3", "open", _at("2026-02-01 09:00"))], _EVENT, orient="row"),
}
