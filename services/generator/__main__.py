"""Run the generator as its own process."""

from services.generator.service import service
from shared.run import main

if __name__ == "__main__":
    main(service)
