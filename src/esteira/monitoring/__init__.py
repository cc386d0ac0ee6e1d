"""Watching what is live: profiles of what was served, drift, outcomes, and the policy that decides what to do."""
