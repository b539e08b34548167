"""Certificates of ACM: moto issues them after a minute of the clock; here at once by DNS, and by mail never."""

from typing import Any

from moto.acm import models, responses

Bundle: Any = models.CertBundle
Response: Any = responses.AWSCertificateManagerResponse
_request = Response.request_certificate


def patch() -> None:
    Bundle.check = lambda bundle: None
    Response.request_certificate = _issue


def _issue(response: Any) -> Any:
    answer = _request(response)
    if response._get_param("ValidationMethod") == "DNS":
        response.acm_backend.get_certificate(answer.result["CertificateArn"]).status = "ISSUED"
    return answer
