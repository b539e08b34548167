"""cfn-lint finds nothing in the template, neither as packaged nor as CloudFormation transforms it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from cfnlint.api import lint
from cfnlint.config import ManualArgs

from tests.deploy.intrinsics import REGION
from tests.deploy.templates import finished, transformed


@pytest.mark.parametrize("stage", ["dev", "prod"])
@pytest.mark.parametrize("form", [finished, transformed], ids=["packaged", "transformed"])
def test_cfn_lint_finds_nothing(stage: str, form: Callable[[str], Any]) -> None:
    assert lint(json.dumps(form(stage)), config=ManualArgs(regions=[REGION])) == []
