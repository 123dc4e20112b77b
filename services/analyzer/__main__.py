"""Run the analyzer as its own process."""

from services.analyzer.service import service
from shared.run import main

if __name__ == "__main__":
    main(service)
