import json

import polars as pl
import pytest

from esteira.stewardship.masking import mask, mask_frame, token

KEY = b"k" * 32
SENSITIVE = {"tailnum": "pii", "flight": "restricted"}


def test_masked_columns_can_be_counted_and_compared_but_not_read() -> None:
    frame = pl.DataFrame({"tailnum": ["N1", "N2", None, "N1"], "flight": [7, 7, 8, None], "origin": ["JFK"] * 4})
    masked = mask_frame(frame, SENSITIVE, KEY)
    assert masked["origin"].equals(frame["origin"])
    assert masked["tailnum"][0] == masked["tailnum"][3] != masked["tailnum"][1]
    assert masked["tailnum"].is_null().to_list() == [False, False, True, False]
    assert masked["flight"].to_list()[:2] == [mask(7, "restricted", KEY)] * 2
    assert "N1" not in masked.write_csv()
    assert masked["tailnum"][0].startswith("pii:")


def test_values_inside_json_are_masked_too() -> None:
    inputs = [json.dumps({"tailnum": "N1", "origin": "JFK"}), json.dumps({"tailnum": None}), "{not json", "plain", None]
    masked = mask_frame(pl.DataFrame({"inputs": inputs}), SENSITIVE, KEY)["inputs"].to_list()
    assert json.loads(masked[0]) == {"tailnum": mask("N1", "pii", KEY), "origin": "JFK"}
    assert masked[1:] == inputs[1:]


@pytest.mark.parametrize("rows", [0, 3])
def test_a_frame_without_values_keeps_its_shape(rows: int) -> None:
    masked = mask_frame(pl.DataFrame({"tailnum": [None] * rows}, schema={"tailnum": pl.String}), SENSITIVE, KEY)
    assert masked.schema == {"tailnum": pl.String}
    assert masked["tailnum"].null_count() == rows


def test_another_key_gives_another_mask() -> None:
    assert token("N1", KEY) == token("N1", KEY) != token("N1", b"another")
