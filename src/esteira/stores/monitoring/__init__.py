"""What the monitor keeps: profiles, alerts, requests to retrain."""
