"""Fresh online stores for Feast: newest event wins, expired is missing, at a stated moment. The room's front door.

``feature_store.yaml`` names a class of this file as ``online_store.type``; everything else asks here too.
"""

from esteira.features.online_base import FreshOnlineStore, reading_at
from esteira.features.online_redis import RedisFreshOnlineStore, RedisFreshOnlineStoreConfig
from esteira.features.online_rows import ViewRows
from esteira.features.online_sqlite import SqliteFreshOnlineStore, SqliteFreshOnlineStoreConfig
from esteira.features.online_view import OnlineView, online_view

__all__ = [
    "FreshOnlineStore",
    "OnlineView",
    "RedisFreshOnlineStore",
    "RedisFreshOnlineStoreConfig",
    "SqliteFreshOnlineStore",
    "SqliteFreshOnlineStoreConfig",
    "ViewRows",
    "online_view",
    "reading_at",
]
