CREATE TABLE data_deletion (
    id uuid NOT NULL DEFAULT uuidv7(),
    platform text NOT NULL,
    code_hash bytea NOT NULL,
    requested_at timestamptz NOT NULL DEFAULT now(),
    done_at timestamptz,
    connections integer NOT NULL DEFAULT 0,
    CONSTRAINT data_deletion_pkey PRIMARY KEY (id),
    CONSTRAINT data_deletion_code_hash_key UNIQUE (code_hash)
);

CREATE TABLE platform_connection (
    id uuid NOT NULL DEFAULT uuidv7(),
    studio_id uuid NOT NULL,
    platform text NOT NULL,
    status text NOT NULL DEFAULT 'active',
    status_code text,
    status_message text,
    status_since timestamptz NOT NULL DEFAULT now(),
    needs_token boolean NOT NULL DEFAULT true,
    access_token bytea,
    refresh_token bytea,
    token_expires_at timestamptz,
    token_generation integer NOT NULL DEFAULT 1,
    token_issued_at timestamptz NOT NULL DEFAULT now(),
    refresh_token_expires_at timestamptz,
    refresh_at timestamptz,
    refresh_failures integer NOT NULL DEFAULT 0,
    scopes text[],
    external_account_id text,
    external_account_name text,
    account_unverified boolean NOT NULL DEFAULT false,
    last_sync_at timestamptz,
    last_error_code text,
    last_error_message text,
    last_error_at timestamptz,
    refresh_owner uuid,
    refresh_lease_expires_at timestamptz,
    revocation text,
    disconnected_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT platform_connection_pkey PRIMARY KEY (id),
    CONSTRAINT platform_connection_studio_id_platform_external_account_id_key
        UNIQUE (studio_id, platform, external_account_id),
    CONSTRAINT platform_connection_studio_id_id_key UNIQUE (studio_id, id),
    CONSTRAINT platform_connection_status_check
        CHECK (status IN ('active', 'expired', 'revoked', 'misconfigured', 'error', 'disabled')),
    CONSTRAINT platform_connection_token_present_check
        CHECK (status = 'disabled' OR NOT needs_token OR access_token IS NOT NULL),
    CONSTRAINT platform_connection_scopes_check CHECK (array_position(scopes, NULL) IS NULL),
    CONSTRAINT platform_connection_studio_id_fkey FOREIGN KEY (studio_id) REFERENCES studio (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX platform_connection_unknown_idx ON platform_connection (studio_id, platform)
    WHERE external_account_id IS NULL AND disconnected_at IS NULL;
CREATE INDEX platform_connection_account_idx ON platform_connection (platform, external_account_id);
CREATE INDEX platform_connection_refresh_idx ON platform_connection (refresh_at)
    WHERE status IN ('active', 'misconfigured', 'error');

CREATE TABLE oauth_state (
    id uuid NOT NULL DEFAULT uuidv7(),
    studio_id uuid NOT NULL,
    platform text NOT NULL,
    connection_id uuid,
    state_hash bytea NOT NULL,
    verifier bytea,
    streams text[],
    return_to text,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at timestamptz,
    CONSTRAINT oauth_state_pkey PRIMARY KEY (id),
    CONSTRAINT oauth_state_state_hash_key UNIQUE (state_hash),
    CONSTRAINT oauth_state_streams_check CHECK (array_position(streams, NULL) IS NULL),
    CONSTRAINT oauth_state_studio_id_connection_id_fkey
        FOREIGN KEY (studio_id, connection_id) REFERENCES platform_connection (studio_id, id) ON DELETE CASCADE,
    CONSTRAINT oauth_state_studio_id_fkey FOREIGN KEY (studio_id) REFERENCES studio (id) ON DELETE CASCADE
);
CREATE INDEX oauth_state_expires_idx ON oauth_state (expires_at);
CREATE INDEX oauth_state_connection_idx ON oauth_state (studio_id, connection_id);

CREATE TABLE pending_grant (
    id uuid NOT NULL DEFAULT uuidv7(),
    studio_id uuid NOT NULL,
    platform text NOT NULL,
    connection_id uuid,
    code_hash bytea,
    access_token bytea NOT NULL,
    refresh_token bytea,
    token_expires_at timestamptz,
    refresh_token_expires_at timestamptz,
    scopes text[],
    external_account_id text,
    external_account_name text,
    streams text[],
    warnings text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    due_at timestamptz NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    CONSTRAINT pending_grant_pkey PRIMARY KEY (id),
    CONSTRAINT pending_grant_code_hash_key UNIQUE (code_hash),
    CONSTRAINT pending_grant_scopes_check CHECK (array_position(scopes, NULL) IS NULL),
    CONSTRAINT pending_grant_streams_check CHECK (array_position(streams, NULL) IS NULL),
    CONSTRAINT pending_grant_studio_id_connection_id_fkey
        FOREIGN KEY (studio_id, connection_id) REFERENCES platform_connection (studio_id, id) ON DELETE CASCADE,
    CONSTRAINT pending_grant_studio_id_fkey FOREIGN KEY (studio_id) REFERENCES studio (id) ON DELETE CASCADE
);
CREATE INDEX pending_grant_account_idx ON pending_grant (platform, external_account_id);
CREATE INDEX pending_grant_due_idx ON pending_grant (due_at);
CREATE INDEX pending_grant_connection_idx ON pending_grant (studio_id, connection_id);

CREATE TABLE webhook_endpoint (
    id uuid NOT NULL DEFAULT uuidv7(),
    studio_id uuid NOT NULL,
    url text NOT NULL,
    secret bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    disabled_at timestamptz,
    disabled_reason text,
    CONSTRAINT webhook_endpoint_pkey PRIMARY KEY (id),
    CONSTRAINT webhook_endpoint_studio_id_id_key UNIQUE (studio_id, id),
    CONSTRAINT webhook_endpoint_studio_id_url_key UNIQUE (studio_id, url),
    CONSTRAINT webhook_endpoint_studio_id_fkey FOREIGN KEY (studio_id) REFERENCES studio (id) ON DELETE CASCADE
);

CREATE TABLE connected_account (
    id uuid NOT NULL DEFAULT uuidv7(),
    studio_id uuid NOT NULL,
    connection_id uuid NOT NULL,
    kind text NOT NULL,
    external_id text,
    name text,
    time_zone text,
    currency text,
    is_primary boolean NOT NULL DEFAULT false,
    selected boolean NOT NULL DEFAULT true,
    rule text NOT NULL DEFAULT 'matching',
    words jsonb NOT NULL DEFAULT '[]',
    gone_at timestamptz,
    seen_at timestamptz NOT NULL DEFAULT now(),
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT connected_account_pkey PRIMARY KEY (id),
    CONSTRAINT connected_account_studio_id_connection_id_kind_external_id_key
        UNIQUE (studio_id, connection_id, kind, external_id),
    CONSTRAINT connected_account_studio_id_connection_id_fkey
        FOREIGN KEY (studio_id, connection_id) REFERENCES platform_connection (studio_id, id) ON DELETE CASCADE,
    CONSTRAINT connected_account_rule_check CHECK (rule IN ('all', 'matching')),
    CONSTRAINT connected_account_studio_id_fkey FOREIGN KEY (studio_id) REFERENCES studio (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX connected_account_nameless_idx ON connected_account (studio_id, connection_id, kind)
    WHERE external_id IS NULL AND gone_at IS NULL;

CREATE TABLE connection_event (
    id uuid NOT NULL DEFAULT uuidv7(),
    studio_id uuid NOT NULL,
    connection_id uuid NOT NULL,
    kind text NOT NULL,
    code text,
    message text,
    at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT connection_event_pkey PRIMARY KEY (id),
    CONSTRAINT connection_event_studio_id_id_key UNIQUE (studio_id, id),
    CONSTRAINT connection_event_studio_id_connection_id_fkey
        FOREIGN KEY (studio_id, connection_id) REFERENCES platform_connection (studio_id, id) ON DELETE CASCADE,
    CONSTRAINT connection_event_studio_id_fkey FOREIGN KEY (studio_id) REFERENCES studio (id) ON DELETE CASCADE
);
CREATE INDEX connection_event_connection_idx ON connection_event (studio_id, connection_id, id);

CREATE TABLE webhook_delivery (
    id uuid NOT NULL DEFAULT uuidv7(),
    studio_id uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    event_id uuid,
    attempts integer NOT NULL DEFAULT 0,
    due_at timestamptz DEFAULT now(),
    delivered_at timestamptz,
    last_problem text,
    CONSTRAINT webhook_delivery_pkey PRIMARY KEY (id),
    CONSTRAINT webhook_delivery_studio_id_endpoint_id_event_id_key UNIQUE (studio_id, endpoint_id, event_id),
    CONSTRAINT webhook_delivery_studio_id_endpoint_id_fkey
        FOREIGN KEY (studio_id, endpoint_id) REFERENCES webhook_endpoint (studio_id, id) ON DELETE CASCADE,
    CONSTRAINT webhook_delivery_studio_id_event_id_fkey
        FOREIGN KEY (studio_id, event_id) REFERENCES connection_event (studio_id, id) ON DELETE CASCADE,
    CONSTRAINT webhook_delivery_studio_id_fkey FOREIGN KEY (studio_id) REFERENCES studio (id) ON DELETE CASCADE
);
CREATE INDEX webhook_delivery_due_idx ON webhook_delivery (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX webhook_delivery_event_idx ON webhook_delivery (studio_id, event_id);
CREATE INDEX webhook_delivery_newest_idx ON webhook_delivery (studio_id, endpoint_id, id);
CREATE UNIQUE INDEX webhook_delivery_one_test_idx ON webhook_delivery (studio_id, endpoint_id)
    WHERE event_id IS NULL AND due_at IS NOT NULL;
