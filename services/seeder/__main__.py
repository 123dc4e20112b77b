"""Run the seeder as its own process."""

from services.seeder.service import service
from shared.run import main

if __name__ == "__main__":
    main(service)
