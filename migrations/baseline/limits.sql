CREATE UNLOGGED TABLE rate_limit (
    studio_id uuid NOT NULL,
    name text NOT NULL,
    full_at timestamptz NOT NULL,
    CONSTRAINT rate_limit_pkey PRIMARY KEY (studio_id, name),
    CONSTRAINT rate_limit_studio_id_fkey FOREIGN KEY (studio_id) REFERENCES studio (id) ON DELETE CASCADE
) WITH (fillfactor = 50);

-- When a token bucket is full again after it is charged. Calls that were admitted before are charged in any case, up to
-- a minute's debt; the calls that are asked for now are charged only if there is room for them.
CREATE FUNCTION charged_bucket(
    full_at timestamptz, calls double precision, asked double precision, rate double precision, burst double precision
) RETURNS timestamptz LANGUAGE sql STABLE AS $body$
    SELECT CASE
        WHEN greatest(full_at, now()) + make_interval(secs => (calls + asked) / rate)
             <= now() + make_interval(secs => burst / rate)
        THEN greatest(full_at, now()) + make_interval(secs => (calls + asked) / rate)
        ELSE least(
            greatest(full_at, now()) + make_interval(secs => calls / rate),
            now() + make_interval(secs => burst / rate + 60)
        )
    END
$body$;
REVOKE ALL ON FUNCTION charged_bucket FROM PUBLIC;
