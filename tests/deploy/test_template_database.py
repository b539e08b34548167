"""The database in the template: how each role logs in, through which endpoint, and that its version can change."""

import pytest

from migrations.privileges import LOGINS
from tests.deploy.intrinsics import Account
from tests.deploy.templates import finished, transformed


def test_migrations_bypass_the_proxy_with_the_owners_password() -> None:
    account = Account(transformed("prod"), {"DatabaseProxy": "true"})
    environ = account.value("Resources", "Admin", "Properties", "Environment", "Variables")
    assert "DatabaseProxyServer" in environ["DATABASE_URL"]
    assert "DatabaseProxyServer" not in environ["MIGRATION_DATABASE_URL"]
    assert environ["MIGRATION_DATABASE_AUTH"] == "secret"
    assert "MIGRATION_DATABASE_URL" not in account.value(
        "Resources", "APIHandler", "Properties", "Environment", "Variables"
    )


def test_the_database_requires_tls_and_has_no_password_of_ours() -> None:
    resources = finished("prod")["Resources"]
    for name in ("DatabaseSettings", "ClusterSettings"):
        assert resources[name]["Properties"]["Parameters"]["rds.force_ssl"] == "1"
    for name in ("Database", "DatabaseCluster"):
        properties = resources[name]["Properties"]
        assert properties["EnableIAMDatabaseAuthentication"] is True
        assert properties["ManageMasterUserPassword"] is True
        assert "MasterUserPassword" not in properties
    assert resources["DatabaseProxyServer"]["Properties"]["DefaultAuthScheme"] == "IAM_AUTH"
    assert resources["DatabaseProxyServer"]["Properties"]["RequireTLS"] is True


def test_the_databases_major_version_changes_by_parameter() -> None:
    database = finished("prod")["Resources"]["Database"]["Properties"]
    assert database["EngineVersion"] == {"Ref": "DatabaseVersion"}
    assert database["AllowMajorVersionUpgrade"] is True


def test_the_proxy_logs_in_like_the_functions_and_its_role_follows_rds_documentation() -> None:
    account = Account(finished("prod"), {"DatabaseProxy": "true"})
    role = account.value("Resources", "DatabaseProxyRole", "Properties")
    (trust,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert trust == {"Effect": "Allow", "Principal": {"Service": "rds.amazonaws.com"}, "Action": "sts:AssumeRole"}
    (connect,) = role["Policies"][0]["PolicyDocument"]["Statement"]
    users = [arn.partition(":dbuser:")[2] for arn in connect["Resource"]]
    assert users == [f"Database.DbiResourceId/{login}" for login in LOGINS]


@pytest.mark.parametrize(("chosen", "protected"), [("true", True), ("false", False), ("when-healthy", False)])
def test_the_database_is_not_protected_before_its_service_is_healthy(chosen: str, protected: bool) -> None:
    account = Account(finished("prod"), {"DatabaseDeletionProtection": chosen})
    for name in ("Database", "DatabaseCluster"):
        assert account.value("Resources", name, "Properties", "DeletionProtection") is protected
