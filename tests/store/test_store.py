from __future__ import annotations

import subprocess
import sys

import pytest

from assay.errors import UserError
from assay.store.store import checked, is_name

MODULES = ["checkpoints", "claims", "documents", "local", "owners", "records", "store"]


@pytest.mark.parametrize("text", ["a", "cps-r50-3fa9", "result.json", "checkpoint-000000012.pt", "7", "a" * 200])
def test_plain_file_names_are_names(text):
    assert is_name(text)
    assert checked(text, "key") == text


@pytest.mark.parametrize(
    "text",
    ["", ".", "..", "../x", "a/b", "/a", "a\\b", ".hidden", "-o", "a b", "a\n", "ä", "a\0b", "a" * 201],
)
def test_what_could_point_out_of_the_store_is_refused_with_the_rule_and_the_text(text):
    assert not is_name(text)
    with pytest.raises(UserError) as caught:
        checked(text, "key")
    assert repr(text) in str(caught.value)
    assert "A key in the store is" in str(caught.value)


def test_the_store_is_read_without_torch_and_without_ray():
    heavy = {"torch", "torchvision", "timm", "ray", "numpy", "pandas"}
    program = f"import sys, {', '.join('assay.store.' + each for each in MODULES)}\n"
    program += f"print(sorted({heavy!r} & set(sys.modules)))"
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = {sys.path!r}\n{program}"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "[]"
