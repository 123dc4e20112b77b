"""Run the monitor as its own process."""

from services.monitor.service import service
from shared.run import main

if __name__ == "__main__":
    main(service)
