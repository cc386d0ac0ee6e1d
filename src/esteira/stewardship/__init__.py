"""What keeps data lawful and explained: audit chain, masks, retention, data cards, groups. Pure: stores act on it."""
