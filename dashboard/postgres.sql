-- Run once by the image of PostgreSQL, when its volume is new (docker-compose.yml).
-- `desk` owns the database and migrates. `desk_app` runs the product: DATABASE_APP_USER has `migrate` give it what that
-- needs, and nothing that could change history. Neither is a superuser, who could switch triggers off.
\getenv password POSTGRES_PASSWORD
\set app_password `cat /run/database/app_password`
CREATE ROLE desk LOGIN PASSWORD :'password';
CREATE ROLE desk_app LOGIN PASSWORD :'app_password';
CREATE DATABASE desk OWNER desk;
REVOKE ALL ON DATABASE desk FROM PUBLIC;
GRANT CONNECT ON DATABASE desk TO desk_app;
-- The superuser comes by the socket inside the container only.
ALTER ROLE CURRENT_USER PASSWORD NULL;
