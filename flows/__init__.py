"""When things happen: Prefect flows that follow a numbered recipe and compute nothing themselves."""
