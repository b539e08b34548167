"""What an operator does after a stage's first deployment, as commands with the stage's own values."""

import json
from collections.abc import Iterator

from chalicelib.platforms.registry import NAMES, get_platform
from chalicelib.settings import KEYED_PLATFORMS, OAUTH_PLATFORMS
from deploy import rollout
from deploy.cloud import Stack
from deploy.first_deployment import own_url

STUDIO = {"command": "studio create", "name": "Anna & Jo", "timeZone": "Europe/Berlin"}
CREDENTIALS = {
    **{f"{platform.upper()}_{part}": "..." for platform in OAUTH_PLATFORMS for part in ("CLIENT_ID", "CLIENT_SECRET")},
    **{f"{platform.upper()}_API_KEY": "..." for platform in KEYED_PLATFORMS},
}
"""The fields of the secret that the settings know."""


def describe(stage: str, region: str, stack: Stack) -> str:
    steps = list(_steps(stage, region, stack))
    told = [f"{number}. {step}" for number, step in enumerate(steps, 1)]
    again = f".venv/bin/python -m deploy.stack next --stage {stage}"
    return "\n\n".join([f"What comes next for {stack.name} in {region} (`{again}` prints it again):", *told])


def public_url(stack: Stack) -> str:
    """As the template derives PUBLIC_URL, and the API's own URL until it is set."""
    domain = stack.parameters.get("DomainName")
    return stack.parameters.get("PublicUrl") or (f"https://{domain}" if domain else own_url(stack))


def _steps(stage: str, region: str, stack: Stack) -> Iterator[str]:
    if target := stack.outputs.get("DomainTarget"):
        yield f"Point {stack.parameters['DomainName']} at the API: a CNAME record (or an alias) for {target}"
    urls = "\n".join(f"  {platform:10} {what:18} {url}" for platform, what, url in list_urls(public_url(stack)))
    yield f"Register these URLs at the platforms that you use:\n{urls}"
    if secret := stack.outputs.get("PlatformSecretArn"):
        yield (
            "Write the platforms' credentials into platforms.json, without those of platforms that you do not use:\n"
            f"{json.dumps(CREDENTIALS, indent=2)}\n"
            "Then store them; running functions read them within five minutes:\n"
            f"aws secretsmanager put-secret-value --region {region} --secret-id {secret} \\\n"
            "    --secret-string file://platforms.json && rm platforms.json"
        )
    yield (
        "Create the first studio; its API key is shown only once:\n"
        f"aws lambda invoke --region {region} --function-name {rollout.admin_name(stage)} \\\n"
        "    --cli-binary-format raw-in-base64-out --cli-read-timeout 0 \\\n"
        f"    --payload '{json.dumps(STUDIO)}' /dev/stdout"
    )
    if topic := stack.outputs.get("AlarmTopicArn"):
        email = stack.parameters.get("AlarmEmail")
        yield (
            f"Confirm the mail from AWS Notifications to {email}: until then no alarm reaches anybody"
            if email
            else f"Subscribe to the alarms, which nobody receives yet: deploy with AlarmEmail=..., or use {topic}"
        )


def list_urls(base: str) -> Iterator[tuple[str, str, str]]:
    """Platform, what it is called there, and URL."""
    for name in NAMES:
        if name in OAUTH_PLATFORMS:
            yield name, "redirect URI", f"{base}/api/oauth/{name}/callback"
        for sender in get_platform(name).webhooks:
            yield name, sender.name, f"{base}/api/webhooks/{name}/{sender.name}"
