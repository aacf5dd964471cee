import pytest

numba = pytest.importorskip("numba", reason="of the extra 'generate'")

from flow.data.compiled import compiled


def test_a_folder_that_can_not_be_written_costs_the_cache_only(monkeypatch):
    real = numba.njit

    def no_place(*arguments, **options):
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return real(*arguments, **options)

    monkeypatch.setattr(numba, "njit", no_place)
    assert compiled(lambda x: x + 1)(2) == 3
