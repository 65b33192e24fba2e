-- The tables of datasette-secrets, as they stand after every migration.
--
-- datasette_secrets is shared with Datasette's plugin of the same name and is
-- exactly its table: one row per version of a secret, newest version wins.
-- Files made by datasette-secrets 0.1a0 have an extra "redacted" column, so
-- every statement names its columns. Everything else of ours lives in side
-- tables named datasette_secrets_*.

create table if not exists datasette_secrets (
    id integer primary key,
    name text not null,
    note text,
    version integer not null default 1,
    encrypted blob,
    encryption_key_name text not null,
    created_at text,
    created_by text,
    updated_at text,
    updated_by text,
    deleted_at text,
    deleted_by text,
    last_used_at text,
    last_used_by text
);

-- The newest version of a name is one step away, however many there are.
create index if not exists datasette_secrets_newest
    on datasette_secrets (name, version desc);

-- Which migrations this file has seen.
create table if not exists datasette_secrets_migrations (
    name text primary key,
    applied_at text not null
);
