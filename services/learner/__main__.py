"""Run the learner as its own process."""

from services.learner.service import service
from shared.run import main

if __name__ == "__main__":
    main(service)
