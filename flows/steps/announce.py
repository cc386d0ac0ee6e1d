"""Tell everybody that a release is live: MLflow's alias and the bentos' labels follow, and an event rings."""

from esteira.stores.releases import copies
from esteira.stores.releases.ledger import Release
from flows.events import RELEASED, ring


def announce(release: Release) -> None:
    """Copy the ledger's word to where people look, and ring; telling it twice does no harm."""
    copies.rewrite(release.use_case)
    ring(
        RELEASED,
        release.use_case,
        release.released_at,
        release=str(release.id),
        model_version=release.model_version,
    )
