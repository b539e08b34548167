"""Composition root: what Chalice deploys. No logic lives here."""

import gc
import os
import sys

from chalice.app import Chalice

from chalicelib.api import accounts, connections, health, metrics, oauth, openapi, sync, webhook_endpoints, webhooks
from chalicelib.runtime.dispatch import mount
from chalicelib.workers.admin import blueprint as admin_worker
from chalicelib.workers.deliveries import blueprint as delivery_worker
from chalicelib.workers.maintenance import blueprint as maintenance_worker
from chalicelib.workers.sync import blueprint as sync_worker
from chalicelib.workers.tick import blueprint as tick_worker

API = [
    *(connections.routes, accounts.routes, oauth.routes, webhook_endpoints.routes, sync.routes, metrics.routes),
    *(webhooks.routes, health.routes),
]

# `env` keeps Chalice from appending to AWS_EXECUTION_ENV; log lines are made in chalicelib.logs alone.
app = Chalice(app_name="ansel", configure_logs=False, env={})
mount(app, [*API, openapi.describe(API)])
app.register_blueprint(tick_worker)
app.register_blueprint(sync_worker)
app.register_blueprint(maintenance_worker)
app.register_blueprint(delivery_worker)
app.register_blueprint(admin_worker)

if "chalice.cli" in sys.modules and os.path.isdir("dev"):  # Chalice's own command in this repository, never a function
    from dev.chalice_command import prepare

    prepare(sys.argv, os.environ)

# What is imported stays for good: collections of 25 ms and more need not look at it each time.
gc.freeze()
