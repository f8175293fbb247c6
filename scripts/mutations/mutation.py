from typing import NamedTuple


class Mutation(NamedTuple):
    check: str
    file: str
    old: str
    new: str
    test: str
    filter: str
