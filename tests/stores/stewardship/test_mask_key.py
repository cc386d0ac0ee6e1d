import os
import stat
from pathlib import Path

from esteira.settings import settings
from esteira.stores.stewardship import mask_key


def test_the_mask_key_is_made_once_and_belongs_to_its_owner(home: Path) -> None:
    key = mask_key.mask_key()
    mask_key._read.cache_clear()
    assert mask_key.mask_key() == key
    assert stat.S_IMODE(os.stat(settings().home / "mask.key").st_mode) == 0o600
    assert mask_key.token("tailnum", "N1") != mask_key.token("flight_id", "N1")
