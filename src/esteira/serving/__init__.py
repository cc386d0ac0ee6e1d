"""How one request becomes one answer: predict, post-process, follow the live release. Knows no vendor and no store."""
