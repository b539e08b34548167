CREATE TABLE booking (
    id uuid NOT NULL DEFAULT uuidv7(),
    studio_id uuid NOT NULL,
    connection_id uuid NOT NULL,
    platform text NOT NULL,
    external_id text NOT NULL,
    calendar_id text,
    account_ids uuid[] NOT NULL DEFAULT '{}',
    series_id text,
    ical_uid text,
    title text,
    event_type text NOT NULL,
    event_date date NOT NULL,
    starts_at timestamptz,
    ends_at timestamptz,
    all_day boolean NOT NULL DEFAULT false,
    status text NOT NULL,
    value_minor bigint,
    currency text,
    client_name text,
    client_email text,
    guests jsonb NOT NULL DEFAULT '[]',
    location text,
    notes text,
    url text,
    inquiry_id uuid,
    source_updated_at timestamptz,
    skip_reason text,
    booked_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT booking_pkey PRIMARY KEY (id),
    CONSTRAINT booking_studio_id_connection_id_external_id_key UNIQUE (studio_id, connection_id, external_id),
    CONSTRAINT booking_studio_id_id_key UNIQUE (studio_id, id),
    CONSTRAINT booking_studio_id_connection_id_fkey
        FOREIGN KEY (studio_id, connection_id) REFERENCES platform_connection (studio_id, id) ON DELETE CASCADE,
    CONSTRAINT booking_studio_id_inquiry_id_fkey
        FOREIGN KEY (studio_id, inquiry_id) REFERENCES inquiry (studio_id, id) ON DELETE SET NULL (inquiry_id),
    CONSTRAINT booking_status_check CHECK (status IN ('tentative', 'confirmed', 'cancelled')),
    CONSTRAINT booking_value_currency_check CHECK ((value_minor IS NULL) = (currency IS NULL)),
    CONSTRAINT booking_studio_id_fkey FOREIGN KEY (studio_id) REFERENCES studio (id) ON DELETE CASCADE
);
CREATE INDEX booking_booked_idx ON booking (studio_id, booked_at);
CREATE INDEX booking_ical_uid_idx ON booking (studio_id, ical_uid, starts_at) WHERE ical_uid IS NOT NULL;
CREATE INDEX booking_inquiry_idx ON booking (studio_id, inquiry_id);
CREATE INDEX booking_series_idx ON booking (studio_id, series_id) WHERE series_id IS NOT NULL;

CREATE TABLE attribution (
    id uuid NOT NULL DEFAULT uuidv7(),
    studio_id uuid NOT NULL,
    inquiry_id uuid NOT NULL,
    booking_id uuid,
    channel text NOT NULL,
    platform text NOT NULL,
    campaign_id uuid,
    touched_at timestamptz NOT NULL,
    CONSTRAINT attribution_pkey PRIMARY KEY (id),
    CONSTRAINT attribution_studio_id_inquiry_id_channel_touched_at_key
        UNIQUE (studio_id, inquiry_id, channel, touched_at),
    CONSTRAINT attribution_studio_id_inquiry_id_fkey
        FOREIGN KEY (studio_id, inquiry_id) REFERENCES inquiry (studio_id, id) ON DELETE CASCADE,
    CONSTRAINT attribution_studio_id_booking_id_fkey
        FOREIGN KEY (studio_id, booking_id) REFERENCES booking (studio_id, id) ON DELETE SET NULL (booking_id),
    CONSTRAINT attribution_studio_id_campaign_id_fkey
        FOREIGN KEY (studio_id, campaign_id) REFERENCES ad_campaign (studio_id, id) ON DELETE SET NULL (campaign_id),
    CONSTRAINT attribution_studio_id_fkey FOREIGN KEY (studio_id) REFERENCES studio (id) ON DELETE CASCADE
);
CREATE INDEX attribution_booking_idx ON attribution (studio_id, booking_id);
CREATE INDEX attribution_campaign_idx ON attribution (studio_id, campaign_id);
