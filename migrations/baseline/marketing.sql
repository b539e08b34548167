CREATE TABLE ad_campaign (
    id uuid NOT NULL DEFAULT uuidv7(),
    studio_id uuid NOT NULL,
    connection_id uuid NOT NULL,
    platform text NOT NULL,
    external_id text NOT NULL,
    account_ids uuid[] NOT NULL DEFAULT '{}',
    name text NOT NULL,
    status text NOT NULL,
    objective text,
    budget_minor bigint,
    currency text,
    starts_at timestamptz,
    ends_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ad_campaign_pkey PRIMARY KEY (id),
    CONSTRAINT ad_campaign_studio_id_connection_id_external_id_key UNIQUE (studio_id, connection_id, external_id),
    CONSTRAINT ad_campaign_studio_id_id_key UNIQUE (studio_id, id),
    CONSTRAINT ad_campaign_studio_id_connection_id_fkey
        FOREIGN KEY (studio_id, connection_id) REFERENCES platform_connection (studio_id, id) ON DELETE CASCADE,
    CONSTRAINT ad_campaign_status_check CHECK (status IN ('draft', 'active', 'paused', 'ended', 'archived')),
    CONSTRAINT ad_campaign_studio_id_fkey FOREIGN KEY (studio_id) REFERENCES studio (id) ON DELETE CASCADE
);

CREATE TABLE content (
    id uuid NOT NULL DEFAULT uuidv7(),
    studio_id uuid NOT NULL,
    connection_id uuid NOT NULL,
    platform text NOT NULL,
    external_id text NOT NULL,
    kind text NOT NULL,
    status text NOT NULL,
    caption text,
    url text,
    published_at timestamptz,
    scheduled_at timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT content_pkey PRIMARY KEY (id),
    CONSTRAINT content_studio_id_connection_id_external_id_key UNIQUE (studio_id, connection_id, external_id),
    CONSTRAINT content_studio_id_id_key UNIQUE (studio_id, id),
    CONSTRAINT content_studio_id_connection_id_fkey
        FOREIGN KEY (studio_id, connection_id) REFERENCES platform_connection (studio_id, id) ON DELETE CASCADE,
    CONSTRAINT content_kind_check CHECK (kind IN ('post', 'reel', 'story', 'video', 'pin')),
    CONSTRAINT content_status_check CHECK (status IN ('draft', 'scheduled', 'published', 'archived')),
    CONSTRAINT content_studio_id_fkey FOREIGN KEY (studio_id) REFERENCES studio (id) ON DELETE CASCADE
);

CREATE TABLE review (
    id uuid NOT NULL DEFAULT uuidv7(),
    studio_id uuid NOT NULL,
    connection_id uuid NOT NULL,
    platform text NOT NULL,
    external_id text NOT NULL,
    rating smallint NOT NULL,
    text text,
    author text,
    url text,
    reviewed_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT review_pkey PRIMARY KEY (id),
    CONSTRAINT review_studio_id_connection_id_external_id_key UNIQUE (studio_id, connection_id, external_id),
    CONSTRAINT review_studio_id_id_key UNIQUE (studio_id, id),
    CONSTRAINT review_studio_id_connection_id_fkey
        FOREIGN KEY (studio_id, connection_id) REFERENCES platform_connection (studio_id, id) ON DELETE CASCADE,
    CONSTRAINT review_rating_check CHECK (rating BETWEEN 1 AND 5),
    CONSTRAINT review_studio_id_fkey FOREIGN KEY (studio_id) REFERENCES studio (id) ON DELETE CASCADE
);
CREATE INDEX review_reviewed_idx ON review (studio_id, reviewed_at);

CREATE TABLE ad_metric (
    id uuid NOT NULL DEFAULT uuidv7(),
    studio_id uuid NOT NULL,
    campaign_id uuid NOT NULL,
    day date NOT NULL,
    spend_minor bigint NOT NULL,
    currency text NOT NULL,
    impressions bigint NOT NULL DEFAULT 0,
    clicks bigint NOT NULL DEFAULT 0,
    conversions double precision NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT ad_metric_pkey PRIMARY KEY (id),
    CONSTRAINT ad_metric_studio_id_campaign_id_day_key UNIQUE (studio_id, campaign_id, day),
    CONSTRAINT ad_metric_studio_id_id_key UNIQUE (studio_id, id),
    CONSTRAINT ad_metric_studio_id_campaign_id_fkey
        FOREIGN KEY (studio_id, campaign_id) REFERENCES ad_campaign (studio_id, id) ON DELETE CASCADE,
    CONSTRAINT ad_metric_studio_id_fkey FOREIGN KEY (studio_id) REFERENCES studio (id) ON DELETE CASCADE
);
CREATE INDEX ad_metric_day_idx ON ad_metric (studio_id, day);

CREATE TABLE content_metric (
    id uuid NOT NULL DEFAULT uuidv7(),
    studio_id uuid NOT NULL,
    content_id uuid NOT NULL,
    measured_at timestamptz NOT NULL,
    views bigint NOT NULL DEFAULT 0,
    likes bigint NOT NULL DEFAULT 0,
    comments bigint NOT NULL DEFAULT 0,
    shares bigint NOT NULL DEFAULT 0,
    saves bigint NOT NULL DEFAULT 0,
    reach bigint NOT NULL DEFAULT 0,
    engagement_rate double precision,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT content_metric_pkey PRIMARY KEY (id),
    CONSTRAINT content_metric_studio_id_content_id_measured_at_key UNIQUE (studio_id, content_id, measured_at),
    CONSTRAINT content_metric_studio_id_content_id_fkey
        FOREIGN KEY (studio_id, content_id) REFERENCES content (studio_id, id) ON DELETE CASCADE,
    CONSTRAINT content_metric_studio_id_fkey FOREIGN KEY (studio_id) REFERENCES studio (id) ON DELETE CASCADE
);
CREATE INDEX content_metric_measured_idx ON content_metric (studio_id, measured_at);

CREATE TABLE review_restatement (
    studio_id uuid NOT NULL,
    review_id uuid NOT NULL,
    valid_until timestamptz NOT NULL,
    rating smallint NOT NULL,
    text text,
    CONSTRAINT review_restatement_pkey PRIMARY KEY (studio_id, review_id, valid_until),
    CONSTRAINT review_restatement_studio_id_review_id_fkey
        FOREIGN KEY (studio_id, review_id) REFERENCES review (studio_id, id) ON DELETE CASCADE,
    CONSTRAINT review_restatement_studio_id_fkey FOREIGN KEY (studio_id) REFERENCES studio (id) ON DELETE CASCADE
);

CREATE TABLE ad_metric_restatement (
    studio_id uuid NOT NULL,
    ad_metric_id uuid NOT NULL,
    valid_until timestamptz NOT NULL,
    spend_minor bigint NOT NULL,
    currency text NOT NULL,
    impressions bigint NOT NULL,
    clicks bigint NOT NULL,
    conversions double precision NOT NULL,
    CONSTRAINT ad_metric_restatement_pkey PRIMARY KEY (studio_id, ad_metric_id, valid_until),
    CONSTRAINT ad_metric_restatement_studio_id_ad_metric_id_fkey
        FOREIGN KEY (studio_id, ad_metric_id) REFERENCES ad_metric (studio_id, id) ON DELETE CASCADE,
    CONSTRAINT ad_metric_restatement_studio_id_fkey FOREIGN KEY (studio_id) REFERENCES studio (id) ON DELETE CASCADE
);
