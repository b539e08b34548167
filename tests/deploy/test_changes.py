"""What CloudFormation says of a change set, judged: shapes as its API reference documents them."""

from typing import Any

import pytest

from deploy.changes import read_changes


def change(resource: str, kind: str, action: str = "Modify", **more: Any) -> dict[str, Any]:
    about = {"Action": action, "LogicalResourceId": resource, "ResourceType": kind, **more}
    return {"Type": "Resource", "ResourceChange": about}


def caused_by(entity: str, recreation: str = "Always") -> dict[str, Any]:
    target = {"Attribute": "Properties", "Name": "KmsKeyId", "RequiresRecreation": recreation}
    return {
        "Target": target,
        "Evaluation": "Dynamic",
        "ChangeSource": "ResourceAttribute",
        "CausingEntity": entity,
    }


DATABASE = "AWS::RDS::DBInstance"


@pytest.mark.parametrize("kind", ["AWS::RDS::DBInstance", "AWS::RDS::DBCluster", "AWS::KMS::Key"])
@pytest.mark.parametrize(
    "more", [{"action": "Remove"}, {"Replacement": "True"}, {"Replacement": "Conditional", "Details": []}]
)
def test_what_holds_data_is_lost_by_removal_and_replacement(kind: str, more: dict[str, Any]) -> None:
    assert [found.loss is not None for found in read_changes([change("Database", kind, **more)])] == [True]


def test_a_function_may_be_replaced() -> None:
    found = read_changes([change("Sync", "AWS::Lambda::Function", Replacement="True")])
    assert found[0].loss is None
    assert str(found[0]) == "  REPLACE   Sync  AWS::Lambda::Function"


def test_a_reference_to_what_changes_in_place_replaces_nothing() -> None:
    key = change("Key", "AWS::KMS::Key", Replacement="False")
    database = change("Database", DATABASE, Replacement="Conditional", Details=[caused_by("Key.Arn")])
    assert [found.loss for found in read_changes([key, database])] == [None, None]


def test_a_reference_to_what_is_replaced_itself_may_replace() -> None:
    key = change("Key", "AWS::KMS::Key", Replacement="True")
    database = change("Database", DATABASE, Replacement="Conditional", Details=[caused_by("Key.Arn")])
    assert [found.replaced for found in read_changes([key, database])] == ["perhaps", "yes"]


def test_a_cause_that_replaces_nothing_does_not_count() -> None:
    details = [caused_by("Key.Arn"), caused_by("Size", "Never")]
    key = change("Key", "AWS::KMS::Key", Replacement="False")
    database = change("Database", DATABASE, Replacement="Conditional", Details=details)
    assert [found.loss for found in read_changes([key, database])] == [None, None]


def test_a_parameter_as_cause_may_replace() -> None:
    database = change("Database", DATABASE, Replacement="Conditional", Details=[caused_by("DatabaseEngine")])
    assert read_changes([database])[0].replaced == "perhaps"


def test_losses_are_shown_last() -> None:
    gone = change("Database", DATABASE, action="Remove")
    found = read_changes([gone, change("Sync", "AWS::Lambda::Function"), change("Tick", "AWS::Lambda::Function")])
    assert [shown.resource for shown in found] == ["Sync", "Tick", "Database"]
