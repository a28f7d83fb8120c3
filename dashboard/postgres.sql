-- Run once by the image of PostgreSQL, when its volume is new (docker-compose.yml).
-- The desk's user owns its database and is no superuser: a superuser could switch off the triggers that protect events.
\getenv password POSTGRES_PASSWORD
CREATE ROLE desk LOGIN PASSWORD :'password';
CREATE DATABASE desk OWNER desk;
-- The superuser comes by the socket inside the container only.
ALTER ROLE CURRENT_USER PASSWORD NULL;
