"""API Gateway as Chalice and CloudFormation use it: moto reads neither Swagger documents nor a RestApi's `Body`."""

from typing import Any

from moto.apigateway import models

Backend: Any = models.APIGatewayBackend
RestAPI: Any = models.RestAPI
_import_rest_api = Backend.import_rest_api
_put_rest_api = Backend.put_rest_api
_create_from_cloudformation = RestAPI.create_from_cloudformation_json.__func__


def patch() -> None:
    Backend.import_rest_api = _import
    Backend.put_rest_api = _put
    RestAPI.create_from_cloudformation_json = classmethod(_create)
    RestAPI.update_from_cloudformation_json = classmethod(_update)


def _readable(document: dict[str, Any]) -> dict[str, Any]:
    """Chalice writes Swagger 2.0, but moto only accepts OpenAPI 3 with a description and a URI for each integration,
    which the integration for a browser's preflight does not have."""
    if "swagger" not in document:
        return document
    read = {key: value for key, value in document.items() if key != "swagger"}
    read |= {"openapi": "3.0.1", "info": {"description": "", **document["info"]}}
    for operations in read["paths"].values():
        for operation in operations.values():
            integration = operation.get("x-amazon-apigateway-integration", {})
            integration.setdefault("uri", "")
            integration.setdefault("httpMethod", "POST")
    return read


def _import(backend: Any, document: dict[str, Any], fail_on_warnings: bool) -> Any:
    return _import_rest_api(backend, _readable(document), False)


def _put(backend: Any, api_id: str, document: dict[str, Any], fail_on_warnings: bool, mode: str = "merge") -> Any:
    return _put_rest_api(backend, api_id, _readable(document), False, mode)


def _create(cls: Any, /, name: str, resource: dict[str, Any], account_id: str, region_name: str, **kwargs: Any) -> Any:
    """moto requires a name, which comes from the document's title, and ignores the document."""
    properties = resource["Properties"]
    body = properties.get("Body")
    properties.setdefault("Name", body["info"]["title"] if body else name)
    api = _create_from_cloudformation(cls, name, resource, account_id, region_name, **kwargs)
    if body:
        models.apigateway_backends[account_id][region_name].put_rest_api(api.id, body, False, "overwrite")
    return api


def _update(
    cls: Any,
    /,
    original_resource: Any,
    new_resource_name: str,
    cloudformation_json: dict[str, Any],
    account_id: str,
    region_name: str,
) -> Any:
    """moto cannot update an API, so its document is replaced here, as CloudFormation does."""
    backend = models.apigateway_backends[account_id][region_name]
    if body := cloudformation_json["Properties"].get("Body"):
        backend.put_rest_api(original_resource.id, body, False, "overwrite")
    return original_resource
