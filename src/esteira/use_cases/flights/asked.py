"""What every use case about flights shares: whose it is, what a flight is named by, and what comes with a question."""

OWNER = "flights@esteira.example"
ENTITY_ID = "flight_id"
ENTITY_KEYS = (ENTITY_ID, "carrier", "flight", "origin", "dest", "tailnum")
REQUEST_INPUTS = ("scheduled_departure", "scheduled_arrival", "predicted_at")
SLICES = ("origin", "carrier")
ONLY_NEW_YORK = "It has only seen flights that leave New York (EWR, JFK, LGA); elsewhere its answers mean nothing."
