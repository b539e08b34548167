CREATE TABLE studio (
    id uuid NOT NULL DEFAULT uuidv7(),
    name text NOT NULL,
    time_zone text NOT NULL DEFAULT 'UTC',
    address_key bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT studio_pkey PRIMARY KEY (id)
);

CREATE TABLE studio_erasure (
    studio_id uuid NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    CONSTRAINT studio_erasure_pkey PRIMARY KEY (studio_id)
);

CREATE TABLE tenant_key (
    fingerprint text NOT NULL,
    inner_pad bytea NOT NULL,
    outer_pad bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    in_use_since timestamptz,
    CONSTRAINT tenant_key_pkey PRIMARY KEY (fingerprint)
);

CREATE TABLE api_key (
    id uuid NOT NULL DEFAULT uuidv7(),
    studio_id uuid NOT NULL,
    name text NOT NULL,
    secret_hash bytea NOT NULL,
    scopes text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    CONSTRAINT api_key_pkey PRIMARY KEY (id),
    CONSTRAINT api_key_scopes_check CHECK (array_position(scopes, NULL) IS NULL),
    CONSTRAINT api_key_studio_id_fkey FOREIGN KEY (studio_id) REFERENCES studio (id) ON DELETE CASCADE
);
CREATE INDEX api_key_studio_id_idx ON api_key (studio_id);

CREATE TABLE data_key (
    id uuid NOT NULL DEFAULT uuidv7(),
    studio_id uuid NOT NULL,
    wrapped bytea NOT NULL,
    provider text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    retired_at timestamptz,
    wrapped_under text[],
    CONSTRAINT data_key_pkey PRIMARY KEY (id),
    CONSTRAINT data_key_studio_id_id_key UNIQUE (studio_id, id),
    CONSTRAINT data_key_wrapped_under_check CHECK (array_position(wrapped_under, NULL) IS NULL),
    CONSTRAINT data_key_studio_id_fkey FOREIGN KEY (studio_id) REFERENCES studio (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX data_key_one_current_idx ON data_key (studio_id) WHERE retired_at IS NULL;

CREATE TABLE idempotency_key (
    studio_id uuid NOT NULL,
    key text NOT NULL,
    request_hash bytea NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    status smallint,
    location text,
    body text,
    CONSTRAINT idempotency_key_pkey PRIMARY KEY (studio_id, key),
    CONSTRAINT idempotency_key_studio_id_fkey FOREIGN KEY (studio_id) REFERENCES studio (id) ON DELETE CASCADE
);
CREATE INDEX idempotency_key_started_idx ON idempotency_key (started_at);

CREATE TABLE quarantine (
    id uuid NOT NULL DEFAULT uuidv7(),
    studio_id uuid NOT NULL,
    table_name text NOT NULL,
    column_name text NOT NULL,
    row_id uuid NOT NULL,
    data_key_id uuid,
    reason text NOT NULL,
    found_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT quarantine_pkey PRIMARY KEY (id),
    CONSTRAINT quarantine_studio_id_table_name_column_name_row_id_key
        UNIQUE (studio_id, table_name, column_name, row_id),
    CONSTRAINT quarantine_studio_id_fkey FOREIGN KEY (studio_id) REFERENCES studio (id) ON DELETE CASCADE
);

CREATE TABLE audit_entry (
    id uuid NOT NULL DEFAULT uuidv7(),
    studio_id uuid NOT NULL,
    at timestamptz NOT NULL DEFAULT now(),
    actor_kind text NOT NULL,
    actor_id uuid,
    request_id text,
    action text NOT NULL,
    subject_kind text NOT NULL,
    subject_id uuid,
    detail jsonb NOT NULL DEFAULT '{}',
    CONSTRAINT audit_entry_pkey PRIMARY KEY (id),
    CONSTRAINT audit_entry_actor_kind_check CHECK (actor_kind IN ('api_key', 'admin', 'platform', 'worker')),
    CONSTRAINT audit_entry_studio_id_fkey FOREIGN KEY (studio_id) REFERENCES studio (id) ON DELETE CASCADE
);
CREATE INDEX audit_entry_studio_idx ON audit_entry (studio_id, id);
