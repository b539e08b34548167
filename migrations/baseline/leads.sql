CREATE TABLE person (
    id uuid NOT NULL DEFAULT uuidv7(),
    studio_id uuid NOT NULL,
    name text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT person_pkey PRIMARY KEY (id),
    CONSTRAINT person_studio_id_id_key UNIQUE (studio_id, id),
    CONSTRAINT person_studio_id_fkey FOREIGN KEY (studio_id) REFERENCES studio (id) ON DELETE CASCADE
);

CREATE TABLE person_identity (
    studio_id uuid NOT NULL,
    kind text NOT NULL,
    value text NOT NULL,
    person_id uuid NOT NULL,
    hash bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT person_identity_pkey PRIMARY KEY (studio_id, kind, value),
    CONSTRAINT person_identity_studio_id_person_id_fkey
        FOREIGN KEY (studio_id, person_id) REFERENCES person (studio_id, id) ON DELETE CASCADE,
    CONSTRAINT person_identity_kind_check CHECK (kind IN ('email', 'phone', 'platform_user')),
    CONSTRAINT person_identity_studio_id_fkey FOREIGN KEY (studio_id) REFERENCES studio (id) ON DELETE CASCADE
);
CREATE INDEX person_identity_person_idx ON person_identity (studio_id, person_id);

CREATE TABLE conversation (
    id uuid NOT NULL DEFAULT uuidv7(),
    studio_id uuid NOT NULL,
    person_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT conversation_pkey PRIMARY KEY (id),
    CONSTRAINT conversation_studio_id_id_key UNIQUE (studio_id, id),
    CONSTRAINT conversation_studio_id_person_id_fkey
        FOREIGN KEY (studio_id, person_id) REFERENCES person (studio_id, id) ON DELETE CASCADE,
    CONSTRAINT conversation_studio_id_fkey FOREIGN KEY (studio_id) REFERENCES studio (id) ON DELETE CASCADE
);
CREATE INDEX conversation_person_idx ON conversation (studio_id, person_id);

CREATE TABLE thread (
    id uuid NOT NULL DEFAULT uuidv7(),
    studio_id uuid NOT NULL,
    connection_id uuid NOT NULL,
    external_id text NOT NULL,
    conversation_id uuid NOT NULL,
    channel text NOT NULL,
    url text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT thread_pkey PRIMARY KEY (id),
    CONSTRAINT thread_studio_id_connection_id_external_id_key UNIQUE (studio_id, connection_id, external_id),
    CONSTRAINT thread_studio_id_id_key UNIQUE (studio_id, id),
    CONSTRAINT thread_studio_id_connection_id_fkey
        FOREIGN KEY (studio_id, connection_id) REFERENCES platform_connection (studio_id, id) ON DELETE CASCADE,
    CONSTRAINT thread_studio_id_conversation_id_fkey
        FOREIGN KEY (studio_id, conversation_id) REFERENCES conversation (studio_id, id) ON DELETE CASCADE,
    CONSTRAINT thread_studio_id_fkey FOREIGN KEY (studio_id) REFERENCES studio (id) ON DELETE CASCADE
);
CREATE INDEX thread_conversation_idx ON thread (studio_id, conversation_id);

CREATE TABLE message (
    id uuid NOT NULL DEFAULT uuidv7(),
    studio_id uuid NOT NULL,
    thread_id uuid NOT NULL,
    external_id text NOT NULL,
    direction text NOT NULL,
    kind text NOT NULL,
    effect text,
    sent_at timestamptz NOT NULL,
    sender_name text,
    sender_address text,
    person_address text,
    recipients text[] NOT NULL DEFAULT '{}',
    subject text,
    preview text,
    message_id text,
    answered_ids text[] NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT message_pkey PRIMARY KEY (id),
    CONSTRAINT message_studio_id_thread_id_external_id_key UNIQUE (studio_id, thread_id, external_id),
    CONSTRAINT message_studio_id_thread_id_fkey
        FOREIGN KEY (studio_id, thread_id) REFERENCES thread (studio_id, id) ON DELETE CASCADE,
    CONSTRAINT message_direction_check CHECK (direction IN ('in', 'out')),
    CONSTRAINT message_kind_check CHECK (kind IN ('person', 'machine', 'auto_reply', 'relay')),
    CONSTRAINT message_effect_check CHECK (effect IN ('asks', 'answers')),
    CONSTRAINT message_studio_id_fkey FOREIGN KEY (studio_id) REFERENCES studio (id) ON DELETE CASCADE
);

CREATE TABLE inquiry (
    id uuid NOT NULL DEFAULT uuidv7(),
    studio_id uuid NOT NULL,
    connection_id uuid NOT NULL,
    platform text NOT NULL,
    external_id text NOT NULL,
    person_id uuid NOT NULL,
    conversation_id uuid NOT NULL,
    channel text NOT NULL,
    certainty text NOT NULL,
    reason text NOT NULL,
    reason_detail text,
    decided_at timestamptz,
    contact_name text,
    contact_email text,
    subject text,
    message text,
    url text,
    received_at timestamptz NOT NULL,
    first_response_at timestamptz,
    waiting_since timestamptz,
    answered_by_hand_at timestamptz,
    no_answer_needed_at timestamptz,
    status text NOT NULL DEFAULT 'new',
    contacted_at timestamptz,
    qualified_at timestamptz,
    converted_at timestamptz,
    lost_at timestamptz,
    skip_reason text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT inquiry_pkey PRIMARY KEY (id),
    CONSTRAINT inquiry_studio_id_connection_id_external_id_key UNIQUE (studio_id, connection_id, external_id),
    CONSTRAINT inquiry_studio_id_id_key UNIQUE (studio_id, id),
    CONSTRAINT inquiry_studio_id_conversation_id_key UNIQUE (studio_id, conversation_id),
    CONSTRAINT inquiry_studio_id_connection_id_fkey
        FOREIGN KEY (studio_id, connection_id) REFERENCES platform_connection (studio_id, id) ON DELETE CASCADE,
    CONSTRAINT inquiry_studio_id_person_id_fkey
        FOREIGN KEY (studio_id, person_id) REFERENCES person (studio_id, id) ON DELETE CASCADE,
    CONSTRAINT inquiry_studio_id_conversation_id_fkey
        FOREIGN KEY (studio_id, conversation_id) REFERENCES conversation (studio_id, id) ON DELETE CASCADE,
    CONSTRAINT inquiry_certainty_check CHECK (certainty IN ('lead', 'perhaps')),
    CONSTRAINT inquiry_status_check CHECK (
        status IN ('new', 'contacted', 'qualified', 'converted', 'lost', 'spam', 'not_a_lead')
    ),
    CONSTRAINT inquiry_studio_id_fkey FOREIGN KEY (studio_id) REFERENCES studio (id) ON DELETE CASCADE
);
CREATE INDEX inquiry_received_idx ON inquiry (studio_id, received_at);
CREATE INDEX inquiry_person_idx ON inquiry (studio_id, person_id);
CREATE INDEX inquiry_waiting_idx ON inquiry (studio_id, waiting_since) WHERE waiting_since IS NOT NULL;

CREATE TABLE lead_rule (
    studio_id uuid NOT NULL,
    kind text NOT NULL,
    value text NOT NULL,
    verdict text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT lead_rule_pkey PRIMARY KEY (studio_id, kind, value),
    CONSTRAINT lead_rule_kind_check CHECK (kind IN ('sender', 'domain')),
    CONSTRAINT lead_rule_verdict_check CHECK (verdict IN ('lead', 'perhaps', 'not_a_lead')),
    CONSTRAINT lead_rule_studio_id_fkey FOREIGN KEY (studio_id) REFERENCES studio (id) ON DELETE CASCADE
);
