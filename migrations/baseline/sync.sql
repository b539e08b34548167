CREATE TABLE app_quota (
    platform text NOT NULL,
    api text NOT NULL,
    used double precision NOT NULL DEFAULT 0,
    used_until timestamptz,
    calls bigint NOT NULL DEFAULT 0,
    studios integer NOT NULL DEFAULT 0,
    window_at timestamptz NOT NULL DEFAULT now(),
    blocked_until timestamptz,
    CONSTRAINT app_quota_pkey PRIMARY KEY (platform, api)
);

CREATE TABLE platform_circuit (
    platform text NOT NULL,
    api text NOT NULL,
    failures_in_row integer NOT NULL DEFAULT 0,
    open_until timestamptz,
    CONSTRAINT platform_circuit_pkey PRIMARY KEY (platform, api)
);

CREATE TABLE sync_seen (
    run_id uuid NOT NULL,
    account_id uuid NOT NULL,
    external_id text NOT NULL,
    table_name text NOT NULL,
    studio_id uuid NOT NULL,
    CONSTRAINT sync_seen_pkey PRIMARY KEY (run_id, account_id, external_id, table_name)
);

CREATE TABLE studio_quota (
    studio_id uuid NOT NULL,
    platform text NOT NULL,
    api text NOT NULL,
    calls bigint NOT NULL DEFAULT 0,
    window_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT studio_quota_pkey PRIMARY KEY (studio_id, platform, api),
    CONSTRAINT studio_quota_studio_id_fkey FOREIGN KEY (studio_id) REFERENCES studio (id) ON DELETE CASCADE
);

CREATE TABLE account_quota (
    studio_id uuid NOT NULL,
    connection_id uuid NOT NULL,
    api text NOT NULL,
    used double precision NOT NULL DEFAULT 0,
    blocked_until timestamptz,
    CONSTRAINT account_quota_pkey PRIMARY KEY (studio_id, connection_id, api),
    CONSTRAINT account_quota_studio_id_connection_id_fkey
        FOREIGN KEY (studio_id, connection_id) REFERENCES platform_connection (studio_id, id) ON DELETE CASCADE,
    CONSTRAINT account_quota_studio_id_fkey FOREIGN KEY (studio_id) REFERENCES studio (id) ON DELETE CASCADE
);

CREATE TABLE sync_log (
    id uuid NOT NULL DEFAULT uuidv7(),
    studio_id uuid NOT NULL,
    connection_id uuid NOT NULL,
    platform text NOT NULL,
    stream text NOT NULL,
    trigger text NOT NULL,
    status text NOT NULL DEFAULT 'queued',
    window_at timestamptz,
    schedule_lag_ms bigint,
    queued_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz,
    duration_ms bigint,
    attempts integer NOT NULL DEFAULT 0,
    attempts_without_progress integer NOT NULL DEFAULT 0,
    pages bigint NOT NULL DEFAULT 0,
    records_seen bigint NOT NULL DEFAULT 0,
    records_created bigint NOT NULL DEFAULT 0,
    records_updated bigint NOT NULL DEFAULT 0,
    records_unchanged bigint NOT NULL DEFAULT 0,
    records_deleted bigint NOT NULL DEFAULT 0,
    records_set_aside bigint NOT NULL DEFAULT 0,
    skipped json NOT NULL DEFAULT '{}',
    reads_again boolean NOT NULL DEFAULT false,
    deletions_refused bigint NOT NULL DEFAULT 0,
    deletions_confirmed boolean NOT NULL DEFAULT false,
    backfill_from date,
    backfill_to date,
    api_calls bigint NOT NULL DEFAULT 0,
    full_read boolean NOT NULL DEFAULT false,
    accounts jsonb NOT NULL DEFAULT '[]',
    lease_owner uuid,
    lease_expires_at timestamptz,
    resume_at timestamptz,
    enqueue_at timestamptz NOT NULL DEFAULT now(),
    error_code text,
    error_message text,
    error_at timestamptz,
    CONSTRAINT sync_log_pkey PRIMARY KEY (id),
    CONSTRAINT sync_log_status_check
        CHECK (status IN ('queued', 'running', 'deferred', 'succeeded', 'failed', 'cancelled')),
    CONSTRAINT sync_log_trigger_check CHECK (trigger IN ('manual', 'schedule', 'retry', 'backfill')),
    CONSTRAINT sync_log_studio_id_connection_id_fkey
        FOREIGN KEY (studio_id, connection_id) REFERENCES platform_connection (studio_id, id) ON DELETE CASCADE,
    CONSTRAINT sync_log_backfill_from_check CHECK ((trigger = 'backfill') = (backfill_from IS NOT NULL)),
    CONSTRAINT sync_log_backfill_to_check CHECK ((trigger = 'backfill') = (backfill_to IS NOT NULL)),
    CONSTRAINT sync_log_studio_id_fkey FOREIGN KEY (studio_id) REFERENCES studio (id) ON DELETE CASCADE
);
CREATE UNIQUE INDEX sync_log_one_backfill_idx ON sync_log (studio_id, connection_id, stream)
    WHERE status IN ('queued', 'running', 'deferred') AND trigger = 'backfill';
CREATE UNIQUE INDEX sync_log_one_live_idx ON sync_log (studio_id, connection_id, stream)
    WHERE status IN ('queued', 'running', 'deferred') AND trigger <> 'backfill';
CREATE INDEX sync_log_enqueue_idx ON sync_log (enqueue_at) WHERE status IN ('queued', 'running', 'deferred');
CREATE INDEX sync_log_ended_idx ON sync_log (studio_id, connection_id, stream, status, id)
    WHERE status IN ('succeeded', 'failed', 'cancelled');
CREATE UNIQUE INDEX sync_log_newest_idx ON sync_log (studio_id, id DESC NULLS LAST);
CREATE INDEX sync_log_stream_newest_idx ON sync_log (studio_id, connection_id, stream, id);
CREATE UNIQUE INDEX sync_log_window_idx ON sync_log (studio_id, connection_id, stream, window_at);

CREATE TABLE sync_schedule (
    id uuid NOT NULL DEFAULT uuidv7(),
    studio_id uuid NOT NULL,
    connection_id uuid NOT NULL,
    platform text NOT NULL,
    stream text NOT NULL,
    frequency text NOT NULL,
    enabled boolean NOT NULL DEFAULT true,
    paused_at timestamptz,
    paused_by text,
    next_run_at timestamptz,
    account_kind text,
    accounts_listed_at timestamptz,
    last_run_at timestamptz,
    last_success_at timestamptz,
    failures_in_row integer NOT NULL DEFAULT 0,
    missed_windows bigint NOT NULL DEFAULT 0,
    skipped json NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT sync_schedule_pkey PRIMARY KEY (id),
    CONSTRAINT sync_schedule_studio_id_connection_id_stream_key UNIQUE (studio_id, connection_id, stream),
    CONSTRAINT sync_schedule_studio_id_connection_id_fkey
        FOREIGN KEY (studio_id, connection_id) REFERENCES platform_connection (studio_id, id) ON DELETE CASCADE,
    CONSTRAINT sync_schedule_paused_by_check CHECK (paused_by IN ('studio', 'connection')),
    CONSTRAINT sync_schedule_studio_id_fkey FOREIGN KEY (studio_id) REFERENCES studio (id) ON DELETE CASCADE
);
CREATE INDEX sync_schedule_due_idx ON sync_schedule (next_run_at) WHERE enabled AND paused_at IS NULL;

CREATE TABLE account_position (
    id uuid NOT NULL DEFAULT uuidv7(),
    studio_id uuid NOT NULL,
    connection_id uuid NOT NULL,
    stream text NOT NULL,
    account_id uuid NOT NULL,
    backfill_id uuid,
    run_id uuid,
    is_open boolean NOT NULL DEFAULT false,
    cursor text,
    page_cursor text,
    full_read boolean NOT NULL DEFAULT false,
    read_started_at timestamptz,
    turn_at timestamptz,
    skipped json NOT NULL DEFAULT '{}',
    attempts_without_progress integer NOT NULL DEFAULT 0,
    resume_at timestamptz,
    report_asks integer NOT NULL DEFAULT 0,
    report_asked_at timestamptz,
    code text,
    message text,
    since timestamptz,
    last_success_at timestamptz,
    failures_in_row integer NOT NULL DEFAULT 0,
    refused_deletions bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT account_position_pkey PRIMARY KEY (id),
    CONSTRAINT account_position_account_key
        UNIQUE NULLS NOT DISTINCT (studio_id, connection_id, stream, account_id, backfill_id),
    CONSTRAINT account_position_studio_id_connection_id_fkey
        FOREIGN KEY (studio_id, connection_id) REFERENCES platform_connection (studio_id, id) ON DELETE CASCADE,
    CONSTRAINT account_position_studio_id_backfill_id_fkey
        FOREIGN KEY (studio_id, backfill_id) REFERENCES sync_log (studio_id, id) ON DELETE CASCADE,
    CONSTRAINT account_position_studio_id_fkey FOREIGN KEY (studio_id) REFERENCES studio (id) ON DELETE CASCADE
);
CREATE INDEX account_position_backfill_idx ON account_position (studio_id, backfill_id) WHERE backfill_id IS NOT NULL;
