"""Run the committer as its own process."""

from services.committer.service import service
from shared.run import main

if __name__ == "__main__":
    main(service)
