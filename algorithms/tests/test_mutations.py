"""The list of deliberate errors keeps up with the code; `python -m algorithms.tests.mutations` tries them."""

import pytest

from .mutations import MUTATIONS, ROOT, mutated


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutation_changes_code_that_compiles_and_names_tests(mutation):
    compile(mutated(mutation), mutation.file, "exec")
    assert mutation.old != mutation.new
    assert all((ROOT / f"algorithms/tests/test_{name}.py").exists() for name in mutation.tests.split())
