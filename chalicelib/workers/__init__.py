"""Lambda event handlers, one file per trigger. None of them imports `app` or the API."""
