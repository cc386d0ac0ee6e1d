"""Will this flight arrive at least 15 minutes late?"""
