"""Run the healer as its own process."""

from services.healer.service import service
from shared.run import main

if __name__ == "__main__":
    main(service)
