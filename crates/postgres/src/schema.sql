-- Version 1. Times without a type of their own are milliseconds since 1970.

-- The states of a token, in the order of LeaseState.
CREATE TYPE lease_state AS ENUM ('returned', 'lost', 'expired', 'revoked', 'accepted', 'session_ended');

-- The processes, and the head of the chain of each. One that lives holds the advisory lock on the connection that
-- writes. `ended_at`: it was stopped, replaced or swept. `heir`: the instance to which its calls belong since then.
CREATE TABLE instances (
    instance text PRIMARY KEY, lock bigint NOT NULL UNIQUE,
    started_at timestamptz NOT NULL DEFAULT now(), beat_at timestamptz NOT NULL DEFAULT now(),
    -- The link that its oldest record follows, which a prune moves, and the link of its newest record.
    first_seq bigint NOT NULL DEFAULT 0, first_hash bytea NOT NULL,
    seq bigint NOT NULL DEFAULT 0, hash bytea NOT NULL,
    ended_at timestamptz, heir text
);
CREATE INDEX instances_heir ON instances (heir) WHERE heir IS NOT NULL;
-- Not on the beat, which changes with each transaction.
CREATE INDEX instances_open ON instances (instance) WHERE ended_at IS NULL;

-- Every entry. `event` is that of the text, or `late` for a second end of a call. The entries of a call are
-- numbered in the order in which they were recorded, whichever instances did so.
CREATE TABLE records (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, instance text NOT NULL, seq bigint NOT NULL,
    call text NOT NULL, at bigint NOT NULL, event text NOT NULL, text text NOT NULL, hash bytea NOT NULL,
    UNIQUE (instance, seq)
);
CREATE INDEX records_call ON records (call);
CREATE UNIQUE INDEX records_end ON records (call) WHERE event = 'end';
CREATE INDEX records_at ON records (at);
CREATE INDEX records_notes ON records (id) WHERE event = 'note';

-- The calls, derived from the records. `id` is that of the begin, `instance` the one that recorded it.
-- In derived columns U+FFFD stands for U+0000, which PostgreSQL cannot store.
CREATE TABLE calls (
    id bigint PRIMARY KEY, call text NOT NULL UNIQUE, instance text NOT NULL, began_at bigint NOT NULL,
    operation text NOT NULL, principal text COLLATE "C", via text, policy text, actor text COLLATE "C",
    subject text COLLATE "C", reason text, session_lifetime bigint,
    -- The token that the call minted, as far as any of its entries says, or was to revoke.
    actor_token_id text COLLATE "C",
    sending_at bigint, ended_at bigint, "end" text, outcome text, status integer, code text, rule text,
    -- The facts about the token of a create, from its own entries. Of a revoke: the state that its ends prove.
    has_token boolean NOT NULL DEFAULT false, known_at bigint, live_until bigint, accepted_at bigint,
    token_state lease_state, token_ended_at bigint
);
CREATE INDEX calls_began_at ON calls (began_at);
-- An index has no room for long values, so that a condition is on the same part of them.
CREATE INDEX calls_actor ON calls (left(actor, 256));
CREATE INDEX calls_subject ON calls (left(subject, 256));
CREATE INDEX calls_principal ON calls (left(principal, 256));
CREATE INDEX calls_actor_token_id ON calls USING hash (actor_token_id);
CREATE INDEX calls_open ON calls (instance) WHERE ended_at IS NULL;
CREATE INDEX calls_end ON calls ("end", id);
CREATE INDEX calls_revoke ON calls (id) WHERE operation = 'revoke';
CREATE INDEX calls_tokens ON calls (known_at) WHERE has_token;
-- Bounds the time until when a token or its session may be live.
CREATE INDEX calls_live ON calls (coalesce(live_until + 1000 * coalesce(session_lifetime, 0), 9000000000000000))
    WHERE has_token;

-- The newest note of each setting, derived from the records. Without `since` the setting is not in force.
CREATE TABLE settings (
    name text PRIMARY KEY, id bigint NOT NULL, since bigint, by text, reason text
);

-- The leases: the tokens of creates, with what the ends of their revokes prove. The greatest state counts.
CREATE VIEW leases AS
    SELECT c.id, c.call, c.instance, c.actor_token_id, c.subject, c.actor, c.principal, c.reason,
        coalesce(c.sending_at, c.began_at) AS created_at, c.known_at, c.live_until, c.session_lifetime,
        fact.accepted_at, fact.state, fact.ended_at
    FROM calls c CROSS JOIN LATERAL (
        SELECT state, ended_at, min(accepted_at) OVER () AS accepted_at
        FROM (
            SELECT c.token_state AS state, c.token_ended_at AS ended_at, c.accepted_at
            UNION ALL
            SELECT r.token_state, r.token_ended_at, r.accepted_at FROM calls r
            WHERE r.actor_token_id = c.actor_token_id AND r.operation = 'revoke'
                AND r.token_state IS NOT NULL
        ) facts
        ORDER BY state DESC, ended_at LIMIT 1
    ) fact
    WHERE c.has_token AND c.operation = 'create';

-- An entry as `append` takes it: its text, and what it changes.
CREATE TYPE entry AS (
    call text, at bigint, event text, text text,
    -- It was spooled, and its call may have ended long ago.
    late boolean,
    -- A begin, or a note.
    principal text, reason text,
    -- A begin.
    operation text, via text, policy text, actor text, subject text, session_lifetime bigint, actor_token_id text,
    -- An end.
    "end" text, outcome text, status integer, code text, rule text,
    -- The change of the lease, if the call is a create: see LeaseChange.
    has_token boolean, token text, live_until bigint, state lease_state,
    -- The state that the end proves, if the call is a revoke: see LeaseChange::of_revoke.
    revoked lease_state,
    -- A note: the setting that it changes.
    setting text, is_set boolean
);

-- Returns the time at which a state ends a token.
CREATE FUNCTION end_of(state lease_state, at bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN state IN ('expired', 'revoked', 'session_ended') THEN at END
$$;

-- Records entries in the chain of an instance, all or none, and returns its head. An entry that is recorded already
-- is left out. Without entries it still writes: a beat.
--
-- SQLSTATE AT001: the instance has ended. AT002: a call that has ended, such as by a sweep, was to go on.
CREATE FUNCTION append(me text, batch jsonb, OUT seq bigint, OUT hash bytea) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    head_seq bigint;
    head_hash bytea;
    e entry;
    record_id bigint;
BEGIN
    -- Until the commit, no sweep and no other writer has this instance.
    SELECT i.seq, i.hash INTO head_seq, head_hash FROM instances i
        WHERE i.instance = me AND i.ended_at IS NULL FOR NO KEY UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the instance has ended' USING ERRCODE = 'AT001';
    END IF;
    -- Entries of a call are recorded one after another, so that their numbers are in the order of the changes.
    PERFORM FROM calls c WHERE c.call IN (SELECT b ->> 'call' FROM jsonb_array_elements(batch) b)
        ORDER BY c.call FOR NO KEY UPDATE;
    FOR e IN SELECT * FROM jsonb_populate_recordset(NULL::entry, batch) LOOP
        IF e.event IN ('begin', 'sending') AND NOT e.late AND EXISTS (
            SELECT FROM records r WHERE r.call = e.call AND r.event = 'end'
                -- A batch may be written again.
                AND r.text NOT IN (SELECT b ->> 'text' FROM jsonb_array_elements(batch) b)
        ) THEN
            RAISE EXCEPTION 'the call has ended' USING ERRCODE = 'AT002';
        END IF;
        CONTINUE WHEN EXISTS (
            SELECT FROM records r WHERE r.call = e.call
                AND (r.text = e.text OR r.event = 'begin' AND e.event = 'begin')
        );
        head_seq := head_seq + 1;
        head_hash := sha256(head_hash || int8send(head_seq) || convert_to(e.text, 'UTF8'));
        INSERT INTO records (instance, seq, call, at, event, text, hash)
            VALUES (me, head_seq, e.call, e.at, e.event, e.text, head_hash)
            ON CONFLICT (call) WHERE event = 'end' DO NOTHING RETURNING id INTO record_id;
        IF NOT FOUND THEN
            e.event := 'late';
            INSERT INTO records (instance, seq, call, at, event, text, hash)
                VALUES (me, head_seq, e.call, e.at, e.event, e.text, head_hash) RETURNING id INTO record_id;
        END IF;
        PERFORM apply(e, record_id, me);
    END LOOP;
    UPDATE instances i SET seq = head_seq, hash = head_hash, beat_at = now() WHERE i.instance = me;
    seq := head_seq;
    hash := head_hash;
END $$;

-- Brings the derived tables up to date with a record. `event` is that of the record. `verify` calls it again.
CREATE FUNCTION apply(e entry, record_id bigint, me text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF e.event = 'begin' THEN
        INSERT INTO calls (id, call, instance, began_at, operation, principal, via, policy, actor, subject,
                reason, session_lifetime, actor_token_id)
            VALUES (record_id, e.call, me, e.at, e.operation, e.principal, e.via, e.policy, e.actor, e.subject,
                e.reason, e.session_lifetime, e.actor_token_id)
            ON CONFLICT DO NOTHING;
    ELSIF e.event = 'sending' THEN
        UPDATE calls c SET sending_at = coalesce(c.sending_at, e.at) WHERE c.call = e.call;
    ELSIF e.setting IS NOT NULL THEN
        INSERT INTO settings (name, id, since, by, reason)
            SELECT e.setting, record_id, CASE WHEN e.is_set THEN e.at END, e.principal, e.reason
            ON CONFLICT (name) DO UPDATE
                SET id = excluded.id, since = excluded.since, by = excluded.by, reason = excluded.reason
                WHERE settings.id < excluded.id;
        PERFORM pg_notify(current_schema(), '');
    ELSIF e.event IN ('end', 'late', 'follow_up') THEN
        PERFORM change(e);
    END IF;
END $$;

-- Brings a call up to date with an end or a follow-up.
CREATE FUNCTION change(e entry) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    c calls;
    reached lease_state;
BEGIN
    SELECT * INTO c FROM calls WHERE calls.call = e.call;
    IF e.event = 'end' THEN
        c.ended_at := e.at;
        c."end" := e."end";
        c.outcome := e.outcome;
        c.status := e.status;
        c.code := e.code;
        c.rule := e.rule;
    END IF;
    IF c.operation = 'revoke' THEN
        reached := e.revoked;
    ELSIF c.operation = 'create' AND NOT e.has_token THEN
        reached := e.state;
        c.actor_token_id := coalesce(c.actor_token_id, e.token);
        c.live_until := coalesce(e.live_until, c.live_until);
    ELSIF c.operation = 'create' AND c.has_token THEN
        -- The first end with a token counts. A later one may name the token.
        c.actor_token_id := coalesce(c.actor_token_id, e.token);
    ELSIF c.operation = 'create' THEN
        reached := e.state;
        c.has_token := true;
        c.known_at := e.at;
        c.actor_token_id := coalesce(e.token, c.actor_token_id);
        c.live_until := coalesce(c.live_until, e.live_until);
    END IF;
    IF reached = 'accepted' THEN
        c.accepted_at := least(c.accepted_at, e.at);
    END IF;
    IF reached = c.token_state THEN
        c.token_ended_at := least(c.token_ended_at, end_of(reached, e.at));
    ELSIF c.token_state IS NULL OR reached > c.token_state THEN
        c.token_state := reached;
        c.token_ended_at := end_of(reached, e.at);
    END IF;
    UPDATE calls SET ended_at = c.ended_at, "end" = c."end", outcome = c.outcome, status = c.status, code = c.code,
            rule = c.rule, has_token = c.has_token, actor_token_id = c.actor_token_id, known_at = c.known_at,
            live_until = c.live_until, accepted_at = c.accepted_at, token_state = c.token_state,
            token_ended_at = c.token_ended_at
        WHERE id = c.id;
END $$;

-- Registers an instance, and makes it the heir of the earlier ones of its process that were not swept. The
-- connection holds the lock already.
CREATE FUNCTION register(me text, number bigint, earlier text[]) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    old text;
    root bytea := sha256(convert_to(me, 'UTF8'));
BEGIN
    INSERT INTO instances (instance, lock, first_hash, hash) VALUES (me, number, root, root);
    FOREACH old IN ARRAY earlier LOOP
        UPDATE instances SET ended_at = now(), heir = me WHERE instance = old AND ended_at IS NULL;
        IF FOUND THEN
            UPDATE instances SET heir = me WHERE heir = old;
        END IF;
    END LOOP;
END $$;

-- Ends an instance. Unless nothing is left of it, the next sweep of another instance inherits it.
CREATE FUNCTION stop(me text, is_complete boolean) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF is_complete AND NOT EXISTS (
        SELECT FROM calls JOIN instances USING (instance)
        WHERE calls.ended_at IS NULL AND (instance = me OR heir = me)
    ) THEN
        UPDATE instances SET ended_at = now() WHERE instance = me AND ended_at IS NULL;
    ELSE
        UPDATE instances SET beat_at = '-infinity' WHERE instance = me AND ended_at IS NULL;
    END IF;
END $$;
