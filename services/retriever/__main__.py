"""Run the retriever as its own process."""

from services.retriever.service import service
from shared.run import main

if __name__ == "__main__":
    main(service)
