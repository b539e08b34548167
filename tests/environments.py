"""Environments of a local process and of a deployed one."""

ENCRYPTION_KEY = "0123456789abcdef" * 4


PROOF_KEY = "proof-canary-" * 3


KEY_ARN = "arn:aws:kms:eu-central-1:123456789012:key/11111111-2222-3333-4444-555555555555"


SECRET_ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:ansel/prod-AbCdEf"


LOCAL = {
    "ANSEL_STAGE": "local",
    "DATABASE_URL": "postgresql://ansel:db-canary@127.0.0.1:5432/ansel",
    "ENCRYPTION_KEY": ENCRYPTION_KEY,
    "TENANT_PROOF_KEYS": PROOF_KEY,
}


PROD = {
    "ANSEL_STAGE": "prod",
    "DATABASE_URL": "postgresql://ansel:db-canary@db.internal:5432/ansel",
    "KMS_KEY_IDS": KEY_ARN,
    "TENANT_PROOF_SECRET_ARN": SECRET_ARN,
    "SYNC_QUEUE_URL": "https://sqs.eu-central-1.amazonaws.com/123456789012/sync",
}
