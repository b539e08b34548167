"""How change sets are evaluated, in the format that CloudFormation's API reference documents."""

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
def test_removing_or_replacing_a_resource_with_data_counts_as_a_loss(kind: str, more: dict[str, Any]) -> None:
    assert [found.loss is not None for found in read_changes([change("Database", kind, **more)])] == [True]


def test_a_function_may_be_replaced() -> None:
    found = read_changes([change("Sync", "AWS::Lambda::Function", Replacement="True")])
    assert found[0].loss is None
    assert str(found[0]) == "  REPLACE   Sync  AWS::Lambda::Function"


def test_a_reference_to_a_resource_changed_in_place_replaces_nothing() -> None:
    key = change("Key", "AWS::KMS::Key", Replacement="False")
    database = change("Database", DATABASE, Replacement="Conditional", Details=[caused_by("Key.Arn")])
    assert [found.loss for found in read_changes([key, database])] == [None, None]


def test_a_reference_to_a_replaced_resource_may_replace() -> None:
    key = change("Key", "AWS::KMS::Key", Replacement="True")
    database = change("Database", DATABASE, Replacement="Conditional", Details=[caused_by("Key.Arn")])
    assert [found.replaced for found in read_changes([key, database])] == ["perhaps", "yes"]


def test_a_cause_that_replaces_nothing_does_not_count() -> None:
    details = [caused_by("Key.Arn"), caused_by("Size", "Never")]
    key = change("Key", "AWS::KMS::Key", Replacement="False")
    database = change("Database", DATABASE, Replacement="Conditional", Details=details)
    assert [found.loss for found in read_changes([key, database])] == [None, None]


def test_a_changed_parameter_may_replace() -> None:
    database = change("Database", DATABASE, Replacement="Conditional", Details=[caused_by("DatabaseEngine")])
    assert read_changes([database])[0].replaced == "perhaps"


def test_losses_are_listed_last() -> None:
    gone = change("Database", DATABASE, action="Remove")
    found = read_changes([gone, change("Sync", "AWS::Lambda::Function"), change("Tick", "AWS::Lambda::Function")])
    assert [shown.resource for shown in found] == ["Sync", "Tick", "Database"]
