-- Roles of the project's own database, each with what it needs and no more. Run as the server's administrator, in the
-- project's database, before the first `selo db upgrade`. Safe to repeat. It sets no passwords: see passwords.sql.
--
--   selo_migrate    owns the tables; only `selo db upgrade` and grants.sql run as it
--   selo_run        reads and writes rows: code server, runs, HTTP app, commands
--   selo_companion  writes people, conversations, messages, memories and events; sees nothing that was made of them
--   selo_read       reads codes, dates and numbers for reports; no column that may hold what a person wrote

DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['selo_migrate', 'selo_run', 'selo_companion', 'selo_read'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I', name);
        END IF;
        EXECUTE format(
            'ALTER ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS', name
        );
        EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), name);
    END LOOP;
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
END $$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
ALTER SCHEMA public OWNER TO selo_migrate;
GRANT USAGE ON SCHEMA public TO selo_run, selo_companion, selo_read;

-- What later migrations make is usable by the runs at once. The other two get what grants.sql names, table by table.
ALTER DEFAULT PRIVILEGES FOR ROLE selo_migrate IN SCHEMA public
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO selo_run;
ALTER DEFAULT PRIVILEGES FOR ROLE selo_migrate IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO selo_run;

-- An erasure waits until nobody's snapshot or open transaction sees the person any more. Of other roles' sessions
-- PostgreSQL shows that only to this.
GRANT pg_read_all_stats TO selo_run;

-- An erasure vacuums what it emptied. Before PostgreSQL 17 only the owner of a table may.
DO $$
BEGIN
    IF current_setting('server_version_num')::int >= 170000 THEN
        EXECUTE 'ALTER DEFAULT PRIVILEGES FOR ROLE selo_migrate IN SCHEMA public GRANT MAINTAIN ON TABLES TO selo_run';
    END IF;
END $$;

ALTER ROLE selo_read SET default_transaction_read_only = on;
ALTER ROLE selo_read SET statement_timeout = '30s';
ALTER ROLE selo_read CONNECTION LIMIT 10;
ALTER ROLE selo_companion SET statement_timeout = '30s';
ALTER ROLE selo_companion SET idle_in_transaction_session_timeout = '60s';
