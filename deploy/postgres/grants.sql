-- What each role may do with the tables that there are. Run as selo_migrate after every `selo db upgrade`; repeatable.
-- In one transaction: what is running meanwhile never finds itself without its rights.

BEGIN;

REVOKE ALL ON ALL TABLES IN SCHEMA public FROM selo_run, selo_companion, selo_read;
REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM selo_run, selo_companion, selo_read;

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO selo_run;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public TO selo_run;
-- Which revision the tables have is for the migration alone to say.
REVOKE INSERT, UPDATE, DELETE ON selo_schema_version FROM selo_run;
GRANT SELECT ON selo_schema_version TO selo_companion, selo_read;

DO $$
BEGIN
    IF current_setting('server_version_num')::int >= 170000 THEN
        EXECUTE 'GRANT MAINTAIN ON ALL TABLES IN SCHEMA public TO selo_run';
    END IF;
END $$;

-- The companion: what it wrote itself it may compare with, as selo_dagster.memory.client.write does. The number of an
-- event and the state of a person are not among its columns.
GRANT SELECT, INSERT (id, key, name, zone, moves, tenant, created_at), UPDATE (name, zone, moves, tenant) ON users
    TO selo_companion;
GRANT SELECT, INSERT, UPDATE (name) ON user_statements TO selo_companion;
GRANT SELECT, INSERT ON conversations, messages, memories TO selo_companion;
-- Its messages and memories become events by database triggers, which run as whoever inserts.
GRANT SELECT (id, origin, ref, type, user_id, at, payload, created_at),
    INSERT (origin, ref, type, user_id, at, payload, created_at) ON events TO selo_companion;
GRANT USAGE ON SEQUENCE events_id_seq TO selo_companion;
-- So that it does not bring back by accident whom somebody had erased, or what: hashes, without reports and reasons.
GRANT SELECT (digest, key_id) ON erased_people TO selo_companion;
GRANT SELECT (digest) ON forgotten_memories TO selo_companion;

-- The reader: no free text and no document, in any table, and no word that a person or a model chose.
DO $$
DECLARE
    allowed record;
BEGIN
    FOR allowed IN
        SELECT table_name, string_agg(quote_ident(column_name), ', ' ORDER BY ordinal_position) AS names
        FROM information_schema.columns
        WHERE table_schema = 'public'
          AND data_type NOT IN ('text', 'json', 'jsonb', 'bytea', 'ARRAY')
          AND table_name NOT IN ('erased_people', 'forgotten_memories', 'idempotency_keys', 'episode_terms')
          AND (table_name, column_name) NOT IN (
              ('memories', 'kind'), ('episodes', 'emotion'), ('relationship_questions', 'topic'),
              ('persona_traits', 'name'), ('persona_traits', 'category'),
              ('persona_changes', 'trait'), ('persona_changes', 'category'),
              ('saga_interventions', 'actor'), ('persona_evolutions', 'reviewed_by'), ('reflection_head_moves', 'actor')
          )
        GROUP BY table_name
    LOOP
        EXECUTE format('GRANT SELECT (%s) ON %I TO selo_read', allowed.names, allowed.table_name);
    END LOOP;
END $$;

COMMIT;
