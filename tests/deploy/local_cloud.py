"""A local AWS to deploy to: moto's server in a separate process, extended by what deployments need and moto lacks."""

import argparse
import logging
import os
import threading
import warnings

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from dev.environment import cloud
from dev.ports import HOST
from tests.deploy import (
    moto_api_gateway,
    moto_certificates,
    moto_cloudformation,
    moto_database,
    moto_keys,
    moto_lambda,
    moto_network,
    moto_quotas,
    moto_storage,
)
from tests.deploy import moto_types as _declared  # noqa: F401  # moto finds types by their classes

PARTS = (
    *(moto_api_gateway, moto_certificates, moto_cloudformation, moto_database, moto_keys),
    *(moto_lambda, moto_network, moto_quotas, moto_storage),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    os.environ.update(cloud(port))  # moto_types calls this same server
    warnings.simplefilter("ignore")  # moto warns about every type it skips: moto_cloudformation lists them all
    for part in PARTS:
        part.patch()
    app = DomainDispatcherApplication(create_backend_app)
    server = make_server(HOST, port, app, threaded=True, request_handler=MotoRequestHandler)
    serving = threading.Thread(target=server.serve_forever, daemon=True)
    serving.start()
    print(f"cloud ready on http://{HOST}:{port}", flush=True)
    serving.join()


if __name__ == "__main__":
    main()
