"""The laws every use case keeps, as code: ``esteira check`` and the tests try one on them."""
