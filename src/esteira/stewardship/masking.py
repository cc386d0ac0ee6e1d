"""Masks for values of restricted columns: the same value has the same mask, and nobody without the key can go back.

A mask is a keyed hash (HMAC-SHA-256, RFC 2104), because the plain hash of a registration or a name is found by trying
all of them. Masked columns can still be counted, grouped and compared.
"""

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

import polars as pl

_SHOWN_DIGITS = 16


def token(value: object, key: bytes) -> str:
    """The keyed hash of ``value`` in 64 hexadecimal digits; the number 7 and the text '7' have the same."""
    return hmac.new(key, str(value).encode(), hashlib.sha256).hexdigest()


def mask(value: object, sensitivity: str, key: bytes) -> str:
    """What is shown instead of ``value``, such as ``pii:3f9a…``."""
    return f"{sensitivity}:{token(value, key)[:_SHOWN_DIGITS]}"


def mask_frame(frame: pl.DataFrame, sensitive: Mapping[str, str], key: bytes) -> pl.DataFrame:
    """``frame`` with the values of its ``sensitive`` columns (name -> sensitivity) masked; missing stays missing.

    Text columns that hold JSON objects, as the prediction log's do, are masked inside.
    """
    masked = frame.with_columns(
        _each_once(frame[name], lambda value, of=sensitivity: mask(value, of, key))
        for name, sensitivity in sensitive.items()
        if name in frame.columns
    )
    return masked.with_columns(
        _each_once(masked[name], lambda text: _mask_object(text, sensitive, key))
        for name, kind in frame.schema.items()
        if kind == pl.String and name not in sensitive and frame[name].str.starts_with("{").any()
    )


def _each_once(values: pl.Series, change: Any) -> pl.Series:
    distinct = values.drop_nulls().unique()
    changed = pl.Series([change(value) for value in distinct], dtype=pl.String)
    return values.replace_strict(distinct, changed, default=None, return_dtype=pl.String).alias(values.name)


def _mask_object(text: str, sensitive: Mapping[str, str], key: bytes) -> str:
    if not text.startswith("{"):
        return text
    try:
        held = json.loads(text)
    except ValueError:
        return text
    if not any(name in held for name in sensitive):
        return text
    return json.dumps(
        {
            name: mask(value, sensitive[name], key) if name in sensitive and value is not None else value
            for name, value in held.items()
        }
    )
