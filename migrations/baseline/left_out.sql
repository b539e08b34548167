CREATE TABLE skipped_record (
    studio_id uuid NOT NULL,
    connection_id uuid NOT NULL,
    stream text NOT NULL,
    account_id uuid NOT NULL,
    external_id text NOT NULL,
    table_name text NOT NULL,
    reason text NOT NULL,
    counterpart bytea,
    first_in_at timestamptz,
    last_in_at timestamptz,
    first_out_at timestamptz,
    last_out_at timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT skipped_record_pkey PRIMARY KEY (studio_id, connection_id, stream, account_id, external_id, table_name),
    CONSTRAINT skipped_record_studio_id_connection_id_fkey
        FOREIGN KEY (studio_id, connection_id) REFERENCES platform_connection (studio_id, id) ON DELETE CASCADE,
    CONSTRAINT skipped_record_studio_id_fkey FOREIGN KEY (studio_id) REFERENCES studio (id) ON DELETE CASCADE
);
CREATE INDEX skipped_record_counterpart_idx ON skipped_record (studio_id, counterpart) WHERE counterpart IS NOT NULL;

CREATE TABLE set_aside (
    id uuid NOT NULL DEFAULT uuidv7(),
    studio_id uuid NOT NULL,
    connection_id uuid NOT NULL,
    platform text NOT NULL,
    stream text NOT NULL,
    account_id uuid NOT NULL,
    external_id text NOT NULL,
    table_name text NOT NULL,
    field text NOT NULL,
    reason text NOT NULL,
    content bytea,
    first_seen_at timestamptz NOT NULL DEFAULT now(),
    last_seen_at timestamptz NOT NULL DEFAULT now(),
    retried_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT set_aside_pkey PRIMARY KEY (id),
    CONSTRAINT set_aside_record_key
        UNIQUE (studio_id, connection_id, stream, account_id, external_id, table_name),
    CONSTRAINT set_aside_studio_id_connection_id_fkey
        FOREIGN KEY (studio_id, connection_id) REFERENCES platform_connection (studio_id, id) ON DELETE CASCADE,
    CONSTRAINT set_aside_studio_id_fkey FOREIGN KEY (studio_id) REFERENCES studio (id) ON DELETE CASCADE
);
CREATE INDEX set_aside_seen_idx ON set_aside (last_seen_at);
