"""Run the gateway as its own process."""

from services.gateway.service import service
from shared.run import main

if __name__ == "__main__":
    main(service)
