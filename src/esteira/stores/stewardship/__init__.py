"""Care for what is kept: masks, holds, retention, forgetting with proof."""
