"""How many minutes will this flight take from gate to gate?"""
