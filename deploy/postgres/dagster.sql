-- Dagster's own database: one role, which makes and migrates its tables by itself. Run as the server's administrator, in
-- that database. Safe to repeat. It can see nothing of the project's database, nor the project's roles anything here.

DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'dagster') THEN
        CREATE ROLE dagster;
    END IF;
    ALTER ROLE dagster LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS;
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO dagster', current_database());
END $$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
ALTER SCHEMA public OWNER TO dagster;
