"""The template as `make package` writes it, by Chalice's own generator, in a second: without a zip, pip or a Region."""

import json
from functools import cache
from typing import Any

import boto3
from chalice.config import Config
from chalice.deploy.appgraph import ApplicationGraphBuilder, DependencyBuilder
from chalice.deploy.deployer import BaseDeployStep, BuildStage, InjectDefaults, PolicyGenerator, SwaggerBuilder
from chalice.deploy.swagger import CFNSwaggerGenerator
from chalice.package import PackageOptions, ResourceBuilder, SAMTemplateGenerator, TemplateDeepMerger
from chalice.policy import AppPolicyGenerator
from chalice.utils import OSUtils
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from app import app
from deploy import stages, template
from tests.conftest import ROOT
from tests.deploy.intrinsics import REGION


class _NoPackage(BaseDeployStep):
    def handle_deploymentpackage(self, config: Config, resource: Any) -> None:
        resource.filename = "deployment.zip"


class _Options(PackageOptions):
    def __init__(self) -> None: ...

    def service_principal(self, service: str) -> str:
        return f"{service}.amazonaws.com"


def packaged(stage: str) -> dict[str, Any]:
    """The output of `chalice package --merge-template`."""
    on_disk = json.loads(stages.CONFIG.read_text())
    config = Config(
        stage, user_provided_params={"chalice_app": app, "project_dir": str(ROOT)}, config_from_disk=on_disk
    )
    steps = [
        InjectDefaults(),
        _NoPackage(),
        PolicyGenerator(AppPolicyGenerator(OSUtils()), OSUtils()),
        SwaggerBuilder(CFNSwaggerGenerator()),
    ]
    builder = ResourceBuilder(ApplicationGraphBuilder(), DependencyBuilder(), BuildStage(steps))
    generated = SAMTemplateGenerator(config, _Options()).generate(builder.construct_resources(config, stage))
    merged: dict[str, Any] = TemplateDeepMerger().merge(template.resources(stage), generated)
    return merged


@cache
def finished(stage: str) -> dict[str, Any]:
    """Shared by all tests, so it must not be changed."""
    return template.finished(packaged(stage), stage)


@cache
def transformed(stage: str) -> dict[str, Any]:
    """The template after AWS's own transform, with the code already in a bucket."""
    document = json.loads(json.dumps(finished(stage)))
    for resource in document["Resources"].values():
        if resource["Type"] == "AWS::Serverless::Function":
            resource["Properties"]["CodeUri"] = {"Bucket": "releases", "Key": "deployment.zip"}
    done: dict[str, Any] = Translator({}, Parser(), boto_session=boto3.Session(region_name=REGION)).translate(
        document, {}
    )
    return done
