"""The feature store: Feast's repository applied and asked, offline and online."""
