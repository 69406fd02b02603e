"""Run the benchmarks and print their table."""

from .run import main

if __name__ == "__main__":
    main()
