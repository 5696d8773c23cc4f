-- Gives the roles the passwords in psql's environment; a variable that is not set leaves its role as it is. Needs psql 14.
-- The passwords are on no command line, and not in the server's log.

SET log_statement = 'none';
SET log_min_error_statement = 'panic';

\getenv migrate DB_MIGRATE_PASSWORD
\if :{?migrate}
ALTER ROLE selo_migrate PASSWORD :'migrate';
\endif
\getenv run DB_RUN_PASSWORD
\if :{?run}
ALTER ROLE selo_run PASSWORD :'run';
\endif
\getenv companion DB_COMPANION_PASSWORD
\if :{?companion}
ALTER ROLE selo_companion PASSWORD :'companion';
\endif
\getenv read DB_READ_PASSWORD
\if :{?read}
ALTER ROLE selo_read PASSWORD :'read';
\endif
\getenv dagster DB_DAGSTER_PASSWORD
\if :{?dagster}
ALTER ROLE dagster PASSWORD :'dagster';
\endif
